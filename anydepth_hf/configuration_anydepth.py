"""Configuration of AnyDepth: an encoder, a head, and what the prediction means."""

import copy
import difflib
from typing import Literal

from huggingface_hub.dataclasses import strict
from transformers import CONFIG_MAPPING, AutoConfig, PreTrainedConfig
from transformers.configuration_utils import SubConfigSpec
from transformers.utils import auto_docstring, logging

from .configuration_depth_anything_3 import DepthAnything3Config
from .configuration_vggt import VGGTConfig
from .hub_anydepth import loadable

logger = logging.get_logger(__name__)

# Classes of this package's own encoders by model type; transformers resolves its own.
BACKBONE_CONFIGS: dict[str, type[PreTrainedConfig]] = {"depth_anything_3": DepthAnything3Config, "vggt": VGGTConfig}


def _vit(model_type: str, hidden_size: int, num_hidden_layers: int, out_indices: list[int], **kwargs) -> dict:
    """The values in which the sizes of a ViT family differ; heads are 64 wide and MLPs 4 times the width."""
    return {
        "model_type": model_type,
        "hidden_size": hidden_size,
        "num_hidden_layers": num_hidden_layers,
        "num_attention_heads": hidden_size // 64,
        "out_indices": out_indices,
        **kwargs,
    }


def _dinov3(hidden_size: int, *args) -> dict:
    return _vit("dinov3_vit", hidden_size, *args, intermediate_size=4 * hidden_size, num_register_tokens=4)


_DAV2 = {"image_size": 518, "patch_size": 14, "use_mask_token": False}
_DA3_MONO = _vit("depth_anything_3", 1024, 24, [5, 12, 18, 24], alt_start=None, cat_token=False)

# Encoders by name. Levels are those of the paper; `out_indices` counts the embeddings as 0, so block i is i + 1.
BACKBONE_PRESETS: dict[str, dict] = {
    "dinov3-small": _dinov3(384, 12, [3, 6, 9, 12]),
    "dinov3-base": _dinov3(768, 12, [3, 6, 9, 12]),
    "dinov3-large": _dinov3(1024, 24, [5, 12, 18, 24]),
    "dav2-small": _vit("dinov2", 384, 12, [3, 6, 9, 12], **_DAV2),
    "dav2-base": _vit("dinov2", 768, 12, [3, 6, 9, 12], **_DAV2),
    "dav2-large": _vit("dinov2", 1024, 24, [5, 12, 18, 24], **_DAV2),
    # Depth Anything 3 and VGGT: the levels that their own heads read
    "da3-small": _vit("depth_anything_3", 384, 12, [6, 8, 10, 12], alt_start=4),
    "da3-base": _vit("depth_anything_3", 768, 12, [6, 8, 10, 12], alt_start=4),
    "da3-large": _vit("depth_anything_3", 1024, 24, [12, 16, 20, 24], alt_start=8),
    "da3-giant": _vit("depth_anything_3", 1536, 40, [20, 28, 34, 40], alt_start=13, use_swiglu_ffn=True),
    "da3-mono-large": _DA3_MONO,
    "da3-metric-large": _DA3_MONO,
    "vggt-1b": _vit("vggt", 1024, 24, [5, 12, 18, 24]),
}


