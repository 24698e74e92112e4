import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from anydepth_hf.tiles import align_tile, refine, tile_windows


@settings(max_examples=200, deadline=None)
@given(st.integers(8, 3000), st.integers(8, 3000), st.integers(1, 6), st.sampled_from([0.1, 0.25, 0.3, 0.5]))
def test_tiles_of_one_size_cover_the_picture_and_overlap(width, height, count, overlap):
    windows = tile_windows(width, height, count, overlap)
    assert len({(down.end - down.start, across.end - across.start) for down, across in windows}) == 1
    covered = np.zeros((height, width), np.uint8)
    for (top, bottom, *_), (left, right, *_) in windows:
        assert 0 <= left < right <= width and 0 <= top < bottom <= height
        covered[top:bottom, left:right] = 1
    assert covered.all()
    shorter, tiles = min(width, height), {down.start for down, _ in windows} if height <= width else None
    if tiles is not None and shorter >= 50:
        assert len(tiles) == count
    _, first = windows[0]
    if shorter >= 50 and count > 1:
        assert first.after >= 0.8 * overlap * (first.end - first.start)


def scene(height=360, width=520):
    y, x = np.mgrid[:height, :width].astype(np.float32)
    plane = 1 + y / height
    box = np.where((abs(x - 180) < 80) & (abs(y - 160) < 60), 1.5, 0)
    stripes = np.where((x // 7 % 2 == 0) & (x > 360), 0.4, 0)
    return (plane + box + stripes).astype(np.float32)


def blurred(values, factor=8):
    height, width = values.shape
    picture = Image.fromarray(values)
    small = picture.resize((width // factor, height // factor), Image.Resampling.BOX)
    return np.asarray(small.resize((width, height), Image.Resampling.BILINEAR))


@pytest.mark.parametrize("batch_size", [1, 3])
def test_tiles_of_any_scale_and_shift_come_together_without_seams(batch_size):
    true = scene()
    random = np.random.default_rng(0)

    def predict(tiles):
        assert len(tiles) <= batch_size
        return [random.uniform(0.3, 3) * np.asarray(tile) + random.uniform(-2, 2) for tile in tiles]

    whole = blurred(true)
    result = refine(whole, Image.fromarray(true), predict, 3, 8, batch_size)
    assert result.dtype == np.float32
    # nearer to the truth than the whole map is, above all in the detail that it cannot have
    assert np.abs(result - true).mean() < 0.3 * np.abs(whole - true).mean()
    detail = (slice(None), slice(370, 510))
    assert np.abs(np.diff(result - true, axis=1)[detail]).mean() < 0.1 * np.abs(np.diff(true, axis=1)[detail]).mean()
    # where the truth has no edge, the result has none
    flat = (slice(240, 360), slice(0, 340))
    steps = [np.abs(np.diff(values[flat], axis=axis)).max() for values in (result, true) for axis in (0, 1)]
    assert steps[0] < 2 * steps[2] and steps[1] < 2 * steps[2]


def test_perfect_tiles_give_a_perfect_map():
    true = scene()
    result = refine(true, Image.fromarray(true), lambda tiles: [2 * np.asarray(tile) - 1 for tile in tiles], 3)
    np.testing.assert_allclose(result, true, atol=1e-4)


def test_a_tile_that_contradicts_the_whole_is_left_out():
    true = scene(40, 40)
    np.testing.assert_array_equal(align_tile(-true, true), true)
    np.testing.assert_allclose(align_tile(np.ones_like(true), true), true.mean(), rtol=1e-5)
