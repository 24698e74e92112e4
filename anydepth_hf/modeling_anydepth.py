"""AnyDepth: a ViT encoder and a depth head."""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F
from transformers import PreTrainedModel
from transformers import initialization as init
from transformers.modeling_outputs import DepthEstimatorOutput
from transformers.processing_utils import Unpack
from transformers.utils import TransformersKwargs, auto_docstring
from transformers.utils.generic import can_return_tuple

from .backbone_depth_anything_3 import DepthAnything3Backbone
from .backbone_dinov2 import AnyDepthDinov2Backbone
from .backbone_dinov3 import AnyDepthDINOv3Backbone
from .backbone_vggt import VGGTBackbone
from .configuration_anydepth import AnyDepthConfig
from .losses_anydepth import depth_loss
from .memory_anydepth import check_memory
from .modeling_dpt import DPTHead
from .modeling_sdt import DySample, SDTHead, init_conv
from .shapes_anydepth import is_symbolic, resize_map

# By model type and not by configuration class: remote code may load a configuration class twice.
BACKBONES: dict[str, type[PreTrainedModel]] = {
    "dinov3_vit": AnyDepthDINOv3Backbone,
    "dinov2": AnyDepthDinov2Backbone,
    "depth_anything_3": DepthAnything3Backbone,
    "vggt": VGGTBackbone,
}


def build_backbone(config: AnyDepthConfig) -> PreTrainedModel:
    model_type = config.backbone_config.model_type
    if model_type not in BACKBONES:
        raise ValueError(f"AnyDepth has no encoder of model type {model_type!r}; choose from {', '.join(BACKBONES)}.")
    return BACKBONES[model_type](config.backbone_config)


@dataclass
@auto_docstring(custom_intro="Output of [`AnyDepthForDepthEstimation`].")
class AnyDepthOutput(DepthEstimatorOutput):
    r"""
    confidence (`torch.Tensor` of shape `(batch_size, height, width)`, *optional*, with `config.predict_confidence`):
        At least 1; larger where the model is surer of `predicted_depth`. float32.
    """

    confidence: torch.Tensor | None = None


def build_head(config: AnyDepthConfig, in_channels: int) -> nn.Module:
    num_channels = config.num_output_channels + config.predict_confidence
    if config.head_type == "sdt":
        return SDTHead(
            in_channels,
            config.fusion_hidden_size,
            num_channels,
            config.use_cls_token,
            upsample_channels=config.upsample_hidden_sizes,
            output_channels=config.output_hidden_sizes,
            dysample_groups=config.dysample_groups,
            dysample_scope=config.dysample_scope,
            input_norm=config.head_input_norm,
        )
    return DPTHead(
        in_channels,
        config.fusion_hidden_size,
        num_channels,
        config.use_cls_token,
        reassemble_channels=config.reassemble_hidden_sizes,
        style="dual_dpt" if config.head_type == "dual_dpt" else config.dpt_style,
        use_batch_norm=config.use_batch_norm,
        patch_size=config.patch_size,
        input_norm=config.head_input_norm,
    )


@auto_docstring
class AnyDepthPreTrainedModel(PreTrainedModel):
    config: AnyDepthConfig
    base_model_prefix = "backbone"
    main_input_name = "pixel_values"
    input_modalities = ("image",)
    supports_gradient_checkpointing = True
    # the loss is a mean over images: Trainer must divide it by the accumulation steps itself
    accepts_loss_kwargs = False
    _no_split_modules = ["SDTHead", "DPTHead"]
    _supports_sdpa = True
    _supports_flash_attn = True
    _supports_flex_attn = True
    _supports_attention_backend = True
    _can_compile_fullgraph = True

    @torch.no_grad()
    def _init_weights(self, module: nn.Module):
        super()._init_weights(module)
        if isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            init_conv(module)
        elif isinstance(module, DySample):
            init.copy_(module.init_pos, module.initial_positions(module.groups))
        elif hasattr(module, "layer_weights"):
            init.ones_(module.layer_weights)


