"""Several data sets as one: one after the other (as the paper does), or drawn by weights."""

from collections.abc import Sequence

import numpy as np
from torch.utils.data import ConcatDataset

from training.data.decoding import DataError


class Mixture(ConcatDataset):
    """Concatenation of map-style data sets; with weights, an epoch draws each in proportion.

    Args:
        datasets: the data sets.
        weights: their shares of an epoch, normalised here; `None` takes every sample once.
        epoch_size: samples of an epoch with weights; default the number of all samples.
    """

    def __init__(
        self, datasets: Sequence, weights: Sequence[float] | None = None, epoch_size: int | None = None
    ) -> None:
        if weights is not None and (len(weights) != len(datasets) or min(weights) < 0 or sum(weights) <= 0):
            raise DataError(f"Weights must be one number >= 0 for each of {len(datasets)} data sets, got {weights}.")
        super().__init__(datasets)
        self._counts = None
        if weights is not None:
            self._counts = _apportion(np.asarray(weights, dtype=np.float64), epoch_size or len(self))

    def epoch_order(self, seed: int, epoch: int) -> np.ndarray:
        """Indices of a shuffled epoch, a function of (seed, epoch) alone.

        With weights, each data set is walked through in shuffled passes that go on from epoch to epoch, so that none
        of its samples comes again before all have come.
        """
        if self._counts is None:
            order = np.arange(len(self))
        else:
            parts = []
            for which, (dataset, end, count) in enumerate(zip(self.datasets, self.cumulative_sizes, self._counts)):
                parts.append(end - len(dataset) + _draw(len(dataset), epoch * count, count, (seed, which)))
            order = np.concatenate(parts)
        return order[np.random.default_rng([seed, epoch]).permutation(len(order))]


def _apportion(weights: np.ndarray, total: int) -> list[int]:
    """Whole numbers in proportion to the weights that sum to `total` (largest remainders)."""
    shares = weights / weights.sum() * total
    counts = np.floor(shares).astype(int)
    counts[np.argsort(counts - shares, kind="stable")[: total - counts.sum()]] += 1
    return counts.tolist()


def _draw(size: int, start: int, count: int, key: tuple[int, int]) -> np.ndarray:
    """Entries `start` to `start + count` of the endless row of permutations of `size` numbers."""
    passes = range(start // size, (start + count - 1) // size + 1)
    row = [np.random.default_rng([*key, number]).permutation(size) for number in passes]
    offset = start - passes.start * size
    return np.concatenate(row)[offset : offset + count] if count else np.empty(0, dtype=np.int64)
