"""VGGT backbone configuration."""

from huggingface_hub.dataclasses import strict
from transformers.backbone_utils import BackboneConfigMixin
from transformers.configuration_utils import PreTrainedConfig
from transformers.utils import auto_docstring


@auto_docstring(checkpoint="facebook/VGGT-1B")
@strict
class VGGTConfig(BackboneConfigMixin, PreTrainedConfig):
    r"""
    num_hidden_layers (`int`, *optional*, defaults to 24):
        Number of pairs of a frame block and a global block. One pair is one stage of the backbone.
    num_patch_encoder_layers (`int`, *optional*, defaults to 24):
        Number of blocks of the DINOv2 encoder (with registers) in front of the pairs.
    layer_norm_eps (`float`, *optional*, defaults to 1e-06):
        Epsilon of the layer norms of the DINOv2 encoder.
    alternating_layer_norm_eps (`float`, *optional*, defaults to 1e-05):
        Epsilon of the layer norms of the frame and global blocks.
    qk_norm_eps (`float`, *optional*, defaults to 1e-05):
        Epsilon of the layer norms over queries and keys of the frame and global blocks.
    layerscale_value (`float`, *optional*, defaults to 1.0):
        Initial value of the layer scales of the DINOv2 encoder.
    alternating_layerscale_value (`float`, *optional*, defaults to 0.01):
        Initial value of the layer scales of the frame and global blocks.
    num_register_tokens (`int`, *optional*, defaults to 4):
        Number of register tokens, of the DINOv2 encoder (dropped behind it) and of the pairs alike.
    rope_theta (`float`, *optional*, defaults to 100.0):
        Base of the rotary frequencies.

    Example:

    ```python
    >>> from anydepth_hf import VGGTBackbone, VGGTConfig

    >>> configuration = VGGTConfig(out_indices=[5, 12, 18, 24])  # VGGT-1B: the pairs 4, 11, 17, 23 its heads read
    >>> model = VGGTBackbone(configuration)
    ```
    """

    model_type = "vggt"
    # what transformers' Dinov2 layers read besides, fixed in VGGT
    use_swiglu_ffn = False
    use_mask_token = True
    hidden_act = "gelu"
    qkv_bias = True

    hidden_size: int = 1024
    num_hidden_layers: int = 24
    num_patch_encoder_layers: int = 24
    num_attention_heads: int = 16
    mlp_ratio: int = 4
    hidden_dropout_prob: float | int = 0.0
    attention_probs_dropout_prob: float | int = 0.0
    drop_path_rate: float | int = 0.0
    initializer_range: float = 0.02
    layer_norm_eps: float = 1e-6
    alternating_layer_norm_eps: float = 1e-5
    qk_norm_eps: float = 1e-5
    layerscale_value: float | int = 1.0
    alternating_layerscale_value: float | int = 0.01
    image_size: int = 518
    patch_size: int = 14
    num_channels: int = 3
    num_register_tokens: int = 4
    rope_theta: float | int = 100.0
    _out_features: list[str] | None = None
    _out_indices: list[int] | None = None

    def __post_init__(self, **kwargs):
        self.stage_names = ["stem"] + [f"stage{index}" for index in range(1, self.num_hidden_layers + 1)]
        self.set_output_features_output_indices(
            out_indices=kwargs.pop("out_indices", None), out_features=kwargs.pop("out_features", None)
        )
        super().__post_init__(**kwargs)

    @property
    def num_alternating_blocks(self) -> int:
        """Frame and global blocks together: as many hidden states follow the first."""
        return 2 * self.num_hidden_layers

    def validate_architecture(self):
        """Check what one field alone cannot show. Raises `ValueError`."""
        if self.hidden_size % (4 * self.num_attention_heads):
            raise ValueError(
                f"hidden_size ({self.hidden_size}) must be num_attention_heads ({self.num_attention_heads}) times a "
                "multiple of 4, the head size that 2-D rotary positions need."
            )


__all__ = ["VGGTConfig"]
