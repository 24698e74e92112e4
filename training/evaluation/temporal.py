"""Temporal consistency: does the prediction change from image to image as the ground truth does?"""

import torch

STILL = 0.05  # of a frame's range of disparity; larger true changes are motion or occlusion and do not count


def temporal_error(predicted: torch.Tensor, target: torch.Tensor, valid: torch.Tensor) -> float | None:
    """Mean absolute difference between the changes of two videos of disparity from one frame to the next.

    The temporal gradient matching of DepthAnything/Video-Depth-Anything (`loss/loss.py`), one scale, nothing trimmed:
    the mean over pairs of frames of the mean over the pixels that count.

    Args:
        predicted: (T, H, W) aligned disparity.
        target: (T, H, W) true disparity.
        valid: bool (T, H, W). A pixel counts where it is valid in both frames and the truth changes by less than
            `STILL` of the later frame's range.

    Returns:
        In the unit of disparity; `None` with fewer than two frames or no pixel that counts.
    """
    if len(target) < 2:
        return None
    infinity = torch.full_like(target, torch.inf)
    low = torch.where(valid, target, infinity).flatten(1).min(dim=1).values
    high = torch.where(valid, target, -infinity).flatten(1).max(dim=1).values
    change, true_change = predicted.diff(dim=0), target.diff(dim=0)
    counts = valid[1:] & valid[:-1] & (true_change.abs() < STILL * (high - low)[1:, None, None])
    errors = [
        (change[k] - true_change[k])[counts[k]].abs().mean(dtype=torch.float64)
        for k in range(len(counts))
        if counts[k].any()
    ]
    return float(torch.stack(errors).mean()) if errors else None
