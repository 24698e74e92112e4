"""Where each pixel was in the frame before: phase correlation for the camera, then Lucas-Kanade from coarse to fine.

Good for small grayscale frames (a few hundred pixels wide), on any device; the same input gives the same flow.
"""

import torch
import torch.nn.functional as F

LEVELS, ITERATIONS, RADIUS = 4, 3, 4
_NOISE = 2e-4  # square of a gradient that noise makes
_SMALLEST = 16  # pixels along a side of the coarsest level


def estimate_flow(now: torch.Tensor, before: torch.Tensor) -> torch.Tensor:
    """
    Dense motion from one frame back to another.

    Args:
        now, before: `(height, width)` float, brightness from 0 to 1.

    Returns:
        `(2, height, width)`: right and down, in pixels; `before` at `x + flow(x)` looks like `now` at `x`.
    """
    pyramid = [(now[None, None], before[None, None])]
    while len(pyramid) < LEVELS and min(pyramid[-1][0].shape[-2:]) >= 2 * _SMALLEST:
        pyramid.append(tuple(F.avg_pool2d(image, 2) for image in pyramid[-1]))
    coarse = pyramid[-1][0]
    shift = global_shift(now, before)
    scale = shift.new_tensor([coarse.shape[-1] / now.shape[-1], coarse.shape[-2] / now.shape[-2]])
    flow = (shift * scale)[None, :, None, None].expand(1, 2, *coarse.shape[-2:]).clone()
    for image, other in reversed(pyramid):
        if flow.shape[-2:] != image.shape[-2:]:
            flow = resize_flow(flow[0], image.shape[-2:])[None]
        flow = _refine(image, other, flow)
    return flow[0]


def global_shift(now: torch.Tensor, before: torch.Tensor) -> torch.Tensor:
    """(2,): the one shift, right and down in whole pixels, that most of two frames agree on (phase correlation)."""
    height, width = now.shape
    window = torch.hann_window(height, False, device=now.device)[:, None] * torch.hann_window(width, False).to(now)
    spectra = [torch.fft.rfft2((image - image.mean()) * window) for image in (before, now)]
    cross = spectra[0] * spectra[1].conj()
    correlation = torch.fft.irfft2(cross / (cross.abs() + 1e-6 * cross.abs().max() + 1e-12), s=(height, width))
    peak = int(correlation.argmax())
    y, x = divmod(peak, width)
    y, x = y - height * (y > height // 2), x - width * (x > width // 2)
    moved = now.new_tensor([x, y])
    # the peak of two frames without anything in common lies anywhere
    better = _difference(now, before, moved) < _difference(now, before, torch.zeros_like(moved))
    return moved if better else torch.zeros_like(moved)


def _difference(now: torch.Tensor, before: torch.Tensor, shift: torch.Tensor) -> float:
    moved = warp(before[None], shift[:, None, None].expand(2, *now.shape))[0]
    seen = inside(shift[:, None, None].expand(2, *now.shape))
    return float(((moved - now).abs() * seen).sum() / seen.sum().clamp(min=1)) if bool(seen.any()) else 1.0


def warp(image: torch.Tensor, flow: torch.Tensor, mode: str = "bilinear") -> torch.Tensor:
    """`(channels, height, width)` from where `flow` `(2, height, width)` points, beyond the border its last pixel."""
    height, width = flow.shape[-2:]
    x = torch.arange(width, device=flow.device, dtype=flow.dtype) + flow[0]
    y = torch.arange(height, device=flow.device, dtype=flow.dtype)[:, None] + flow[1]
    grid = torch.stack([(2 * x + 1) / width - 1, (2 * y + 1) / height - 1], dim=-1)
    return F.grid_sample(image[None], grid[None], mode=mode, padding_mode="border", align_corners=False)[0]


def inside(flow: torch.Tensor) -> torch.Tensor:
    """Bool `(height, width)`: where `flow` points into the frame."""
    height, width = flow.shape[-2:]
    x = torch.arange(width, device=flow.device) + flow[0]
    y = torch.arange(height, device=flow.device)[:, None] + flow[1]
    return (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)


def resize_flow(flow: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """A flow `(2, height, width)` for frames of another size `(height, width)`."""
    scale = flow.new_tensor([size[1] / flow.shape[-1], size[0] / flow.shape[-2]])
    return F.interpolate(flow[None], size=tuple(size), mode="bilinear", align_corners=False)[0] * scale[:, None, None]


def _refine(image: torch.Tensor, other: torch.Tensor, flow: torch.Tensor) -> torch.Tensor:
    """Lucas-Kanade steps at one level: least squares of the brightness's difference in a window around each pixel."""
    padded = F.pad(image, (1, 1, 1, 1), mode="replicate")
    dx = (padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2]) / 2
    dy = (padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1]) / 2
    xx, xy, yy = _window(torch.cat([dx * dx, dx * dy, dy * dy], dim=1)).split(1, dim=1)
    # how well the window tells the motion: about the smaller eigenvalue, which noise alone does not give
    certainty = ((xx * yy - xy * xy) / (xx + yy + 1e-12) - _NOISE).clamp(min=1e-9)
    xx, yy = xx + _NOISE, yy + _NOISE
    determinant = xx * yy - xy * xy
    total = _window(certainty)
    for _ in range(ITERATIONS):
        error = image - warp(other[0], flow[0])[None]
        x, y = _window(torch.cat([dx, dy], dim=1) * error).split(1, dim=1)
        step = torch.cat([yy * x - xy * y, xx * y - xy * x], dim=1) / determinant
        flow = flow + step.clamp(-1, 1)
        # where nothing tells the motion, it is the neighbours'
        flow = _window(certainty * flow) / total
    return flow


def _window(values: torch.Tensor) -> torch.Tensor:
    """Means over squares around each pixel, as far as they lie in the frame; by sums, which no radius slows down."""
    for axis in (-2, -1):
        length = values.shape[axis]
        place = torch.arange(length, device=values.device)
        first, last = (place - RADIUS).clamp(min=0), (place + RADIUS + 1).clamp(max=length)
        sums = F.pad(values.cumsum(axis, dtype=torch.float64), (1, 0, 0, 0) if axis == -1 else (0, 0, 1, 0))
        count = (last - first) if axis == -1 else (last - first)[:, None]
        values = ((sums.index_select(axis, last) - sums.index_select(axis, first)) / count).to(values)
    return values
