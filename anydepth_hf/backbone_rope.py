"""The block that Depth Anything 3 and VGGT share: a DINOv2 block with q/k norm and 2-D rotary positions."""

from collections.abc import Callable

import torch
from torch import nn
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
from transformers.models.dinov2.modeling_dinov2 import Dinov2Attention, Dinov2Layer, eager_attention_forward


def rotary_tables(
    grid: tuple[int, int],
    num_prefix_tokens: int,
    head_dim: int,
    theta: float,
    device: torch.device,
    shared_position: bool = False,
) -> tuple[torch.Tensor, torch.Tensor]:
    """
    Cosines and sines of the 2-D rotary position embedding of a patch grid (naver/croco; RoFormer per axis).

    The patch of row y and column x sits at (y + 1, x + 1), the tokens before the patches at (0, 0). The first half of
    a head turns with y and the second with x.

    Args:
        grid (`tuple[int, int]`): patches in y and in x.
        num_prefix_tokens (`int`): tokens before the patches.
        head_dim (`int`): channels of one head, a multiple of 4.
        theta (`float`): base of the frequencies.
        device (`torch.device`): where the tables are made.
        shared_position (`bool`): put all patches at (1, 1), as Depth Anything 3 does in its global blocks.

    Returns:
        Two float32 `torch.Tensor` of shape `(num_prefix_tokens + grid[0] * grid[1], head_dim)`.
    """
    rows, columns = (torch.arange(1, side + 1, device=device) for side in grid)
    positions = torch.stack(torch.meshgrid(rows, columns, indexing="ij"), dim=-1).flatten(0, 1)
    if shared_position:
        positions = torch.ones_like(positions)
    positions = nn.functional.pad(positions, (0, 0, num_prefix_tokens, 0))
    exponents = torch.arange(0, head_dim // 2, 2, dtype=torch.float32, device=device) / (head_dim // 2)
    angles = positions[:, :, None].float() * theta**-exponents
    angles = torch.cat((angles, angles), dim=-1).flatten(1)
    return angles.cos(), angles.sin()


def apply_rotary(states: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Turn `states` (..., tokens, head_dim) by the tables (tokens, head_dim), in the tables' float32."""
    first, second = states.unflatten(-1, (2, 2, -1)).unbind(-2)
    turned = torch.stack((-second, first), dim=-2).flatten(-3)
    return states * cos + turned * sin


class RotaryDinov2Attention(Dinov2Attention):
    """[`Dinov2Attention`] with layer-normed queries and keys that are then turned by their grid position."""

    def __init__(self, config):
        super().__init__(config)
        self.q_norm = nn.LayerNorm(self.head_dim, eps=config.qk_norm_eps)
        self.k_norm = nn.LayerNorm(self.head_dim, eps=config.qk_norm_eps)

    def forward(
        self,
        hidden_states: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        *,
        position_embeddings: tuple[torch.Tensor, torch.Tensor],
        **kwargs,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        input_shape = hidden_states.shape[:-1]
        hidden_shape = (*input_shape, -1, self.head_dim)
        query = self.q_norm(self.q_proj(hidden_states).view(hidden_shape)).transpose(1, 2)
        key = self.k_norm(self.k_proj(hidden_states).view(hidden_shape)).transpose(1, 2)
        value = self.v_proj(hidden_states).view(hidden_shape).transpose(1, 2)
        query = apply_rotary(query, *position_embeddings).to(value.dtype)
        key = apply_rotary(key, *position_embeddings).to(value.dtype)

        attention_interface: Callable = ALL_ATTENTION_FUNCTIONS.get_interface(
            self.config._attn_implementation, eager_attention_forward
        )
        dropout = self.attention_dropout if self.training else 0.0
        output, weights = attention_interface(
            self, query, key, value, attention_mask, dropout=dropout, scaling=self.scaling, **kwargs
        )
        return self.o_proj(output.reshape(*input_shape, -1).contiguous()), weights


class RotaryDinov2Layer(Dinov2Layer):
    """[`Dinov2Layer`] around a [`RotaryDinov2Attention`]; call it with `position_embeddings=(cos, sin)`."""

    def __init__(self, config):
        super().__init__(config)
        self.attention = RotaryDinov2Attention(config)
