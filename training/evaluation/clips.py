"""A clip measured with one fit for all its frames, as video protocols do."""

import itertools

import torch

from anydepth_hf.alignment_spaces import as_tensor, resize_map
from anydepth_hf.metrics import mean_metrics
from training.evaluation.comparison import Comparison
from training.evaluation.fitting import Fitted, apply_fit, fit_points, signal_of
from training.evaluation.measures import measure
from training.evaluation.protocol import Protocol

STILL = 0.05  # of a frame's range of disparity; larger true changes are motion or occlusion and do not count


def measure_clip(protocol: Protocol, comparison: Comparison, predicts: str, frames: list[tuple]) -> dict | None:
    """
    The protocol's errors of one clip, each the mean over its frames.

    Args:
        frames: (prediction, depth, valid) of each, in order; predictions of any size, depth and valid of one.

    Returns:
        The errors; `None` without valid pixels, or where `temporal_error` is asked for and no two frames can be
        compared.

    Raises:
        ValueError: a prediction that is not finite where it is compared.
    """
    parts = []
    for prediction, depth, valid in frames:
        prediction = as_tensor(prediction)
        depth, valid = as_tensor(depth).to(prediction.device), torch.as_tensor(valid, device=prediction.device)
        if prediction.shape != depth.shape:
            prediction = resize_map(prediction, depth.shape)
        if not bool(prediction[valid].isfinite().all()):
            raise ValueError("the prediction is NaN or infinite at valid pixels")
        parts.append((*signal_of(prediction.double(), predicts, protocol.fit), depth.double(), valid))
    points = [(signal[use & valid], depth[use & valid]) for signal, use, depth, valid in parts]
    line = fit_points(protocol.fit, *map(torch.cat, zip(*points)))
    names = tuple(name for name in protocol.metrics if name != "temporal_error")
    fits = [apply_fit(protocol, comparison, line, *part) for part in parts]
    metrics = mean_metrics(measure(names, fit.predicted, fit.target, fit.valid, protocol.epsilon) for fit in fits)
    if metrics is None or "temporal_error" not in protocol.metrics:
        return metrics
    change = temporal_error(fits)
    return None if change is None else metrics | {"temporal_error": change}


def temporal_error(frames: list[Fitted]) -> float | None:
    """Mean absolute difference between the changes of predicted and true disparity from one frame to the next.

    The temporal gradient matching of DepthAnything/Video-Depth-Anything (`loss/loss.py`), one scale, nothing trimmed:
    the mean over pairs of frames of the mean over the pixels that count. A pixel counts where it is valid in both
    frames and the truth changes by less than `STILL` of the later frame's range.

    Returns:
        In the unit of disparity; `None` with fewer than two frames or no pixel that counts.
    """
    errors = []
    for before, now in itertools.pairwise(frames):
        true_change = 1 / now.target - 1 / before.target
        known = 1 / now.target[now.valid]
        if len(known):
            counts = now.valid & before.valid & (true_change.abs() < STILL * (known.max() - known.min()))
            if counts.any():
                change = 1 / now.predicted - 1 / before.predicted
                errors.append((change - true_change)[counts].abs().mean(dtype=torch.float64))
    return float(torch.stack(errors).mean()) if errors else None
