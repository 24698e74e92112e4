"""Frame after frame of disparity or depth, made to agree with the frames before where nothing has changed.

A model sees each frame for itself, so scale and shift of its maps jump and their details tremble. Here the past is
moved along the estimated motion of the picture, scale and shift of the new map are fitted to it (robustly, over the
pixels that are still the same), and what the two agree on is averaged. How far a map may be changed is bounded:

    scale about the map's median    SCALE_LIMITS
    shift                           SHIFT_LIMIT of the map's range, the 2nd to the 98th percentile
    averaging with the past         SMOOTHING_LIMIT of it, pixel by pixel

Scale and shift also return to 1 and 0 by and by (`RETURN`), so that errors do not add up. A cut starts anew.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from .linear_fit import tukey_irls
from .optical_flow import estimate_flow, inside, resize_flow, warp

SCALE_LIMITS = (0.8, 1.25)
SHIFT_LIMIT = 0.1
SMOOTHING_LIMIT = 0.05
RETURN = 0.005
"""Part of the change of scale and shift that is taken back in each frame."""
SMOOTHING = 0.9
"""Weight of the past where it agrees with the new map."""
MODES = ("off", "causal", "two-pass")

_POINTS = 48  # along the longer side, to which scale and shift are fitted
_LEAST_STATIC = 0.3  # part of the picture; less, and it is a cut
_LEAST_POINTS = 32
_HISTOGRAM_JUMP = 0.5  # part of the pixels whose brightness moves to another of 16 classes


@dataclass
class Step:
    """What was done to a map: `(values - center) * scale + center + shift`, and whether it began a new scene."""

    scale: float = 1.0
    shift: float = 0.0
    cut: bool = True


class Stabilizer:
    """Makes each map agree with those before it."""

    def __init__(self, device: torch.device | str = "cpu"):
        self.device = torch.device(device)
        self.step = Step()
        self._map: torch.Tensor | None = None
        self._guide: torch.Tensor | None = None

    @torch.inference_mode()
    def __call__(self, values, guide) -> torch.Tensor:
        """
        The next map.

        Args:
            values: `(height, width)` float, finite.
            guide: `(guide_height, guide_width)` uint8: the small gray picture of the same frame.

        Returns:
            The stabilised map, float32 of the same shape, on `device`.
        """
        values = torch.as_tensor(values, dtype=torch.float32).to(self.device)
        guide = torch.as_tensor(guide).to(self.device).float() / 255
        past, static = self._past(values, guide)
        if past is None:
            self.step, result = Step(), values
        else:
            result = self._follow(values, past, static)
        self._map, self._guide = result, guide
        return result

    def _past(self, values: torch.Tensor, guide: torch.Tensor):
        """The map before as it would look now, and where it may be trusted, from 0 to 1; None after a cut."""
        if self._map is None or self._guide is None or self._map.shape != values.shape:
            return None, None
        if _histogram_distance(guide, self._guide) > _HISTOGRAM_JUMP:
            return None, None
        flow = estimate_flow(guide, self._guide)
        residual = (warp(self._guide[None], flow)[0] - guide).abs()
        residual = F.avg_pool2d(residual[None], 3, 1, 1)[0]
        # noise differs from camera to camera; what is far beyond it has changed
        tolerance = float((3 * residual.median()).clamp(6 / 255, 16 / 255))
        static = (1 - residual / tolerance).clamp(0, 1) * inside(flow)
        if float((static > 0).float().mean()) < _LEAST_STATIC:
            return None, None
        flow = resize_flow(flow, values.shape)
        static = F.interpolate(static[None, None], size=values.shape, mode="bilinear", align_corners=False)[0, 0]
        return warp(self._map[None], flow, "bicubic")[0], static

    def _follow(self, values: torch.Tensor, past: torch.Tensor, static: torch.Tensor) -> torch.Tensor:
        step = max(1, max(values.shape) // _POINTS)
        grid = (slice(step // 2, None, step),) * 2
        sample, target, weights = (layer[grid].flatten().double().cpu() for layer in (values, past, static))
        low, center, high = torch.quantile(sample, sample.new_tensor([0.02, 0.5, 0.98])).tolist()
        span = high - low
        self.step = self._fit(sample - center, target - center, weights, span)
        aligned = (values - center) * self.step.scale + (center + self.step.shift)
        difference = past - aligned
        limit = SMOOTHING_LIMIT * span
        if limit <= 0:
            return aligned
        # in full up to the limit, then less and less: what differs by twice as much is new
        agreement = (2 - difference.abs() / limit).clamp(0, 1)
        return aligned + SMOOTHING * static.clamp(max=0.5) * 2 * agreement * difference

    def _fit(self, values: torch.Tensor, target: torch.Tensor, weights: torch.Tensor, span: float) -> Step:
        """Scale and shift, bounded, from vectors about the map's median."""
        used = weights > 0
        if int(used.sum()) < _LEAST_POINTS or span <= 0:
            return Step(cut=False)
        values, target, weights = values[used], target[used], weights[used]
        design = torch.stack([values, torch.ones_like(values)], dim=1)
        try:
            scale, _ = tukey_irls(design, target, weights, trials=100).coefficients.tolist()
        except ValueError:  # a constant map
            return Step(cut=False)
        scale = min(max(scale, SCALE_LIMITS[0]), SCALE_LIMITS[1])
        scale = 1 + (1 - RETURN) * (scale - 1)
        residual = target - scale * values
        order = residual.argsort()
        cumulative = weights[order].cumsum(0)
        shift = float(residual[order][int(torch.searchsorted(cumulative, cumulative[-1:] / 2))])
        shift = (1 - RETURN) * min(max(shift, -SHIFT_LIMIT * span), SHIFT_LIMIT * span)
        return Step(scale, shift, cut=False)


def _histogram_distance(a: torch.Tensor, b: torch.Tensor) -> float:
    counts = [torch.histc(image, 16, 0, 1) / image.numel() for image in (a, b)]
    return float((counts[0] - counts[1]).abs().sum() / 2)


def bounds(low: float, high: float) -> tuple[float, float]:
    """What maps with values from `low` to `high` can become."""
    span = high - low
    reach = (SCALE_LIMITS[1] - 1 + SHIFT_LIMIT + SMOOTHING_LIMIT) * span
    return low - reach, high + reach
