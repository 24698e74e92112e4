import numpy as np
import pytest
from PIL import Image

from anydepth_hf.colormaps import COLORMAPS, color_table
from anydepth_hf.visualization import add_legend, colorize, grid, value_range


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


@pytest.mark.parametrize("name", COLORMAPS)
def test_every_colour_map_separates_near_from_far(name):
    table = color_table(name).astype(int)
    assert len(np.unique(table, axis=0)) > 200
    assert np.abs(table[0] - table[-1]).sum() > 100
    if name not in ("spectral", "turbo"):
        brightness = table @ [0.2126, 0.7152, 0.0722]
        assert (np.diff(brightness) <= 1).all() and brightness[0] - brightness[-1] > 150


def test_colours_are_those_of_matplotlib():
    matplotlib = pytest.importorskip("matplotlib")
    for name in ("turbo", "inferno", "magma", "viridis"):
        expected = matplotlib.colormaps[name](np.linspace(1, 0, 256))[:, :3] * 255
        assert np.abs(color_table(name, 256) - expected).max() < 2.5


def test_pictures_with_the_same_limits_have_the_same_colour_for_the_same_value():
    a, b = np.array([[1.0, 2.0, 3.0]]), np.array([[2.0, 9.0, -9.0]])
    first, second = (np.asarray(colorize(values, limits=(1, 3))) for values in (a, b))
    assert np.array_equal(first[0, 1], second[0, 0])
    assert np.array_equal(first[0, 2], second[0, 1]) and np.array_equal(first[0, 0], second[0, 2])


def test_a_robust_range_leaves_outliers_out():
    values = np.append(np.linspace(0, 1, 99), 1000.0)
    assert value_range(values) == (0, 1000)
    low, high = value_range(values, robust=0.02)
    assert 0 < low < 0.05 and 0.9 < high < 1.1
    assert value_range(np.array([np.nan, 1, 5, np.inf])) == (1, 5)
    assert value_range(np.full(3, np.nan)) == (0, 1)


@pytest.mark.parametrize("size", [(640, 480), (40, 30), (1, 1)])
@pytest.mark.parametrize(("kind", "unit"), [("disparity", None), ("depth", "m")])
def test_a_legend_stands_below_the_picture(size, kind, unit):
    picture = Image.new("RGB", size, "green")
    result = add_legend(picture, (0.5, 80), kind, unit)
    assert result.width == picture.width and result.height > picture.height
    np.testing.assert_array_equal(np.asarray(result.crop((0, 0, *size))), np.asarray(picture))
    if size[0] > 100:
        legend = np.asarray(result.crop((0, size[1], size[0], result.height))).astype(int)
        row = legend[len(legend) // 5, 20:-20]
        left, right = row[0], row[-1]
        near, far = (right, left) if kind == "disparity" else (left, right)
        assert near[0] > near[2] and far[2] > far[0]  # red and blue
        assert (legend == 0).all(axis=-1).any()  # numbers


def test_a_grid_holds_every_picture():
    pictures = [
        Image.new("RGB", size, color) for size, color in (((20, 10), "red"), ((40, 20), "blue"), ((5, 5), "lime"))
    ]
    sheet = grid(pictures, columns=2, gap=2)
    assert sheet.size == (42, 22)
    colors = [sheet.getpixel(position) for position in ((10, 5), (32, 5), (10, 17), (32, 17))]
    assert colors == [(255, 0, 0), (0, 0, 255), (0, 255, 0), (255, 255, 255)]
    with pytest.raises(ValueError, match="needs pictures"):
        grid([])
