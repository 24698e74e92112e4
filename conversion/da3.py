"""Depth Anything 3 checkpoints (ByteDance-Seed/Depth-Anything-3, `model.safetensors`)."""

import torch

from .dinov2 import convert_dinov2_state_dict, select_prefix


def convert_backbone_state_dict(state_dict: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Tensors of [`DepthAnything3Backbone`] from a whole checkpoint."""
    return convert_dinov2_state_dict(select_prefix(state_dict, "model.backbone.pretrained."))
