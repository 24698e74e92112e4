"""Names of DINOv2's original code, which Depth Anything V2, Depth Anything 3 and VGGT kept, in transformers' terms."""

import re

import torch

RENAMES = (
    (r"^pos_embed$", "embeddings.position_embeddings"),
    (r"^(cls_token|mask_token|register_tokens)$", r"embeddings.\1"),
    (r"^patch_embed\.proj\.", "embeddings.patch_embeddings.projection."),
    (r"^norm\.", "layernorm."),
    (r"^blocks\.", "encoder.layer."),
    (r"\.attn\.proj\.", ".attention.o_proj."),
    (r"\.attn\.", ".attention."),
    (r"\.ls([12])\.gamma$", r".layer_scale\1.lambda1"),
    (r"\.mlp\.w3\.", ".mlp.down_proj."),
)
FUSED = {
    ".attention.qkv.": (".attention.q_proj.", ".attention.k_proj.", ".attention.v_proj."),
    ".mlp.w12.": (".mlp.gate_proj.", ".mlp.up_proj."),
}


def convert_dinov2_state_dict(state_dict: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """
    Rename the tensors of a DINOv2 encoder and split its fused projections.

    Args:
        state_dict: the encoder's tensors under their original names, without a prefix (`blocks.0.attn.qkv.weight`).

    Returns:
        The same values under the names that transformers' Dinov2 modules have in memory. Names that DINOv2 does not
        know pass through.
    """
    converted = {}
    for key, tensor in state_dict.items():
        for pattern, replacement in RENAMES:
            key = re.sub(pattern, replacement, key)
        fused = next((name for name in FUSED if name in key), None)
        if fused is None:
            converted[key] = tensor
        else:
            for part, chunk in zip(FUSED[fused], tensor.chunk(len(FUSED[fused])), strict=True):
                converted[key.replace(fused, part)] = chunk.clone()
    return converted


def select_prefix(state_dict: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    """The tensors whose names begin with `prefix`, without it."""
    return {key[len(prefix) :]: tensor for key, tensor in state_dict.items() if key.startswith(prefix)}
