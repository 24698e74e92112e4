"""Depth Anything 3's any-view encoder written a second time, from its description, on the official names.

For layouts without a reference file: the giant size has SwiGLU and an odd `alt_start`.
"""

import torch
import torch.nn.functional as F


def giant_like_state_dict(width, depth, alt_start, swiglu_width, grid):
    """Random weights under the official names, SwiGLU and an odd `alt_start` as in the giant preset."""
    generator = torch.Generator().manual_seed(3)

    def random(*shape, around=0.0):
        return around + 0.1 * torch.randn(*shape, generator=generator)

    state = {
        "cls_token": random(1, 1, width),
        "pos_embed": random(1, 1 + grid * grid, width),
        "camera_token": random(1, 2, width),
        "patch_embed.proj.weight": random(width, 3, 14, 14),
        "patch_embed.proj.bias": random(width),
        "norm.weight": random(width, around=1.0),
        "norm.bias": random(width),
    }
    for index in range(depth):
        block = f"blocks.{index}."
        for norm in ("norm1", "norm2"):
            state |= {f"{block}{norm}.weight": random(width, around=1.0), f"{block}{norm}.bias": random(width)}
        if index >= alt_start:
            for norm in ("q_norm", "k_norm"):
                state[f"{block}attn.{norm}.weight"] = random(16, around=1.0)
                state[f"{block}attn.{norm}.bias"] = random(16)
        for name, rows, columns in (
            ("attn.qkv", 3 * width, width),
            ("attn.proj", width, width),
            ("mlp.w12", 2 * swiglu_width, width),
            ("mlp.w3", width, swiglu_width),
        ):
            state |= {f"{block}{name}.weight": random(rows, columns), f"{block}{name}.bias": random(rows)}
        state |= {f"{block}ls{i}.gamma": random(width, around=0.5) for i in (1, 2)}
    return state


def rotate(states, positions):
    """2-D rotary embedding channel pair by channel pair. states (B, heads, N, D); positions (N, 2) as (y, x)."""
    output = states.clone()
    half, quarter = states.shape[-1] // 2, states.shape[-1] // 4
    for axis in range(2):
        for j in range(quarter):
            angle = positions[:, axis].double() * 100.0 ** (-2 * j / half)
            first, second = states[..., axis * half + j], states[..., axis * half + quarter + j]
            output[..., axis * half + j] = first * angle.cos() - second * angle.sin()
            output[..., axis * half + quarter + j] = second * angle.cos() + first * angle.sin()
    return output


def giant_like_forward(state, images, heads, depth, alt_start, out_layers):
    """The official forward pass for one view, written from its description in float64 on the official names."""
    state = {key: tensor.double() for key, tensor in state.items()}
    tokens = F.conv2d(images, state["patch_embed.proj.weight"], state["patch_embed.proj.bias"], stride=14)
    rows, columns = tokens.shape[-2:]
    tokens = tokens.flatten(2).transpose(1, 2)
    tokens = torch.cat([state["cls_token"].expand(len(tokens), -1, -1), tokens], 1) + state["pos_embed"]
    true_grid = [(0, 0)] + [(y + 1, x + 1) for y in range(rows) for x in range(columns)]
    one_place = [(0, 0)] + [(1, 1)] * (rows * columns)

    def norm(x, name, eps):
        return F.layer_norm(x, x.shape[-1:], state[f"{name}.weight"], state[f"{name}.bias"], eps)

    def linear(x, name):
        return F.linear(x, state[f"{name}.weight"], state[f"{name}.bias"])

    levels, local = [], tokens
    for index in range(depth):
        block = f"blocks.{index}."
        if index == alt_start:
            tokens = torch.cat([state["camera_token"][:, :1].expand(len(tokens), -1, -1), tokens[:, 1:]], 1)
        is_global = index >= alt_start and index % 2 == 1
        qkv = linear(norm(tokens, f"{block}norm1", 1e-6), f"{block}attn.qkv")
        q, k, v = qkv.unflatten(-1, (3, heads, -1)).permute(2, 0, 3, 1, 4)
        if index >= alt_start:
            positions = torch.tensor(one_place if is_global else true_grid)
            q = rotate(norm(q, f"{block}attn.q_norm", 1e-5), positions)
            k = rotate(norm(k, f"{block}attn.k_norm", 1e-5), positions)
        attended = (q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5).softmax(-1) @ v
        tokens = tokens + state[f"{block}ls1.gamma"] * linear(attended.transpose(1, 2).flatten(2), f"{block}attn.proj")
        gate, up = linear(norm(tokens, f"{block}norm2", 1e-6), f"{block}mlp.w12").chunk(2, -1)
        tokens = tokens + state[f"{block}ls2.gamma"] * linear(F.silu(gate) * up, f"{block}mlp.w3")
        if not is_global:
            local = tokens
        if index in out_layers:
            patches = torch.cat([local, norm(tokens, "norm", 1e-5)], -1)[:, 1:]
            levels.append((patches, torch.cat([local, tokens], -1)[:, 0]))
    return levels
