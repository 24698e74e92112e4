"""Losses against a naive per-image float64 reference, their invariances, and their degenerate masks."""

import pytest
import torch

from anydepth_hf.losses_anydepth import (
    affine_invariant_normalize,
    depth_loss,
    depth_to_disparity_target,
    gradient_matching_loss,
    valid_labels,
)


def naive_relative_loss(prediction, labels, max_depth, as_disparity):
    """The formulas written pixel list by pixel list in float64; differentiable in `prediction`."""
    losses = []
    for p, d in zip(prediction.double(), labels.double(), strict=True):
        mask = torch.isfinite(d) & (d > 0) & (d <= max_depth)
        if not mask.any():
            continue

        def normalise(pixels):
            median = pixels.sort().values[(len(pixels) - 1) // 2]
            return (pixels - median) / (pixels - median).abs().mean()

        target = 1 / d[mask] if as_disparity else d[mask]
        target = (target - target.min()) / (target.max() - target.min())
        residual = torch.zeros_like(p)
        residual[mask] = normalise(p[mask]) - normalise(target)
        loss = residual[mask].abs().mean()
        for scale in range(4):
            r, m = residual[:: 2**scale, :: 2**scale], mask[:: 2**scale, :: 2**scale]
            if not m.any():
                continue
            total = 0
            for y in range(r.shape[0]):
                for x in range(r.shape[1]):
                    if x + 1 < r.shape[1] and m[y, x] and m[y, x + 1]:
                        total = total + (r[y, x + 1] - r[y, x]).abs()
                    if y + 1 < r.shape[0] and m[y, x] and m[y + 1, x]:
                        total = total + (r[y + 1, x] - r[y, x]).abs()
            loss = loss + 2 * total / m.sum()
        losses.append(loss)
    return torch.stack(losses).mean()


def make_batch(seed=0, batch=3, height=19, width=22):
    generator = torch.Generator().manual_seed(seed)
    prediction = torch.rand(batch, height, width, generator=generator)
    labels = torch.rand(batch, height, width, generator=generator) * 30 + 0.5
    holes = torch.rand(batch, height, width, generator=generator)
    labels[holes < 0.2] = 0
    labels[(holes >= 0.2) & (holes < 0.25)] = torch.nan
    labels[(holes >= 0.25) & (holes < 0.3)] = torch.inf
    labels[(holes >= 0.3) & (holes < 0.35)] = 250.0
    labels[(holes >= 0.35) & (holes < 0.4)] = -1.0
    return prediction, labels


@pytest.mark.parametrize("prediction_type", ["disparity", "depth"])
def test_value_and_gradient_equal_the_float64_reference(prediction_type):
    prediction, labels = make_batch()
    labels[1] = 0  # an image without a label does not count in the mean
    ours, reference = prediction.clone().requires_grad_(), prediction.double().requires_grad_()

    loss = depth_loss(ours, labels, prediction_type=prediction_type)
    expected = naive_relative_loss(reference, labels, 100.0, prediction_type == "disparity")
    loss.backward()
    expected.backward()

    torch.testing.assert_close(loss.double(), expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(ours.grad.double(), reference.grad, rtol=1e-4, atol=1e-7)
    assert reference.grad.abs().max() > 1e-3
    assert not ours.grad[1].any()


@pytest.mark.parametrize("relative_loss", ["affine_invariant", "log"])
@pytest.mark.parametrize(
    ("prediction_type", "depth_estimation_type"),
    [("disparity", "relative"), ("depth", "relative"), ("depth", "metric"), ("disparity", "metric")],
)
def test_gradient_equals_finite_differences(prediction_type, depth_estimation_type, relative_loss):
    prediction, labels = make_batch(batch=2, height=5, width=6)
    prediction = prediction.double().add(0.1).requires_grad_()

    def loss(values):
        return depth_loss(
            values, labels, prediction_type=prediction_type, depth_estimation_type=depth_estimation_type,
            relative_loss=relative_loss,
        )  # fmt: skip

    assert torch.autograd.gradcheck(loss, prediction, eps=1e-7, atol=1e-5)


def test_invariant_to_scale_and_shift_of_the_prediction_but_not_to_its_sign():
    prediction, labels = make_batch()
    loss = depth_loss(prediction, labels)
    torch.testing.assert_close(depth_loss(prediction * 37.5 - 4.0, labels), loss, rtol=1e-5, atol=1e-5)
    scale, shift = torch.tensor([0.1, 2.0, 9.0]), torch.tensor([3.0, -1.0, 0.0])
    per_image = prediction * scale[:, None, None] + shift[:, None, None]
    torch.testing.assert_close(depth_loss(per_image, labels), loss, rtol=1e-4, atol=1e-5)
    assert abs(depth_loss(-prediction, labels) - loss) > 0.01


def test_scale_of_the_labels_does_not_matter_to_a_relative_model():
    prediction, labels = make_batch()
    torch.testing.assert_close(
        depth_loss(prediction, labels * 0.01, max_depth=1.0), depth_loss(prediction, labels), rtol=1e-5, atol=1e-5
    )


def test_exact_prediction_costs_nothing():
    _, labels = make_batch()
    valid = valid_labels(labels, 100.0)
    disparity = torch.where(valid, 1 / labels, 5.0)
    assert depth_loss(3 * disparity + 1, labels) < 1e-4
    depth = torch.where(valid, labels, 5.0)
    assert depth_loss(depth, labels, prediction_type="depth", depth_estimation_type="metric") == 0
    assert depth_loss(1 / depth, labels, depth_estimation_type="metric") < 1e-5


def test_median_of_an_even_count_is_the_lower_middle_value():
    values = torch.tensor([[[4.0, 1.0, 2.0, 8.0, 99.0]]])
    valid = torch.tensor([[[True, True, True, True, False]]])
    # median 2, deviations 2 1 0 6, mean 2.25
    expected = torch.tensor([[[2.0, -1.0, 0.0, 6.0, 0.0]]]) / 2.25
    torch.testing.assert_close(affine_invariant_normalize(values, valid), expected)


def test_values_where_there_is_no_label_do_not_matter():
    prediction, labels = make_batch()
    valid = valid_labels(labels, 100.0)
    changed = torch.where(valid, prediction, torch.inf).requires_grad_()
    loss = depth_loss(changed, labels)
    loss.backward()
    assert torch.equal(loss.detach(), depth_loss(prediction, labels))
    assert not changed.grad[~valid].any()


def test_disparity_target_spans_zero_to_one_over_valid_pixels():
    ranges = [[1.0, 2.0, 4.0, 0.0], [0.5, 0.25, 0.2, 0.5], [20.0, 40.0, 0.0, 80.0]]  # each image has its own
    labels = torch.tensor([*ranges, [3.0, 3.0, 3.0, 3.0], [0.0, 0.0, 0.0, 0.0]])[:, None]
    target = depth_to_disparity_target(labels, valid_labels(labels))[:, 0]
    expected = torch.tensor([[1.0, 1 / 3, 0.0, 0.0], [0.0, 2 / 3, 1.0, 0.0], [1.0, 1 / 3, 0.0, 0.0]])
    torch.testing.assert_close(target[:3], expected)
    assert not target[3:].any()


def test_gradient_matching_by_hand():
    # a ramp of slope 1 in x, 8 x 8, with one hole: every scale counted by hand
    residual = torch.arange(8.0).expand(1, 8, 8).clone()
    valid = torch.ones(1, 8, 8, dtype=torch.bool)
    full = 56 / 64 + 2 * 12 / 16 + 4 * 2 / 4 + 0
    torch.testing.assert_close(gradient_matching_loss(residual, valid), torch.tensor([full]))
    valid[0, 1, 1] = False  # off the coarser grids; takes two differences in x and one pixel from the finest scale
    expected = 54 / 63 + 2 * 12 / 16 + 4 * 2 / 4
    torch.testing.assert_close(gradient_matching_loss(residual, valid), torch.tensor([expected]))


LOSSES = [{}, {"relative_loss": "log"}, {"depth_estimation_type": "metric"}]


@pytest.mark.parametrize("options", LOSSES)
@pytest.mark.parametrize("prediction", ["random", "constant", "huge"])
@pytest.mark.parametrize("mask", ["empty", "one pixel", "constant", "mixed"])
def test_degenerate_masks_give_finite_values_and_gradients(mask, prediction, options):
    values = {
        "random": torch.rand(3, 9, 7),
        "constant": torch.full((3, 9, 7), 0.001),
        "huge": torch.rand(3, 9, 7) * 1e8,
    }[prediction].requires_grad_()
    labels = torch.zeros(3, 9, 7)
    if mask in ("one pixel", "mixed"):
        labels[0, 4, 3] = 2.0
    if mask == "constant":
        labels[:] = 5.0
    if mask == "mixed":
        labels[2] = torch.rand(9, 7) + 1
    loss = depth_loss(values, labels, **options)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(values.grad).all()
    if mask == "empty":
        assert loss == 0 and not values.grad.any()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_computed_in_float32_under_autocast(dtype):
    prediction, labels = make_batch()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = depth_loss(prediction, labels)
    assert loss.dtype == torch.float32
    assert torch.equal(loss, depth_loss(prediction, labels))
    low = prediction.to(dtype).requires_grad_()
    loss = depth_loss(low, labels)
    assert torch.equal(loss, depth_loss(low.detach().float(), labels))
    loss.backward()
    assert low.grad.dtype == dtype and torch.isfinite(low.grad).all()


def test_nan_prediction_is_not_hidden():
    prediction, labels = make_batch()
    y, x = valid_labels(labels, 100.0)[0].nonzero()[0]
    prediction[0, y, x] = torch.nan
    assert depth_loss(prediction, labels).isnan()


def test_far_plane_is_the_given_one():
    prediction, labels = make_batch()
    labels = labels.nan_to_num(0.0, 0.0, 0.0)
    near = torch.where(labels <= 10, labels, 0.0)
    assert torch.equal(depth_loss(prediction, labels, max_depth=10.0), depth_loss(prediction, near))
    valid = valid_labels(near)
    for values in (prediction, depth_to_disparity_target(near, valid)):
        assert not affine_invariant_normalize(values, valid)[labels > 10].any()


def test_a_label_at_the_far_plane_counts():
    assert valid_labels(torch.tensor([9.0, 10.0, 10.1, 0.0]), max_depth=10.0).tolist() == [True, True, False, False]


@pytest.mark.parametrize("ratios", [(0.5, 2.0), (0.5, 4.0), (3.0, 3.0), (0.25,)])
def test_silog_by_hand(ratios):
    labels = torch.full((1, 1, len(ratios)), 2.0)
    prediction = labels * torch.tensor(ratios)
    error = torch.tensor(ratios).log()
    expected = (error.square().mean() - 0.5 * error.mean() ** 2).sqrt()
    for values, kind in ((prediction, "depth"), (1 / prediction, "disparity")):
        loss = depth_loss(values, labels, prediction_type=kind, depth_estimation_type="metric")
        torch.testing.assert_close(loss, expected)


def test_log_loss_by_hand():
    prediction, labels = torch.tensor([[[1.0, 4.0]]]), torch.tensor([[[2.0, 2.0]]])
    low, high = torch.tensor([0.5, 2.0]).log()
    gradients = (high - low) / 2  # of one difference among two pixels, at the finest of the scales alone
    options = {"prediction_type": "depth", "relative_loss": "log"}
    expected = (high - low) / 2 + 0.5 * gradients
    torch.testing.assert_close(depth_loss(prediction, labels, gradient_matching_weight=0.5, **options), expected)
    torch.testing.assert_close(depth_loss(prediction, labels, gradient_matching_weight=0, **options), (high - low) / 2)


def test_log_loss_is_invariant_to_any_scale_and_zero_where_exact():
    prediction, labels = make_batch()
    prediction = prediction + 0.1
    loss = depth_loss(prediction, labels, relative_loss="log")
    scale = torch.tensor([0.1, 2.0, 9.0])[:, None, None]
    torch.testing.assert_close(depth_loss(prediction * scale, labels, relative_loss="log"), loss, rtol=1e-4, atol=1e-5)
    disparity = torch.where(valid_labels(labels, 100.0), 7 / labels, 5.0)
    assert depth_loss(disparity, labels, relative_loss="log") < 1e-3 < loss
