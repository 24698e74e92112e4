import json
import math

import numpy as np
import pytest
import scipy.stats
import torch

from anydepth_hf.alignment import METHODS, Alignment, fit, fit_points
from anydepth_hf.alignment_marigold import align
from anydepth_hf.linear_fit import truncated_l1

ROBUST = ("ransac", "irls", "truncated_l1")


def scene(seed=0, size=(40, 60), noise=0.0, outliers=0.0):
    """Depth from 1 to 9 m, a disparity of scale 0.02 and shift -0.05 with noise in 1/m, and depths made wrong."""
    rng = np.random.default_rng(seed)
    depth = np.exp(rng.uniform(0, math.log(9), size))
    disparity = (1 / depth + 0.05 + noise * rng.normal(size=size)) / 0.02
    wrong = rng.random(size) < outliers
    known = np.where(wrong, depth * rng.choice([0.2, 0.4, 2, 5, 30], size), depth)
    return depth, disparity, known, wrong


@pytest.mark.parametrize("kind", [np.asarray, torch.from_numpy])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("space", ["disparity", "depth", "log"])
def test_every_method_recovers_exact_data_in_every_space(space, method, kind):
    depth = scene()[0]
    prediction = {"disparity": (1 / depth + 0.05) / 0.02, "depth": (depth - 0.3) / 4, "log": (depth / 3) ** (1 / 1.4)}
    alignment = fit(
        kind(prediction[space]),
        kind(depth),
        space=space,
        method=method,
        prediction_type="disparity" if space == "disparity" else "depth",
    )
    expected = {"disparity": (0.02, -0.05), "depth": (4, 0.3), "log": (1.4, math.log(3))}[space]
    assert (alignment.scale, alignment.shift) == pytest.approx(expected, rel=1e-6)
    aligned = alignment.apply(kind(prediction[space]))
    assert type(aligned) is type(kind(depth)) and aligned.dtype == kind(depth).dtype
    np.testing.assert_allclose(aligned, depth, rtol=1e-6)
    assert alignment.residuals.count == alignment.residuals_of_all.count


def test_a_disparity_is_aligned_in_log_space_as_a_power_law():
    depth = scene()[0]
    alignment = fit(0.7 * depth**-1.2, depth, space="log")
    assert alignment.scale == pytest.approx(1 / 1.2)
    np.testing.assert_allclose(alignment.apply(0.7 * depth**-1.2), depth, rtol=1e-6)


@pytest.mark.parametrize("method", ROBUST)
@pytest.mark.parametrize("seed", range(3))
def test_with_thirty_per_cent_outliers_the_robust_fits_are_within_one_per_cent(method, seed):
    depth, disparity, known, wrong = scene(seed, noise=0.002, outliers=0.3)
    alignment = fit(disparity, known, method=method)
    assert np.abs(alignment.apply(disparity) / depth - 1).mean() < 0.01
    clean = fit(disparity, depth)
    assert alignment.scale == pytest.approx(clean.scale, rel=0.01)
    np.testing.assert_allclose(alignment.apply(disparity), clean.apply(disparity), rtol=0.01)
    # what is plainly wrong is reported, what is right is kept
    assert alignment.inliers[wrong].mean() < 0.02
    assert alignment.inliers[~wrong].mean() > 0.95
    assert abs(np.sum(~alignment.inliers) - wrong.sum()) < 0.05 * wrong.size
    plain = fit(disparity, known).apply(disparity)
    assert np.abs(plain / depth - 1).mean() > 0.1  # least squares is far off on the same data


@pytest.mark.parametrize("method", ["ransac", "irls"])
def test_among_a_few_points_one_wrong_reading_is_named(method):
    rng = np.random.default_rng(0)
    disparity = rng.uniform(5, 50, (30, 40))
    pixels = rng.integers(0, [40, 30], (8, 2))
    points = [(x, y, 1 / (0.02 * disparity[y, x] + 0.03)) for x, y in pixels]
    points[3] = (*points[3][:2], 2 * points[3][2])
    alignment = fit_points(disparity, points, method=method)
    assert alignment.inliers.tolist() == [index != 3 for index in range(8)]
    assert (alignment.scale, alignment.shift) == pytest.approx((0.02, 0.03))
    assert "1 point (12 %) was left out" in str(alignment)


def test_equal_input_gives_equal_results_and_a_seed_changes_them():
    _, disparity, known, _ = scene(noise=0.1, outliers=0.3)
    fits = [fit(disparity, known, method="ransac", seed=seed, trials=20) for seed in (0, 0, 1)]
    assert fits[0] == fits[1]
    assert fits[0] != fits[2]


