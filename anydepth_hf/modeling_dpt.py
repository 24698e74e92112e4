"""Dense Prediction Transformer heads (arXiv 2103.13413) that AnyDepth is compared with."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import nn
from torch.nn import functional as F

from .modeling_sdt import PredictionConv, prepare_levels
from .shapes_anydepth import resize_map


class Reassemble(nn.Module):
    """Brings one level to its width and scale: 4x, 2x, 1x or 1/2x of the patch grid for levels 0 to 3."""

    def __init__(self, level: int, in_channels: int, channels: int, use_cls_token: bool, use_batch_norm: bool):
        super().__init__()
        self.readout = nn.Linear(2 * in_channels, in_channels) if use_cls_token else None
        self.norm = nn.BatchNorm2d(in_channels) if use_batch_norm else nn.Identity()
        self.projection = nn.Conv2d(in_channels, channels, kernel_size=1)
        if level < 2:
            factor = 4 // 2**level
            self.resize = nn.ConvTranspose2d(channels, channels, kernel_size=factor, stride=factor)
        else:
            self.resize = nn.Identity() if level == 2 else nn.Conv2d(channels, channels, 3, stride=2, padding=1)

    def project(self, features: torch.Tensor, cls_token: torch.Tensor | None) -> torch.Tensor:
        if self.readout is not None:
            tokens = features.flatten(2).transpose(1, 2)
            tokens = torch.cat((tokens, cls_token[:, None].expand_as(tokens)), dim=-1)
            features = F.gelu(self.readout(tokens)).transpose(1, 2).reshape(features.shape)
        return self.projection(self.norm(features))


class ResidualConvUnit(nn.Module):
    """`conv(relu(conv(relu(x)))) + x`; with `relu_skip` the sum takes `relu(x)` (in-place ReLU of VGGT's head)."""

    def __init__(self, channels: int, bias: bool, relu_skip: bool):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, kernel_size=3, padding=1, bias=bias)
        self.conv2 = nn.Conv2d(channels, channels, kernel_size=3, padding=1, bias=bias)
        self.relu_skip = relu_skip

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        activated = F.relu(features)
        return self.conv2(F.relu(self.conv1(activated))) + (activated if self.relu_skip else features)


class FusionBlock(nn.Module):
    """Adds a level to the path from the coarser ones and upsamples the sum."""

    def __init__(self, channels: int, bias: bool, relu_skip: bool, is_coarsest: bool):
        super().__init__()
        self.lateral = None if is_coarsest else ResidualConvUnit(channels, bias, relu_skip)
        self.residual = ResidualConvUnit(channels, bias, relu_skip)
        self.projection = nn.Conv2d(channels, channels, kernel_size=1)

    def forward(self, features: torch.Tensor, level: torch.Tensor | None, size: Sequence[int] | None) -> torch.Tensor:
        if self.lateral is not None:
            features = features + self.lateral(resize_map(level, features.shape[-2:]))
        features = self.residual(features)
        size = size or [2 * side for side in features.shape[-2:]]
        return self.projection(F.interpolate(features, size=size, mode="bilinear", align_corners=True))


