"""Inference path of the SDT head on CPU: the same weights and the same numbers in less time and memory.

Maps are channels-last, `(height, width, channels)`. Each upsampling step runs, with the convolutions behind it, as a
chain of generators over strips of rows, so that only the step's input and its result exist in full. DySample gathers
and weights four rows of a table (`embedding_bag`), and wide float32 convolutions use Winograd's algorithm.
"""

import weakref
from collections.abc import Iterator, Sequence

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_weights
from torch.utils._python_dispatch import is_traceable_wrapper_subclass

from .winograd_anydepth import WinogradConv, has_exact_matmul, is_worthwhile

# Values of a strip, few enough for the caches.
STRIP_VALUES = 2**20


class PointwiseConv:
    """1x1 convolution of rows `(rows, width, in_channels)`."""

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor, relu: bool):
        self.weight, self.bias, self.relu = weight.flatten(1), bias, relu

    def __call__(self, rows: torch.Tensor) -> torch.Tensor:
        result = F.linear(rows, self.weight, self.bias)
        return result.relu_() if self.relu else result


class Conv:
    """3x3 convolution of a window, that is rows with one row and column more on each side: two fewer come out.

    A batch norm that is not folded is given as float32 `(mean, variance, weight, bias)` and its epsilon.
    """

    tile = 1

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor, relu: bool, norm: tuple = (), eps: float = 0.0):
        self.weight, self.bias, self.relu = weight.contiguous(memory_format=torch.channels_last), bias, relu
        self.norm, self.eps = norm, eps

    def __call__(self, window: torch.Tensor) -> torch.Tensor:
        result = F.conv2d(window.permute(2, 0, 1)[None], self.weight, self.bias)
        if self.norm:
            result = F.batch_norm(result, *self.norm, eps=self.eps)
        return (result.relu_() if self.relu else result)[0].permute(1, 2, 0)