def test_a_majority_of_wrong_points_needs_a_threshold():
    depth, disparity, known, _ = scene(noise=0.002, outliers=0.6)
    alignment = fit(disparity, known, method="ransac", threshold=0.01)
    assert alignment.scale == pytest.approx(0.02, rel=0.01)


def test_least_squares_standard_errors_equal_scipys():
    depth, disparity, _, _ = scene(noise=0.05)
    alignment = fit(disparity, depth)
    line = scipy.stats.linregress(disparity.ravel(), 1 / depth.ravel())
    assert (alignment.scale, alignment.shift) == pytest.approx((line.slope, line.intercept), rel=1e-9)
    assert (alignment.scale_error, alignment.shift_error) == pytest.approx((line.stderr, line.intercept_stderr))


@pytest.mark.parametrize("method", ["least_squares", *ROBUST])
def test_points_of_weight_zero_do_not_count(method):
    depth, disparity, known, wrong = scene(outliers=0.2)
    alignment = fit(disparity, known, method=method, weights=1.0 - wrong)
    assert alignment.scale == pytest.approx(0.02, rel=1e-6)


def test_weights_count_as_repetitions():
    rng = np.random.default_rng(0)
    prediction, depth = rng.uniform(1, 2, 10), rng.uniform(1, 2, 10)
    times = rng.integers(1, 4, 10)
    weighted = fit(prediction, depth, weights=times)
    repeated = fit(np.repeat(prediction, times), np.repeat(depth, times))
    assert (weighted.scale, weighted.shift) == pytest.approx((repeated.scale, repeated.shift))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("space", ["disparity", "depth", "log"])
def test_the_scale_alone_is_found_from_one_point(space, method):
    depth = np.array([2.0, 3.0, 5.0])
    prediction = 0.1 / depth if space == "disparity" else depth / 3
    alignment = fit(
        prediction[:1],
        depth[:1],
        space=space,
        method=method,
        scale_only=True,
        prediction_type="disparity" if space == "disparity" else "depth",
    )
    np.testing.assert_allclose(alignment.apply(prediction), depth, rtol=1e-6)
    assert "exact by construction" in str(alignment)


def test_truncated_l1_is_the_minimum_over_all_lines_through_two_points():
    rng = np.random.default_rng(3)
    x, y, w = rng.normal(size=25), rng.normal(size=25), rng.uniform(0.5, 2, 25)

    def cost(slope, shift):
        return np.minimum(w * np.abs(slope * x + shift - y), 0.4).sum()

    lines = [(i, j) for i in range(25) for j in range(i)]
    slopes = [(y[i] - y[j]) / (x[i] - x[j]) for i, j in lines]
    best = min(cost(slope, y[i] - slope * x[i]) for slope, (i, _) in zip(slopes, lines, strict=True))
    design = torch.from_numpy(np.stack([x, np.ones(25)], 1))
    found = truncated_l1(design, torch.from_numpy(y), torch.from_numpy(w), threshold=0.4)
    assert cost(*found.coefficients.tolist()) == pytest.approx(best)
    best = min(cost(slope, 0) for slope in y / x)
    found = truncated_l1(design[:, :1], torch.from_numpy(y), torch.from_numpy(w), threshold=0.4)
    assert cost(found.coefficients.item(), 0) == pytest.approx(best)


def test_median_is_midas_formula():
    rng = np.random.default_rng(0)
    prediction, depth = rng.uniform(1, 2, 101), rng.uniform(1, 2, 101)
    target = 1 / depth
    spread = [np.abs(values - np.median(values)).mean() for values in (target, prediction)]
    alignment = fit(prediction, depth, method="median")
    assert alignment.scale == pytest.approx(spread[0] / spread[1])
    assert alignment.shift == pytest.approx(np.median(target) - alignment.scale * np.median(prediction))
    ratio = fit(prediction, depth, method="median", scale_only=True)
    assert ratio.scale == pytest.approx(np.median(target) / np.median(prediction))


@pytest.mark.parametrize("space", ["disparity", "depth"])
def test_least_squares_equals_the_benchmarks_alignment(space):
    depth, prediction, _, _ = (values.astype(np.float32) for values in scene(noise=0.1))
    depth[::3] = 0
    alignment = fit(prediction, depth, space=space)
    np.testing.assert_allclose(alignment.apply(prediction), align(prediction, depth, alignment=space), rtol=1e-6)


def test_a_sparse_map_of_another_size_is_fitted():
    yy, xx = np.mgrid[0:60, 0:80].astype(np.float32)
    depth = 2 + xx / 40 + yy / 60
    known = np.where(np.random.default_rng(0).random(depth.shape) < 0.05, depth, 0)
    prediction = torch.nn.functional.interpolate(
        torch.from_numpy(4 / depth + 1)[None, None], (30, 40), mode="bilinear", antialias=True
    )[0, 0].numpy()
    alignment = fit(prediction, known)
    assert alignment.residuals.mean < 0.002
    assert alignment.inliers.shape == depth.shape and alignment.inliers.sum() == (known > 0).sum()


