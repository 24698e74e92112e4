"""AnyDepth: a ViT encoder and a depth head."""

import copy
from dataclasses import dataclass
from os import PathLike

import torch
from torch import nn
from torch.nn import functional as F
from transformers import PreTrainedConfig, PreTrainedModel
from transformers import initialization as init
from transformers.modeling_outputs import DepthEstimatorOutput
from transformers.processing_utils import Unpack
from transformers.utils import TransformersKwargs, auto_docstring, logging
from transformers.utils.generic import can_return_tuple

from .backbone_depth_anything_3 import DepthAnything3Backbone
from .backbone_dinov2 import AnyDepthDinov2Backbone
from .backbone_dinov3 import AnyDepthDINOv3Backbone
from .backbone_vggt import VGGTBackbone
from .configuration_anydepth import AnyDepthConfig
from .hub_anydepth import loadable
from .losses_anydepth import depth_loss
from .modeling_dpt import DPTHead
from .modeling_sdt import DySample, PredictionConv, SDTHead, WeightedFusion, init_layer
from .shapes_anydepth import is_symbolic, resize_map

logger = logging.get_logger(__name__)

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
    config.set_encoder_norm()  # the field may have been set since
    return BACKBONES[model_type](config.backbone_config)


@dataclass
@auto_docstring(custom_intro="Output of [`AnyDepthForDepthEstimation`].")
class AnyDepthOutput(DepthEstimatorOutput):
    r"""
    confidence (`torch.Tensor` of shape `(batch_size, height, width)`, *optional*, with `config.predict_confidence`):
        At least 1; larger where the model is surer of `predicted_depth`. float32.
    """

    confidence: torch.Tensor | None = None


HUB_OPTIONS = ("cache_dir", "force_download", "local_files_only", "token", "revision", "subfolder", "variant")


def encoder_weights(name_or_path, found: dict, config: AnyDepthConfig, options: dict) -> dict[str, torch.Tensor]:
    """Weights of the encoder checkpoint `name_or_path`, whose configuration is `found`, named as in AnyDepth."""
    model_type = config.backbone_config.model_type
    if found["model_type"] != model_type:
        raise ValueError(
            f"{name_or_path} holds a model of type {found['model_type']!r}, but `config.backbone_config` is of type "
            f"{model_type!r}; give the checkpoint's own configuration as `backbone_config`."
        )
    backbone_class = BACKBONES[model_type]
    # transformers renames the weights of its own classes only
    loader = getattr(backbone_class, "checkpoint_class", backbone_class)
    encoder, info = loader.from_pretrained(
        name_or_path, config=copy.deepcopy(config.backbone_config), output_loading_info=True, **options
    )
    if missing := sorted(info["missing_keys"]):
        raise ValueError(f"{name_or_path} lacks {len(missing)} weights of the encoder, such as {missing[0]}.")
    return {f"backbone.{name}": value for name, value in encoder.state_dict().items()}


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
            use_detail_enhancer=config.use_detail_enhancer,
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
            init_layer(module)
            has_relu_output = self.config.output_activation == "relu" and self.config.num_output_channels == 1
            if isinstance(module, PredictionConv) and has_relu_output:
                # a ReLU that starts negative everywhere would never learn
                init.ones_(module.bias)
        elif isinstance(module, DySample):
            init.copy_(module.init_pos, module.initial_positions(module.groups))
        elif isinstance(module, WeightedFusion):
            init.ones_(module.layer_weights)


