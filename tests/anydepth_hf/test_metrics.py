import json
from pathlib import Path

import numpy as np
import pytest
import torch

from anydepth_hf.alignment_marigold import align, fit_scale_and_shift
from anydepth_hf.metrics import METRICS, depth_metrics, evaluate_depth, image_free_prior, mean_metrics

REFERENCE = Path(__file__).resolve().parents[1] / "reference"
MARIGOLD_NAMES = (
    "abs_relative_difference",
    "squared_relative_difference",
    "rmse_linear",
    "rmse_log",
    "log10",
    "delta1_acc",
    "delta2_acc",
    "delta3_acc",
    "i_rmse",
    "silog_rmse",
)


def restated(prediction, depth, valid, alignment, min_depth, max_depth, max_resolution):
    """Marigold's formulas written down once more, in NumPy with its own solver, as the reference for new arrays."""
    target, mask = depth, valid
    if alignment == "disparity":
        target = np.where(depth > 0, 1 / np.where(depth > 0, depth, 1), 0).astype(depth.dtype)
        mask = valid & (depth > 0) & (prediction > 0)
    fit = [prediction, target, mask]
    factor = 1 if max_resolution is None else min(max_resolution / n for n in depth.shape)
    if factor < 1:  # columns only: the original hands a (1, H, W) array to a 1-D upsampler
        columns = np.floor(np.arange(int(depth.shape[1] * factor)) / np.float32(factor)).astype(int)
        fit = [values[:, columns] for values in fit]
    p, d = fit[0][fit[2]], fit[1][fit[2]]
    scale, shift = np.linalg.lstsq(np.stack([p, np.ones_like(p)], 1), d, rcond=None)[0]
    aligned = scale * prediction + shift
    if alignment == "disparity":
        aligned = 1 / np.maximum(aligned, aligned.dtype.type(1e-3))
    aligned = np.clip(np.clip(aligned, min_depth, max_depth), 1e-6, None)
    p, g = aligned[valid], depth[valid]
    e = np.log(p, dtype=np.float64) - np.log(g, dtype=np.float64)
    ratio = np.maximum(p / g, g / p)
    p, g = p.astype(np.float64), g.astype(np.float64)
    return {
        "abs_rel": np.mean(np.abs(p - g) / g),
        "sq_rel": np.mean((p - g) ** 2 / g),
        "rmse": np.sqrt(np.mean((p - g) ** 2)),
        "rmse_log": np.sqrt(np.mean(e**2)),
        "log10": np.mean(np.abs(np.log10(p) - np.log10(g))),
        "delta1": np.mean(ratio < 1.25),
        "delta2": np.mean(ratio < 1.25**2),
        "delta3": np.mean(ratio < 1.25**3),
        "i_rmse": np.sqrt(np.mean((1 / p - 1 / g) ** 2)),
        "silog": 100 * np.sqrt(np.mean(e**2) - np.mean(e) ** 2),
    }


