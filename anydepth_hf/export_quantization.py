"""Static 8-bit quantisation with NNCF, and the layers that it leaves in floating point."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from torch import nn

WEIGHTED = ("MatMul", "Gemm", "Conv", "Convolution")
"""Operators with weights, by their names in ONNX and OpenVINO."""


def nncf_config(model: nn.Module, program: Any, calibration: Sequence[dict]) -> Any:
    """
    Settings of `nncf.quantize` for a traced model.

    A transformer's outliers are smoothed first, and what loses most by steps of a 256th of its range stays in floating
    point: the layer that reads pixels, those that read the encoder's levels (a few channels of which are far larger
    than the rest), and resizing, whose last use is the map itself.

    Args:
        model: what was traced.
        program: the `onnx_ir.Model` or `openvino.Model` that is quantised.
        calibration: samples of the model's inputs.
    """
    import nncf
    from transformers.exporters import NNCFQuantizationConfig

    nodes = openvino_weights(program) if hasattr(program, "get_ordered_ops") else onnx_weights(program.graph)
    kept = {fingerprint(weight) for weight in sensitive_weights(model)}
    names = [name for name, weights in nodes if any(fingerprint(weight) in kept for weight in weights)]
    resizing = nncf.IgnoredScope(types=["Interpolate", "Resize"], names=names, validate=False)
    return NNCFQuantizationConfig(
        subset_size=len(calibration), model_type=nncf.ModelType.TRANSFORMER, ignored_scope=resizing
    )


def sensitive_weights(model: nn.Module) -> list[np.ndarray]:
    """Weights of the layer that reads pixels and of those that read the encoder's levels, whole and in halves."""
    layers = [
        module for module in model.backbone.modules() if isinstance(module, nn.Conv2d) and module.in_channels == 3
    ]
    layers += [module for module in model.head.modules() if isinstance(module, nn.Linear)]
    layers += [block.projection for block in getattr(model.head, "reassemble", ())]
    tensors = [layer.weight.detach() for layer in layers]
    # a readout's product is computed in halves, for the tokens and for the class token
    return [part.numpy() for tensor in tensors for part in (tensor, *tensor.chunk(2, dim=1))]


def fingerprint(weight: np.ndarray) -> tuple[int, str]:
    """What an array shares with its transposed and reshaped copies: traced graphs name no layers."""
    return weight.size, f"{np.abs(weight, dtype=np.float64).sum():.9g}"


def onnx_weights(graph: Any) -> Iterator[tuple[str, list[np.ndarray]]]:
    """Name and stored weights of each node of an `onnx_ir` graph that has some."""
    for node in graph:
        if node.op_type in WEIGHTED and node.inputs[1].const_value is not None:
            yield node.name, [node.inputs[1].const_value.numpy()]


def openvino_weights(model: Any) -> Iterator[tuple[str, list[np.ndarray]]]:
    """Name and stored weights of each operator of an OpenVINO model that has some, also those it rearranges first."""
    for operator in model.get_ordered_ops():
        if operator.get_type_name() not in WEIGHTED:
            continue
        weights, above = [], [operator.input_value(1).get_node()]
        while above:
            node = above.pop()
            if node.get_type_name() == "Constant":
                weights.append(node.get_data())
            elif node.get_type_name() not in WEIGHTED:
                above += [value.get_node() for value in node.input_values()]
        yield operator.get_friendly_name(), weights


__all__ = ["nncf_config"]
