"""What is still stays still, what is new stays new, and no map is changed by more than is said."""

import numpy as np
import pytest
import torch

from anydepth_hf.optical_flow import estimate_flow, warp
from anydepth_hf.video_stabilizer import SCALE_LIMITS, SHIFT_LIMIT, SMOOTHING_LIMIT, Stabilizer, bounds


def scene(seed: int = 0, height: int = 90, width: int = 200) -> tuple[np.ndarray, np.ndarray]:
    """A map and a picture with structure of all sizes."""
    generator = torch.Generator().manual_seed(seed)
    layers = []
    for _ in range(2):
        total = torch.zeros(1, 1, height, width)
        for cells in (4, 9, 22):
            noise = torch.rand(1, 1, cells, 2 * cells, generator=generator)
            total += torch.nn.functional.interpolate(noise, size=(height, width), mode="bicubic")
        layers.append((total[0, 0] - total.min()) / (total.max() - total.min()))
    return layers[0].numpy(), (layers[1] * 255).byte().numpy()


def noisy(picture: np.ndarray, random) -> np.ndarray:
    return (picture + random.normal(0, 4, picture.shape)).clip(0, 255).astype(np.uint8)


def test_a_still_scene_keeps_its_scale_under_noise_and_jumps():
    values, picture = scene()
    random = np.random.default_rng(0)
    stabilizer, scales = Stabilizer(), []
    for _ in range(12):
        scale, shift = random.uniform(0.9, 1.1), random.uniform(-0.05, 0.05)
        result = stabilizer(values * scale + shift, noisy(picture, random)).numpy()
        scales.append(np.polyfit(values.ravel(), result.ravel(), 1)[0])
    assert np.std(scales) < 0.01 * np.mean(scales)
    assert max(scales) / min(scales) < 1.02


def test_the_flow_of_a_pan_is_found():
    _, picture = scene()
    image = torch.from_numpy(picture).float() / 255
    for right, down in ((3, 0), (11, -4), (0.5, 0.25)):
        before = warp(image[None], torch.tensor([right, down]).view(2, 1, 1).expand(2, *image.shape) * -1.0)[0]
        flow = estimate_flow(image, before)[:, 15:-15, 20:-20]
        assert torch.allclose(flow.flatten(1).median(dim=1).values, torch.tensor([right, down]) * 1.0, atol=0.2)


def test_a_cut_begins_anew():
    (values, picture), (others, other) = scene(0), 255 - np.stack(scene(1)).astype(np.uint8)
    stabilizer = Stabilizer()
    stabilizer(values, picture)
    stabilizer(values, picture)
    assert not stabilizer.step.cut
    new = np.random.default_rng(0).random(values.shape).astype(np.float32)
    np.testing.assert_array_equal(stabilizer(new, other // 4).numpy(), new)
    assert stabilizer.step.cut and others.shape == values.shape


@pytest.mark.parametrize("change", [(3.0, 0.0), (0.2, 0.0), (1.0, 2.0), (1.3, -0.5)])
def test_a_map_is_never_changed_beyond_the_bounds(change):
    values, picture = scene()
    stabilizer = Stabilizer()
    stabilizer(values * change[0] + change[1], picture)
    random = np.random.default_rng(0)
    for _ in range(4):
        new = (values + random.normal(0, 0.05, values.shape)).astype(np.float32)
        result = stabilizer(new, picture).numpy()
        low, high = bounds(float(new.min()), float(new.max()))
        assert low <= result.min() and result.max() <= high
        step, span = stabilizer.step, np.subtract(*np.quantile(new, [0.98, 0.02]))
        assert SCALE_LIMITS[0] <= step.scale <= SCALE_LIMITS[1]
        assert abs(step.shift) <= SHIFT_LIMIT * span * 1.1  # the range is that of a sample
        center = float(np.median(new))
        rest = result - ((new - center) * step.scale + center + step.shift)
        assert np.abs(rest).max() <= SMOOTHING_LIMIT * span * 1.2


def test_constant_maps_and_tiny_pictures_are_taken():
    stabilizer = Stabilizer()
    for value in (1.0, 2.0, 2.0):
        result = stabilizer(np.full((20, 30), value, np.float32), np.full((16, 16), 90, np.uint8))
        assert bool(result.isfinite().all())
