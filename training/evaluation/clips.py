"""A clip measured with one fit for all its frames, as video protocols do."""

import torch

from anydepth_hf.alignment_spaces import as_tensor, resize_map
from anydepth_hf.metrics import mean_metrics
from training.evaluation.comparison import Comparison
from training.evaluation.fitting import apply_fit, fit_signals, signal_of
from training.evaluation.measures import measure
from training.evaluation.protocol import Protocol
from training.evaluation.temporal import temporal_error


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
    signals, usable, depths, masks = [], [], [], []
    for prediction, depth, valid in frames:
        prediction = as_tensor(prediction)
        depth, valid = as_tensor(depth).to(prediction.device), torch.as_tensor(valid, device=prediction.device)
        if prediction.shape != depth.shape:
            prediction = resize_map(prediction, depth.shape)
        if not bool(prediction[valid].isfinite().all()):
            raise ValueError("the prediction is NaN or infinite at valid pixels")
        signal, use = signal_of(prediction.double(), predicts, protocol.fit)
        signals.append(signal)
        usable.append(use)
        depths.append(depth.double())
        masks.append(valid)
    stacked = [torch.stack(values) for values in (signals, depths, masks, usable)]
    signal, depth, mask, use = stacked
    if not mask.any():
        return None
    line = fit_signals(protocol, signal, depth, mask & use)
    names = tuple(name for name in protocol.metrics if name != "temporal_error")
    errors, disparities = [], []
    for k in range(len(frames)):
        fitted = apply_fit(protocol, comparison, line, signal[k], usable=use[k], depth=depth[k], valid=mask[k])
        disparities.append(1 / fitted.predicted)
        errors.append(measure(names, fitted.predicted, fitted.target, fitted.valid, protocol.epsilon))
    metrics = mean_metrics(errors)
    if metrics is None or "temporal_error" not in protocol.metrics:
        return metrics
    change = temporal_error(torch.stack(disparities), torch.where(mask, 1 / depth, 0), mask)
    return None if change is None else metrics | {"temporal_error": change}
