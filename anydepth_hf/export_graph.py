"""Formulations of the same function that another runtime executes faster."""

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from .modeling_sdt import DySample


class GatherDySample(DySample):
    """
    [`DySample`] as four gathered rows of a table and their weighted mean, instead of `grid_sample`.

    ONNX Runtime's `GridSample` on the CPU goes through the positions once for every channel; gathering goes through
    them once, and copies the channels of a group as one row: 1.4 to 2.5 times as fast there.
    """

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Features `(batch_size, channels, height, width)` at twice their size."""
        batch_size, channels, height, width = features.shape
        offset = self.offset(features)
        scale = 0.25 if self.scope is None else self.scope(features).sigmoid() * 0.5
        offset = (offset * scale + self.init_pos).view(batch_size, 2, -1, height, width)
        columns = torch.arange(width, device=features.device, dtype=torch.float32)
        rows = torch.arange(height, device=features.device, dtype=torch.float32)
        x = F.pixel_shuffle(offset[:, 0] + columns, self.scale).clamp(0, width - 1)
        y = F.pixel_shuffle(offset[:, 1] + rows[:, None], self.scale).clamp(0, height - 1)
        # the neighbour before, and how far the one behind it lies: in a map of one row or column it is the same
        left, top = (position.floor().clamp(max=size - 2).clamp(min=0) for position, size in ((x, width), (y, height)))
        share_x, share_y = (x - left)[..., None], (y - top)[..., None]
        step_x, step_y = (torch.arange(size, device=features.device)[-1].clamp(max=1) for size in (width, height))

        groups = batch_size * self.groups
        table = features.reshape(groups, channels // self.groups, height * width).transpose(1, 2).flatten(0, 1)
        start = (torch.arange(groups, device=features.device) * (height * width)).view(batch_size, self.groups, 1, 1)
        index = top.long() * width + left.long() + start
        above, below = table[index], table[index + step_y * width]
        # not `lerp`, which comes out with a choice between two formulas
        above = above + (table[index + step_x] - above) * share_x
        below = below + (table[index + (step_y * width + step_x)] - below) * share_x
        sampled = above + (below - above) * share_y
        return sampled.permute(0, 1, 4, 2, 3).reshape(batch_size, channels, self.scale * height, self.scale * width)


@contextlib.contextmanager
def gathering(model: nn.Module) -> Iterator[None]:
    """Lets the model's [`DySample`] layers gather while it is traced."""
    layers = [module for module in model.modules() if type(module) is DySample]
    for layer in layers:
        layer.__class__ = GatherDySample
    try:
        yield
    finally:
        for layer in layers:
            layer.__class__ = DySample


def store_split_weights(graph: Any) -> None:
    """
    Stores the parts of weights that an `onnx_ir` graph splits (the halves of SDT's readout) instead of splitting them.

    The exporter's optimiser folds operators of one output alone, and quantisers take only stored weights for weights.
    """
    import onnx_ir

    for node in list(graph):
        weight = node.inputs[0] if node.op_type == "Split" else None
        if weight is None or weight.const_value is None or weight.producer() is not None:
            continue
        axis = node.attributes["axis"].as_int() if "axis" in node.attributes else 0
        if len(node.inputs) > 1 and node.inputs[1] is not None:
            if node.inputs[1].const_value is None:
                continue
            where = np.cumsum(node.inputs[1].const_value.numpy())[:-1]
        else:
            where = -(-weight.shape[axis] // len(node.outputs)) * np.arange(1, len(node.outputs))
        for output, values in zip(node.outputs, np.split(weight.const_value.numpy(), where, axis)):
            name = f"{weight.name}.{output.index()}"
            part = onnx_ir.val(name, const_value=onnx_ir.tensor(np.ascontiguousarray(values), name=name))
            graph.register_initializer(part)
            output.replace_all_uses_with(part)
        graph.remove(node, safe=True)
        if not weight.uses():
            del graph.initializers[weight.name]
