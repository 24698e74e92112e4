"""Chooses what the paper leaves open in its filter by agreement with published keep lists.

The authors publish, for Virtual KITTI 2, the list of the samples they kept (AIGeeksGroup/AnyDepth,
`datasets/vkitti/train.txt`, 12,643 lines), and these are a part of the 19,559 of Depth Anything V2's list
(DepthAnything/Depth-Anything-V2, `metric_depth/dataset/splits/vkitti2/train.txt`). So there are labels, keep or drop,
for each of 19,559 depth maps, and the open choices can be tried against them.
"""

import itertools
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from training.data.decoding import DataError
from training.data.folders import FOLDER_STRUCTURES, read_list
from training.data.sources import PairDataset
from training.filtering.score_files import ScoringItems, score_rows
from training.filtering.scores import (
    ScoreOptions,
    SelectionRule,
    depth_distribution_score,
    gradient_continuity_score,
    select,
)

FAR_PLANES = (None, 80.0, 100.0)
PERCENTILES = ((0.0, 100.0), (1.0, 99.0))
OPERATORS = ("forward", "central")
EDGE_FRACTIONS = (0.1, 0.0)
CRITERIA = ("each", "total")


@dataclass(frozen=True)
class Choice:
    """One way to fill in what the paper leaves open.

    Attributes:
        far_plane: depths beyond it do not count; `None`: all but the sky do.
    """

    far_plane: float | None = 100.0
    options: ScoreOptions = ScoreOptions()
    rule: SelectionRule = SelectionRule()

    def describe(self) -> str:
        """In the words of the command line."""
        low, high = self.options.percentiles
        return (
            f"far_plane={'null' if self.far_plane is None else f'{self.far_plane:g}'} --percentiles {low:g} {high:g} "
            f"--operator {self.options.operator} --edge-fraction {self.options.edge_fraction:g} "
            f"--criterion {self.rule.criterion}"
        )


@dataclass(frozen=True)
class Agreement:
    """How well a selection meets the labels.

    Attributes:
        choice: what was selected by, in words.
        iou: samples kept by both, as a share of those kept by either.
        equal: share of samples with the same decision.
        kept: share kept by the choice.
    """

    choice: str
    iou: float
    equal: float
    kept: float


def choices() -> list[Choice]:
    """All combinations that are tried."""
    grid = itertools.product(FAR_PLANES, PERCENTILES, OPERATORS, EDGE_FRACTIONS, CRITERIA)
    return [
        Choice(
            far_plane,
            ScoreOptions(percentiles=percentiles, operator=operator, edge_fraction=edges),
            SelectionRule(criterion=criterion),
        )
        for far_plane, percentiles, operator, edges, criterion in grid
    ]


def score_all(depth: np.ndarray, valid: np.ndarray) -> dict[tuple, float]:
    """Every score that any choice needs, of one depth map: it is read once.

    Returns:
        By ("valid", far plane), ("distribution", far plane, percentiles) and ("gradient", far plane, operator, edge
        fraction).
    """
    scores = {}
    for far_plane in FAR_PLANES:
        counts = valid if far_plane is None else valid & (depth <= far_plane)
        scores["valid", far_plane] = float(np.count_nonzero(counts) / counts.size)
        for percentiles in PERCENTILES:
            scores["distribution", far_plane, percentiles] = depth_distribution_score(depth, counts, 20, percentiles)
        for operator, edges in itertools.product(OPERATORS, EDGE_FRACTIONS):
            scores["gradient", far_plane, operator, edges] = gradient_continuity_score(depth, counts, operator, edges)
    return scores


def keep_labels(dataset: PairDataset, kept_list: str) -> np.ndarray:
    """Which samples of a data set a list keeps, bool (N,), whatever folder the list was made in.

    Paths are compared by as many of their last parts as the data set's official layout has.

    Raises:
        DataError: the list has samples that the data set lacks, keeps all, or names one that may be several.
    """
    structures = FOLDER_STRUCTURES.get(dataset.name)
    parts = structures[0].patterns[0].count("/") + 1 if structures else 2
    kept = {_end(rgb, parts) for rgb, _ in read_list(kept_list)}
    names = [_end(dataset.paths(index)[0], parts) for index in range(len(dataset))]
    labels = np.array([name in kept for name in names])
    if missing := sorted(kept - set(names)):
        raise DataError(
            f"{kept_list}: {len(missing)} of its {len(kept)} samples are not in the data set, first {missing[0]}; "
            "give the data set that the list was chosen from."
        )
    if labels.sum() > len(kept):
        several = next(name for name, count in Counter(names).items() if count > 1 and name in kept)
        raise DataError(
            f"{kept_list}: {several} is the end of several samples' paths, so it does not say which is kept."
        )
    if labels.all():
        raise DataError(f"{kept_list}: it keeps all {len(labels)} samples, so there is nothing to agree with.")
    return labels


def _end(path: str, parts: int) -> str:
    return "/".join(path.replace("\\", "/").split("/")[-parts:])


def calibrate(scores: list[dict[tuple, float]], labels: np.ndarray, tried: Iterable[Choice]) -> list[Agreement]:
    """Agreement of each choice, by `score_all` of each sample, with the labels, bool (N,); the best first."""
    found = [agreement(choice.describe(), keep_by(choice, scores), labels) for choice in tried]
    return sorted(found, key=lambda one: -one.iou)


def keep_by(choice: Choice, scores: list[dict[tuple, float]]) -> np.ndarray:
    """Which samples a choice keeps, bool (N,), by `score_all` of each."""
    far_plane, options = choice.far_plane, choice.options
    keys = {
        "valid_fraction": ("valid", far_plane),
        "distribution": ("distribution", far_plane, options.percentiles),
        "gradient": ("gradient", far_plane, options.operator, options.edge_fraction),
    }
    columns = {name: np.array([entry[key] for entry in scores]) for name, key in keys.items()}
    return select(columns, choice.rule)[0]


def score_dataset(dataset: PairDataset, num_workers: int = 0) -> list[dict[tuple, float]]:
    """`score_all` of each sample, in order; the data set must not cut at a far plane itself.

    Raises:
        DataError: a depth file cannot be read.
    """
    rows = score_rows(ScoringItems(dataset, score_all), range(len(dataset)), num_workers)
    return list(tqdm(rows, total=len(dataset), unit="image", desc=dataset.name))


def agreement(choice: str, keep: np.ndarray, labels: np.ndarray) -> Agreement:
    """How well one selection meets the labels, both bool (N,)."""
    both, either = int((keep & labels).sum()), int((keep | labels).sum())
    return Agreement(choice, both / max(either, 1), float((keep == labels).mean()), float(keep.mean()))


def random_agreement(labels: np.ndarray) -> Agreement:
    """What as many samples, drawn at random, agree with the labels on average."""
    share = float(labels.mean())
    both = share * share
    return Agreement("as many at random", both / (2 * share - both), share**2 + (1 - share) ** 2, share)


def rival(name: str, scores: np.ndarray, labels: np.ndarray) -> Agreement:
    """Agreement of another score: as many samples as the labels have are kept, the highest first, NaN last."""
    order = np.argsort(-np.nan_to_num(scores, nan=-np.inf), kind="stable")
    keep = np.zeros(len(labels), bool)
    keep[order[: int(labels.sum())]] = True
    return agreement(name, keep, labels)
