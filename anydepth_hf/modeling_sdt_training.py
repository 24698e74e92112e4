"""Training path of the SDT head on CPU: the function and the gradients of the layers in less time and memory.

Maps are channels-last, `(batch, height, width, channels)`. Both passes of the 3x3 convolutions use Winograd's
algorithm, strip by strip. What a convolution reads is not kept: batch norm, ReLU and sampling are computed again in
the backward pass, from the output of the convolution before them.
"""

from collections.abc import Iterator

import torch
from torch import nn
from torch.autograd.function import once_differentiable

from .modeling_sdt_inference import is_plain, is_unobserved, sample
from .winograd_anydepth import WinogradConv, WinogradWeightGradient, is_worthwhile

# 4x4 tiles of a strip: enough for matrix products to be fast, few enough that transformed strips stay small.
STRIP_TILES = 256


def strips(maps: torch.Tensor) -> Iterator[tuple[int, slice]]:
    """Strips of whole rows of tiles: the image of each and its rows."""
    batch_size, height, width, _ = maps.shape
    rows = max(1, STRIP_TILES // -(-width // 4)) * 4
    for image in range(batch_size):
        for start in range(0, height, rows):
            yield image, slice(start, min(start + rows, height))


def cut_window(image: torch.Tensor, rows: slice, scale: torch.Tensor | None = None, shift: torch.Tensor | None = None):
    """Rows of an image `(height, width, channels)` in whole 4x4 tiles with a border of one, zero outside the image.

    With `scale` and `shift`, one value a channel, it holds `ReLU(scale * image + shift)` instead.
    """
    height, width, channels = image.shape
    sides = [-(-side // 4) * 4 + 2 for side in (rows.stop - rows.start, width)]
    window = image.new_zeros(*sides, channels)
    top, bottom = max(rows.start - 1, 0), min(rows.stop + 1, height)
    inside = window[top - rows.start + 1 : bottom - rows.start + 1, 1 : width + 1]
    if scale is None:
        inside.copy_(image[top:bottom])
    else:
        torch.addcmul(shift, image[top:bottom], scale, out=inside).relu_()
    return window


def convolve(conv: WinogradConv, maps: torch.Tensor, *affine: torch.Tensor) -> torch.Tensor:
    """`conv` of maps, or of their activation, `(batch, height, width, out_channels)`."""
    batch_size, height, width, _ = maps.shape
    result = maps.new_empty(batch_size, height, width, len(conv.bias))
    for image, rows in strips(maps):
        result[image, rows] = conv(cut_window(maps[image], rows, *affine))[: rows.stop - rows.start, :width]
    return result


def transposed(weight: torch.Tensor) -> WinogradConv:
    """The convolution that takes gradients of the output of `weight` to those of its input."""
    return WinogradConv(weight.flip(2, 3).transpose(0, 1), weight.new_zeros(weight.shape[1]), relu=False)


class ActivatedConv(torch.autograd.Function):
    """`Conv3x3(ReLU(BN(maps)))` in training mode: keeps `maps` alone. Also returns batch norm's mean and variance."""

    @staticmethod
    def forward(ctx, maps, norm_weight, norm_bias, weight, bias, running_mean, running_var, momentum, eps):
        mean, var = torch.batch_norm_update_stats(maps.permute(0, 3, 1, 2), running_mean, running_var, momentum)
        inverse_std = (var + eps).rsqrt()
        scale = norm_weight * inverse_std
        shift = norm_bias - mean * scale
        ctx.save_for_backward(maps, weight, mean, inverse_std, scale, shift)
        ctx.has_bias = bias is not None
        conv_bias = weight.new_zeros(len(weight)) if bias is None else bias
        return convolve(WinogradConv(weight, conv_bias, relu=False), maps, scale, shift)

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient):
        maps, weight, mean, inverse_std, scale, shift = ctx.saved_tensors
        gradient = gradient.contiguous()
        conv, weight_gradient = transposed(weight), WinogradWeightGradient(weight)
        width, count = maps.shape[2], maps[..., 0].numel()
        result = torch.empty_like(maps)
        # of the affine map: sums of the gradient, and of the gradient times the normalised maps
        shift_gradient, scale_gradient = torch.zeros_like(mean), torch.zeros_like(mean)
        for image, rows in strips(maps):
            activation = cut_window(maps[image], rows, scale, shift)
            window = cut_window(gradient[image], rows)
            weight_gradient.add(activation, window)
            height = rows.stop - rows.start
            part = conv(window)[:height, :width].mul_(activation[1 : height + 1, 1 : width + 1] > 0)
            shift_gradient += part.sum(dim=(0, 1))
            scale_gradient += (maps[image, rows] - mean).mul_(part).sum(dim=(0, 1))
            result[image, rows] = part
        scale_gradient *= inverse_std
        slope = -scale * inverse_std * scale_gradient / count
        offset = -scale * shift_gradient / count - slope * mean
        for image, rows in strips(maps):
            result[image, rows].mul_(scale).addcmul_(maps[image, rows], slope).add_(offset)
        bias_gradient = gradient.sum(dim=(0, 1, 2)) if ctx.has_bias else None
        return result, scale_gradient, shift_gradient, weight_gradient.result(), bias_gradient, *[None] * 4


class SampledConv(torch.autograd.Function):
    """`Conv3x3(grid_sample(maps, grid))`: keeps the maps before they are sampled."""

    @staticmethod
    def forward(ctx, maps, grid, weight):
        ctx.save_for_backward(maps, grid, weight)
        conv = WinogradConv(weight, weight.new_zeros(len(weight)), relu=False)
        results = [convolve(conv, sample_grid(*image)[None]) for image in zip(maps, grid)]
        return torch.cat(results) if len(results) > 1 else results[0]

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient):
        maps, grid, weight = ctx.saved_tensors
        gradient = gradient.contiguous()
        conv, weight_gradient = transposed(weight), WinogradWeightGradient(weight)
        results = []
        for index in range(len(maps)):
            with torch.enable_grad():
                inputs = maps[index].detach().requires_grad_(), grid[index].detach().requires_grad_()
                sampled = sample_grid(*inputs)
            sampled_gradient = torch.empty_like(sampled)
            for _, rows in strips(sampled[None]):
                window = cut_window(gradient[index], rows)
                weight_gradient.add(cut_window(sampled.detach(), rows), window)
                sampled_gradient[rows] = conv(window)[: rows.stop - rows.start, : sampled.shape[1]]
            results.append(torch.autograd.grad(sampled, inputs, sampled_gradient))
        return *(torch.stack(parts) for parts in zip(*results)), weight_gradient.result()


def sample_grid(image: torch.Tensor, grid: torch.Tensor) -> torch.Tensor:
    """`grid_sample` (bilinear, borders repeated) of an image `(height, width, channels)`.

    Args:
        grid: `(groups, rows, columns, 2)`, positions x and y in -1 to 1 for each group of channels.

    Returns:
        `(rows, columns, channels)`.
    """
    height, width, channels = image.shape
    x, y = grid.permute(3, 1, 2, 0).unbind()
    x, y = (((position + 1) * size - 1) / 2 for position, size in ((x, width), (y, height)))
    return sample(image, x, y).view(*grid.shape[1:3], channels)


def can_train(head: nn.Module, features: torch.Tensor) -> bool:
    """Whether `train` applies: on CPU in float32, and nobody traces, counts or changes what the layers do."""
    return (
        is_unobserved(features)
        and torch.is_grad_enabled()
        and head.training
        and features.dtype == torch.float32
        and not torch.is_autocast_enabled("cpu")
        and is_plain(head, training=True)
        and all(is_worthwhile(conv.weight, torch.float32) for stage in head.stages() for conv in wide_convs(stage))
    )


def wide_convs(stage: list[nn.Module]) -> list[nn.Conv2d]:
    """The 3x3 convolutions of a step; those after the first convolution of the output are narrow."""
    return [layer for layer in stage if isinstance(layer, nn.Conv2d)][:3]


def train(head: nn.Module, features: torch.Tensor) -> torch.Tensor:
    """What `head` makes of its fused features `(batch_size, channels, height, width)`, in training mode."""
    for stage in head.stages():
        dysample, convs = stage[0], wide_convs(stage)
        norms = [layer for layer in stage if isinstance(layer, nn.BatchNorm2d)]
        grid = dysample.sampling_grid(features).unflatten(0, (len(features), -1))
        maps = SampledConv.apply(features.permute(0, 2, 3, 1).contiguous(), grid, convs[0].weight)
        for norm, conv in zip(norms, convs[1:]):
            maps = ActivatedConv.apply(
                maps, norm.weight, norm.bias, conv.weight, conv.bias, norm.running_mean, norm.running_var,
                norm.momentum, norm.eps,
            )  # fmt: skip
            norm.num_batches_tracked.add_(1)
        features = maps.permute(0, 3, 1, 2)
        # what follows the last of these convolutions runs as it is written
        for layer in stage[stage.index(convs[-1]) + 1 :]:
            features = layer(features)
    return features
