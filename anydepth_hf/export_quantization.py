"""Static 8-bit quantisation with NNCF, and the layers that it leaves in floating point."""

from collections.abc import Iterator, Sequence
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
    for node in graph:
        weights, above = [], [node.inputs[1]] if node.op_type in WEIGHTED else []
        while above:
            value = above.pop()
            if value.const_value is not None:
                weights.append(value.const_value.numpy())
            elif value.producer() is not None and value.producer().op_type not in WEIGHTED:
                above += [value for value in value.producer().inputs if value is not None]
        yield node.name, weights


def openvino_weights(model: Any) -> Iterator[tuple[str, list[np.ndarray]]]:
    """The same of each operator of an OpenVINO model."""
    for operator in model.get_ordered_ops():
        is_weighted = operator.get_type_name() in WEIGHTED
        weights, above = [], [operator.input_value(1).get_node()] if is_weighted else []
        while above:
            node = above.pop()
            if node.get_type_name() == "Constant":
                weights.append(node.get_data())
            elif node.get_type_name() not in WEIGHTED:
                above += [value.get_node() for value in node.input_values()]
        yield operator.get_friendly_name(), weights


__all__ = ["nncf_config"]
