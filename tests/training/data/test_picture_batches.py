"""Batches of rendered pictures: one size a batch, the same on every process and after a resume, growing folders."""

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from training.data.decoding import DataError
from training.data.picture_batches import SKY_METRES, build_picture_loader, read_sample
from training.data.transforms import TrainTransform

PLAIN = TrainTransform(flip_probability=0, rotation_probability=0)


def write(root, height, width, count, first=0):
    folder = root / f"{height}x{width}"
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(first, first + count):
        rng = np.random.default_rng(index)
        depth = rng.uniform(1, 9, (height, width)).astype(np.float16)
        depth[0] = 0
        image = rng.integers(0, 255, (3, height, width), dtype=np.uint8)
        save_file({"image": image, "depth": depth}, folder / f"{index}.safetensors")


@pytest.fixture
def root(tmp_path):
    write(tmp_path, 24, 32, 12)
    write(tmp_path, 16, 52, 6, first=100)
    (tmp_path / "worlds").mkdir()
    return tmp_path


def batches(root, **options):
    options = {"batch_size": 4, "seed": 3, "transform": PLAIN} | options
    return build_picture_loader(root, 32, [(16, 20), (20, 16), (12, 40)], **options)


def test_sky_is_far_and_the_rest_as_stored(root):
    sample = read_sample(root / "24x32" / "0.safetensors")
    assert (sample.depth[0] == SKY_METRES).all() and sample.valid.all() and sample.is_metric
    assert sample.image.shape == (24, 32, 3) and 1 <= sample.depth[1:].min() <= sample.depth[1:].max() <= 9


def test_batches_have_the_size_that_suits_their_pictures(root):
    sizes = set()
    for batch in batches(root, wide_share=0.5):
        size = tuple(batch["labels"].shape[1:])
        assert batch["pixel_values"].shape == (4, 3, *size)
        wide = [int(name) >= 100 for name in batch["name"]]
        assert wide == [size == (12, 40)] * 4
        sizes.add(size)
    assert (12, 40) in sizes and len(sizes) > 1


def test_share_of_wide_pictures(root):
    assert not any(int(name) >= 100 for batch in batches(root, wide_share=0) for name in batch["name"])


def test_processes_share_the_global_batch_and_workers_change_nothing(root):
    whole = list(batches(root))
    parts = [list(batches(root, batch_size=2, process_index=rank, num_processes=2)) for rank in range(2)]
    worked = list(batches(root, num_workers=1))
    assert len(whole) == len(parts[0]) == len(worked) == 8
    for batch, first, second, other in zip(whole, *parts, worked):
        assert torch.equal(batch["pixel_values"], torch.cat([first["pixel_values"], second["pixel_values"]]))
        assert torch.equal(batch["labels"], other["labels"]) and batch["name"] == other["name"]


def test_resume_goes_on_with_what_comes_next(root):
    loader = batches(root)
    list(loader)
    second = list(loader)
    assert (loader.epoch, loader.batch) == (2, 0)
    resumed = batches(root)
    resumed.set_position(1, 5)
    for batch, again in zip(second[5:], resumed, strict=True):
        assert torch.equal(batch["pixel_values"], again["pixel_values"])
    with pytest.raises(ValueError, match="an epoch has 8"):
        resumed.set_position(0, 9)


def test_pictures_that_are_added_are_seen_from_the_next_epoch_on(root):
    loader = batches(root, wide_share=0)
    list(loader)
    write(root, 24, 32, 200, first=200)
    assert any(int(name) >= 200 for batch in loader for name in batch["name"])


def test_empty_folders_damaged_files_and_short_epochs_are_named(root, tmp_path_factory):
    with pytest.raises(DataError, match="training.scenes.make"):
        batches(tmp_path_factory.mktemp("empty"))
    with pytest.raises(ValueError, match="less than one batch of 64"):
        batches(root, batch_size=64)
    for path in root.rglob("*.safetensors"):
        path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(DataError, match=r"\.safetensors"):
        list(batches(root))
