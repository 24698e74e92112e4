"""Static 8-bit quantisation with NNCF, and the layers that it leaves in floating point."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from torch import nn

from .modeling_sdt import PredictionConv

WEIGHTED = ("MatMul", "Gemm", "Conv", "Convolution")
"""Operators with weights, by their names in ONNX and OpenVINO."""


def nncf_config(model: nn.Module, program: Any, calibration: Sequence[dict]) -> Any:
    """
    Settings of `nncf.quantize` for a traced model.

    A transformer's outliers are smoothed first, and what loses most by steps of a 256th of its range stays in floating
    point: the layer that reads pixels, those that read the encoder's levels (a few channels of which are far larger
    than the rest), the one that writes the map, and resizing, which the map itself goes through.

    Args:
        model: what was traced.
        program: the `onnx_ir.Model` or `openvino.Model` that is quantised.
        calibration: samples of the model's inputs.
    """
    import nncf
    from transformers.exporters import NNCFQuantizationConfig

    names = sensitive_nodes(model, program)
    ignored = nncf.IgnoredScope(names=names, types=["Interpolate", "Resize"], validate=False)
    return NNCFQuantizationConfig(
        subset_size=len(calibration), model_type=nncf.ModelType.TRANSFORMER, ignored_scope=ignored
    )


def sensitive_nodes(model: nn.Module, program: Any) -> list[str]:
    """Names that the layers of [`sensitive_weights`] have in the `onnx_ir.Model` or `openvino.Model` of a model."""
    nodes = openvino_weights(program) if hasattr(program, "get_ordered_ops") else onnx_weights(program.graph)
    kept = {fingerprint(weight) for weight in sensitive_weights(model)}
    return [name for name, weights in nodes if any(fingerprint(weight) in kept for weight in weights)]


def sensitive_weights(model: nn.Module) -> list[np.ndarray]:
    """Weights of the layers that read pixels or the encoder's levels, or write the map; whole and in halves."""
    layers = [
        module for module in model.backbone.modules() if isinstance(module, nn.Conv2d) and module.in_channels == 3
    ]
    layers += [module for module in model.head.modules() if isinstance(module, nn.Linear)]
    layers += [block.projection for block in getattr(model.head, "reassemble", ())]
    layers += [module for module in model.head.modules() if isinstance(module, PredictionConv)]
    tensors = [layer.weight.detach() for layer in layers]
    # a readout's product is computed in halves, for the tokens and for the class token
    return [part.numpy() for tensor in tensors for part in (tensor, *tensor.chunk(2, dim=1))]


def fingerprint(weight: np.ndarray) -> tuple[int, int]:
    """What an array shares with its transposed and reshaped copies, exactly: traced graphs name no layers."""
    bits = np.ascontiguousarray(weight, dtype=np.float32).view(np.uint32)
    return weight.size, int(bits.sum(dtype=np.uint64))


def onnx_weights(graph: Any) -> Iterator[tuple[str, list[np.ndarray]]]:
    """Name and stored weights of each node of an `onnx_ir` graph that has some, also of those it rearranges first."""

    def read(value: Any) -> np.ndarray | None:
        return None if value.const_value is None else value.const_value.numpy()

    def inputs(value: Any) -> Iterable[Any]:
        node = value.producer()
        return () if node is None or node.op_type in WEIGHTED else filter(None, node.inputs)

    for node in graph:
        if node.op_type in WEIGHTED:
            yield node.name, stored_above(node.inputs[1], read, inputs, name=lambda value: value.name)


def openvino_weights(model: Any) -> Iterator[tuple[str, list[np.ndarray]]]:
    """The same of each operator of an OpenVINO model."""

    def read(node: Any) -> np.ndarray | None:
        return node.get_data() if node.get_type_name() == "Constant" else None

    def inputs(node: Any) -> Iterable[Any]:
        return () if node.get_type_name() in WEIGHTED else (value.get_node() for value in node.input_values())

    for operator in model.get_ordered_ops():
        if operator.get_type_name() in WEIGHTED:
            start, name = operator.input_value(1).get_node(), operator.get_friendly_name()
            yield name, stored_above(start, read, inputs, name=lambda node: node.get_friendly_name())


def stored_above(start: Any, read: Callable, inputs: Callable, name: Callable) -> list[np.ndarray]:
    """The arrays that a part of a graph is computed from: of each name on the way up once."""
    arrays, todo, seen = [], [start], set()
    while todo:
        part = todo.pop()
        if name(part) in seen:
            continue
        seen.add(name(part))
        if (array := read(part)) is not None:
            arrays.append(array)
        else:
            todo += inputs(part)
    return arrays
