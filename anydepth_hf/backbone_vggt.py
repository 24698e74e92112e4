"""VGGT aggregator for one image per sample, as a transformers backbone."""

import torch
from torch import nn
from transformers import initialization as init
from transformers.backbone_utils import BackboneMixin
from transformers.models.dinov2.modeling_dinov2 import Dinov2Layer, Dinov2PreTrainedModel
from transformers.models.dinov2_with_registers.modeling_dinov2_with_registers import Dinov2WithRegistersEmbeddings
from transformers.models.dinov3_vit.modeling_dinov3_vit import DINOv3ViTBackboneOutput
from transformers.processing_utils import Unpack
from transformers.utils import TransformersKwargs, auto_docstring
from transformers.utils.output_capturing import OutputRecorder, capture_outputs

from .backbone_rope import RotaryDinov2Attention, RotaryDinov2Layer, rotary_tables
from .configuration_vggt import VGGTConfig
from .shapes_anydepth import is_symbolic


class VGGTEmbeddings(Dinov2WithRegistersEmbeddings):
    """[`Dinov2WithRegistersEmbeddings`] that export with dynamic sizes."""

    def interpolate_pos_encoding(self, embeddings: torch.Tensor, height: int, width: int) -> torch.Tensor:
        """The position embedding `(1, 1 + num_patches, hidden_size)` of an image of `height` x `width` pixels."""
        if not is_symbolic(height, width):
            return super().interpolate_pos_encoding(embeddings, height, width)
        num_positions = self.position_embeddings.shape[1] - 1
        class_position, patch_positions = self.position_embeddings.split([1, num_positions], dim=1)
        native = int(num_positions**0.5)
        grid = patch_positions.float().view(native, native, -1)
        for side, patch in zip((height, width), self.patch_embeddings.patch_size):
            weights = antialiasing_weights(native, side // patch, grid.device)
            grid = torch.einsum("ts,src->rtc", weights, grid)
        return torch.cat((class_position, grid.flatten(0, 1)[None].to(class_position.dtype)), dim=1)


def antialiasing_weights(length: int, size: int, device: torch.device) -> torch.Tensor:
    """Weights `(size, length)` of `interpolate(..., mode="bicubic", antialias=True)` along one axis, float32."""
    step = torch.full((), length / size, device=device)
    centres = (torch.arange(size, device=device) + 0.5) * step
    distance = (torch.arange(length, device=device) + 0.5 - centres[:, None]).abs() / step.clamp(min=1)
    near = (1.5 * distance - 2.5) * distance.square() + 1
    far = ((-0.5 * distance + 2.5) * distance - 4) * distance + 2
    weights = torch.where(distance < 1, near, torch.where(distance < 2, far, 0.0))
    return weights / weights.sum(dim=1, keepdim=True)


class VGGTPatchEncoder(nn.Module):
    """DINOv2 with registers; returns the layer-normed patch tokens alone, `(batch_size, num_patches, hidden_size)`."""

    def __init__(self, config: VGGTConfig):
        super().__init__()
        self.num_prefix_tokens = 1 + config.num_register_tokens
        self.embeddings = VGGTEmbeddings(config)
        self.layer = nn.ModuleList(Dinov2Layer(config) for _ in range(config.num_patch_encoder_layers))
        self.layernorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)

    def forward(self, pixel_values: torch.Tensor, **kwargs: Unpack[TransformersKwargs]) -> torch.Tensor:
        hidden_states = self.embeddings(pixel_values)
        for layer in self.layer:
            hidden_states = layer(hidden_states, **kwargs)
        return self.layernorm(hidden_states[:, self.num_prefix_tokens :])


class VGGTLayer(RotaryDinov2Layer):
    """A frame or a global block; its layer norms have another epsilon than the patch encoder's."""

    def __init__(self, config: VGGTConfig):
        super().__init__(config)
        self.norm1.eps = self.norm2.eps = config.alternating_layer_norm_eps


