import numpy as np
import pytest
import torch
from PIL import Image
from transformers.image_utils import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD

from anydepth_hf.image_processing_anydepth import AnyDepthImageProcessor
from training.data.readers import DepthSample
from training.data.transforms import ColorAugmentation, TrainTransform, resize_nearest, rotate

PLAIN = {"flip_probability": 0.0, "rotation_probability": 0.0}


def sample(height, width, seed=0):
    """Depth and all colours are the same smooth function of the position, so that they can be compared."""
    y, x = np.mgrid[:height, :width]
    value = 20 + 200 * (y / height + x / width) / 2
    depth = value.astype(np.float32)
    valid = np.random.default_rng(seed).random((height, width)) > 0.1
    depth[~valid] = np.nan
    return DepthSample(np.repeat(value[..., None], 3, 2).round().astype(np.uint8), depth, valid, True, "x")


def grey(pixel_values):
    mean, std = (torch.tensor(value).view(3, 1, 1) for value in (IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD))
    return ((pixel_values * std + mean) * 255).mean(0)


@pytest.mark.parametrize("height, width", [(96, 128), (128, 96), (40, 60), (200, 310), (64, 64)])
@pytest.mark.parametrize("options", [{}, PLAIN, {"squash": True}])
def test_image_and_labels_stay_together(height, width, options):
    transform = TrainTransform(size=64, **options)
    for seed in range(4):
        result = transform(sample(height, width), np.random.default_rng(seed))
        pixels, labels = result["pixel_values"], result["labels"]
        assert pixels.shape == (3, 64, 64) and pixels.dtype == torch.float32 and pixels.is_contiguous()
        assert labels.shape == (64, 64) and labels.dtype == torch.float32 and result["name"] == "x"
        assert torch.isfinite(labels).all() and 0.6 < (labels > 0).float().mean() < 0.95
        difference = (grey(pixels) - labels)[labels > 0].abs()
        assert difference.quantile(0.99) < 6 and difference.mean() < 2


@pytest.mark.parametrize("squash", [True, False])
@pytest.mark.parametrize("height, width", [(64, 64), (100, 100)])
def test_same_pixels_as_the_image_processor(squash, height, width):
    data = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    ones = np.ones((height, width))
    result = TrainTransform(size=64, squash=squash, **PLAIN)(
        DepthSample(data, ones, ones > 0, True, ""), np.random.default_rng(0)
    )
    processor = AnyDepthImageProcessor(size={"height": 64, "width": 64})
    expected = processor(Image.fromarray(data), return_tensors="pt")["pixel_values"][0]
    torch.testing.assert_close(result["pixel_values"], expected, rtol=0, atol=2e-6)


def test_random_crop_takes_every_window_of_the_long_side():
    data = np.zeros((64, 80, 3), np.uint8)
    depth = np.tile(np.arange(1, 81, dtype=np.float32), (64, 1))
    transform = TrainTransform(size=64, **PLAIN)
    starts = {
        transform(DepthSample(data, depth, depth > 0, True, ""), np.random.default_rng(seed))["labels"][0, 0].item()
        for seed in range(200)
    }
    assert starts == set(range(1, 18))


def test_min_crop_takes_smaller_windows_too():
    depth = np.arange(1, 129, dtype=np.float32)[:, None] * np.ones((1, 128), np.float32)
    source = DepthSample(np.zeros((128, 128, 3), np.uint8), depth, depth > 0, True, "")
    transform = TrainTransform(size=32, min_crop=0.5, **PLAIN)
    rows = [transform(source, np.random.default_rng(seed))["labels"][:, 0].numpy() for seed in range(100)]
    heights = np.array([(row[-1] - row[0]) * 32 / 31 for row in rows])
    assert 62 <= heights.min() < 68 and 124 < heights.max() <= 129
    assert min(row[0] for row in rows) < 5 and max(row[-1] for row in rows) > 124


def test_rectangular_size_keeps_the_aspect_ratio():
    result = TrainTransform(size=(64, 96), **PLAIN)(sample(200, 200), np.random.default_rng(0))
    assert result["labels"].shape == (64, 96)
    rows = result["labels"].numpy().max(axis=1)
    assert 0.25 < (rows[-1] - rows[0]) / 200 < 0.4  # about two thirds of the height, of a gradient of 100 over it