def uv_position_embedding(channels: int, height: int, width: int, aspect_ratio: float, device) -> torch.Tensor:
    """
    Sines and cosines of image coordinates, x in the first half of the channels and y in the second, times 0.1.

    Coordinates run over pixel centres of a rectangle of unit half-diagonal with the image's `aspect_ratio` (width by
    height); frequencies are those of facebookresearch/vggt. Returns float32 `(channels, height, width)`.
    """
    frequencies = 100 ** -(torch.arange(channels // 4, device=device, dtype=torch.float32) / (channels // 4))
    diagonal = (aspect_ratio**2 + 1) ** 0.5

    def axis(size: int, extent: float) -> torch.Tensor:
        centres = (2 * torch.arange(size, device=device, dtype=torch.float32) + 1 - size) * (extent / size)
        angles = frequencies[:, None] * centres
        return torch.cat((angles.sin(), angles.cos()))

    x = axis(width, aspect_ratio / diagonal)[:, None, :].expand(-1, height, -1)
    y = axis(height, 1 / diagonal)[:, :, None].expand(-1, -1, width)
    return 0.1 * torch.cat((x, y))


class DPTHead(nn.Module):
    """
    DPT decoder in four styles.

    `"dinov3"` is the head of the DINOv3 repository, the paper's baseline (with the defaults here: 50.83 / 76.05 /
    99.58 M parameters for ViT-S / B / L): every fusion doubles the size, and a 3x3 convolution follows the last.
    `"depth_anything"` is the head of Depth Anything V2: fusions go to the next level's size, residual units have
    biases, and the last upsampling goes to the size of the patch grid times the patch size. It is also the head of
    Depth Anything 3's monocular models.
    `"dual_dpt"` is the depth branch of Depth Anything 3's Dual-DPT: as `"depth_anything"`, with a position embedding
    added to the projected levels and to the map at full resolution.
    `"vggt"` is VGGT's: as `"dual_dpt"`, but the skip of a residual unit carries the activated features.

    Args:
        in_channels: width of the encoder's tokens.
        fusion_channels: width of the fusion path.
        n_output_channels: channels of the result.
        use_cls_token: mix each level's class token into its patch tokens (readout "project"); else it is ignored.
        reassemble_channels: width of each level; `in_channels` each by default.
        style: `"dinov3"`, `"depth_anything"`, `"dual_dpt"` or `"vggt"`.
        use_batch_norm: batch norm over the incoming features.
        patch_size: size of a patch; all styles but `"dinov3"` need it for their output size.
        input_norm: layer norm over the incoming tokens and class tokens, shared by the levels; the official heads of
            Depth Anything 3 (Dual-DPT) and VGGT begin with one.
    """

    def __init__(
        self,
        in_channels: int,
        fusion_channels: int = 512,
        n_output_channels: int = 256,
        use_cls_token: bool = True,
        reassemble_channels: Sequence[int] | None = None,
        style: Literal["dinov3", "depth_anything", "dual_dpt", "vggt"] = "dinov3",
        use_batch_norm: bool = False,
        patch_size: int = 16,
        input_norm: bool = False,
    ):
        super().__init__()
        widths = list(reassemble_channels or [in_channels] * 4)
        if len(widths) != 4:
            raise ValueError(f"`reassemble_channels` needs four widths, one for each level; got {widths}.")
        dinov3 = style == "dinov3"
        self.use_cls_token = use_cls_token
        self.style = style
        self.patch_size = patch_size
        self.norm = nn.LayerNorm(in_channels) if input_norm else None
        self.reassemble = nn.ModuleList(
            Reassemble(level, in_channels, width, use_cls_token, use_batch_norm) for level, width in enumerate(widths)
        )
        self.convs = nn.ModuleList(nn.Conv2d(width, fusion_channels, 3, padding=1, bias=False) for width in widths)
        # coarsest level first
        self.fusion = nn.ModuleList(
            FusionBlock(fusion_channels, bias=not dinov3, relu_skip=style == "vggt", is_coarsest=index == 0)
            for index in range(4)
        )
        self.project = nn.Conv2d(fusion_channels, fusion_channels, kernel_size=3, padding=1) if dinov3 else None
        self.output_conv1 = nn.Conv2d(fusion_channels, fusion_channels // 2, kernel_size=3, padding=1)
        self.output_conv2 = nn.Sequential(
            nn.Conv2d(fusion_channels // 2, 32, kernel_size=3, padding=1),
            nn.ReLU(),
            PredictionConv(32, n_output_channels, kernel_size=1),
        )

    def add_position(self, features: torch.Tensor, aspect_ratio: float) -> torch.Tensor:
        """Adds the position embedding to a map `(batch_size, channels, height, width)` in the styles that have it."""
        if self.style not in ("dual_dpt", "vggt"):
            return features
        channels, height, width = features.shape[1:]
        embedding = uv_position_embedding(channels, height, width, aspect_ratio, features.device)
        return features + embedding.to(features.dtype)

    def forward(
        self,
        feature_maps: Sequence[torch.Tensor] | Sequence[tuple[torch.Tensor, torch.Tensor]],
        cls_tokens: Sequence[torch.Tensor] | None = None,
    ) -> torch.Tensor:
        """
        Args:
            feature_maps: four maps `(batch_size, in_channels, height, width)` on the patch grid, or four pairs of a
                map and a class token.
            cls_tokens: four class tokens `(batch_size, in_channels)`; needed when `use_cls_token` is set.

        Returns:
            `(batch_size, n_output_channels, rows, columns)`, no activation applied. Rows and columns are the patch
            grid times `patch_size`, but 32 times the coarsest level in the `"dinov3"` style.

        Raises:
            ValueError: other than four levels, or class tokens missing.
        """
        feature_maps, cls_tokens = prepare_levels(feature_maps, cls_tokens, self.use_cls_token, self.norm)
        height, width = feature_maps[0].shape[-2:]
        aspect_ratio = width / height
        levels = []
        for index, (reassemble, conv) in enumerate(zip(self.reassemble, self.convs)):
            features = reassemble.project(feature_maps[index], cls_tokens[index] if self.use_cls_token else None)
            levels.append(conv(reassemble.resize(self.add_position(features, aspect_ratio))))
        features = levels[3]
        for block, level, finer in zip(self.fusion, reversed(levels), [*reversed(levels[:3]), None]):
            size = None if finer is None or self.style == "dinov3" else finer.shape[-2:]
            features = block(features, level, size)
        if self.project is not None:
            features = F.relu(self.project(features))
        features = self.output_conv1(features)
        if self.style == "dinov3":
            size = [2 * side for side in features.shape[-2:]]
        else:
            size = [self.patch_size * height, self.patch_size * width]
        features = F.interpolate(features, size=size, mode="bilinear", align_corners=True)
        return self.output_conv2(self.add_position(features, aspect_ratio))


__all__ = ["DPTHead"]
