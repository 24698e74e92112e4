"""DINOv3 as AnyDepth reads it: four levels and their class tokens, all normed or none."""

import torch
from torch import nn
from transformers import DINOv3ViTConfig
from transformers.models.dinov3_vit.modeling_dinov3_vit import (
    DINOv3ViTBackbone,
    DINOv3ViTBackboneOutput,
    DINOv3ViTEmbeddings,
    DINOv3ViTEncoder,
    DINOv3ViTRopePositionEmbedding,
)
from transformers.processing_utils import Unpack
from transformers.utils import TransformersKwargs
from transformers.utils.generic import can_return_tuple, merge_with_config_defaults
from transformers.utils.output_capturing import capture_outputs


class AnyDepthDINOv3Encoder(DINOv3ViTEncoder):
    """The blocks as they are; transformers renames the weights of its own class when it saves them."""


class AnyDepthDINOv3Backbone(DINOv3ViTBackbone):
    """
    [`DINOv3ViTBackbone`] that treats its last layer as the others (transformers always norms it), returns the class
    token of every level, and keeps only the exported levels in memory. It takes and returns the shapes of
    [`AnyDepthDinov2Backbone`].
    """

    checkpoint_class = DINOv3ViTBackbone

    def __init__(self, config: DINOv3ViTConfig):
        # the parts of `DINOv3ViTBackbone`, but for the encoder's class
        super(DINOv3ViTBackbone, self).__init__(config)
        self.embeddings = DINOv3ViTEmbeddings(config)
        self.rope_embeddings = DINOv3ViTRopePositionEmbedding(config)
        self.model = AnyDepthDINOv3Encoder(config)
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.num_features = [config.hidden_size] * (config.num_hidden_layers + 1)
        self.post_init()

    @can_return_tuple
    @merge_with_config_defaults
    @capture_outputs(tie_last_hidden_states=False)
    def forward(self, pixel_values: torch.Tensor, **kwargs: Unpack[TransformersKwargs]) -> DINOv3ViTBackboneOutput:
        patch_size = self.config.patch_size
        grid = [side // patch_size for side in pixel_values.shape[-2:]]
        # the rotary tables take their dtype from the images
        pixel_values = pixel_values.to(self.embeddings.patch_embeddings.weight.dtype)
        hidden_states = self.embeddings(pixel_values)
        position_embeddings = self.rope_embeddings(pixel_values)
        feature_maps, cls_tokens = (), ()
        for index, layer in enumerate(self.model.layer, start=1):
            hidden_states = layer(hidden_states, position_embeddings=position_embeddings, **kwargs)
            if index in self.out_indices:
                level = self.norm(hidden_states) if self.config.apply_layernorm else hidden_states
                patches = level[:, 1 + self.config.num_register_tokens :]
                feature_maps += (patches.transpose(1, 2).unflatten(2, grid),)
                cls_tokens += (level[:, 0],)
        return DINOv3ViTBackboneOutput(feature_maps=feature_maps, cls_tokens=cls_tokens)


__all__ = ["AnyDepthDINOv3Backbone"]
