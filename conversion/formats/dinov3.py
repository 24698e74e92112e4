"""DINOv3 encoders: Meta's checkpoints (facebookresearch/dinov3, `.pth`) and the Hub's (`facebook/dinov3-*`)."""

import torch
from transformers import DINOv3ViTConfig

from .renaming import CheckpointFormat, ConversionError, Part, RenamingTable, StateDict, count_blocks
from .settings import Settings, encoder_config

META = RenamingTable(
    ("cls_token", "embeddings.cls_token"),
    ("mask_token", "embeddings.mask_token"),
    ("storage_tokens", "embeddings.register_tokens"),
    ("patch_embed.proj", "embeddings.patch_embeddings"),
    ("blocks.#.attn.qkv", tuple(f"model.layer.#.attention.{part}_proj" for part in "qkv")),
    ("blocks.#.attn.proj", "model.layer.#.attention.o_proj"),
    ("blocks.#.ls1.gamma", "model.layer.#.layer_scale1.lambda1"),
    ("blocks.#.ls2.gamma", "model.layer.#.layer_scale2.lambda1"),
    ("blocks.#.mlp.fc1", "model.layer.#.mlp.up_proj"),
    ("blocks.#.mlp.fc2", "model.layer.#.mlp.down_proj"),
    ("blocks.#.mlp.w1", "model.layer.#.mlp.gate_proj"),
    ("blocks.#.mlp.w2", "model.layer.#.mlp.up_proj"),
    ("blocks.#.mlp.w3", "model.layer.#.mlp.down_proj"),
    ("blocks.#", "model.layer.#"),
)
HUB = RenamingTable(("layer.#", "model.layer.#"))
FIRST = "model.layer.0."


def read_config(converted: StateDict, settings: Settings, **read) -> dict:
    """Fields of [`DINOv3ViTConfig`] off an encoder's tensors under transformers' names."""
    hidden_size, _, patch_size, _ = converted["embeddings.patch_embeddings.weight"].shape
    gated = f"{FIRST}mlp.gate_proj.weight" in converted
    return encoder_config(
        DINOv3ViTConfig,
        settings,
        hidden_size=hidden_size,
        patch_size=patch_size,
        num_hidden_layers=count_blocks(converted, "model.layer"),
        intermediate_size=converted[f"{FIRST}mlp.up_proj.weight"].shape[0],
        num_register_tokens=converted["embeddings.register_tokens"].shape[1],
        use_gated_mlp=gated,
        hidden_act="silu" if gated else "gelu",
        query_bias=f"{FIRST}attention.q_proj.bias" in converted,
        key_bias=f"{FIRST}attention.k_proj.bias" in converted,
        value_bias=f"{FIRST}attention.v_proj.bias" in converted,
        proj_bias=f"{FIRST}attention.o_proj.bias" in converted,
        mlp_bias=f"{FIRST}mlp.up_proj.bias" in converted,
        **read,
    )


def check_periods(periods: torch.Tensor, config: dict) -> None:
    """
    Raises ConversionError where the stored rotary periods are not `rope_theta^(i/n)` (to bfloat16 precision, in which
    they may have been stored), so that transformers would compute other positions.
    """
    # two axes, each with a sine and a cosine
    count = config["hidden_size"] // config["num_attention_heads"] // 4
    rope_theta = config.get("rope_theta", DINOv3ViTConfig.rope_theta)
    expected = rope_theta ** (torch.arange(count, dtype=torch.float32) / count)
    if len(periods) != count or not torch.allclose(periods.float(), expected, rtol=2**-8):
        raise ConversionError(
            f"The checkpoint's rotary periods {[round(period, 3) for period in periods.tolist()]} are not those of "
            f"{config['num_attention_heads']} heads with rope_theta={rope_theta}; check what is --set of "
            "backbone.num_attention_heads and backbone.rope_theta."
        )


def fill_tokens(converted: StateDict) -> None:
    """Gives the tokens transformers' shapes; those that a checkpoint may lack become empty or zero."""
    cls_token = converted["embeddings.cls_token"]
    width = cls_token.shape[-1]
    converted.setdefault("embeddings.register_tokens", cls_token.new_zeros(1, 0, width))
    mask_token = converted.setdefault("embeddings.mask_token", cls_token.new_zeros(1, 1, width))
    converted["embeddings.mask_token"] = mask_token.reshape(1, 1, -1)


def read_meta(state_dict: StateDict, settings: Settings) -> Part:
    state_dict = dict(state_dict)
    notes = []
    local_norm = [name for name in state_dict if name.startswith("local_cls_norm.")]
    for name in local_norm:
        del state_dict[name]
    if local_norm:
        notes.append("Dropped local_cls_norm, which only pretraining uses.")
    # Meta's code multiplies by these masks in every forward
    for name in [name for name in state_dict if name.endswith(".bias_mask")]:
        bias = name.removesuffix("_mask")
        state_dict[bias] = state_dict[bias] * state_dict.pop(name)
    periods = state_dict.pop("rope_embed.periods", None)
    converted = META.convert(state_dict)
    key_biases = [name for name in converted if name.endswith(".k_proj.bias")]
    if key_biases and not any(converted[name].any() for name in key_biases):
        for name in key_biases:
            del converted[name]
        notes.append("Dropped the key biases, which are all masked.")
    fill_tokens(converted)
    read = {}
    if periods is not None:
        read["num_attention_heads"] = converted["embeddings.cls_token"].shape[-1] // (4 * len(periods))
    config = read_config(converted, settings, **read)
    if periods is not None:
        check_periods(periods, config)
        notes.append("Dropped rope_embed.periods, which the model computes itself (checked to be equal).")
    return Part(converted, backbone_config=config, notes=notes)


def read_hub(state_dict: StateDict, settings: Settings) -> Part:
    converted = HUB.convert(state_dict)
    fill_tokens(converted)
    return Part(converted, backbone_config=read_config(converted, settings))


META_ENCODER = CheckpointFormat(
    "DINOv3 encoder",
    "dinov3",
    ("cls_token", "patch_embed.proj.weight", "blocks.0.attn.qkv.weight"),
    read_meta,
    META,
    absent=("pos_embed",),
)
HUB_ENCODER, SAVED_ENCODER = (
    CheckpointFormat(
        "DINOv3 encoder (transformers' names)",
        "dinov3",
        ("embeddings.cls_token", "embeddings.patch_embeddings.weight", f"{layers}.0.attention.q_proj.weight"),
        read_hub,
        HUB,
    )
    # on the Hub, and as classes of this package save themselves
    for layers in ("layer", "model.layer")
)
