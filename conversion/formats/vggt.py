"""VGGT checkpoints (facebookresearch/vggt, `model.pt` or `model.safetensors`)."""

from functools import partial

from anydepth_hf.configuration_vggt import VGGTConfig

from .da3 import HEAD_KEYS, read_head
from .dinov2 import block_names, read_sizes
from .dpt import DEPTH_ANYTHING
from .renaming import CheckpointFormat, Part, RenamingTable, StateDict, count_blocks, select_prefix
from .settings import Settings, encoder_config

VGGT = RenamingTable(
    ("patch_embed.pos_embed", "patch_encoder.embeddings.position_embeddings"),
    ("patch_embed.cls_token", "patch_encoder.embeddings.cls_token"),
    ("patch_embed.mask_token", "patch_encoder.embeddings.mask_token"),
    ("patch_embed.register_tokens", "patch_encoder.embeddings.register_tokens"),
    ("patch_embed.patch_embed.proj", "patch_encoder.embeddings.patch_embeddings.projection"),
    ("patch_embed.norm", "patch_encoder.layernorm"),
    *block_names("patch_embed.blocks.#", "patch_encoder.layer.#"),
    *block_names("frame_blocks.#", "frame_blocks.#"),
    *block_names("global_blocks.#", "global_blocks.#"),
)


def read_aggregator(state_dict: StateDict, settings: Settings) -> Part:
    sizes = read_sizes(select_prefix(state_dict, "patch_embed."))
    sizes["num_patch_encoder_layers"] = sizes.pop("num_hidden_layers")
    config = encoder_config(
        VGGTConfig,
        settings,
        num_hidden_layers=count_blocks(state_dict, "frame_blocks"),
        num_register_tokens=state_dict["register_token"].shape[2],
        **sizes,
    )
    # the official default: 518 pixels wide, the photographs being landscapes
    return Part(VGGT.convert(state_dict), backbone_config=config, processor={"size": {"longest_edge": 518}})


ENCODERS = (
    CheckpointFormat(
        "VGGT aggregator",
        "vggt",
        (
            "register_token",
            "camera_token",
            "patch_embed.cls_token",
            "patch_embed.patch_embed.proj.weight",
            "frame_blocks.0.attn.qkv.weight",
            "global_blocks.0.attn.qkv.weight",
        ),
        read_aggregator,
        VGGT,
    ),
)
HEADS = (
    CheckpointFormat(
        "DPT depth head of VGGT",
        "vggt",
        (*HEAD_KEYS, "norm.weight"),
        partial(read_head, head_type="dpt", dpt_style="vggt"),
        DEPTH_ANYTHING,
        absent=("scratch.output_conv1_aux.0.0.weight",),
        head_type="dpt",
    ),
)
