"""How sure a mean over images is: bootstrap intervals, and models compared image by image."""

import math

import numpy as np

LEVEL = 0.95  # share of the intervals that hold the true mean
FEWEST = 5  # images of which an interval says anything


def bootstrap_interval(values, resamples: int = 2000, seed: int = 0) -> list[float] | None:
    """
    The interval of the mean over images, from resampling the images with replacement.

    Bootstrap-t (Efron and Tibshirani 1993, chapter 12): each resample's deviation from the mean is measured in its own
    standard errors, so that few or skewed images widen the interval as they should. It says how the mean would vary
    with other images of the same kind, not how it would on another set.

    Args:
        values: one number per image.
        resamples, seed: equal input, equal result.

    Returns:
        [low, high]; `None` with fewer than `FEWEST` images.
    """
    values = np.asarray(values, np.float64)
    count = len(values)
    if count < FEWEST:
        return None
    mean, error = values.mean(), values.std(ddof=1) / math.sqrt(count)
    if not error > 0:
        return [float(mean), float(mean)]
    samples = values[np.random.default_rng(seed).integers(count, size=(resamples, count))]
    errors = samples.std(axis=1, ddof=1) / math.sqrt(count)
    usable = errors > 1e-12 * error  # a resample of one image again and again has no spread
    statistic = (samples.mean(axis=1)[usable] - mean) / errors[usable]
    low, high = np.quantile(statistic, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], method="weibull")
    return [float(mean - high * error), float(mean - low * error)]


def intervals(metrics: list[dict[str, float] | None]) -> dict[str, list[float] | None] | None:
    """`bootstrap_interval` of each metric over the images that have metrics; `None` if none has."""
    metrics = [entry for entry in metrics if entry is not None]
    if not metrics:
        return None
    return {name: bootstrap_interval([entry[name] for entry in metrics]) for name in metrics[0]}


def compare(first: dict[str, float], second: dict[str, float], higher_is_better: bool = False) -> dict:
    """
    Two models on the same images.

    Args:
        first, second: a metric of each image, by the image's name.
        higher_is_better: which of two numbers wins.

    Returns:
        `images` (those of both), `difference` (mean of first minus second), its `interval`, and how many images
        either model `wins`, a pair; ties win for neither.
    """
    names = sorted(first.keys() & second.keys())
    differences = np.array([first[name] - second[name] for name in names])
    sign = 1 if higher_is_better else -1
    return {
        "images": len(names),
        "difference": float(differences.mean()) if names else None,
        "interval": bootstrap_interval(differences),
        "wins": [int((sign * differences > 0).sum()), int((sign * differences < 0).sum())],
    }