def test_known_points_are_sampled_at_pixel_centres_and_between():
    disparity = np.add.outer(np.arange(4.0), np.arange(5.0)) + 1
    points = [(0, 0, 1 / disparity[0, 0]), (2.5, 1.5, 1 / 5.0), (4, 3, 1 / disparity[3, 4])]
    alignment = fit_points(disparity, points)
    assert (alignment.scale, alignment.shift) == pytest.approx((1, 0), abs=1e-9)
    with pytest.raises(ValueError, match=r"\(5, 0\) lies outside the map of 5 x 4"):
        fit_points(disparity, [(5, 0, 1.0), (0, 0, 1.0)])
    for points in ([(0, 1), (2, 3), (4, 2)], []):
        with pytest.raises(ValueError, match=r"Points are \(x, y, metres\) each"):
            fit_points(disparity, points)


def test_unknown_depths_and_dead_predictions_are_left_out():
    depth, disparity, _, _ = scene()
    known = depth.copy()
    known[0, :5] = [0, -1, np.nan, np.inf, 2]
    disparity[0, 4] = 0
    alignment = fit(disparity, known, valid=np.arange(60) < 50 * np.ones((40, 1)))
    assert alignment.residuals_of_all.count == 40 * 50 - 5
    assert alignment.scale == pytest.approx(0.02)


def test_where_the_aligned_disparity_is_clipped_is_said():
    alignment = Alignment(1.0, -0.5)
    prediction = np.array([1.0, 0.5, 0.1, np.nan])
    assert alignment.reliable(prediction).tolist() == [True, False, False, False]
    np.testing.assert_allclose(alignment.apply(prediction)[:3], [2, 1000, 1000])
    assert alignment.apply(prediction, max_depth=80)[1] == 80


def test_json_round_trip_and_a_plain_description():
    _, disparity, known, _ = scene(noise=0.02, outliers=0.1)
    alignment = fit(disparity, known, method="irls")
    assert Alignment.from_dict(json.loads(json.dumps(alignment.to_dict()))) == alignment
    text = str(alignment)
    for words in ("1 / depth =", "2,400 known depths", "a good fit", "left out as outliers", "±"):
        assert words in text
    two = fit([2.0, 1.0], [1.0, 3.0])
    assert json.loads(json.dumps(two.to_dict()))["scale_error"] is None
    assert "exact by construction" in str(two)
    assert "given, not fitted" in str(Alignment(1.0, 0.0))
    assert "1 / depth = 1 * disparity - 0.5" in str(Alignment(1.0, -0.5))


def test_doubtful_fits_carry_a_warning():
    assert "near and far are exchanged" in str(fit([1.0, 2.0, 3.1], [1.0, 2.0, 3.0]))
    rng = np.random.default_rng(0)
    assert "the scale is known to" in str(
        fit(np.linspace(1, 2, 9), 1 / (np.linspace(1, 2, 9) + rng.normal(0, 0.4, 9)))
    )
    assert "nearly equal" in str(fit([2.0, 1.9, 1.8], [2.0, 2.1, 2.2]))
    assert "a poor fit" in str(fit(rng.random(50) + 1, rng.uniform(1, 30, 50)))


@pytest.mark.parametrize(
    "arguments, message",
    [
        (([1.0, 2.0], [1.0, 2.0], None, "linear"), "space must be"),
        (([1.0, 2.0], [1.0, 2.0], None, "depth", "magic"), "method must be one of least_squares, median"),
        (([1.0, 2.0], [1.0, 2.0, 3.0]), "one shape"),
        (([1.0], [1.0]), "needs 2 known points, got 1; `scale_only=True` needs one"),
        (([2.0, 2.0, 2.0], [1.0, 2.0, 3.0]), "the same at all 3 known points"),
        (([2.0, 2.0, 2.0], [1.0, 2.0, 3.0], None, None, "ransac"), "same at all"),
        (([math.nan, 2.0, 1.0], [1.0, 2.0, 3.0]), "NaN or infinite at 1 known"),
        (([1.0, 2.0], [1.0, 2.0], None, None, "least_squares", [1.0, -1.0]), "not negative"),
        (([1.0, 2.0], [1.0, 2.0], [True]), "valid must have"),
        (([1.0, 2.0], [1.0, 2.0], None, "depth", "least_squares", None, False, "disparity"), "aligned in"),
    ],
)
def test_mistakes_get_one_sentence(arguments, message):
    with pytest.raises(ValueError, match=message):
        fit(*arguments)
