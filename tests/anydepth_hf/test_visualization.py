import io

import numpy as np
import pytest
from PIL import Image

from anydepth_hf.visualization import colorize, encode_16bit


def test_near_is_red_and_far_is_blue_for_both_kinds():
    near_then_far = np.array([[1.0, 0.5, 0.0]])
    disparity = np.asarray(colorize(near_then_far, "disparity")).astype(int)
    depth = np.asarray(colorize(1 - near_then_far, "depth")).astype(int)
    assert np.array_equal(disparity, depth)
    assert disparity[0, 0, 0] > disparity[0, 0, 2] and disparity[0, 2, 2] > disparity[0, 2, 0]


def test_invalid_and_constant_maps_have_colours():
    values = np.array([[1.0, np.nan], [2.0, np.inf]])
    colors = np.asarray(colorize(values))
    assert not colors[:, 1].any() and colors[:, 0].any(axis=-1).all()
    assert len(np.unique(np.asarray(colorize(np.full((4, 4), 3.0))).reshape(-1, 3), axis=0)) == 1
    assert not np.asarray(colorize(np.full((2, 2), np.nan))).any()


def test_16_bit_pictures_hold_the_values():
    values = np.random.default_rng(0).uniform(-3, 40, (20, 30)).astype(np.float32)
    picture, coding = encode_16bit(values)
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG")
    stored = np.asarray(Image.open(buffer)).astype(np.float64)
    assert np.abs(stored * coding["scale"] + coding["offset"] - values).max() <= coding["scale"] * 0.501
    assert (stored.min(), stored.max()) == (0, 65535)
    constant, coding = encode_16bit(np.full((2, 2), 5.0))
    assert np.asarray(constant).max() * coding["scale"] + coding["offset"] == 5.0
    with pytest.raises(ValueError, match="not finite"):
        encode_16bit(np.array([[np.nan]]))
