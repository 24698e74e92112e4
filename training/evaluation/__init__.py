"""Evaluation behind `training.evaluate`; the metrics themselves are `anydepth_hf.metrics`."""

from anydepth_hf.metrics import evaluate_depth

__all__ = ["evaluate_depth"]
