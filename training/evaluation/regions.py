"""Where errors sit: by true depth, and at edges, beside missing ground truth, or on the rest."""

from itertools import pairwise

import torch
import torch.nn.functional as F

JUMP = 1.1  # neighbours whose depths differ by this factor make an edge
REACH = 3  # pixels from an edge
BORDER = 8  # pixels from where there is no ground truth: from the sky, where only the sky has none
RANGES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
RANGE_NAMES = [*(f"{low:g} to {high:g}" for low, high in pairwise((0, *RANGES))), f"over {RANGES[-1]:g}"]

REGIONS = {
    "edges": f"within {REACH} pixels of a jump of depth by {JUMP - 1:.0%}",
    "border": f"within {BORDER} pixels of where there is no ground truth (the sky, in rendered pictures)",
    "flat": "everywhere else",
}


def region_masks(depth: torch.Tensor, valid: torch.Tensor, present: torch.Tensor) -> dict[str, torch.Tensor]:
    """The three `REGIONS`, bool (H, W), which share no pixel and are together the valid ones.

    Args:
        depth: (H, W), positive where valid.
        valid: bool (H, W), the pixels that are compared.
        present: bool (H, W), where there is ground truth, compared or not.
    """
    edges = torch.zeros_like(valid)
    for axis, size in enumerate(depth.shape):
        first, second = (depth.narrow(axis, start, size - 1) for start in (0, 1))
        both = present.narrow(axis, 0, size - 1) & present.narrow(axis, 1, size - 1)
        jump = both & ((first > JUMP * second) | (second > JUMP * first))
        for start in (0, 1):
            edges.narrow(axis, start, size - 1).logical_or_(jump)
    edges = _widen(edges, REACH) & valid
    border = _widen(~present, BORDER) & valid & ~edges
    return {"edges": edges, "border": border, "flat": valid & ~edges & ~border}


def errors_by_region(predicted, depth, valid, present) -> dict[str, dict[str, list[float]]]:
    """Mean relative error of depth and number of pixels, for each region and each range that has any.

    Args:
        predicted, depth: (H, W) aligned and true depth.
        valid, present: as in `region_masks`.

    Returns:
        `{"regions": {name: [mean, pixels]}, "ranges": {name: [mean, pixels]}}`.
    """
    error = (predicted - depth).abs() / depth
    part = torch.bucketize(depth.float(), torch.tensor(RANGES, device=depth.device), right=True)
    masks = {
        "regions": region_masks(depth, valid, present),
        "ranges": {name: valid & (part == index) for index, name in enumerate(RANGE_NAMES)},
    }
    return {
        kind: {
            name: [float(error[mask].mean(dtype=torch.float64)), int(mask.sum())]
            for name, mask in named.items()
            if mask.any()
        }
        for kind, named in masks.items()
    }


def mean_by_region(records: list[dict]) -> dict[str, dict[str, dict]]:
    """Over images of equal weight: mean error of each part, its share of all pixels, and how many images have it."""
    result: dict[str, dict[str, dict]] = {}
    for kind, names in (("regions", REGIONS), ("ranges", RANGE_NAMES)):
        entries = [record[kind] for record in records if kind in record]
        total = sum(pixels for entry in entries for _, pixels in entry.values())
        result[kind] = {}
        for name in names:
            if found := [entry[name] for entry in entries if name in entry]:
                means, pixels = zip(*found)
                result[kind][name] = {
                    "abs_rel": sum(means) / len(found),
                    "pixels": sum(pixels) / total,
                    "images": len(found),
                }
    return result


def _widen(mask: torch.Tensor, reach: int) -> torch.Tensor:
    """Pixels at most `reach` from the mask's, along rows and columns."""
    return F.max_pool2d(mask[None, None].float(), 2 * reach + 1, stride=1, padding=reach)[0, 0] > 0
