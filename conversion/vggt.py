"""VGGT checkpoints (facebookresearch/vggt, `model.pt` or `model.safetensors`)."""

import torch

from .dinov2 import convert_dinov2_state_dict, select_prefix


def convert_backbone_state_dict(state_dict: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Tensors of [`VGGTBackbone`] from a whole checkpoint."""
    patch_encoder = convert_dinov2_state_dict(select_prefix(state_dict, "aggregator.patch_embed."))
    pairs = {
        key: tensor
        for key, tensor in select_prefix(state_dict, "aggregator.").items()
        if not key.startswith("patch_embed.")
    }
    patch_encoder = {f"patch_encoder.{key.removeprefix('encoder.')}": patch_encoder[key] for key in patch_encoder}
    return patch_encoder | convert_dinov2_state_dict(pairs)
