import numpy as np
import pytest

from training.filtering.scores import (
    ScoreOptions,
    SelectionRule,
    depth_distribution_score,
    gradient_continuity_score,
    score_depth,
    select,
)

HEIGHT, WIDTH = 480, 640


def ground_plane():
    return np.broadcast_to((1.65 / np.linspace(1.65 / 80, 0.5, HEIGHT))[:, None], (HEIGHT, WIDTH))


def outliers():
    depth = np.full((HEIGHT, WIDTH), 3.0)
    depth[0, 0], depth[-1, -1] = 1, 100
    return depth


RAMP = np.broadcast_to(np.linspace(1, 10, WIDTH), (HEIGHT, WIDTH))
TWO_PLANES = np.where(np.arange(WIDTH) < WIDTH // 2, 1.0, 5.0) * np.ones((HEIGHT, 1))


def all_valid(depth):
    return np.ones(depth.shape, bool)


@pytest.mark.parametrize(
    "depth, expected", [(RAMP, 1.0), (TWO_PLANES, 0.0201), (outliers(), 0.0200), (ground_plane(), 0.2012)]
)
def test_distribution_vectors(depth, expected):
    assert round(depth_distribution_score(depth, all_valid(depth)), 4) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    "depth, operator, expected",
    [
        (RAMP, "forward", 1.0),
        (ground_plane(), "forward", 0.4266),
        (ground_plane(), "central", 0.4253),
        (np.full((9, 9), 2.0), "forward", 1.0),
        (np.add.outer(np.arange(64.0), np.arange(64.0)), "forward", 1.0),
    ],
)
def test_gradient_vectors(depth, operator, expected):
    score = gradient_continuity_score(depth, all_valid(depth), operator)
    assert score == pytest.approx(expected, abs=5e-5)


def test_noise_scores_above_a_clean_ground_plane():
    depth = np.random.default_rng(0).normal(5, 1, (HEIGHT, WIDTH))
    assert gradient_continuity_score(depth, all_valid(depth)) == pytest.approx(0.677, abs=5e-4)


def plain_distribution(values, num_bins, low, high):
    """The paper's formulas, term by term, in float64."""
    counts = np.histogram(np.clip(values, low, high), num_bins, (low, high))[0]
    fair = len(values) / num_bins
    chi2 = sum((count - fair) ** 2 / fair for count in counts)
    largest = max(counts) / len(values)
    concentration = 1 if largest <= 2 / num_bins else 1 - min(1, (largest - 2 / num_bins) / (0.5 - 2 / num_bins))
    occupied = sum(count > 0 for count in counts) / num_bins
    return 0.5 * np.exp(-chi2 / len(values)) + 0.3 * concentration + 0.2 * occupied


def plain_gradient(depth, valid, operator, edge_fraction):
    """Pixel by pixel, in float64."""
    height, width = depth.shape
    magnitudes = []
    for y in range(height):
        for x in range(width):
            if operator == "forward":
                used = [(y, x), (y, x + 1), (y + 1, x)]
                if y + 1 == height or x + 1 == width:
                    continue
                pixels = [(y, x + 1), (y, x), (y + 1, x), (y, x)]
                spans = (1, 1)
            else:
                left, right = max(x - 1, 0), min(x + 1, width - 1)
                top, bottom = max(y - 1, 0), min(y + 1, height - 1)
                used = [(y, x), (y, left), (y, right), (top, x), (bottom, x)]
                pixels = [(y, right), (y, left), (bottom, x), (top, x)]
                spans = (right - left, bottom - top)
            if all(valid[pixel] for pixel in used):
                a, b, c, d = (float(depth[pixel]) for pixel in pixels)
                magnitudes.append(np.hypot((a - b) / spans[0], (c - d) / spans[1]))
    smooth = np.array([m for m in magnitudes if m < np.quantile(magnitudes, 1 - edge_fraction)])
    return 1 / (1 + smooth.std() / smooth.mean())


