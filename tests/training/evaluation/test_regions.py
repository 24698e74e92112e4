import numpy as np
import pytest
import torch

from training.evaluation.regions import errors_by_region, mean_by_region, region_masks


def scene():
    """A wall at 2 m before one at 10 m, and sky above both."""
    depth = torch.full((60, 80), 10.0, dtype=torch.float64)
    depth[:, 40:] = 2.0
    present = torch.ones(60, 80, dtype=torch.bool)
    present[:20] = False
    return torch.where(present, depth, 0), present


def test_regions_are_the_edge_the_rim_of_the_sky_and_the_rest():
    depth, present = scene()
    masks = region_masks(depth, present, present)
    columns = np.arange(80)
    near = (columns >= 40 - 4) & (columns < 40 + 4)  # the jump's two pixels and three beside each
    np.testing.assert_array_equal(masks["edges"].numpy(), present.numpy() & near)
    np.testing.assert_array_equal(masks["border"].numpy()[:, 0], (np.arange(60) >= 20) & (np.arange(60) < 28))
    assert (sum(mask.int() for mask in masks.values()) == present.int()).all()


def test_errors_are_means_over_images_of_each_part():
    depth, present = scene()
    predicted = torch.where(depth == 2, 2.2, 15.0)
    parts = errors_by_region(predicted, depth, present, present)
    assert parts["ranges"]["2 to 4"] == [pytest.approx(0.1), 1600]
    assert parts["ranges"]["8 to 16"] == [pytest.approx(0.5), 1600]
    assert parts["regions"]["edges"][0] == pytest.approx(0.3)
    means = mean_by_region([parts, {"regions": {}, "ranges": {"2 to 4": [0.3, 3200]}}, {}])
    assert means["ranges"]["2 to 4"] == {"abs_rel": pytest.approx(0.2), "pixels": pytest.approx(0.75), "images": 2}
    assert list(means["ranges"]) == ["2 to 4", "8 to 16"]
    assert means["regions"]["flat"]["images"] == 1
