"""DINOv2 as Depth Anything V2 and Depth Anything 3 run it, on top of transformers' Dinov2 layers."""

import torch
from transformers import Dinov2Backbone, Dinov2Config
from transformers.models.dinov2.modeling_dinov2 import Dinov2Embeddings
from transformers.models.dinov3_vit.modeling_dinov3_vit import DINOv3ViTBackboneOutput
from transformers.processing_utils import Unpack
from transformers.utils import TransformersKwargs
from transformers.utils.generic import can_return_tuple, merge_with_config_defaults
from transformers.utils.output_capturing import capture_outputs

from .shapes_anydepth import is_symbolic


def resize_rows(values: torch.Tensor, size: int, offset: float | torch.Tensor) -> torch.Tensor:
    """
    Bicubic resampling of the first dimension, `length` long, by the factor `(size + offset) / length` to `size`.

    As `interpolate(..., scale_factor=factor, mode="bicubic")` (a = -0.75, borders repeated), but `torch.compile` and
    `torch.export` do not fix it to one size, and neither autocast nor TF32 touches it.

    Args:
        values (`torch.Tensor` of shape `(length, columns, channels)`): float32.
    """
    length = values.shape[0]
    source = (torch.arange(size, device=values.device, dtype=values.dtype) + 0.5) * (length / (size + offset)) - 0.5
    resized = 0
    for tap in range(-1, 3):
        row = source.floor() + tap
        distance = (source - row).abs()
        near = (1.25 * distance - 2.25) * distance.square() + 1
        far = ((-0.75 * distance + 3.75) * distance - 6) * distance + 3
        weight = torch.where(distance <= 1, near, far)
        resized = resized + weight[:, None, None] * values[row.long().clamp(0, length - 1)]
    return resized


class OffsetDinov2Embeddings(Dinov2Embeddings):
    """
    [`Dinov2Embeddings`] whose position embedding is resized with DINOv2's original offset of 0.1 patches.

    The original code (facebookresearch/dinov2, kept by DepthAnything/Depth-Anything-V2 and
    ByteDance-Seed/Depth-Anything-3) asks for the factors `(height + 0.1) / 37` and `(width + 0.1) / 37`, which also
    moves an axis that keeps its 37 patches. transformers asks for the size instead; the features then differ by up to
    1e-2 everywhere but on the native square.
    """

    interpolate_offset = 0.1

    def interpolate_pos_encoding(self, embeddings: torch.Tensor, height: int, width: int) -> torch.Tensor:
        """
        Args:
            embeddings (`torch.Tensor` of shape `(batch_size, 1 + num_patches, hidden_size)`): class token and patches.
            height, width (`int`): size of the image in pixels.

        Returns:
            `torch.Tensor` of shape `(1, 1 + num_patches, hidden_size)`, in the dtype of the parameter.
        """
        num_positions = self.position_embeddings.shape[1] - 1
        class_position, patch_positions = self.position_embeddings.split([1, num_positions], dim=1)
        native = int(num_positions**0.5)
        patch_height, patch_width = self.patch_embeddings.patch_size
        rows, columns = height // patch_height, width // patch_width
        # the native square is not resampled
        offset = self.interpolate_offset
        if is_symbolic(height, width):
            distance = (rows - native) ** 2 + (columns - native) ** 2
            offset = offset * torch.full((), distance, device=embeddings.device).clamp(max=1)
        elif rows == columns == native:
            return self.position_embeddings
        # bicubic resampling in half precision shifts the embeddings
        grid = patch_positions.float().view(native, native, -1)
        grid = resize_rows(grid, rows, offset).transpose(0, 1)
        grid = resize_rows(grid, columns, offset).transpose(0, 1)
        return torch.cat((class_position, grid.flatten(0, 1)[None].to(class_position.dtype)), dim=1)


class AnyDepthDinov2Backbone(Dinov2Backbone):
    """
    [`Dinov2Backbone`] with the original position embedding resize, a class token for every level, and only the
    exported levels kept in memory.
    """

    checkpoint_class = Dinov2Backbone
    _no_split_modules = ["OffsetDinov2Embeddings", "Dinov2Layer"]

    def __init__(self, config: Dinov2Config):
        super().__init__(config)
        self.embeddings = OffsetDinov2Embeddings(config)
        self.post_init()

    @can_return_tuple
    @merge_with_config_defaults
    @capture_outputs(tie_last_hidden_states=False)
    def forward(self, pixel_values: torch.Tensor, **kwargs: Unpack[TransformersKwargs]) -> DINOv3ViTBackboneOutput:
        """
        Args:
            pixel_values: `(batch_size, 3, height, width)`, sides multiples of the patch size.

        Returns:
            `feature_maps`, one `(batch_size, hidden_size, rows, columns)` per exported level, and `cls_tokens`, one
            `(batch_size, hidden_size)`; `hidden_states` and `attentions` on request.
        """
        grid = [side // self.config.patch_size for side in pixel_values.shape[-2:]]
        hidden_states = self.embeddings(pixel_values)
        feature_maps, cls_tokens = (), ()
        for index, layer in enumerate(self.encoder.layer, start=1):
            hidden_states = layer(hidden_states, **kwargs)
            if index in self.out_indices:
                level = self.layernorm(hidden_states) if self.config.apply_layernorm else hidden_states
                feature_maps += (level[:, 1:].transpose(1, 2).unflatten(2, grid),)
                cls_tokens += (level[:, 0],)
        return DINOv3ViTBackboneOutput(feature_maps=feature_maps, cls_tokens=cls_tokens)