@pytest.mark.parametrize("case", ["indoor", "outdoor", "large", "diode"])
@pytest.mark.parametrize("alignment", ["disparity", "depth"])
@pytest.mark.parametrize("kind", [np.asarray, torch.from_numpy])
def test_equals_the_numbers_of_marigolds_code(case, alignment, kind):
    arrays = np.load(REFERENCE / "evaluation.npz")
    expected = json.loads((REFERENCE / "evaluation.json").read_text())[case]
    metrics = evaluate_depth(
        kind(arrays[f"{case}/pred_{alignment}"]),
        kind(arrays[f"{case}/gt"]),
        kind(arrays[f"{case}/mask"]),
        alignment,
        expected["min_depth"],
        expected["max_depth"],
        expected["alignment_max_res"],
    )
    numbers = expected["least_square_disparity" if alignment == "disparity" else "least_square"]
    assert metrics == pytest.approx(
        {name: numbers[original] for name, original in zip(METRICS, MARIGOLD_NAMES, strict=True)}, rel=1e-6, abs=0
    )


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("alignment", ["disparity", "depth"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_equals_the_formulas_on_new_arrays(seed, alignment, dtype):
    rng = np.random.default_rng(seed)
    height, width = rng.integers(40, 160, size=2)
    depth = np.exp(rng.normal(1.5, 1, (height, width))).astype(dtype)
    depth[rng.random(depth.shape) < 0.1] = 0
    signal = 1 / np.maximum(depth, 0.05) if alignment == "disparity" else depth
    prediction = (rng.uniform(0.1, 50) * signal * rng.lognormal(0, 0.2, depth.shape) + rng.normal()).astype(dtype)
    valid = (depth > 0.05) & (rng.random(depth.shape) < 0.8)
    protocol = (alignment, 1e-3, [None, 10.0, 80.0][seed % 3], [None, 37][seed % 2])
    expected = restated(prediction, depth, valid, *protocol)
    assert evaluate_depth(prediction, depth, valid, *protocol) == pytest.approx(expected, rel=1e-6, abs=0)


def test_prediction_of_another_size_is_resized_bilinearly_with_antialiasing():
    rng = np.random.default_rng(0)
    depth = rng.uniform(1, 9, (24, 36)).astype(np.float32)
    prediction = rng.uniform(1, 9, (48, 72)).astype(np.float32)
    resized = torch.nn.functional.interpolate(
        torch.from_numpy(prediction)[None, None], (24, 36), mode="bilinear", antialias=True
    )[0, 0]
    valid = np.ones(depth.shape, bool)
    assert evaluate_depth(prediction, depth, valid, "depth") == evaluate_depth(resized, depth, valid, "depth")


def test_without_alignment_the_prediction_is_only_clipped():
    depth = np.full((2, 2), 2.0, np.float32)
    metrics = evaluate_depth(np.full((2, 2), 30, np.float32), depth, depth > 0, None, 1e-3, 10.0)
    assert metrics["abs_rel"] == pytest.approx(4)
    assert metrics["rmse"] == pytest.approx(8)
    assert metrics["silog"] == pytest.approx(0, abs=1e-4)


def test_nothing_valid_is_none_and_left_out_of_the_mean():
    depth = np.ones((4, 4), np.float32)
    good = evaluate_depth(depth, depth, depth > 0, "depth")
    empty = evaluate_depth(depth, depth, depth < 0, "depth")
    assert empty is None
    assert evaluate_depth(depth, np.full_like(depth, np.nan), depth > 0, "disparity") is None
    assert mean_metrics([empty, good, empty]) == good
    assert mean_metrics([empty]) is None


def test_images_count_the_same_in_the_mean_whatever_their_valid_pixels():
    depth = np.full((4, 4), 2.0, np.float32)
    few = np.arange(16).reshape(4, 4) < 3
    near, far = (evaluate_depth(scale * depth, depth, valid, None) for scale, valid in ((1.5, depth > 0), (3, few)))
    mean = mean_metrics([near, None, far])
    assert (mean["abs_rel"], mean["rmse"], mean["delta2"]) == pytest.approx((1.25, 2.5, 0.5))
    assert mean.keys() == near.keys()


def test_a_ratio_of_exactly_the_threshold_does_not_count_and_sums_are_float64():
    depth = torch.tensor([4.0, 4.0, 4.0, 4.0])
    metrics = depth_metrics(depth * torch.tensor([1.25, 1.0, 1.25**2, 1.25**3]), depth)
    assert [metrics[f"delta{power}"] for power in (1, 2, 3)] == [0.25, 0.5, 0.75]
    tenth_more = torch.full((100_003,), 1.1)
    more = depth_metrics(tenth_more, torch.ones_like(tenth_more))["abs_rel"]
    assert more == pytest.approx(float(tenth_more[0] - 1), rel=1e-12)


def test_the_divisor_of_abs_rel_alone_takes_an_epsilon():
    predicted, target = torch.tensor([3.0, 1.0]), torch.tensor([1.0, 2.0])
    exact, softened = depth_metrics(predicted, target), depth_metrics(predicted, target, epsilon=1.0)
    assert softened["abs_rel"] == pytest.approx((2 / 2 + 1 / 3) / 2)
    assert {**softened, "abs_rel": exact["abs_rel"]} == exact


def test_the_prior_that_sees_no_image_grows_evenly_down_the_picture():
    prior = image_free_prior(5, 3)
    assert prior.tolist() == [[value] * 3 for value in (0, 0.25, 0.5, 0.75, 1)]


@pytest.mark.parametrize("alignment", ["disparity", "depth"])
@pytest.mark.parametrize("value", [0.0, 3.0])
def test_constant_predictions_give_finite_metrics(alignment, value):
    depth = np.linspace(1, 9, 64, dtype=np.float32).reshape(8, 8)
    metrics = evaluate_depth(np.full_like(depth, value), depth, depth > 0, alignment, 1e-3, 80.0)
    assert np.isfinite(list(metrics.values())).all()
    if value:  # the best constant: mean depth, or the inverse of mean disparity
        best = depth.mean() if alignment == "depth" else 1 / (1 / depth).mean()
        assert metrics["rmse"] == pytest.approx(np.sqrt(((best - depth) ** 2).mean()), rel=1e-5)
    elif alignment == "disparity":  # a dead network's disparity 0 is the far limit
        assert metrics["rmse"] == pytest.approx(np.sqrt(((80 - depth) ** 2).mean()), rel=1e-5)


def test_fit_agrees_with_lstsq_where_the_normal_equations_would_not():
    rng = np.random.default_rng(0)
    prediction = 1e4 + rng.random(5000)  # the condition number is 1e9 when squared
    target = 3 * prediction - 7 + rng.normal(0, 0.1, 5000)
    exact = np.linalg.lstsq(np.stack([prediction - 1e4, np.ones(5000)], 1), target, rcond=None)[0]
    assert fit_scale_and_shift(prediction, target)[0] == pytest.approx(exact[0], rel=1e-8)
    constant = np.full(10, 4.0)
    expected = np.linalg.lstsq(np.stack([constant, np.ones(10)], 1), np.arange(10.0), rcond=None)[0]
    assert fit_scale_and_shift(constant, np.arange(10.0)) == pytest.approx(tuple(expected))


def test_align_from_a_few_known_points():
    truth = np.random.default_rng(1).uniform(1, 9, (20, 30)).astype(np.float32)
    disparity = 4 / truth + 0.3
    known = np.zeros_like(truth)
    known[3, 4], known[10, 20], known[15, 2] = truth[3, 4], truth[10, 20], truth[15, 2]
    aligned = align(disparity, known)
    assert isinstance(aligned, np.ndarray)
    np.testing.assert_allclose(aligned, truth, rtol=1e-4)
    assert align(torch.from_numpy(disparity), known).dtype == torch.float32


def test_mistakes_are_named():
    depth = np.ones((4, 4), np.float32)
    with pytest.raises(ValueError, match="alignment must be"):
        evaluate_depth(depth, depth, depth > 0, "least_square")
    with pytest.raises(ValueError, match="NaN or infinite at 16 valid"):
        evaluate_depth(depth * np.nan, depth, depth > 0, "depth")
    with pytest.raises(ValueError, match=r"\(4, 4\) and \(2, 2\)"):
        evaluate_depth(depth, depth, np.ones((2, 2), bool), "depth")
    with pytest.raises(ValueError, match="at least one"):
        fit_scale_and_shift(np.zeros(0), np.zeros(0))
