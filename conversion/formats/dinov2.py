"""Names of DINOv2's original code, which Depth Anything V2, Depth Anything 3 and VGGT kept, in transformers' terms."""

from .renaming import ConversionError, RenamingTable, StateDict, count_blocks


def block_names(original: str, ours: str) -> tuple[tuple[str, str | tuple[str, ...]], ...]:
    """Pairs for a list of blocks, e.g. `block_names("blocks.#", "encoder.layer.#")`."""
    attention = f"{ours}.attention"
    return (
        (f"{original}.attn.qkv", tuple(f"{attention}.{part}_proj" for part in "qkv")),
        (f"{original}.attn.proj", f"{attention}.o_proj"),
        (f"{original}.attn", attention),
        (f"{original}.ls1.gamma", f"{ours}.layer_scale1.lambda1"),
        (f"{original}.ls2.gamma", f"{ours}.layer_scale2.lambda1"),
        (f"{original}.mlp.w12", (f"{ours}.mlp.gate_proj", f"{ours}.mlp.up_proj")),
        (f"{original}.mlp.w3", f"{ours}.mlp.down_proj"),
        (original, ours),
    )


DINOV2 = RenamingTable(
    ("pos_embed", "embeddings.position_embeddings"),
    ("cls_token", "embeddings.cls_token"),
    ("mask_token", "embeddings.mask_token"),
    ("register_tokens", "embeddings.register_tokens"),
    ("patch_embed.proj", "embeddings.patch_embeddings.projection"),
    ("norm", "layernorm"),
    *block_names("blocks.#", "encoder.layer.#"),
)


def read_sizes(state_dict: StateDict) -> dict[str, int | bool]:
    """
    Fields of a Dinov2 configuration that can be read off an encoder's tensors (original names, no prefix).

    Raises:
        ConversionError: position embeddings that are no square grid, or an MLP whose width is no multiple.
    """
    hidden_size, _, patch_size, _ = state_dict["patch_embed.proj.weight"].shape
    num_patches = state_dict["pos_embed"].shape[1] - 1
    side = round(num_patches**0.5)
    if side * side != num_patches:
        raise ConversionError(f"The {num_patches} position embeddings of the encoder are no square grid.")
    sizes = {
        "hidden_size": hidden_size,
        "num_hidden_layers": count_blocks(state_dict),
        "patch_size": patch_size,
        "image_size": side * patch_size,
    }
    if "blocks.0.mlp.w12.weight" in state_dict:
        return {**sizes, "use_swiglu_ffn": True}
    if "blocks.0.mlp.fc1.weight" in state_dict:
        width = state_dict["blocks.0.mlp.fc1.weight"].shape[0]
        if width % hidden_size:
            raise ConversionError(f"The encoder's MLPs are {width} wide, which is no multiple of {hidden_size}.")
        sizes["mlp_ratio"] = width // hidden_size
    return sizes
