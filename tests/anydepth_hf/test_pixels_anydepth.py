"""Pixels by NumPy are those of the image processor to the last bit."""

import numpy as np
import pytest
import torch

from anydepth_hf.image_processing_anydepth import resize_image
from anydepth_hf.pixels_anydepth import resize_rgb

FILTERS = {"nearest": 0, "bilinear": 2, "bicubic": 3}


@pytest.mark.parametrize("filter", FILTERS)
@pytest.mark.parametrize("size", [(128, 192), (61, 300), (240, 75), (97, 211), (1, 3)])
def test_resizing_is_torchs(filter, size):
    image = np.random.default_rng(0).integers(0, 256, (97, 211, 3), dtype=np.uint8)
    image[30:60, 50:90] = 255  # an edge, where cubic weights overshoot
    expected = resize_image(torch.from_numpy(image).permute(2, 0, 1), size, FILTERS[filter])
    assert np.array_equal(resize_rgb(image, size, filter), expected.permute(1, 2, 0).numpy())