class Sampler:
    """DySample: strips of rows of the upsampled map. Coordinates are float32 whatever the dtype of the features."""

    def __init__(self, dysample: nn.Module):
        self.groups, self.has_scope = dysample.groups, dysample.scope is not None
        layers = [dysample.offset, dysample.scope] if self.has_scope else [dysample.offset]
        self.weight = torch.cat([self.positions_last(layer.weight.flatten(1)) for layer in layers]).float().T
        self.bias = self.positions_last(dysample.offset.bias).float()
        self.init_pos = self.positions_last(dysample.init_pos.flatten()).float()
        self.weight = self.weight.contiguous()

    def positions_last(self, values: torch.Tensor) -> torch.Tensor:
        """Reorders (x or y, group, sub-row, sub-column) to (x or y, sub-row, sub-column, group)."""
        return values.reshape(2, self.groups, 4, -1).transpose(1, 2).reshape(values.shape)

    def positions(self, features: torch.Tensor, start: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Sampling positions x and y, in pixels, for `features` `(rows, width, channels)`, rows from `start` on.

        Each is `(rows, 2, width, 2, groups)`: row, sub-row, column, sub-column and group.
        """
        rows, width, channels = features.shape
        offset = features.reshape(-1, channels).float() @ self.weight
        count = len(self.bias)
        scale = offset[:, count:].sigmoid().mul_(0.5) if self.has_scope else 0.25
        offset = (offset[:, :count] + self.bias).mul_(scale).add_(self.init_pos)
        x, y = offset.view(rows, width, 2, 2, 2, -1).permute(2, 0, 3, 1, 4, 5)
        columns = torch.arange(width)[:, None, None]
        lines = torch.arange(start, start + rows)[:, None, None, None, None]
        return x + columns, y + lines

    def __call__(self, features: torch.Tensor, start: int, stop: int) -> torch.Tensor:
        """Rows `2 * start` to `2 * stop` of the map `(2 * height, 2 * width, channels)` sampled from `features`."""
        _, width, channels = features.shape
        x, y = self.positions(features[start:stop], start)
        return sample(features, x, y).view(2 * (stop - start), 2 * width, channels)


def sample(image: torch.Tensor, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """
    Bilinear samples of an image `(height, width, channels)`, borders repeated.

    Args:
        x, y: positions in pixels `(..., groups)`, of each group of channels.

    Returns:
        `(positions, channels // groups)`, in the order of the positions.
    """
    height, width, channels = image.shape
    groups = x.shape[-1]
    left, x = split_position(x, width)
    top, y = split_position(y, height)
    # `image` as a table: groups of pixels of rows; a neighbour that does not exist has weight 0
    corner = (top * width + left) * groups + torch.arange(groups, dtype=torch.int32)
    right, below = groups * (width > 1), groups * width * (height > 1)
    indices = torch.stack((corner, corner + right, corner + below, corner + (right + below)), dim=-1)
    weights = torch.stack(((1 - x) * (1 - y), x * (1 - y), (1 - x) * y, x * y), dim=-1)
    table = image.reshape(-1, channels // groups)
    weights = weights.view(-1, 4).to(image.dtype)
    return F.embedding_bag(indices.view(-1, 4), table, per_sample_weights=weights, mode="sum")


def split_position(position: torch.Tensor, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Positions moved into an axis of `size` pixels: the pixel before each, int32, and the fraction beyond it."""
    position = position.clamp(0, size - 1)
    # the integers are clamped as well, because a position may be NaN
    pixel = position.detach().int().clamp_(0, max(size - 2, 0))
    return pixel, position - pixel


def convolve_rows(strips: Iterator[torch.Tensor], conv: Conv | WinogradConv, height: int) -> Iterator[torch.Tensor]:
    """Convolves a map given as strips `(rows, width, channels)` of its `height` rows, with zeros around the map.

    A strip of the result ends one row before the strip it is computed from; the last ends with the map.
    """
    carried, received = None, 0
    for strip in strips:
        received += len(strip)
        _, width, channels = strip.shape
        above = 1 if carried is None else 2
        rows = above + len(strip) - 2 + (received == height)
        window = strip.new_empty(*(-(-side // conv.tile) * conv.tile + 2 for side in (rows, width)), channels)
        window[:above] = 0 if carried is None else carried
        window[above : above + len(strip), 1 : width + 1] = strip
        window[above : above + len(strip), 0] = 0
        window[above : above + len(strip), width + 1 :] = 0
        window[above + len(strip) :] = 0
        carried = window[rows : rows + 2].clone()
        yield conv(window)[:rows, :width]


class Stage:
    """A DySample and the convolutions behind it, up to the next DySample, with batch norm folded into them."""

    def __init__(self, layers: Sequence[nn.Module], dtype: torch.dtype):
        self.sampler = Sampler(layers[0])
        self.convs = []
        for index, layer in enumerate(layers):
            if isinstance(layer, nn.Conv2d):
                following = [*layers[index + 1 :], None]
                norm = following.pop(0) if isinstance(following[0], nn.BatchNorm2d) else None
                self.convs.append(prepare_conv(layer, norm, isinstance(following[0], nn.ReLU), dtype))
        self.out_channels = len(self.convs[-1].bias)
        self.max_channels = max(layer.in_channels for layer in layers if isinstance(layer, nn.Conv2d))

    def __call__(self, features: torch.Tensor, result: torch.Tensor):
        """Fills `result` `(2 * height, 2 * width, out_channels)` from `features` `(height, width, channels)`."""
        height, width, _ = features.shape
        rows = max(4, STRIP_VALUES // (4 * width * self.max_channels) // 2 * 2)  # strips of whole 4x4 tiles
        strips = (self.sampler(features, row, min(row + rows, height)) for row in range(0, height, rows))
        for conv in self.convs:
            strips = map(conv, strips) if isinstance(conv, PointwiseConv) else convolve_rows(strips, conv, 2 * height)
        start = 0
        for strip in strips:
            result[start : start + len(strip)] = strip
            start += len(strip)


def prepare_conv(conv: nn.Conv2d, norm: nn.BatchNorm2d | None, relu: bool, dtype: torch.dtype):
    """Folds batch norm and ReLU into a convolution for the inference path; picks its algorithm."""
    weight = conv.weight.float()
    bias = weight.new_zeros(len(weight)) if conv.bias is None else conv.bias.float()
    if norm is not None:
        statistics = (norm.running_mean, norm.running_var, norm.weight, norm.bias)
        if dtype != torch.float32:
            # folding would round every weight a second time
            statistics = tuple(None if value is None else value.float() for value in statistics)
            return Conv(weight.to(dtype), bias.to(dtype), relu, statistics, norm.eps)
        weight, bias = fuse_conv_bn_weights(weight, bias, *statistics[:2], norm.eps, *statistics[2:])
    if conv.kernel_size == (1, 1):
        return PointwiseConv(weight.to(dtype), bias.to(dtype), relu)
    if is_worthwhile(weight, dtype):
        return WinogradConv(weight, bias, relu)
    return Conv(weight.to(dtype), bias.to(dtype), relu)


def has_fast_bfloat16() -> bool:
    """Whether this CPU multiplies bfloat16 in hardware (AVX512-BF16 or AMX)."""
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


# The stages of each head in a precision, beside the heads and not in them: copies, pickles and the `state_dict` of a
# head are as without.
prepared: weakref.WeakKeyDictionary[nn.Module, tuple] = weakref.WeakKeyDictionary()


def fingerprint(head: nn.Module) -> list:
    """Identifies the current weights of a head, so that prepared ones are made anew after a change."""
    layers = [layer for stage in head.stages() for layer in stage]
    tensors = [tensor for layer in layers for tensor in (*layer.parameters(), *layer.buffers())]
    # the sums catch what versions do not count: writes through `.data`, and new tensors at an old address
    sums = torch.stack([tensor.sum(dtype=torch.float32) for tensor in tensors]).tolist()
    return [(id(t), t.data_ptr(), 0 if t.is_inference() else t._version, s) for t, s in zip(tensors, sums)]


def prepare_stages(head: nn.Module, dtype: torch.dtype) -> list[Stage]:
    """Stages of a head in a precision, prepared at the first call and after a change of its weights."""
    key = (dtype, has_exact_matmul(), fingerprint(head))
    entry = prepared.get(head)
    if entry is None or entry[0] != key:
        entry = prepared[head] = key, [Stage(layers, dtype) for layers in head.stages()]
    return entry[1]


def is_untouched(module: nn.Module) -> bool:
    """Whether a call of `module` runs its class's `forward` on plain weights and nobody looks on.

    Hooks look on, and so does offloading, which brings the weights; quantisation and parametrisation change them.
    """
    observers = (module._forward_hooks, module._forward_pre_hooks, module._backward_hooks, module._backward_pre_hooks)
    return (
        not any(observers)
        and not nn.modules.module._has_any_global_hook()
        and "forward" not in vars(module)
        and not hasattr(module, "parametrizations")
        and not any(is_traceable_wrapper_subclass(parameter) for parameter in module._parameters.values())
    )


def is_plain(head: nn.Module, training: bool = False) -> bool:
    """Whether the layers are those that the head was built with, none replaced, wrapped or hooked.

    With `training` batch norm must use the statistics of the batch, else those that it keeps.
    """
    blocks = (head.upsample_1, head.refinement_1, head.upsample_2, head.refinement_2, head.output_conv)
    if not all(is_untouched(module) for block in blocks for module in block.modules()):
        return False
    for dysample, *layers in head.stages():
        if type(dysample).__module__ != type(head).__module__:
            return False
        layers += [layer for layer in (dysample.offset, dysample.scope) if layer is not None]
        for layer in layers:
            if isinstance(layer, nn.Conv2d):
                if type(layer).forward is not nn.Conv2d.forward or not has_plain_geometry(layer):
                    return False
            elif type(layer) is nn.BatchNorm2d:
                if layer.training != training or layer.running_mean is None or layer.momentum is None:
                    return False
                if not layer.affine:
                    return False
            elif type(layer) is not nn.ReLU:
                return False
    return True


def has_plain_geometry(conv: nn.Conv2d) -> bool:
    """Whether a convolution is 1x1 or 3x3 with stride 1 and full padding, as the inference path computes it."""
    size = conv.kernel_size[0]
    geometry = (conv.kernel_size, conv.padding, conv.stride, conv.dilation, conv.groups, conv.padding_mode)
    return size in (1, 3) and geometry == ((size, size), (size // 2, size // 2), (1, 1), (1, 1), 1, "zeros")


def is_unobserved(features: torch.Tensor) -> bool:
    """Whether a map is for the paths on CPU: there, not empty, and nobody traces or counts what is done with it."""
    return (
        not (torch.compiler.is_compiling() or torch.jit.is_tracing())
        and features.device.type == "cpu"
        and features.numel() > 0
        # subclasses, vmap, and modes such as FlopCounterMode and fake tensors
        and type(features) is torch.Tensor
        and not torch._C._functorch.is_functorch_wrapped_tensor(features)
        and torch._C._len_torch_dispatch_stack() == 0
    )


def can_infer(head: nn.Module, features: torch.Tensor) -> bool:
    """Whether `infer` applies: on CPU, without gradients, and nobody traces, counts or changes what the layers do."""
    return (
        is_unobserved(features)
        and not (torch.is_grad_enabled() or head.training)
        and features.dtype in (torch.float32, torch.bfloat16, torch.float16)
        and is_plain(head)
    )


def infer(head: nn.Module, features: torch.Tensor) -> torch.Tensor:
    """What `head` makes of its fused features `(batch_size, channels, height, width)`, without gradients.

    Weights and maps are float32, or bfloat16 where that was asked for and the CPU multiplies it; the result
    `(batch_size, n_output_channels, scale * height, scale * width)` has the dtype that the layers would give.
    """
    result_dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else features.dtype
    dtype = torch.bfloat16 if result_dtype == torch.bfloat16 and has_fast_bfloat16() else torch.float32
    with torch.autocast("cpu", enabled=False):
        stages = prepare_stages(head, dtype)
        height, width = (side * 2 ** len(stages) for side in features.shape[-2:])
        result = features.new_empty(len(features), stages[-1].out_channels, height, width, dtype=result_dtype)
        for image, prediction in zip(features.permute(0, 2, 3, 1), result.permute(0, 2, 3, 1)):
            image = image.to(dtype).contiguous()
            for stage in stages[:-1]:
                upsampled = image.new_empty(2 * image.shape[0], 2 * image.shape[1], stage.out_channels)
                stage(image, upsampled)
                image = upsampled
            stages[-1](image, prediction)
    return result
