"""The paper's quality filter, behind `training.filter`."""

from training.filtering.scores import (
    ScoreOptions,
    SelectionRule,
    depth_distribution_score,
    gradient_continuity_score,
    score_depth,
    select,
)

__all__ = [
    "ScoreOptions",
    "SelectionRule",
    "depth_distribution_score",
    "gradient_continuity_score",
    "score_depth",
    "select",
]