@auto_docstring
class VGGTPreTrainedModel(Dinov2PreTrainedModel):
    config: VGGTConfig
    base_model_prefix = "backbone"
    _no_split_modules = ["VGGTEmbeddings", "Dinov2Layer", "VGGTLayer"]
    _can_record_outputs = {
        "hidden_states": OutputRecorder(VGGTLayer, num_hidden_layers_key="num_alternating_blocks"),
        "attentions": RotaryDinov2Attention,
    }

    @torch.no_grad()
    def _init_weights(self, module) -> None:
        super()._init_weights(module)
        if isinstance(module, VGGTEmbeddings):
            init.trunc_normal_(module.position_embeddings, std=self.config.initializer_range)
            init.trunc_normal_(module.cls_token, std=self.config.initializer_range)
            init.zeros_(module.mask_token)
            init.zeros_(module.register_tokens)
        elif isinstance(module, VGGTBackbone):
            init.normal_(module.camera_token, std=self.config.initializer_range)
            init.normal_(module.register_token, std=self.config.initializer_range)
            # here and not per block: modules without parameters of their own are passed over outside transformers
            for block in (*module.frame_blocks, *module.global_blocks):
                init.constant_(block.layer_scale1.lambda1, self.config.alternating_layerscale_value)
                init.constant_(block.layer_scale2.lambda1, self.config.alternating_layerscale_value)


@auto_docstring(
    custom_intro="""
    The VGGT aggregator with one frame per sample: a DINOv2 encoder, then pairs of a frame and a global block. Images
    of a batch do not see each other. `pixel_values` are ImageNet-normalised: what the original does inside the
    aggregator is the image processor's work here.
    """
)
class VGGTBackbone(BackboneMixin, VGGTPreTrainedModel):
    def __init__(self, config: VGGTConfig):
        super().__init__(config)
        self.num_features = [2 * config.hidden_size] * (config.num_hidden_layers + 1)
        self.patch_encoder = VGGTPatchEncoder(config)
        # index 0 of dimension 1 is for the first frame, index 1 for all others; checkpoints hold both
        self.camera_token = nn.Parameter(torch.zeros(1, 2, 1, config.hidden_size))
        self.register_token = nn.Parameter(torch.zeros(1, 2, config.num_register_tokens, config.hidden_size))
        self.frame_blocks = nn.ModuleList(VGGTLayer(config) for _ in range(config.num_hidden_layers))
        self.global_blocks = nn.ModuleList(VGGTLayer(config) for _ in range(config.num_hidden_layers))
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        return self.patch_encoder.embeddings.patch_embeddings

    @capture_outputs(tie_last_hidden_states=False)
    @auto_docstring
    def forward(self, pixel_values: torch.Tensor, **kwargs: Unpack[TransformersKwargs]) -> DINOv3ViTBackboneOutput:
        r"""
        Returns:
            `feature_maps`: one `(batch_size, 2 * hidden_size, height // 14, width // 14)` per level, the outputs of a
            frame block and of its global block, raw. `cls_tokens`: one `(batch_size, 2 * hidden_size)` per level, the
            camera token. `hidden_states` and `attentions`, on request: of the frame and global blocks in turn.
        """
        grid = tuple(size // self.config.patch_size for size in pixel_values.shape[-2:])
        patches = self.patch_encoder(pixel_values, **kwargs)
        prefix = torch.cat((self.camera_token[:, 0], self.register_token[:, 0]), dim=1)
        hidden_states = torch.cat((prefix.expand(patches.shape[0], -1, -1).to(patches.dtype), patches), dim=1)
        num_prefix_tokens = prefix.shape[1]
        head_dim = self.config.hidden_size // self.config.num_attention_heads
        position_embeddings = rotary_tables(grid, num_prefix_tokens, head_dim, self.config.rope_theta, patches.device)

        feature_maps, cls_tokens = [], []
        frame_states = hidden_states  # of the level "stem", the input of the first pair
        blocks = zip(self.frame_blocks, self.global_blocks, strict=True)
        for stage, pair in zip(self.stage_names, [None, *blocks], strict=True):
            if pair is not None:
                frame_states = pair[0](hidden_states, position_embeddings=position_embeddings, **kwargs)
                hidden_states = pair[1](frame_states, position_embeddings=position_embeddings, **kwargs)
            if stage in self.out_features:
                # the camera token is copied: a view of the level would keep all of it in memory
                level = torch.cat((frame_states, hidden_states), dim=-1)
                feature_maps.append(level[:, num_prefix_tokens:].transpose(1, 2).unflatten(2, grid).contiguous())
                cls_tokens.append(level[:, 0].clone())
        return DINOv3ViTBackboneOutput(feature_maps=tuple(feature_maps), cls_tokens=tuple(cls_tokens))


__all__ = ["VGGTBackbone", "VGGTPreTrainedModel"]
