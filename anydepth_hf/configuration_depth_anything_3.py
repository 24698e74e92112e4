"""Depth Anything 3 backbone configuration."""

from huggingface_hub.dataclasses import strict
from transformers.backbone_utils import BackboneConfigMixin
from transformers.configuration_utils import PreTrainedConfig
from transformers.utils import auto_docstring


@auto_docstring(checkpoint="depth-anything/DA3-BASE")
@strict
class DepthAnything3Config(BackboneConfigMixin, PreTrainedConfig):
    r"""
    use_swiglu_ffn (`bool`, *optional*, defaults to `False`):
        Whether the blocks use SwiGLU instead of an MLP (the giant size does).
    layer_norm_eps (`float`, *optional*, defaults to 1e-06):
        Epsilon of the layer norms inside the blocks.
    final_layer_norm_eps (`float`, *optional*, defaults to 1e-05):
        Epsilon of the layer norm over the exported levels.
    qk_norm_eps (`float`, *optional*, defaults to 1e-05):
        Epsilon of the layer norms over queries and keys.
    layerscale_value (`float`, *optional*, defaults to 1.0):
        Initial value of the layer scales.
    alt_start (`int`, *optional*, defaults to 4):
        The block (0-based) from which blocks have q/k norm and rotary positions and alternate between local (even)
        and global (odd); the camera token takes the class token's place in front of it. `None` makes a plain ViT, as
        in the monocular and metric models.
    cat_token (`bool`, *optional*, defaults to `True`):
        Whether a level is the last local block's output, raw, beside the block's own output, layer-normed:
        `2 * hidden_size` channels. `False` exports the block's own output alone.
    rope_theta (`float`, *optional*, defaults to 100.0):
        Base of the rotary frequencies.

    Example:

    ```python
    >>> from anydepth_hf import DepthAnything3Backbone, DepthAnything3Config

    >>> configuration = DepthAnything3Config(out_indices=[6, 8, 10, 12])  # DA3-BASE: blocks 5, 7, 9, 11
    >>> model = DepthAnything3Backbone(configuration)
    ```
    """

    model_type = "depth_anything_3"
    # what transformers' Dinov2 layers read besides, fixed in every Depth Anything 3 model
    use_mask_token = False
    hidden_act = "gelu"
    qkv_bias = True

    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    mlp_ratio: int = 4
    use_swiglu_ffn: bool = False
    hidden_dropout_prob: float | int = 0.0
    attention_probs_dropout_prob: float | int = 0.0
    drop_path_rate: float | int = 0.0
    initializer_range: float = 0.02
    layer_norm_eps: float = 1e-6
    final_layer_norm_eps: float = 1e-5
    qk_norm_eps: float = 1e-5
    layerscale_value: float | int = 1.0
    image_size: int = 518
    patch_size: int = 14
    num_channels: int = 3
    alt_start: int | None = 4
    cat_token: bool = True
    rope_theta: float | int = 100.0
    _out_features: list[str] | None = None
    _out_indices: list[int] | None = None

    def __post_init__(self, **kwargs):
        self.stage_names = ["stem"] + [f"stage{index}" for index in range(1, self.num_hidden_layers + 1)]
        self.set_output_features_output_indices(
            out_indices=kwargs.pop("out_indices", None), out_features=kwargs.pop("out_features", None)
        )
        super().__post_init__(**kwargs)

    def validate_architecture(self):
        """Check what one field alone cannot show. Raises `ValueError`."""
        if self.hidden_size % (4 * self.num_attention_heads):
            raise ValueError(
                f"hidden_size ({self.hidden_size}) must be num_attention_heads ({self.num_attention_heads}) times a "
                "multiple of 4, the head size that 2-D rotary positions need."
            )
        if self.alt_start is not None and not 0 <= self.alt_start < self.num_hidden_layers:
            raise ValueError(
                f"alt_start must be a block between 0 and {self.num_hidden_layers - 1}, or None for a plain ViT "
                f"(monocular and metric models), got {self.alt_start}."
            )


__all__ = ["DepthAnything3Config"]
