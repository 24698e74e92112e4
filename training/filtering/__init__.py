"""The paper's quality filter, behind `training.filter`."""

from training.filtering.scores import depth_distribution_score, gradient_continuity_score

__all__ = ["depth_distribution_score", "gradient_continuity_score"]