def test_squash_shows_the_whole_image():
    depth = np.arange(1, 129, dtype=np.float32) * np.ones((32, 1), np.float32)
    result = TrainTransform(size=64, squash=True, **PLAIN)(
        DepthSample(np.zeros((32, 128, 3), np.uint8), depth, depth > 0, True, ""), np.random.default_rng(0)
    )
    assert result["labels"][0].tolist() == [2 * i + 2 for i in range(64)]


def test_nearest_never_mixes_depths():
    depth = np.where(np.random.default_rng(0).random((50, 70)) > 0.5, 1, 1000).astype(np.float32)
    for size in ((64, 64), (20, 30), (50, 70), (51, 69)):
        resized = resize_nearest(depth, size)
        assert resized.shape == size and set(np.unique(resized)) <= {1, 1000}
        expected = torch.nn.functional.interpolate(torch.tensor(depth)[None, None], size, mode="nearest-exact")[0, 0]
        assert np.array_equal(resized, expected.numpy())


def test_rotation_masks_corners():
    pixels, labels = torch.full((3, 65, 65), 2.0), torch.full((65, 65), 3.0)
    labels[32, 60] = 9
    pixels[:, 32, 60] = 5
    turned, turned_labels = rotate(pixels, labels, 2.5)
    corners = ([0, 0, -1, -1], [0, -1, 0, -1])
    assert (turned_labels[corners] == 0).all() and set(turned_labels.unique().tolist()) == {0, 3, 9}
    assert (turned_labels == 9).nonzero().tolist() == [[31, 60]]  # counter-clockwise: a point on the right goes up
    assert turned[0].argmax() == 31 * 65 + 60
    # normalised, 0 is the mean colour; the image is whole wherever there is a label
    assert (turned[:, turned_labels == 0] == 0).all() and (turned[:, turned_labels > 0] > 1.999).all()

    pixels, labels = torch.rand(3, 30, 40), torch.rand(30, 40)
    for degrees in (0.0, 360.0):
        turned, turned_labels = rotate(pixels, labels, degrees)
        assert torch.equal(turned_labels, labels)
        torch.testing.assert_close(turned, pixels, rtol=0, atol=1e-4)
    turned, turned_labels = rotate(pixels[:, :, :30], labels[:, :30], 90.0)
    torch.testing.assert_close(turned_labels, labels[:, :30].rot90())
    torch.testing.assert_close(turned, pixels[:, :, :30].rot90(dims=(1, 2)), rtol=0, atol=1e-4)


def test_probabilities():
    source = sample(64, 64)
    flips = [
        TrainTransform(size=64, flip_probability=p, rotation_probability=0.0)(source, np.random.default_rng(seed))
        for p in (1.0, 0.0)
        for seed in range(3)
    ]
    for flipped, plain in zip(flips[:3], flips[3:]):
        assert torch.equal(flipped["pixel_values"].flip(-1), plain["pixel_values"])
        assert torch.equal(flipped["labels"].flip(-1), plain["labels"])
    transform = TrainTransform(size=64, flip_probability=0.0, rotation_probability=0.5)
    results = (transform(source, np.random.default_rng(seed)) for seed in range(200))
    assert 70 < sum(not torch.equal(r["pixel_values"], plain["pixel_values"]) for r in results) < 130


def test_color_augmentation_leaves_depth_and_repeats():
    source = sample(64, 64)
    plain = TrainTransform(size=64, **PLAIN)(source, np.random.default_rng(3))
    color = TrainTransform(size=64, color=ColorAugmentation(), **PLAIN)
    first, second = (color(source, np.random.default_rng(3)) for _ in range(2))
    assert torch.equal(first["labels"], plain["labels"]) and torch.equal(first["pixel_values"], second["pixel_values"])
    assert not torch.equal(first["pixel_values"], plain["pixel_values"])
    off = ColorAugmentation(0, 0, 0, 0, 0, 0)
    assert np.array_equal(off(source.image, np.random.default_rng(0)), source.image)
    grey_image = ColorAugmentation(0, 0, 0, 1.0, 0, 0)(
        np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8), np.random.default_rng(0)
    )
    assert np.ptp(grey_image, axis=-1).max() == 0
