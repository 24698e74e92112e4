"""Depth Anything 3 encoder for one image per sample, as a transformers backbone."""

import torch
from torch import nn
from transformers import initialization as init
from transformers.backbone_utils import BackboneMixin
from transformers.models.dinov2.modeling_dinov2 import Dinov2Layer, Dinov2PreTrainedModel
from transformers.models.dinov3_vit.modeling_dinov3_vit import DINOv3ViTBackboneOutput
from transformers.processing_utils import Unpack
from transformers.utils import TransformersKwargs, auto_docstring
from transformers.utils.output_capturing import capture_outputs

from .backbone_dinov2 import OffsetDinov2Embeddings
from .backbone_rope import RotaryDinov2Layer, rotary_tables
from .configuration_depth_anything_3 import DepthAnything3Config


class DepthAnything3Encoder(nn.Module):
    """
    The blocks of Depth Anything 3: plain DINOv2 blocks up to `alt_start`, then local and global ones in turn.

    With one view per sample a global block attends to the same tokens as a local one; what tells them apart is that
    all patches share one rotary position in it.
    """

    def __init__(self, config: DepthAnything3Config):
        super().__init__()
        self.config = config
        self.alt_start = config.num_hidden_layers if config.alt_start is None else config.alt_start
        self.layer = nn.ModuleList(
            RotaryDinov2Layer(config) if index >= self.alt_start else Dinov2Layer(config)
            for index in range(config.num_hidden_layers)
        )

    def forward(
        self,
        hidden_states: torch.Tensor,
        camera_token: torch.Tensor | None,
        grid: tuple[int, int],
        **kwargs: Unpack[TransformersKwargs],
    ) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """
        Args:
            hidden_states (`torch.Tensor` of shape `(batch_size, 1 + num_patches, hidden_size)`): embeddings.
            camera_token (`torch.Tensor` of shape `(1, 1, hidden_size)`, *optional*): replaces the class token at
                `alt_start`.
            grid (`tuple[int, int]`): patches in y and in x.

        Returns:
            One pair per exported level: the output of the last local block and of the block itself, both raw. The
            embeddings are both of the level "stem".
        """
        head_dim = self.config.hidden_size // self.config.num_attention_heads
        table_args = (grid, 1, head_dim, self.config.rope_theta, hidden_states.device)
        local_positions, global_positions = (rotary_tables(*table_args, shared) for shared in (False, True))
        local_states = hidden_states
        levels = [(local_states, hidden_states)] if "stem" in self.config.out_features else []
        for index, layer in enumerate(self.layer):
            is_global = index >= self.alt_start and index % 2 == 1
            if index == self.alt_start:
                camera_token = camera_token.expand(hidden_states.shape[0], -1, -1).to(hidden_states.dtype)
                hidden_states = torch.cat((camera_token, hidden_states[:, 1:]), dim=1)
            if index >= self.alt_start:
                positions = global_positions if is_global else local_positions
                hidden_states = layer(hidden_states, position_embeddings=positions, **kwargs)
            else:
                hidden_states = layer(hidden_states, **kwargs)
            if not is_global:
                local_states = hidden_states
            if f"stage{index + 1}" in self.config.out_features:
                levels.append((local_states, hidden_states))
        return levels


@auto_docstring
class DepthAnything3PreTrainedModel(Dinov2PreTrainedModel):
    config: DepthAnything3Config
    base_model_prefix = "backbone"
    _no_split_modules = ["OffsetDinov2Embeddings", "Dinov2Layer", "RotaryDinov2Layer"]

    @torch.no_grad()
    def _init_weights(self, module) -> None:
        super()._init_weights(module)
        if isinstance(module, DepthAnything3Backbone) and module.camera_token is not None:
            init.normal_(module.camera_token, std=self.config.initializer_range)


@auto_docstring(
    custom_intro="""
    The Depth Anything 3 encoder with one view per sample. Images of a batch do not see each other.
    """
)
class DepthAnything3Backbone(BackboneMixin, DepthAnything3PreTrainedModel):
    def __init__(self, config: DepthAnything3Config):
        super().__init__(config)
        width = config.hidden_size * (2 if config.cat_token else 1)
        self.num_features = [width] * (config.num_hidden_layers + 1)
        self.embeddings = OffsetDinov2Embeddings(config)
        # the second token is for further views; it is kept because checkpoints hold both
        self.camera_token = None if config.alt_start is None else nn.Parameter(torch.zeros(1, 2, config.hidden_size))
        self.encoder = DepthAnything3Encoder(config)
        self.layernorm = nn.LayerNorm(config.hidden_size, eps=config.final_layer_norm_eps)
        self.post_init()

    @capture_outputs(tie_last_hidden_states=False)
    @auto_docstring
    def forward(self, pixel_values: torch.Tensor, **kwargs: Unpack[TransformersKwargs]) -> DINOv3ViTBackboneOutput:
        r"""
        Returns:
            `feature_maps`: one `(batch_size, channels, height // 14, width // 14)` per level. With `cat_token` the
            first half of the channels is the last local block, raw, the second half the block itself, layer-normed.
            `cls_tokens`: one `(batch_size, channels)` per level, the first token, raw: the camera's with `alt_start`.
        """
        grid = tuple(size // self.config.patch_size for size in pixel_values.shape[-2:])
        camera_token = None if self.camera_token is None else self.camera_token[:, :1]
        levels = self.encoder(self.embeddings(pixel_values), camera_token, grid, **kwargs)

        feature_maps, cls_tokens = [], []
        for local_states, states in levels:
            # the token is copied: a view of the level would keep all of it in memory
            patches, cls_token = self.layernorm(states[:, 1:]), states[:, 0].clone()
            if self.config.cat_token:
                patches = torch.cat((local_states[:, 1:], patches), dim=-1)
                cls_token = torch.cat((local_states[:, 0], cls_token), dim=-1)
            feature_maps.append(patches.transpose(1, 2).unflatten(2, grid).contiguous())
            cls_tokens.append(cls_token)
        return DINOv3ViTBackboneOutput(feature_maps=tuple(feature_maps), cls_tokens=tuple(cls_tokens))


__all__ = ["DepthAnything3Backbone", "DepthAnything3PreTrainedModel"]
