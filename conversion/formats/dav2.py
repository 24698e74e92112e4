"""Depth Anything V2 checkpoints (DepthAnything/Depth-Anything-V2, `depth_anything_v2_*.pth`)."""

from transformers import Dinov2Config

from .dinov2 import DINOV2, read_sizes
from .renaming import CheckpointFormat, Part, StateDict
from .settings import Settings, encoder_config


def read_encoder(state_dict: StateDict, settings: Settings) -> Part:
    converted = DINOV2.convert(state_dict)
    notes = []
    if converted.pop("embeddings.mask_token", None) is not None:
        notes.append("Dropped mask_token, which only pretraining uses.")
    sizes = read_sizes(state_dict)
    config = encoder_config(Dinov2Config, settings, use_mask_token=False, **sizes)
    return Part(
        converted,
        backbone_config=config,
        # Depth Anything V2 reads layer-normed levels
        fields={"apply_backbone_norm": True},
        processor={"size": {"shortest_edge": sizes["image_size"]}},
        notes=notes,
    )


DAV2_ENCODER = CheckpointFormat(
    "Depth Anything V2 (DINOv2) encoder",
    "dav2",
    # Depth Anything 3's monocular encoder is the same without a mask token
    ("cls_token", "pos_embed", "mask_token", "patch_embed.proj.weight", "blocks.0.attn.qkv.weight"),
    read_encoder,
    DINOV2,
    absent=("register_tokens", "camera_token"),
)