@pytest.mark.parametrize("seed", range(6))
def test_fast_forms_agree_with_the_formulas(seed):
    rng = np.random.default_rng(seed)
    depth = rng.gamma(2, 3, (31, 45)).astype(np.float32) + 0.5
    valid = rng.random(depth.shape) > 0.15
    depth[~valid] = rng.choice([np.nan, np.inf, -1, 0, 1e4], (~valid).sum())
    values = depth[valid].astype(np.float64)
    for options, (low, high) in (
        ({}, (values.min(), values.max())),
        ({"num_bins": 7}, (values.min(), values.max())),
        ({"percentiles": (2.0, 95.0)}, np.percentile(values, (2, 95))),
        ({"limits": (0.0, 20.0)}, (0, 20)),
    ):
        expected = plain_distribution(values, options.get("num_bins", 20), low, high)
        # a value on a bin's edge may fall on its other side
        assert depth_distribution_score(depth, valid, **options) == pytest.approx(expected, abs=2e-3)
    for operator in ("forward", "central"):
        for edge_fraction in (0.1, 0.25):
            expected = plain_gradient(depth, valid, operator, edge_fraction)
            score = gradient_continuity_score(depth, valid, operator, edge_fraction)
            assert score == pytest.approx(expected, rel=1e-5)


def test_inputs_are_left_alone_and_scale_does_not_matter():
    depth = np.random.default_rng(0).random((40, 50)).astype(np.float32) + 1
    valid = all_valid(depth)
    before = depth.copy()
    scores = score_depth(depth, valid, ScoreOptions())
    assert np.array_equal(depth, before) and valid.all()
    for name, value in score_depth(depth * 7, valid, ScoreOptions()).items():
        assert value == pytest.approx(scores[name], abs=2e-3)


def test_nothing_to_score():
    depth = np.ones((4, 4))
    scores = score_depth(depth, np.zeros((4, 4), bool), ScoreOptions())
    assert scores["valid_fraction"] == 0 and np.isnan([scores["distribution"], scores["gradient"]]).all()
    single = np.zeros((4, 4), bool)
    single[1, 1] = True
    assert depth_distribution_score(depth, single) == pytest.approx(0.5 * np.exp(-19) + 0.2 / 20)
    assert np.isnan(gradient_continuity_score(depth, single))
    for operator in ("forward", "central"):
        assert np.isnan(gradient_continuity_score(np.ones((1, 9)), np.ones((1, 9), bool), operator))
    with pytest.raises(ValueError, match="'forward' or 'central'"):
        gradient_continuity_score(depth, all_valid(depth), "sobel")


def columns(valid_fraction, distribution, gradient):
    arrays = (np.array(values, float) for values in (valid_fraction, distribution, gradient))
    return dict(zip(("valid_fraction", "distribution", "gradient"), arrays))


def test_selection_drops_the_lowest_fifth_by_each_score():
    rng = np.random.default_rng(0)
    scores = columns(rng.uniform(0.1, 1, 1000), rng.random(1000), rng.random(1000))
    keep, cuts = select(scores, SelectionRule())
    enough = scores["valid_fraction"] >= 0.2
    low = [
        scores[name] < np.sort(scores[name][enough])[int(0.2 * enough.sum())] for name in ("distribution", "gradient")
    ]
    assert np.array_equal(keep, enough & ~low[0] & ~low[1])
    assert 0.62 < keep.sum() / enough.sum() < 0.66  # independent scores: 0.8 squared
    assert all((scores[name][keep] >= cut).all() for name, cut in cuts.items())

    total, cuts = select(scores, SelectionRule(criterion="total"))
    assert total.sum() == enough.sum() - int(0.2 * enough.sum())
    assert ((scores["distribution"] + scores["gradient"])[total] / 2 >= cuts["total"]).all()
    assert np.array_equal(select(scores, SelectionRule(drop=0))[0], enough)


def test_selection_of_ties_unreadable_and_unscored_samples():
    scores = columns(
        [1, 1, np.nan, 1, 0.1, 1], [0.5, 0.5, np.nan, 0.5, 0.9, 0.5], [0.4, 0.5, np.nan, np.nan, 0.9, 0.6]
    )
    keep, _ = select(scores, SelectionRule(drop=0.25))
    # one of four by each score: of equal ones the first, and the one without a gradient before any number
    assert keep.tolist() == [False, True, False, False, False, True]
    nothing, cuts = select(columns([0.1], [1], [1]), SelectionRule())
    assert not nothing.any() and np.isnan(list(cuts.values())).all()
