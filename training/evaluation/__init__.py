"""Evaluation behind `training.evaluate`; the metrics themselves are `anydepth_hf.metrics`."""

from anydepth_hf.alignment_marigold import ALIGNMENTS, align, fit_scale_and_shift
from anydepth_hf.metrics import METRICS, evaluate_depth, mean_metrics

__all__ = ["ALIGNMENTS", "METRICS", "align", "evaluate_depth", "fit_scale_and_shift", "mean_metrics"]