@auto_docstring(custom_intro="AnyDepth: a (frozen) ViT encoder with a depth head that fuses four of its levels.")
class AnyDepthForDepthEstimation(AnyDepthPreTrainedModel):
    def __init__(self, config: AnyDepthConfig):
        super().__init__(config)
        self.backbone = build_backbone(config)
        self.head = build_head(config, self.backbone.channels[0])
        # what an adapter adds to the encoder later is not frozen with it
        self.encoder_names = frozenset(
            name for named in (self.backbone.named_modules(), self.backbone.named_parameters()) for name, _ in named
        )
        self.random_weights: dict[str, int] = {}  # that a checkpoint lacked, and how often each had been written then
        self.post_init()
        # FSDP refuses names of modules that this model does not have
        self._no_split_modules &= {type(module).__name__ for module in self.modules()}
        self.train(self.training)

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path, *model_args, config=None, **kwargs):
        """Loads a model as in transformers. A checkpoint of an encoder alone fills the encoder and leaves the head
        new. `config`, that of the whole model, may be left out; where the encoder's does not name four levels, give
        them as `backbone_config={"out_indices": [3, 6, 9, 12]}`.

        Raises:
            ValueError: the checkpoint is of an encoder of another type than `config.backbone_config`, or has not all
                of its weights.
        """
        pretrained_model_name_or_path, encoder = loadable(pretrained_model_name_or_path, kwargs), None
        if not isinstance(config, str | PathLike) and pretrained_model_name_or_path and "state_dict" not in kwargs:
            options = {name: kwargs[name] for name in HUB_OPTIONS if name in kwargs}
            found, _ = PreTrainedConfig.get_config_dict(pretrained_model_name_or_path, **options)
            if config is None and found.get("model_type") in BACKBONES:
                config, kwargs = cls.config_class.from_dict(
                    {"backbone_config": found}, return_unused_kwargs=True, **kwargs
                )
            if config is not None and found.get("model_type", config.model_type) != config.model_type:
                kwargs["state_dict"] = encoder_weights(pretrained_model_name_or_path, found, config, options)
                pretrained_model_name_or_path, encoder = None, pretrained_model_name_or_path
        wants_info = kwargs.pop("output_loading_info", False)
        model, info = super().from_pretrained(
            pretrained_model_name_or_path, *model_args, config=config, output_loading_info=True, **kwargs
        )
        if encoder is not None:
            model.name_or_path = model.config.name_or_path = str(encoder)
        absent = set(info["missing_keys"]) | {key[0] for key in info["mismatched_keys"]}
        model.random_weights = {
            name: parameter._version
            for name, parameter in model.named_parameters()
            if name in absent and "mask_token" not in name and not parameter.is_inference()
        }
        return (model, info) if wants_info else model

    def refuse_noise(self):
        """Raises ValueError while none of the weights that the checkpoint lacked has been trained or loaded since."""
        parameters = dict(self.named_parameters())
        if any(name not in parameters or parameters[name]._version != v for name, v in self.random_weights.items()):
            self.random_weights = {}
            return
        raise ValueError(
            f"The checkpoint of this model lacks {len(self.random_weights)} of its weights, "
            f"{min(self.random_weights)} for one, and it would predict noise: train or load them first, "
            "or get or convert the checkpoint again."
        )

    def get_input_embeddings(self) -> nn.Module:
        return self.backbone.get_input_embeddings()

    def train(self, mode: bool = True):
        """Sets the mode of the head; a frozen encoder stays in eval mode and without gradients.

        `from_pretrained` makes every parameter trainable and then calls this, so freezing here outlasts it.
        """
        super().train(mode)
        for name, module in self.backbone.named_modules():
            if self.config.freeze_backbone and self.is_of_encoder(name):
                module.training = False
        norms_levels = getattr(self.backbone.config, "apply_layernorm", True)
        for name, parameter in self.backbone.named_parameters():
            # parameters that no output depends on would make distributed training wait for their gradients
            is_unused = "mask_token" in name or (name.startswith(("norm.", "layernorm.")) and not norms_levels)
            if self.is_of_encoder(name) and (is_unused or self.config.freeze_backbone):
                parameter.requires_grad_(False)
        return self

    def is_of_encoder(self, name: str) -> bool:
        """Whether a module or parameter of the encoder is its own, not an adapter's, which wraps `base_layer`."""
        return name.replace(".base_layer", "") in self.encoder_names

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
            # no product of matrices: autocast would round the depths to 16 bits
            return (weights * bins[:, None, None]).sum(dim=1, keepdim=True) / weights.sum(dim=1, keepdim=True)
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
                have another size; or a prediction is asked for, without labels and not in training, of a model whose
                checkpoint lacked weights.
        """
        if not isinstance(pixel_values, torch.Tensor):
            raise TypeError(
                f"`pixel_values` must be a tensor, got {type(pixel_values).__name__}; call the image processor with "
                '`return_tensors="pt"`.'
            )
        size = tuple(pixel_values.shape[-2:])
        is_batch = pixel_values.ndim == 4 and pixel_values.shape[0] > 0 and pixel_values.shape[1] == 3
        if not is_batch or min(size) < self.config.patch_size:
            raise ValueError(
                f"`pixel_values` must be (batch, 3, height, width) with sides of at least one patch "
                f"({self.config.patch_size} pixels), got {tuple(pixel_values.shape)}."
            )
        if labels is not None and tuple(labels.shape) != (pixel_values.shape[0], *size):
            raise ValueError(
                f"`labels` must be depth of shape {(pixel_values.shape[0], *size)}, got {tuple(labels.shape)}."
            )
        if self.random_weights and labels is None and not self.training:
            self.refuse_noise()
        for name in ("output_hidden_states", "output_attentions"):
            if getattr(self.config, name) and kwargs.get(name) is None:
                kwargs[name] = True
        aligned = self.align_to_patches(pixel_values)
        encoder_learns = pixel_values.requires_grad or any(p.requires_grad for p in self.backbone.parameters())
        # an exported program that switches gradients off could not be saved
        keeps_gradients = encoder_learns or torch.compiler.is_exporting()
        with torch.set_grad_enabled(torch.is_grad_enabled() and keeps_gradients):
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
            if self.training and torch.is_grad_enabled() and not loss.requires_grad:
                logger.warning_once(
                    "No parameter of this AnyDepth model can train: the encoder is frozen (`config.freeze_backbone`) "
                    "and so is the head. Unfreeze the head (`model.head.requires_grad_(True)`), or add an adapter."
                )
        return AnyDepthOutput(
            loss=loss,
            predicted_depth=prediction,
            confidence=confidence,
            hidden_states=levels.hidden_states,
            attentions=levels.attentions,
        )


__all__ = ["AnyDepthForDepthEstimation", "AnyDepthOutput", "AnyDepthPreTrainedModel"]