@auto_docstring(custom_intro="AnyDepth: a (frozen) ViT encoder with a depth head that fuses four of its levels.")
class AnyDepthForDepthEstimation(AnyDepthPreTrainedModel):
    def __init__(self, config: AnyDepthConfig):
        super().__init__(config)
        self.backbone = build_backbone(config)
        self.head = build_head(config, self.backbone.channels[0])
        if config.output_activation == "relu" and config.num_output_channels == 1:
            # a ReLU that starts negative everywhere would never learn; `_init_weights` reads this
            last_conv = [module for module in self.head.modules() if isinstance(module, nn.Conv2d)][-1]
            last_conv.initial_bias = 1.0
        self.post_init()
        self.train(self.training)

    def get_input_embeddings(self) -> nn.Module:
        return self.backbone.get_input_embeddings()

    def train(self, mode: bool = True):
        """Sets the mode of the head; a frozen encoder stays in eval mode and without gradients.

        `from_pretrained` makes every parameter trainable and then calls this, so freezing here outlasts it.
        """
        super().train(mode)
        if self.config.freeze_backbone:
            self.backbone.eval()
            self.backbone.requires_grad_(False)
        for name, parameter in self.backbone.named_parameters():
            # parameters that no output depends on would make distributed training wait for their gradients
            norms_levels = getattr(self.backbone.config, "apply_layernorm", True)
            unused_norm = name.startswith(("norm.", "layernorm.")) and not norms_levels
            if name.endswith("mask_token") or unused_norm:
                parameter.requires_grad_(False)
        return self

    def align_to_patches(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """Brings both sides to multiples of the patch size as `config.patch_alignment` says."""
        patch_size = self.config.patch_size
        height, width = pixel_values.shape[-2:]
        if self.config.patch_alignment == "resize":
            size = [(side + patch_size // 2) // patch_size * patch_size for side in (height, width)]
            return resize_map(pixel_values, size)
        below, right = ((side + patch_size - 1) // patch_size * patch_size - side for side in (height, width))
        if not is_symbolic(height, width) and below == right == 0:
            return pixel_values
        return F.pad(pixel_values, (0, right, 0, below), mode="replicate")

    def restore_size(self, prediction: torch.Tensor, aligned: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
        """The head's map `(batch_size, channels, h, w)` at the size of the input, undoing `align_to_patches`."""
        if self.config.patch_alignment == "pad":
            prediction = resize_map(prediction, aligned.shape[-2:])
            rows, columns = (torch.arange(side, device=prediction.device) for side in size)
            return prediction.index_select(-2, rows).index_select(-1, columns)
        return resize_map(prediction, size)

    def to_prediction(self, features: torch.Tensor) -> torch.Tensor:
        """Activation of the head's output `(batch_size, channels, h, w)`, float32; more than one channel are bins.

        Bins as in the DINOv3 repository: uniform centres, weights `relu(x) + 0.1` normalised to one.
        """
        features = features.float()
        if self.config.num_output_channels > 1:
            bins = torch.linspace(
                self.config.min_depth, self.config.max_depth, features.shape[1], device=features.device
            )
            weights = F.relu(features) + 0.1
            return torch.einsum("bchw,c->bhw", weights / weights.sum(dim=1, keepdim=True), bins)[:, None]
        if self.config.output_activation == "exp":
            features = features.exp()
        elif self.config.output_activation == "relu":
            features = F.relu(features)
        elif self.config.output_activation == "sigmoid":
            features = self.config.max_depth * features.sigmoid()
        return features + self.config.min_depth

    @can_return_tuple
    @auto_docstring
    def forward(
        self,
        pixel_values: torch.Tensor,
        labels: torch.Tensor | None = None,
        **kwargs: Unpack[TransformersKwargs],
    ) -> AnyDepthOutput:
        r"""
        pixel_values (`torch.Tensor` of shape `(batch_size, 3, height, width)`):
            Images normalised with ImageNet's mean and standard deviation, for every encoder; at least one patch in
            each direction.
        labels (`torch.Tensor` of shape `(batch_size, height, width)`, *optional*):
            Ground-truth **depth** (not disparity), float. 0, negative, NaN and infinite values mean "no label".

        Returns:
            `predicted_depth`, float32 of shape `(batch_size, height, width)`, is what `config.prediction_type` says:
            disparity or depth. `confidence`, with `config.predict_confidence`, has the same shape.

        Raises:
            ValueError: the input is no batch of images with three channels, is smaller than one patch, or `labels`
                have another size, or the CPU's memory cannot hold the prediction.
        """
        size = tuple(pixel_values.shape[-2:])
        if pixel_values.ndim != 4 or pixel_values.shape[1] != 3 or min(size) < self.config.patch_size:
            raise ValueError(
                f"`pixel_values` must be (batch, 3, height, width) with sides of at least one patch "
                f"({self.config.patch_size} pixels), got {tuple(pixel_values.shape)}."
            )
        if labels is not None and tuple(labels.shape) != (pixel_values.shape[0], *size):
            raise ValueError(
                f"`labels` must be depth of shape {(pixel_values.shape[0], *size)}, got {tuple(labels.shape)}."
            )
        aligned = self.align_to_patches(pixel_values)
        if pixel_values.device.type == "cpu" and not (torch.compiler.is_compiling() or torch.jit.is_tracing()):
            check_memory(self, aligned)
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.config.freeze_backbone):
            levels = self.backbone(aligned, **kwargs)
        features = self.head(levels.feature_maps, levels.cls_tokens)
        features = self.restore_size(features, aligned, size)
        confidence = None
        if self.config.predict_confidence:
            features, confidence = features[:, :-1], 1 + features[:, -1].float().exp()
        prediction = self.to_prediction(features)[:, 0]
        loss = None
        if labels is not None:
            loss = depth_loss(
                prediction,
                labels,
                prediction_type=self.config.prediction_type,
                depth_estimation_type=self.config.depth_estimation_type,
                relative_loss=self.config.relative_loss,
                gradient_matching_weight=self.config.gradient_matching_weight,
                max_depth=self.config.max_depth,
            )
        return AnyDepthOutput(
            loss=loss,
            predicted_depth=prediction,
            confidence=confidence,
            hidden_states=levels.hidden_states,
            attentions=levels.attentions,
        )


__all__ = ["AnyDepthForDepthEstimation", "AnyDepthOutput", "AnyDepthPreTrainedModel"]
