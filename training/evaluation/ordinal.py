"""Ordinal error of depth maps: is the nearer of two pixels predicted as the nearer?"""

import torch

PAIRS = 5000
EQUAL = 1.03
"""Two depths within this factor are called equal."""


def ordinal_error(predicted: torch.Tensor, target: torch.Tensor, pairs: int = PAIRS, seed: int = 0) -> float:
    """Mean difference of the relations -1 (nearer), 0 (equal) and 1 (farther) of random pairs, from 0 to 2.

    The relation is that of compphoto/BoostingMonocularDepth (`evaluation/ord.m`): farther if the ratio exceeds
    `EQUAL`, nearer if it is below its inverse. Pairs of exactly equal true depth do not count, as in its `D3R.m`.

    Args:
        predicted, target: (N,) aligned and true depths.
        pairs: drawn with replacement among the N pixels, the same ones for equal N and seed.

    Returns:
        The error; 0 if no pair counts.
    """
    generator = torch.Generator().manual_seed(seed)
    first, second = torch.randint(len(target), (2, pairs), generator=generator).to(target.device)
    counts = target[first] != target[second]
    first, second = first[counts], second[counts]
    if not len(first):
        return 0.0
    difference = _relation(target[first], target[second]) - _relation(predicted[first], predicted[second])
    return float(difference.abs().double().mean())


def _relation(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    ratio = first.double() / second.double()
    return (ratio > EQUAL).int() - (ratio < 1 / EQUAL).int()