@auto_docstring(checkpoint="AIGeeksGroup/AnyDepth")
@strict
class AnyDepthConfig(PreTrainedConfig):
    r"""
    backbone_config (`dict`, `PreTrainedConfig` or `str`, *optional*, defaults to `"dinov3-small"`):
        The encoder: a configuration, its dictionary, or the name of a preset (`BACKBONE_PRESETS`). It names four
        levels with `out_indices`.
    head_type (`"sdt"`, `"dpt"` or `"dual_dpt"`, *optional*, defaults to `"sdt"`):
        The decoder: the paper's Simple Depth Transformer, the Dense Prediction Transformer it is compared with, or
        the depth branch of Depth Anything 3's Dual-DPT.
    use_cls_token (`bool`, *optional*, defaults to `True`):
        Whether the head mixes each level's class token into its patch tokens (readout "project").
    apply_backbone_norm (`bool`, *optional*, defaults to `False`):
        Whether the encoder's final layer norm is applied to all four levels and class tokens, or to none. DINOv3 and
        DINOv2 only; Depth Anything 3 and VGGT export what their own heads were trained on.
    head_input_norm (`bool`, *optional*):
        Whether the head starts with a layer norm over the levels' channels, as the official heads of Depth Anything 3
        (any-view) and VGGT do: the scale of their features is not normalised. When not given, it does on these two
        encoders and on no other.
    fusion_hidden_size (`int`, *optional*, defaults to 256):
        Width of the tokens after fusion (SDT) or of the fusion path (DPT; 512 in the paper's baseline).
    upsample_hidden_sizes (`list[int]`, *optional*):
        SDT: width after each 2x upsampling step; four times `fusion_hidden_size` (the paper) when not given. Three
        make 8x upsampling, for encoders with patches of 8 pixels.
    output_hidden_sizes (`list[int]`, *optional*):
        SDT: widths of the two convolutions before the last; half of the last upsampling width and 32 when not given.
    use_detail_enhancer (`bool`, *optional*, defaults to `True`):
        SDT: whether a depthwise convolution follows the fusion, as in the paper.
    dysample_groups (`int`, *optional*, defaults to 4):
        SDT: number of channel groups with sampling positions of their own.
    dysample_scope (`bool`, *optional*, defaults to `True`):
        SDT: whether the range of the sampling offsets is predicted.
    reassemble_hidden_sizes (`list[int]`, *optional*):
        DPT: width of each level before fusion; the encoder's width each (the paper's baseline) when not given.
    dpt_style (`"dinov3"`, `"depth_anything"` or `"vggt"`, *optional*, defaults to `"dinov3"`):
        DPT: layout of the DINOv3 repository (the paper's baseline), of Depth Anything V2 and 3 (monocular), or of
        VGGT.
    use_batch_norm (`bool`, *optional*, defaults to `False`):
        DPT: whether the levels are batch-normalised first.
    num_output_channels (`int`, *optional*, defaults to 1):
        Channels of the head. More than one are weights of uniform bins between `min_depth` and `max_depth`, whose
        mean is the prediction (256 in the paper's DPT).
    output_activation (`"relu"`, `"exp"`, `"sigmoid"` or `"linear"`, *optional*, defaults to `"relu"`):
        Activation of a single output channel, to which `min_depth` is then added.
    predict_confidence (`bool`, *optional*, defaults to `False`):
        Whether the head has a further channel, returned as `confidence`: `1 + exp(x)`, as Depth Anything 3 (any-view)
        and VGGT have. The loss does not train it.
    prediction_type (`"disparity"` or `"depth"`, *optional*, defaults to `"disparity"`):
        What `predicted_depth` holds. The paper's models predict disparity (1 / depth).
    depth_estimation_type (`"relative"` or `"metric"`, *optional*, defaults to `"relative"`):
        Whether predictions are known up to a scale and a shift, or are in metres (1 / metre for disparity).
    relative_loss (`"affine_invariant"` or `"log"`, *optional*, defaults to `"affine_invariant"`):
        What a relative model is trained with: the paper's affine-invariant loss on disparity, or a scale-invariant
        loss on the logarithm of depth, which a model without a pretrained encoder learns from much faster. The latter
        goes with the activation `"exp"` and a `min_depth` of 0.
    gradient_matching_weight (`float`, *optional*, defaults to 2.0):
        Weight of the gradient matching term beside either loss of a relative model.
    min_depth (`float`, *optional*, defaults to 0.001):
        Added to the activated output; lower end of the bins.
    max_depth (`float`, *optional*, defaults to 100.0):
        Far plane in training: labels beyond it are ignored; upper end of the bins. Predictions are not clipped.
    freeze_backbone (`bool`, *optional*, defaults to `True`):
        Keep the encoder in eval mode and without gradients, whatever mode the model is in.
    patch_alignment (`"resize"` or `"pad"`, *optional*, defaults to `"resize"`):
        How an input whose sides are not multiples of the patch size is brought there: bilinear resizing to the
        nearest multiple, or repeating the last row and column. The prediction always has the input's size.

    Example:

    ```python
    >>> from anydepth_hf import AnyDepthConfig, AnyDepthForDepthEstimation

    >>> config = AnyDepthConfig(backbone_config="dinov3-base")
    >>> model = AnyDepthForDepthEstimation(config)
    ```
    """

    model_type = "anydepth"
    sub_configs_defaults = {
        "backbone_config": SubConfigSpec(
            config_class=AutoConfig, model_type="dinov3_vit", init_kwargs=BACKBONE_PRESETS["dinov3-small"]
        )
    }

    backbone_config: dict | PreTrainedConfig | str | None = None
    head_type: Literal["sdt", "dpt", "dual_dpt"] = "sdt"
    use_cls_token: bool = True
    apply_backbone_norm: bool = False
    head_input_norm: bool | None = None
    fusion_hidden_size: int = 256
    upsample_hidden_sizes: list[int] | tuple[int, ...] | None = None
    output_hidden_sizes: list[int] | tuple[int, ...] | None = None
    use_detail_enhancer: bool = True
    dysample_groups: int = 4
    dysample_scope: bool = True
    reassemble_hidden_sizes: list[int] | tuple[int, ...] | None = None
    dpt_style: Literal["dinov3", "depth_anything", "vggt"] = "dinov3"
    use_batch_norm: bool = False
    num_output_channels: int = 1
    output_activation: Literal["relu", "exp", "sigmoid", "linear"] = "relu"
    predict_confidence: bool = False
    prediction_type: Literal["disparity", "depth"] = "disparity"
    depth_estimation_type: Literal["relative", "metric"] = "relative"
    relative_loss: Literal["affine_invariant", "log"] = "affine_invariant"
    gradient_matching_weight: float | int = 2.0
    min_depth: float | int = 0.001
    max_depth: float | int = 100.0
    freeze_backbone: bool = True
    patch_alignment: Literal["resize", "pad"] = "resize"

    def __post_init__(self, **kwargs):
        for key in kwargs:  # transformers keeps whatever it is given, under any name
            close = difflib.get_close_matches(key, self.__dataclass_fields__, n=1, cutoff=0.8)
            if close and not hasattr(type(self), key):
                logger.warning(f"AnyDepthConfig has no field `{key}`, and keeps it unused; did you mean `{close[0]}`?")
        if isinstance(self.backbone_config, str):
            if self.backbone_config not in BACKBONE_PRESETS:
                raise ValueError(
                    f"Unknown encoder {self.backbone_config!r}; the presets are {', '.join(BACKBONE_PRESETS)}."
                )
            self.backbone_config = dict(BACKBONE_PRESETS[self.backbone_config])
        if isinstance(self.backbone_config, dict):
            model_type = self.backbone_config.get("model_type")
            if model_type not in CONFIG_MAPPING and model_type not in BACKBONE_CONFIGS:
                raise ValueError(
                    f"`backbone_config` needs the `model_type` of an encoder, like 'dinov3_vit'; got {model_type!r}."
                )
            if model_type in BACKBONE_CONFIGS:
                self.backbone_config = BACKBONE_CONFIGS[model_type].from_dict(self.backbone_config)
        elif self.backbone_config is not None:
            self.backbone_config = copy.deepcopy(self.backbone_config)  # it is written to, and belongs to the caller
        super().__post_init__(**kwargs)
        self.set_encoder_norm()
        if self.head_input_norm is None:
            self.head_input_norm = self.backbone_config.model_type == "vggt" or (
                self.backbone_config.model_type == "depth_anything_3" and self.backbone_config.cat_token
            )

    def set_encoder_norm(self):
        """Passes `apply_backbone_norm` on to the encoder's configuration."""
        if self.backbone_config.model_type in ("dinov3_vit", "dinov2"):
            self.backbone_config.apply_layernorm = self.apply_backbone_norm

    @classmethod
    def from_dict(cls, config_dict: dict, **kwargs):
        """Makes a configuration of the dictionary of one and of changes; that of another model is refused."""
        model_type = config_dict.get("model_type", cls.model_type)
        if model_type != cls.model_type:
            raise ValueError(
                f"This is a configuration of model type {model_type!r}, not of AnyDepth; an encoder gets a new head "
                "by `AnyDepthForDepthEstimation.from_pretrained`; `conversion.convert` takes original checkpoints."
            )
        # the base class would set changes afterwards, unchecked
        changes = {name: kwargs.pop(name) for name in AnyDepthConfig.__annotations__.keys() & kwargs.keys()}
        saved, encoder = config_dict.get("backbone_config"), changes.get("backbone_config")
        if isinstance(saved, dict) and isinstance(encoder, dict):
            if encoder.get("model_type", saved.get("model_type")) == saved.get("model_type"):
                levels = {"out_indices", "out_features"}  # two names of the same
                kept = saved.keys() - (levels if levels & encoder.keys() else set())
                changes["backbone_config"] = {name: saved[name] for name in kept} | encoder
        return super().from_dict(config_dict | changes, **kwargs)

    def validate_architecture(self):
        """Part of `@strict` validation. Raises what cannot be built, with what to change."""
        indices = list(self.backbone_config.out_indices)
        num_layers = self.backbone_config.num_hidden_layers
        if len(indices) != 4:
            raise ValueError(
                f"The head fuses four encoder levels, but `backbone_config.out_indices` is {indices}; name four, as "
                "`backbone_config={'out_indices': [3, 6, 9, 12]}` does for an encoder of 12 blocks."
            )
        if min(indices) < 1 or max(indices) > num_layers:
            raise ValueError(
                f"`backbone_config.out_indices` must lie in 1..{num_layers} (block i is i + 1), got {indices}."
            )
        all_widths = [self.fusion_hidden_size]
        for name, counts, expected in (
            ("upsample_hidden_sizes", (3, 4), "three or four"),
            ("reassemble_hidden_sizes", (4,), "four"),
            ("output_hidden_sizes", (2,), "two"),
        ):
            widths = getattr(self, name)
            if widths is not None and len(widths) not in counts:
                raise ValueError(f"`{name}` needs {expected} widths, got {widths}.")
            all_widths += widths or []
        if min(self.dysample_groups, *all_widths) < 1:
            raise ValueError("All widths (`*_hidden_size`, `*_hidden_sizes`) and `dysample_groups` must be positive.")
        if self.head_type == "sdt":
            widths = [self.fusion_hidden_size, *(self.upsample_hidden_sizes or [])[:-1]]
            if any(width % self.dysample_groups for width in widths):
                raise ValueError(
                    f"`fusion_hidden_size` and all `upsample_hidden_sizes` but the last ({widths}) must be multiples "
                    f"of `dysample_groups`={self.dysample_groups}; change either."
                )
        if self.apply_backbone_norm and self.backbone_config.model_type in BACKBONE_CONFIGS:
            raise ValueError(
                f"`apply_backbone_norm` is for DINOv3 and DINOv2 encoders, not {self.backbone_config.model_type!r}; "
                "use `head_input_norm`."
            )
        if not 0 <= self.min_depth < self.max_depth:
            raise ValueError(f"Need 0 <= min_depth < max_depth, got {self.min_depth} and {self.max_depth}.")
        if self.num_output_channels < 1:
            raise ValueError(f"`num_output_channels` must be at least 1, got {self.num_output_channels}.")

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path, *args, **kwargs):
        """Load the configuration of a folder or a repository, as in transformers."""
        return super().from_pretrained(loadable(pretrained_model_name_or_path, kwargs), *args, **kwargs)

    @property
    def patch_size(self) -> int:
        """Side of the encoder's patches, in pixels."""
        return self.backbone_config.patch_size


__all__ = ["AnyDepthConfig"]
