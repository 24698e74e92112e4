"""Pictures kept on the training device: what they are cut to, what a cut shows, what is read and when."""

import time

import numpy as np
import pytest
import torch

from training.data.decoding import DataError
from training.data.device_pictures import PicturesOnDevice, augment, blur, recolor
from training.data.picture_batches import SKY_METRES, build_picture_loader, read_sample
from training.data.transforms import ColorAugmentation, TrainTransform
from training.scenes.picture_files import list_pictures, write_picture

PLAIN = TrainTransform(flip_probability=0, rotation_probability=0)
CPU = torch.device("cpu")


def picture(height, width):
    """An image whose red tells the column and green the row, and a depth that tells both; the sky above."""
    rows, columns = np.mgrid[:height, :width]
    image = np.stack([columns * 4, rows * 4, 0 * rows], 2).astype(np.uint8)
    depth = (1 + rows + columns / 100).astype(np.float32)
    depth[0] = 0
    return image, depth


@pytest.fixture
def root(tmp_path):
    for index in range(8):
        write_picture(tmp_path, f"0-{index}-0", *picture(24, 32))
    return tmp_path


def batches(root, transform=PLAIN, **options):
    options = {"batch_size": 4, "seed": 3} | options
    return build_picture_loader(root, 16, [(12, 16)], transform, device=CPU, **options)


def test_yields_what_training_takes(root):
    seen = list(batches(root))
    assert len(seen) == 4
    for batch in seen:
        assert batch["pixel_values"].shape == (4, 3, 12, 16) and batch["pixel_values"].dtype == torch.float32
        assert batch["labels"].shape == (4, 12, 16) and batch["labels"].max() == SKY_METRES
        assert len(batch["name"]) == 4


def test_the_same_seed_gives_the_same_batches_and_a_position_goes_on(root):
    transform = TrainTransform(min_crop=0.5, color=ColorAugmentation())
    first = [batch["pixel_values"] for batch in batches(root, transform)]
    later = batches(root, transform)
    later.set_position(0, 2)
    assert all(torch.equal(a, b["pixel_values"]) for a, b in zip(first[2:], later, strict=True))


def test_an_epoch_sees_what_was_read_before_it(root):
    loader = batches(root)
    list(loader)
    write_picture(root, "9-9-9", *picture(24, 32))
    for _ in range(60):
        if any("9-9-9" in batch["name"] for batch in loader):
            return
    raise AssertionError("the new picture was never shown")


def test_the_first_epoch_waits_for_all_pictures_that_are_there(root):
    pictures = PicturesOnDevice(lambda: list_pictures(root), read_sample, CPU)
    submit = pictures._reader.submit

    def begin_reading(*arguments):
        """As on a machine where the reading thread is quicker than the one that asks."""
        reading = submit(*arguments)
        while not pictures._pictures:
            time.sleep(0.001)
        return reading

    pictures._reader.submit = begin_reading
    pictures.read = lambda path: time.sleep("-0-" not in path.name and 0.05) or read_sample(path)
    assert len(pictures.files()[24, 32]) == 8


def test_a_damaged_picture_is_named(root):
    (root / "24x32" / "0-0-0.safetensors").write_bytes(b"nothing")
    with pytest.raises(DataError, match="0-0-0"):
        list(batches(root))


def test_squash_shows_the_whole_picture():
    image, depth = picture(48, 64)
    transform = TrainTransform(squash=True, flip_probability=0, rotation_probability=0)
    tensors = torch.from_numpy(image).permute(2, 0, 1)[None], torch.from_numpy(depth + 1)[None]
    _, labels = augment(*tensors, (48, 48), transform, np.random.default_rng(0))
    assert labels[0, 0, 0] == depth[0, 0] + 1 and labels[0, -1, -1] == depth[-1, -1] + 1


@pytest.mark.parametrize("flip", [0, 1])
def test_image_and_depth_are_cut_alike(flip):
    image, depth = picture(48, 64)
    transform = TrainTransform(min_crop=0.6, flip_probability=flip, rotation_probability=0)
    images = torch.from_numpy(image).permute(2, 0, 1)[None].repeat(5, 1, 1, 1)
    depths = torch.from_numpy(depth)[None].repeat(5, 1, 1)
    values, labels = augment(images, depths, (36, 48), transform, np.random.default_rng(0))
    mean, std = torch.tensor([0.485, 0.456]).view(2, 1, 1), torch.tensor([0.229, 0.224]).view(2, 1, 1)
    columns, rows = ((values[:, :2] * std + mean) * 255 / 4).unbind(1)
    assert (columns[:, :, -1] < columns[:, :, 0]).all() == bool(flip)
    known = labels > 0
    assert (torch.floor(labels) - 1 - rows)[known].abs().max() < 1.01
    assert ((labels - torch.floor(labels)) * 100 - columns)[known].abs().max() < 1.01


def test_rotation_leaves_no_label_where_the_picture_does_not_reach():
    image, depth = picture(48, 64)
    transform = TrainTransform(rotation_probability=1, max_rotation=10)
    tensors = torch.from_numpy(image).permute(2, 0, 1)[None], torch.from_numpy(depth + 1)[None]
    values, labels = augment(*tensors, (48, 64), transform, np.random.default_rng(1))
    outside = labels == 0
    assert 0 < outside.float().mean() < 0.2
    assert (values.permute(0, 2, 3, 1)[outside] == 0).all()


def test_recolouring_keeps_the_range_and_can_do_nothing():
    values = torch.rand(4, 3, 9, 9, generator=torch.Generator().manual_seed(0))
    nothing = ColorAugmentation(0, 0, 0, 0, 0, 0)
    torch.testing.assert_close(recolor(values.clone(), nothing, np.random.default_rng(0)), values)
    strong = recolor(values.clone(), ColorAugmentation(0.9, 0.9, 0.9, 1, 1, 50), np.random.default_rng(0))
    assert 0 <= strong.min() and strong.max() <= 1


def test_blur_keeps_the_mean_of_a_flat_image_and_spreads_a_point():
    point = torch.zeros(2, 3, 15, 15)
    point[:, :, 7, 7] = 1
    soft = blur(point, np.array([0.5, 2.0]))
    torch.testing.assert_close(soft.sum((2, 3)), torch.ones(2, 3), atol=1e-3, rtol=0)
    assert soft[0, 0, 7, 7] > 3 * soft[1, 0, 7, 7]
