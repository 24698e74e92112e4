"""Checkpoints in the official layouts, written from models of this package by walking their modules.

The converter's tables are not used, so that an error in them cannot cancel out.
"""

import torch


def randomize(model: torch.nn.Module, seed: int = 0) -> torch.nn.Module:
    """Every parameter and running statistic away from its initial value, at scales that keep activations near one."""
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in model.state_dict().items():
        if name.endswith("init_pos") or not tensor.is_floating_point():
            continue
        noise = torch.randn(tensor.shape, generator=generator)
        if name.endswith("running_var"):
            tensor.copy_(0.5 + noise.abs())
        elif tensor.ndim > 1 and "token" not in name and "position" not in name:
            tensor.copy_(noise * tensor[0].numel() ** -0.5)
        elif name.endswith("weight"):
            tensor.copy_(1 + 0.2 * noise)
        else:
            tensor.copy_(0.2 * noise)
    return model.eval()


def module_tensors(prefix: str, module: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {f"{prefix}.{name}": tensor for name, tensor in module.state_dict().items()}


def block_tensors(prefix: str, layer: torch.nn.Module, qkv_bias: torch.Tensor | None) -> dict[str, torch.Tensor]:
    attention = layer.attention
    projections = (attention.q_proj, attention.k_proj, attention.v_proj)
    tensors = {
        **module_tensors(f"{prefix}.norm1", layer.norm1),
        **module_tensors(f"{prefix}.norm2", layer.norm2),
        **module_tensors(f"{prefix}.attn.proj", attention.o_proj),
        f"{prefix}.attn.qkv.weight": torch.cat([projection.weight for projection in projections]),
        f"{prefix}.ls1.gamma": layer.layer_scale1.lambda1,
        f"{prefix}.ls2.gamma": layer.layer_scale2.lambda1,
    }
    if qkv_bias is not None:
        tensors[f"{prefix}.attn.qkv.bias"] = qkv_bias
    return tensors


@torch.no_grad()
def official_dinov3(backbone: torch.nn.Module, key_bias_mask: bool = True) -> dict[str, torch.Tensor]:
    """Meta's layout. With the mask, key biases are stored and masked, as in Meta's own checkpoints."""
    config, embeddings = backbone.config, backbone.embeddings
    head_dim = config.hidden_size // config.num_attention_heads
    tensors = {
        "cls_token": embeddings.cls_token,
        "mask_token": embeddings.mask_token[0],
        "rope_embed.periods": config.rope_theta ** (2 * torch.arange(head_dim // 4) / (head_dim // 2)),
        **module_tensors("patch_embed.proj", embeddings.patch_embeddings),
        **module_tensors("norm", backbone.norm),
    }
    if config.num_register_tokens:
        tensors["storage_tokens"] = embeddings.register_tokens
    for index, layer in enumerate(backbone.model.layer):
        prefix = f"blocks.{index}"
        query, key, value = (getattr(layer.attention, f"{part}_proj").bias for part in "qkv")
        if key_bias_mask:
            stored = torch.cat((query, torch.full_like(query, 7.0), value))
            mask = torch.ones_like(stored)
            mask[config.hidden_size : 2 * config.hidden_size] = 0
            tensors[f"{prefix}.attn.qkv.bias_mask"] = mask
        else:
            stored = None if query is None else torch.cat((query, key, value))
        tensors |= block_tensors(prefix, layer, stored)
        if config.use_gated_mlp:
            names = {"w1": layer.mlp.gate_proj, "w2": layer.mlp.up_proj, "w3": layer.mlp.down_proj}
        else:
            names = {"fc1": layer.mlp.up_proj, "fc2": layer.mlp.down_proj}
        for name, module in names.items():
            tensors |= module_tensors(f"{prefix}.mlp.{name}", module)
    return {name: tensor.clone() for name, tensor in tensors.items()}


@torch.no_grad()
def official_dinov2(backbone: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Depth Anything V2's layout of its encoder."""
    embeddings = backbone.embeddings
    tensors = {
        "cls_token": embeddings.cls_token,
        "pos_embed": embeddings.position_embeddings,
        "mask_token": torch.zeros(1, backbone.config.hidden_size),
        **module_tensors("patch_embed.proj", embeddings.patch_embeddings.projection),
        **module_tensors("norm", backbone.layernorm),
    }
    for index, layer in enumerate(backbone.encoder.layer):
        bias = torch.cat([getattr(layer.attention, f"{part}_proj").bias for part in "qkv"])
        tensors |= block_tensors(f"blocks.{index}", layer, bias)
        if backbone.config.use_swiglu_ffn:
            for kind in ("weight", "bias"):
                gate, up = getattr(layer.mlp.gate_proj, kind), getattr(layer.mlp.up_proj, kind)
                tensors[f"blocks.{index}.mlp.w12.{kind}"] = torch.cat((gate, up))
            tensors |= module_tensors(f"blocks.{index}.mlp.w3", layer.mlp.down_proj)
        else:
            tensors |= module_tensors(f"blocks.{index}.mlp.fc1", layer.mlp.fc1)
            tensors |= module_tensors(f"blocks.{index}.mlp.fc2", layer.mlp.fc2)
    return {name: tensor.clone() for name, tensor in tensors.items()}


def official_depth_anything_dpt(head: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Depth Anything V2's layout of its head."""
    tensors = module_tensors("scratch.output_conv1", head.output_conv1)
    tensors |= module_tensors("scratch.output_conv2", head.output_conv2)
    for level, reassemble in enumerate(head.reassemble):
        tensors |= module_tensors(f"projects.{level}", reassemble.projection)
        tensors |= module_tensors(f"resize_layers.{level}", reassemble.resize)
        tensors |= module_tensors(f"scratch.layer{level + 1}_rn", head.convs[level])
    for index, block in enumerate(head.fusion):
        prefix = f"scratch.refinenet{4 - index}"
        # the unused unit of the coarsest level is stored, too
        tensors |= module_tensors(f"{prefix}.resConfUnit1", block.lateral or block.residual)
        tensors |= module_tensors(f"{prefix}.resConfUnit2", block.residual)
        tensors |= module_tensors(f"{prefix}.out_conv", block.projection)
    return {name: tensor.clone() for name, tensor in tensors.items()}


def official_dinov3_dpt(head: torch.nn.Module) -> dict[str, torch.Tensor]:
    """The DINOv3 repository's layout of its DPT head."""
    tensors = {
        **module_tensors("project.conv", head.project),
        **module_tensors("conv_depth.head.0", head.output_conv1),
        **module_tensors("conv_depth.head.2", head.output_conv2[0]),
        **module_tensors("conv_depth.head.4", head.output_conv2[2]),
    }
    for level, reassemble in enumerate(head.reassemble):
        prefix = "reassemble_blocks"
        tensors |= module_tensors(f"{prefix}.projects.{level}.conv", reassemble.projection)
        tensors |= module_tensors(f"{prefix}.resize_layers.{level}", reassemble.resize)
        if reassemble.readout is not None:
            tensors |= module_tensors(f"{prefix}.readout_projects.{level}.0", reassemble.readout)
        tensors |= module_tensors(f"convs.{level}.conv", head.convs[level])
    for index, block in enumerate(head.fusion):
        tensors |= module_tensors(f"fusion_blocks.{index}.project.conv", block.projection)
        for number, unit in enumerate((block.lateral, block.residual), start=1):
            if unit is not None:
                prefix = f"fusion_blocks.{index}.res_conv_unit{number}"
                tensors |= module_tensors(f"{prefix}.conv1.conv", unit.conv1)
                tensors |= module_tensors(f"{prefix}.conv2.conv", unit.conv2)
    return {name: tensor.clone() for name, tensor in tensors.items()}


def with_prefix(prefix: str, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {prefix + name: tensor for name, tensor in tensors.items()}
