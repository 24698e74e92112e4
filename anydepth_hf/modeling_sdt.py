"""Simple Depth Transformer (SDT), the decoder of AnyDepth (arXiv 2601.02760, section 3)."""

import math
from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional as F
from transformers import initialization as init

from .modeling_sdt_inference import can_infer, infer, is_untouched
from .modeling_sdt_training import can_train, train


class OffsetConv(nn.Conv2d):
    """1x1 convolution to DySample's sampling offsets; it starts near zero, where sampling is bilinear upsampling."""

    def reset_parameters(self):
        init.normal_(self.weight, std=0.001)
        init.zeros_(self.bias)


class ScopeConv(nn.Conv2d):
    """1x1 convolution to the range of DySample's offsets, which is the same everywhere at first."""

    def reset_parameters(self):
        init.zeros_(self.weight)


class PredictionConv(nn.Conv2d):
    """Last convolution of a head, to the channels of the prediction."""


@torch.no_grad()
def init_layer(module: nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
    """Initialises a layer of a head: sampling as its class says, the others as PyTorch does and the official heads."""
    if isinstance(module, OffsetConv | ScopeConv):
        return module.reset_parameters()
    init.kaiming_uniform_(module.weight, a=math.sqrt(5))
    if module.bias is not None:
        bound = nn.init._calculate_fan_in_and_fan_out(module.weight)[0] ** -0.5
        init.uniform_(module.bias, -bound, bound)


class WeightedFusion(nn.Module):
    """Projects the tokens of each level and sums them with softmax weights (paper eq. 1)."""

    def __init__(self, in_channels: int, out_channels: int, use_cls_token: bool):
        super().__init__()
        self.readout_projects = nn.ModuleList(
            nn.Sequential(nn.Linear(2 * in_channels, in_channels), nn.GELU()) for _ in range(4 * use_cls_token)
        )
        self.projections = nn.ModuleList(
            nn.Sequential(nn.Linear(in_channels, out_channels, bias=False), nn.GELU()) for _ in range(4)
        )
        self.layer_weights = nn.Parameter(torch.ones(4))
        self.register_load_state_dict_pre_hook(self.drop_unused_readouts)

    @staticmethod
    def drop_unused_readouts(module, state_dict, prefix, *args):
        # the official head stores readouts even where it does not use them
        if not module.readout_projects:
            for key in [key for key in state_dict if key.startswith(f"{prefix}readout_projects.")]:
                del state_dict[key]

    def readout(self, index: int, tokens: torch.Tensor, cls_token: torch.Tensor) -> torch.Tensor:
        project = self.readout_projects[index]
        linear, activation = project[0], project[1]
        if type(linear) is not nn.Linear or not all(map(is_untouched, (project, linear, activation))):
            return project(torch.cat((tokens, cls_token[:, None].expand_as(tokens)), dim=-1))
        # the same, with the class token's half of the product computed once an image instead of once a token
        token_weight, cls_weight = linear.weight.chunk(2, dim=1)
        cls_term = F.linear(cls_token, cls_weight, linear.bias)
        return activation(F.linear(tokens, token_weight) + cls_term[:, None])

    def forward(self, tokens: Sequence[torch.Tensor], cls_tokens: Sequence[torch.Tensor] | None) -> torch.Tensor:
        weights = self.layer_weights.softmax(dim=0)
        fused = 0
        for index, projection in enumerate(self.projections):
            level = tokens[index]
            if self.readout_projects:
                level = self.readout(index, level, cls_tokens[index])
            fused = fused + weights[index] * projection(level)
        return fused


class SpatialDetailEnhancer(nn.Module):
    """`ReLU(F + BN(DWConv3x3(F)))` (paper eq. 2)."""

    def __init__(self, channels: int):
        super().__init__()
        self.dwconv = nn.Conv2d(channels, channels, kernel_size=3, padding=1, groups=channels, bias=False)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return F.relu(features + self.norm(self.dwconv(features)))


class DySample(nn.Module):
    """Learned 2x upsampling by point sampling (arXiv 2308.15085, style "lp" with an optional dynamic scope).

    Coordinates are float32 and so is the sampling, whatever the dtype of the features: 16-bit coordinates are off by
    whole pixels on maps wider than a few hundred.
    """

    scale = 2

    def __init__(self, channels: int, groups: int = 4, use_scope: bool = True):
        super().__init__()
        self.groups = groups
        self.offset = OffsetConv(channels, 2 * groups * self.scale**2, kernel_size=1)
        self.scope = ScopeConv(channels, 2 * groups * self.scale**2, kernel_size=1, bias=False) if use_scope else None
        self.register_buffer("init_pos", self.initial_positions(groups))

    @classmethod
    def initial_positions(cls, groups: int) -> torch.Tensor:
        """Offsets (x of every group and sub-pixel, then y) of the regular 2x grid, in input pixels."""
        steps = (torch.arange(cls.scale) - (cls.scale - 1) / 2) / cls.scale
        y, x = torch.meshgrid(steps, steps, indexing="ij")
        return torch.stack((x, y)).reshape(2, 1, -1).repeat(1, groups, 1).reshape(1, -1, 1, 1)

    def sampling_grid(self, features: torch.Tensor) -> torch.Tensor:
        """float32 grid `(batch * groups, 2 * height, 2 * width, 2)` for `grid_sample`."""
        batch_size, _, height, width = features.shape
        offset = self.offset(features).float()
        scale = 0.25 if self.scope is None else self.scope(features).float().sigmoid() * 0.5
        offset = (offset * scale + self.init_pos.float()).view(batch_size, 2, -1, height, width)
        x = torch.arange(width, device=features.device, dtype=torch.float32) + 0.5
        y = torch.arange(height, device=features.device, dtype=torch.float32) + 0.5
        grid_x = (offset[:, 0] + x) * (2 / width) - 1
        grid_y = (offset[:, 1] + y[:, None]) * (2 / height) - 1
        grid = torch.stack((F.pixel_shuffle(grid_x, self.scale), F.pixel_shuffle(grid_y, self.scale)), dim=-1)
        return grid.flatten(0, 1)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        batch_size, channels, height, width = features.shape
        grid = self.sampling_grid(features)
        groups = features.reshape(batch_size * self.groups, channels // self.groups, height, width).float()
        if torch.is_grad_enabled() and not torch.jit.is_tracing():
            # NaN positions sample NaN: the backward pass of `grid_sample` would read memory at random
            is_nan = grid.isnan()
            grid = grid.masked_fill(is_nan, 0)
            groups = groups.masked_fill(is_nan.flatten(1).any(dim=1).view(-1, 1, 1, 1), torch.nan)
        sampled = F.grid_sample(groups, grid, mode="bilinear", padding_mode="border", align_corners=False)
        return sampled.view(batch_size, channels, self.scale * height, self.scale * width).to(features.dtype)


def upsampling(in_channels: int, out_channels: int, groups: int, scope: bool) -> nn.Sequential:
    """`ReLU(BN(Conv3x3(DySample_x2(X))))` (paper eq. 3)."""
    return nn.Sequential(
        DySample(in_channels, groups, scope),
        nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(),
    )


class UpsampleBlock(nn.Module):
    """4x upsampling in two 2x steps (paper eq. 4), or 2x in one where only one width is given."""

    def __init__(self, in_channels: int, channels: Sequence[int], dysample_groups: int, dysample_scope: bool):
        super().__init__()
        self.dysample1 = upsampling(in_channels, channels[0], dysample_groups, dysample_scope)
        if len(channels) == 2:
            self.dysample2 = upsampling(channels[0], channels[1], dysample_groups, dysample_scope)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        for step in self.children():
            features = step(features)
        return features


def refinement(channels: int) -> nn.Sequential:
    """`ReLU(BN(Conv3x3(X)))` (paper eq. 5)."""
    return nn.Sequential(nn.Conv2d(channels, channels, kernel_size=3, padding=1), nn.BatchNorm2d(channels), nn.ReLU())


class SDTHead(nn.Module):
    """
    Simple Depth Transformer: fuses the tokens of four encoder levels, then upsamples the result along one path: 16
    times as in the paper, or 8 times for encoders with patches of 8 pixels. Loads the `state_dict` of the official
    head (repository AIGeeksGroup/AnyDepth) unchanged.

    Args:
        in_channels: width of the encoder's tokens.
        fusion_channels: width after fusion.
        n_output_channels: channels of the result.
        use_cls_token: mix each level's class token into its patch tokens (readout "project" of DPT).
        upsample_channels: width after each of three or four 2x steps; four times `fusion_channels` in the paper.
        output_channels: widths of the two hidden convolutions at full resolution; `(last width // 2, 32)` by default.
        dysample_groups: groups of channels that share sampling positions.
        dysample_scope: predict the range of the offsets per position.
        use_detail_enhancer: depthwise convolution over the fused map (paper eq. 2); the authors' weights for Depth
            Anything 3 have none.
        input_norm: layer norm over the incoming tokens and class tokens, shared by the levels. The public SDT has
            none; encoders whose exported features are not normalised (Depth Anything 3, VGGT) need it.

    On CPU, in eval mode and without gradients, a leaner implementation of the same function takes over
    (`modeling_sdt_inference.py`); `head.fast_inference = False` keeps to the layers as they are written here. In
    training `modeling_sdt_training.py` does so for heads as wide as the paper's; `head.fast_training` switches it.

    Raises:
        ValueError: a width that DySample's groups do not divide, or neither three nor four upsampling widths.
    """

    fast_inference = True
    fast_training = True

    def __init__(
        self,
        in_channels: int,
        fusion_channels: int = 256,
        n_output_channels: int = 1,
        use_cls_token: bool = True,
        upsample_channels: Sequence[int] | None = None,
        output_channels: Sequence[int] | None = None,
        dysample_groups: int = 4,
        dysample_scope: bool = True,
        input_norm: bool = False,
        use_detail_enhancer: bool = True,
    ):
        super().__init__()
        widths = list(upsample_channels or [fusion_channels] * 4)
        if len(widths) not in (3, 4):
            raise ValueError(f"`upsample_channels` needs three or four widths, one for each 2x step; got {widths}.")
        if any(width % dysample_groups for width in (fusion_channels, *widths[:-1])):
            raise ValueError(
                f"The widths {fusion_channels} and {widths[:-1]} must be multiples of "
                f"`dysample_groups`={dysample_groups}."
            )
        hidden = list(output_channels or (widths[-1] // 2, 32))
        self.use_cls_token = use_cls_token
        self.norm = nn.LayerNorm(in_channels) if input_norm else None
        self.weighted_fusion = WeightedFusion(in_channels, fusion_channels, use_cls_token)
        self.detail_enhancer = SpatialDetailEnhancer(fusion_channels) if use_detail_enhancer else None
        self.upsample_1 = UpsampleBlock(fusion_channels, widths[:2], dysample_groups, dysample_scope)
        self.refinement_1 = refinement(widths[1])
        self.upsample_2 = UpsampleBlock(widths[1], widths[2:], dysample_groups, dysample_scope)
        self.refinement_2 = refinement(widths[-1])
        self.output_conv = nn.Sequential(
            nn.Conv2d(widths[-1], hidden[0], kernel_size=3, padding=1),
            nn.ReLU(),
            nn.Conv2d(hidden[0], hidden[1], kernel_size=3, padding=1),
            nn.ReLU(),
            PredictionConv(hidden[1], n_output_channels, kernel_size=1),
        )

    def fuse(self, feature_maps: Sequence[torch.Tensor], cls_tokens: Sequence[torch.Tensor] | None) -> torch.Tensor:
        """Fused and enhanced features `(batch_size, fusion_channels, height, width)` at the patch grid."""
        tokens = [level.flatten(2).transpose(1, 2) for level in feature_maps]
        fused = self.weighted_fusion(tokens, cls_tokens).transpose(1, 2).unflatten(2, feature_maps[0].shape[-2:])
        return fused if self.detail_enhancer is None else self.detail_enhancer(fused)

    def stages(self) -> list[list[nn.Module]]:
        """The layers after fusion in order, in a list for each 2x step, which begins with its DySample."""
        steps = [[*step] for block in (self.upsample_1, self.upsample_2) for step in block.children()]
        steps[1] += self.refinement_1
        steps[-1] += [*self.refinement_2, *self.output_conv]
        return steps

    def forward(
        self,
        feature_maps: Sequence[torch.Tensor] | Sequence[tuple[torch.Tensor, torch.Tensor]],
        cls_tokens: Sequence[torch.Tensor] | None = None,
    ) -> torch.Tensor:
        """
        Args:
            feature_maps: four maps `(batch_size, in_channels, height, width)` on the patch grid, or four pairs of a
                map and a class token as the official head takes them.
            cls_tokens: four class tokens `(batch_size, in_channels)`; needed when `use_cls_token` is set.

        Returns:
            `(batch_size, n_output_channels, 16 * height, 16 * width)` (8 times with three upsampling widths), no
            activation applied.

        Raises:
            ValueError: other than four levels, or class tokens missing.
        """
        feature_maps, cls_tokens = prepare_levels(feature_maps, cls_tokens, self.use_cls_token, self.norm)
        features = self.fuse(feature_maps, cls_tokens)
        if self.fast_inference and can_infer(self, features):
            return infer(self, features)
        if self.fast_training and can_train(self, features):
            return train(self, features)
        features = self.refinement_1(self.upsample_1(features))
        features = self.refinement_2(self.upsample_2(features))
        return self.output_conv(features)


def prepare_levels(feature_maps, cls_tokens, use_cls_token: bool, norm: nn.LayerNorm | None):
    """Checks the four levels that a head is given, takes (map, class token) pairs apart and applies its input norm."""
    if len(feature_maps) != 4:
        raise ValueError(f"The head fuses four encoder levels, got {len(feature_maps)}.")
    if not isinstance(feature_maps[0], torch.Tensor):
        feature_maps, cls_tokens = zip(*feature_maps)
    if use_cls_token and cls_tokens is None:
        raise ValueError("The head reads class tokens: pass `cls_tokens`, or build it with `use_cls_token=False`.")
    if norm is not None:
        feature_maps = [norm(level.movedim(1, -1)).movedim(-1, 1) for level in feature_maps]
        cls_tokens = [norm(token) for token in cls_tokens] if use_cls_token else None
    return feature_maps, cls_tokens


__all__ = ["DySample", "SDTHead"]
