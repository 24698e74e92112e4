"""Every protocol's numbers beside those of its public definition, restated in `references`."""

import numpy as np
import pytest
import torch

from tests.training.evaluation import references
from training.data.decoding import DataError
from training.evaluation.clips import measure_clip
from training.evaluation.comparison import Comparison
from training.evaluation.fitting import fit_prediction, nearest_to_cells
from training.evaluation.measures import HEADINGS, measure
from training.evaluation.planarity import find_planes, planarity, plane_errors
from training.evaluation.protocol import choose_protocols, load_protocol, protocol_names

CAMERA = (80.0, 82.0, 33.0, 24.0)
RANGE = Comparison(min_depth=0.5, max_depth=12.0)


def arrays(seed, kind, spread=0.1, wrong=0.0):
    """Depth of a room with a box in it, and a disturbed prediction of a kind; an odd number of valid pixels."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:50, :70]
    depth = 2 + 0.06 * (50 - rows) + 0.02 * columns
    depth[10:30, 20:45] = 1.6 + 0.01 * columns[10:30, 20:45]
    valid = rng.random(depth.shape) < 0.7
    if valid.sum() % 2 == 0:
        valid[tuple(np.argwhere(valid)[0])] = False
    noise = np.exp(rng.normal(0, spread, depth.shape)) * np.where(rng.random(depth.shape) < wrong, 3, 1)
    prediction = {
        "disparity": 3 / (depth * noise) + 0.4,
        "depth": 0.5 * depth * noise + 0.2,
        "metric_depth": 1.1 * depth * noise,
        "log_depth": 0.4 * np.log1p(depth * noise) - 0.1,
    }[kind]
    return prediction, depth, valid


def run(name, prediction, kind, depth, valid):
    protocol = load_protocol(name)
    comparison = protocol.comparison_for("own", RANGE)
    fitted = fit_prediction(protocol, comparison, prediction, kind, depth, comparison.mask(depth, valid))
    names = protocol.metrics
    return measure(names, fitted.predicted, fitted.target, fitted.valid, protocol.epsilon, CAMERA)


IMAGES = [name for name in protocol_names() if load_protocol(name).fit.scope == "image"]
CASES = [(name, kind) for name in IMAGES for kind in load_protocol(name).predicts]


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_numbers_are_those_of_the_public_definition(name, kind):
    # RANSAC's answer is defined where inliers and outliers are apart
    disturbed = {"spread": 0.01, "wrong": 0.1} if name == "pixel-perfect-depth" else {}
    prediction, depth, valid = arrays(sum(map(ord, name + kind)), kind, **disturbed)
    if name == "depth-pro-boundary":
        valid[:] = True  # the definition knows no mask
    predicted, target = references.aligned(name, prediction, kind, depth, valid, 0.5, 12.0)
    expected = references.errors(predicted[valid], target[valid])
    if name.startswith("moge"):
        expected["abs_rel"] = np.mean(abs(predicted - target)[valid] / (target[valid] + 1e-6))
    if name == "depth-pro-boundary":
        expected["boundary_f1"] = references.boundary_f1(predicted, target)
        assert 0.1 < expected["boundary_f1"] < 0.99
    if name == "ordinal":
        pairs = torch.randint(int(valid.sum()), (2, 5000), generator=torch.Generator().manual_seed(0)).numpy()
        relation = [np.sign(np.log(m[valid][pairs[0]] / m[valid][pairs[1]])) * (abs(np.log(m[valid][pairs[0]] / m[valid][pairs[1]])) > np.log(1.03)) for m in (predicted, target)]  # fmt: skip  # noqa: E501
        unequal = target[valid][pairs[0]] != target[valid][pairs[1]]
        expected["ordinal_error"] = abs(relation[0] - relation[1])[unequal].mean()
        assert expected["ordinal_error"] > 0.05
    if name == "ibims-planarity":
        masks = [mask.numpy() for mask in find_planes(torch.from_numpy(depth), torch.from_numpy(valid))]
        assert masks
        true = [true_normal(depth, mask) for mask in masks]
        parts = [references.plane_errors(predicted, depth, *pair, CAMERA) for pair in zip(masks, true)]
        expected["plane_flatness_cm"], expected["plane_angle"] = np.mean(parts, axis=0)
    numbers = run(name, prediction, kind, depth, valid)
    assert list(numbers) == list(load_protocol(name).metrics)
    assert numbers == pytest.approx({key: expected[key] for key in numbers}, rel=1e-6, abs=0)


def true_normal(depth, mask):
    fx, fy, cx, cy = CAMERA
    rows, columns = np.nonzero(mask)
    points = np.stack([(columns - cx) * depth[mask] / fx, (rows - cy) * depth[mask] / fy, depth[mask]], 1)
    return np.linalg.svd(points - points.mean(0), full_matrices=False)[2][2]


def test_a_clip_has_one_fit_for_all_its_frames():
    rng = np.random.default_rng(5)
    depth = 3 + rng.random((4, 30, 40)) + np.arange(4)[:, None, None] * 0.05
    prediction = 2 / depth * np.exp(rng.normal(0, 0.05, depth.shape)) + 0.3
    valid = rng.random(depth.shape) < 0.8
    protocol = load_protocol("video-depth-anything")
    frames = [(p, d, v) for p, d, v in zip(prediction, depth, valid)]
    numbers = measure_clip(protocol, RANGE, "disparity", frames)
    scale, shift = np.polyfit(prediction[valid], 1 / depth[valid], 1)
    disparity = np.maximum(scale * prediction + shift, 1e-3)
    parts = [references.errors(1 / p[v], g[v]) for p, g, v in zip(disparity, depth, valid)]
    expected = {name: np.mean([part[name] for part in parts]) for name in ("abs_rel", "rmse", "delta1")}
    truth = 1 / depth
    steps = []
    for k in range(3):
        still = abs(truth[k + 1] - truth[k]) < 0.05 * np.ptp(truth[k + 1][valid[k + 1]])
        counts = valid[k] & valid[k + 1] & still
        steps.append(abs((disparity[k + 1] - disparity[k]) - (truth[k + 1] - truth[k]))[counts].mean())
    assert numbers == pytest.approx(expected | {"temporal_error": np.mean(steps)}, rel=1e-6, abs=0)
    assert measure_clip(protocol, RANGE, "disparity", frames[:1]) is None
    blind = [(p, d, np.zeros_like(v)) for p, d, v in frames]
    assert measure_clip(protocol, RANGE, "disparity", blind) is None
    some = measure_clip(protocol, RANGE, "disparity", [*frames, blind[0]])
    assert some == pytest.approx(numbers)


@pytest.mark.parametrize(("shape", "grid"), [((75, 100), (64, 64)), ((37, 53), (8, 9)), ((48, 64), (64, 64))])
def test_the_grids_points_are_the_nearest_valid_ones(shape, grid):
    mask = np.random.default_rng(0).random(shape) < 0.4
    chosen = nearest_to_cells(torch.from_numpy(mask), grid).numpy()
    np.testing.assert_array_equal(chosen, references.masked_nearest(mask, grid))


def test_planes_are_found_and_judged_by_flatness_and_angle():
    rows, columns = np.mgrid[:60, :80]
    floor, wall = 1 / (0.1 + 0.005 * rows), 1 / (0.6 - 0.005 * columns)
    depth = torch.from_numpy(np.where(columns < 40, floor, wall))
    valid = torch.ones(depth.shape, dtype=torch.bool)
    masks = find_planes(depth, valid)
    assert len(masks) == 2
    assert sorted(int(mask.sum()) for mask in masks) == pytest.approx([2400, 2400], abs=120)
    assert planarity(depth * 3, depth, valid, CAMERA) == pytest.approx((0, 0), abs=1e-3)
    mask = torch.from_numpy(columns < 40)
    # a bowl on the floor: a centimetre of spread about a plane that still faces up
    flatness, angle = plane_errors(
        (depth + 0.01 * torch.sin(torch.from_numpy(columns).double()))[mask],
        depth[mask],
        *mask.nonzero(as_tuple=True),
        CAMERA,
    )
    assert 0.05 < flatness < 2
    assert angle < 2
    assert find_planes(torch.from_numpy(np.random.default_rng(0).uniform(1, 20, depth.shape)), valid) == []


def test_every_protocol_names_its_sources_and_known_measures():
    for name in protocol_names():
        protocol = load_protocol(name)
        assert protocol.version >= 1
        assert protocol.summary.endswith(".")
        assert all({"repository", "commit", "file"} == set(s) or {"url"} == set(s) for s in protocol.sources)
        assert protocol.sources
        assert set(protocol.metrics) <= set(HEADINGS)


def test_all_leaves_out_what_cannot_be_measured_and_says_why():
    chosen, refused = choose_protocols(["all"], "disparity")
    assert chosen[0].name == "lotus"
    assert {protocol.name for protocol in chosen} | refused.keys() == set(protocol_names())
    assert refused["marigold"].startswith("the protocol marigold measures depth or metric depth")
    assert [protocol.name for protocol in choose_protocols([], "metric_depth")[0]] == ["metric"]
    with pytest.raises(DataError, match="--protocol zoedepth: the protocol zoedepth measures metric depth"):
        choose_protocols(["zoedepth"], "depth")


@pytest.mark.parametrize("name", IMAGES)
@pytest.mark.parametrize("value", [0.0, 2.0])
def test_a_constant_prediction_has_finite_numbers(name, value):
    _, depth, valid = arrays(1, "depth")
    kind = load_protocol(name).predicts[0]
    numbers = run(name, np.full(depth.shape, value), kind, depth, valid)
    assert numbers is not None
    assert np.isfinite(list(numbers.values())).all()
