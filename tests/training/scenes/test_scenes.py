"""Whole scenes: determinism, shapes, statistics that training relies on, batches, data set, preview."""

import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers.image_utils import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD

from training.data.decoding import DataError
from training.data.scene_batches import SceneBatches
from training.data.scene_dataset import SceneDataset
from training.data.transforms import TrainTransform
from training.scenes import FAR, KIND_NAMES, build_scene, collate, render_batch
from training.scenes.collate import build_scenes
from training.scenes.layout import CAMERA, OBJECT
from training.scenes.render import render_scenes

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def samples():
    """Eight scenes of every kind."""
    return {kind: render_batch(range(100, 108), 48, 64, "cpu", kind) for kind in KIND_NAMES}


@pytest.mark.parametrize("kind", KIND_NAMES)
def test_contract(samples, kind):
    scene = samples[kind]
    assert scene["image"].shape == (8, 3, 48, 64) and scene["image"].dtype == torch.uint8
    assert scene["depth"].shape == (8, 48, 64) and scene["depth"].dtype == torch.float32
    assert scene["sky"].dtype == torch.bool and torch.equal(scene["sky"], scene["depth"] == 0)
    assert torch.isfinite(scene["depth"]).all() and scene["depth"].max() <= FAR


@pytest.mark.parametrize("kind", KIND_NAMES)
def test_scenes_can_be_learned_from(samples, kind):
    """Most pixels have a surface, at plausible distances that vary within an image; images are exposed, textured."""
    depth, image = samples[kind]["depth"], samples[kind]["image"].float()
    valid = (depth > 0).float().mean((1, 2))
    assert valid.min() > 0.12 and valid.mean() > (0.5 if kind in ("street", "terrain", "solids", "closeup") else 0.95)
    assert depth[depth > 0].min() > (0.03 if kind == "closeup" else 0.1)
    for one in depth:
        seen = one[one > 0]
        assert seen.quantile(0.95) / seen.quantile(0.05) > 1.15
    assert image.mean((1, 2, 3)).min() > 20 and image.mean((1, 2, 3)).max() < 245
    assert image.std((1, 2, 3)).min() > 8
    middle = depth[depth > 0].median()
    low, high = {"street": (4, 40), "terrain": (2, 40), "corridor": (1, 12), "closeup": (0.15, 9)}.get(kind, (0.5, 9))
    assert low < middle < high


def test_scenes_differ(samples):
    images = torch.cat([scene["image"] for scene in samples.values()]).flatten(1).float()
    distance = torch.cdist(images, images) + 1e9 * torch.eye(len(images))
    assert distance.min() > 1000


def test_a_scene_depends_on_its_seed_alone():
    together = render_batch([5, 6, 2**64 + 7, 8], 40, 56, "cpu")
    for index, seed in enumerate([5, 6, 2**64 + 7, 8]):
        alone = render_batch(torch.tensor([seed]) if seed < 2**63 else [seed], 40, 56, "cpu")
        for name, value in alone.items():
            assert torch.equal(value[0], together[name][index]), (seed, name)


def test_scenes_rendered_at_once_equal_scenes_rendered_one_by_one(monkeypatch):
    """On a GPU several scenes share the tensors; only rounding may differ."""
    from training.scenes import render

    scenes = build_scenes(range(20, 26), 50, 70)
    one_by_one = render_scenes(scenes, 50, 70)
    monkeypatch.setitem(render.PIXELS_AT_ONCE, "cpu", 4 * 50 * 70)
    monkeypatch.setitem(render.PAIRS_AT_ONCE, "cpu", 1000)
    at_once = render_scenes(scenes, 50, 70)
    differs = (one_by_one["depth"] - at_once["depth"]).abs() > 1e-4 * one_by_one["depth"]
    assert differs.float().mean() < 1e-3
    gap = (one_by_one["image"].int() - at_once["image"].int()).abs()
    assert (gap > 1).float().mean() < 1e-3


@pytest.mark.parametrize("size", [(33, 47), (48, 160), (16, 16), (80, 24)])
def test_any_size(size):
    scene = render_batch([1, 2], *size, "cpu")
    assert scene["image"].shape == (2, 3, *size) and scene["depth"].shape == (2, *size)


def test_plain_scenes_have_the_same_depth_and_fewer_patterns():
    mixed, plain = (render_batch(range(8), 48, 64, "cpu", kind) for kind in (None, "plain"))
    assert torch.equal(mixed["depth"], plain["depth"])
    patterned = [random.Random(f"{seed} plain").random() >= collate.PLAIN_SHARE for seed in range(8)]
    assert 2 < sum(patterned) < 8
    same = (mixed["image"] == plain["image"]).flatten(1).all(1)
    assert same.tolist() == [not changed for changed in patterned]
    # Clamped: the edges of things stay.
    steps = [scenes["image"][patterned].float().diff(dim=-1).abs().clamp(max=10).mean() for scenes in (mixed, plain)]
    assert steps[1] < steps[0]
    tables = [build_scene(patterned.index(True), 48, 64, kind)["materials"] for kind in (None, "plain")]
    colors = [np.stack([table[:, collate.MATERIAL.slices[f"color_{x}"]] for x in "abc"]) for table in tables]
    np.testing.assert_allclose(colors[1].mean(0), colors[0].mean(0), atol=1e-6)
    np.testing.assert_allclose(colors[1].std(0), collate.PLAIN_CONTRAST * colors[0].std(0), atol=1e-6)


def test_unknown_kind():
    with pytest.raises(ValueError, match="choose one of indoor"):
        render_batch([0], 32, 32, "cpu", "underwater")


@pytest.mark.parametrize("kind", KIND_NAMES)
def test_no_camera_stands_inside_an_object(kind):
    for seed in range(60):
        tables = build_scene(seed, 48, 64, kind)
        position = tables["cameras"][CAMERA.slices["position"]]
        rows = tables["objects"]
        kinds = rows[:, OBJECT.slices["kind"].start]
        axes = rows[:, OBJECT.slices["axes"]].reshape(-1, 3, 3)
        local = np.einsum("nij,nj->ni", axes, position - rows[:, OBJECT.slices["centre"]])
        # Solids only: leaf shells and height fields have free room inside their bounding boxes, rectangles none.
        inside = (np.abs(local) < rows[:, OBJECT.slices["half"]]).all(1) & (kinds < 4)
        assert not inside.any(), (seed, rows[inside])


def test_cameras_vary_so_that_row_position_is_not_enough():
    """The row of the horizon, in image heights, spreads widely in hand-held images and little in KITTI-like ones."""

    def horizons(kind, height, width):
        rows = []
        for seed in range(150):
            camera = build_scene(seed, height, width, kind)["cameras"]
            forward = camera[CAMERA.slices["axes"]][6:9]
            pitch = np.arcsin(forward[2])
            rows.append(
                (camera[CAMERA.slices["center"]][1] + camera[CAMERA.slices["focal"]][0] * np.tan(pitch)) / height
            )
        return np.array(rows)

    indoor, driving = horizons("indoor", 96, 128), horizons("street", 96, 318)
    assert indoor.std() > 0.12
    assert abs(np.median(driving) - 0.45) < 0.06 and driving.std() < 0.15


class TestBatches:
    def batches(self, **options):
        options = {"batch_size": 2, "seed": 3, "num_workers": 0} | options
        return SceneBatches(8, [(32, 32), (24, 80)], **options)

    def test_processes_share_the_global_batch(self):
        whole = list(self.batches(batch_size=4))
        parts = [list(self.batches(process_index=rank, num_processes=2)) for rank in range(2)]
        assert len(whole) == len(parts[0]) == 2
        for index, batch in enumerate(whole):
            for name in ("pixel_values", "labels"):
                assert torch.equal(batch[name], torch.cat([part[index][name] for part in parts]))
            assert batch["name"] == parts[0][index]["name"] + parts[1][index]["name"]

    def test_resume_and_epochs(self):
        loader = self.batches()
        first, second = list(loader), list(loader)
        assert (loader.epoch, loader.batch) == (2, 0) and len(loader) == 4
        names = [name for batch in first + second for name in batch["name"]]
        assert len(set(names)) == 16
        resumed = self.batches()
        resumed.set_position(1, 2)
        for batch, again in zip(second[2:], resumed):
            assert torch.equal(batch["pixel_values"], again["pixel_values"]) and batch["name"] == again["name"]
        assert (resumed.epoch, resumed.batch) == (1, 4)

    def test_workers_change_nothing(self):
        for plain, worked in zip(self.batches(), self.batches(num_workers=1), strict=True):
            assert torch.equal(plain["pixel_values"], worked["pixel_values"])

    def test_sky_label(self):
        loader = self.batches(kind="street")
        unlabelled = self.batches(kind="street", sky_depth=0.0)
        for batch, other in zip(loader, unlabelled):
            assert (batch["labels"] > 0).all() and batch["labels"].max() <= FAR
            sky = other["labels"] == 0
            assert (batch["labels"][sky] == FAR).all()
            assert torch.equal(batch["labels"][~sky], other["labels"][~sky])

    @pytest.mark.parametrize(
        "options", [{"kind": "moon"}, {"batch_size": 0}, {"batch_size": 9}, {"process_index": 1, "num_processes": 1}]
    )
    def test_bad_options(self, options):
        with pytest.raises(ValueError):
            self.batches(**options)

    def test_store(self, tmp_path):
        """The first epoch renders, the others read, shuffle and augment, whatever the size and number of batches."""
        plain = TrainTransform(flip_probability=0, rotation_probability=0)
        first = list(self.batches(store=tmp_path, transform=plain))
        for batch in first:
            seeds = [int(name.removeprefix("scene ")) for name in batch["name"]]
            rendered = render_batch(seeds, *batch["labels"].shape[1:], "cpu")
            assert torch.equal(batch["labels"], torch.where(rendered["sky"], FAR, rendered["depth"]))
            mean, std = (
                torch.tensor(values).view(3, 1, 1) for values in (IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD)
            )
            pixels = (rendered["image"] / 255 - mean) / std
            torch.testing.assert_close(batch["pixel_values"], pixels, rtol=0, atol=1e-5)
        files = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
        loader = self.batches(store=tmp_path, num_workers=1)
        loader.set_position(1)
        second = list(loader)
        assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == files
        names = [[name for batch in epoch for name in batch["name"]] for epoch in (first, second)]
        assert sorted(names[0]) == sorted(names[1]) and names[0] != names[1]
        labels = {name: label for batch in first for name, label in zip(batch["name"], batch["labels"])}
        assert any(
            not torch.equal(labels[name], label)
            for batch in second
            for name, label in zip(batch["name"], batch["labels"])
        )
        whole = self.batches(store=tmp_path, batch_size=4)
        parts = [self.batches(store=tmp_path, process_index=rank, num_processes=2) for rank in range(2)]
        for each in (whole, *parts):
            each.set_position(1)
        for batch, *slices in zip(whole, *parts, strict=True):
            assert torch.equal(batch["pixel_values"], torch.cat([part["pixel_values"] for part in slices]))
        assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == files

    def test_store_of_several_sizes(self, tmp_path):
        """A batch has one size, and a scene the same in every run; what fills no batch is left out."""
        sizes = {}
        for batch_size in (3, 8):
            loader = SceneBatches(80, [(8, 8), (8, 16), (16, 8)], batch_size=batch_size, seed=3, store=tmp_path)
            batches = list(loader)
            assert len(batches) == len(loader)
            for batch in batches:
                for name in batch["name"]:
                    assert sizes.setdefault(name, batch["labels"].shape[1:]) == batch["labels"].shape[1:]
        assert len(set(sizes.values())) > 1
        with pytest.raises(ValueError, match="less than one batch of 70"):
            SceneBatches(80, [(8, 8), (8, 16)], batch_size=70, store=tmp_path)

    def test_store_of_larger_scenes(self, tmp_path):
        """Batches are cut to sizes whose shape fits the scene's, another one each epoch, the same on every process."""
        plain = TrainTransform(flip_probability=0, rotation_probability=0)

        def batches(**options):
            options = {"batch_size": 8, "store": tmp_path, "transform": plain} | options
            return SceneBatches(32, [(32, 40)], shown_sizes=[(16, 24), (16, 16), (8, 32)], **options)

        loader, seen = batches(), set()
        parts = [batches(batch_size=4, process_index=rank, num_processes=2) for rank in range(2)]
        for _ in range(3):
            for batch, *slices in zip(loader, *parts, strict=True):
                assert torch.equal(batch["labels"], torch.cat([part["labels"] for part in slices]))
                size = tuple(batch["labels"].shape[1:])
                seen.add(size)
                assert batch["pixel_values"].shape == (8, 3, *size)
                for name, label in zip(batch["name"], batch["labels"]):
                    rendered = render_batch([int(name.removeprefix("scene "))], 32, 40, "cpu")
                    depth = torch.where(rendered["sky"], FAR, rendered["depth"])
                    assert torch.isin(label, depth).all()
        assert seen == {(16, 24), (16, 16)}
        (folder,) = tmp_path.iterdir()
        assert folder.name == "mixture-32x40"

    def test_damaged_file_in_the_store(self, tmp_path):
        list(self.batches(store=tmp_path))
        damaged = next(tmp_path.rglob("*.safetensors"))
        damaged.write_bytes(damaged.read_bytes()[:100])
        with pytest.raises(DataError, match=damaged.name):
            list(self.batches(store=tmp_path))

    def test_bad_position(self):
        with pytest.raises(ValueError, match="an epoch has 4"):
            self.batches().set_position(0, 5)


def test_dataset_gives_the_scenes_of_the_batches():
    dataset = SceneDataset(3, seed=0, size=(32, 40))
    sample = dataset[2]
    scene = render_batch([2], 32, 40, "cpu")
    assert len(dataset) == 3 and sample.image.shape == (32, 40, 3) and sample.is_metric
    np.testing.assert_array_equal(sample.image, scene["image"][0].permute(1, 2, 0).numpy())
    np.testing.assert_array_equal(sample.depth, scene["depth"][0].numpy())
    np.testing.assert_array_equal(sample.valid, sample.depth > 0)
    with pytest.raises(IndexError):
        dataset[3]


def preview(*arguments):
    command = [sys.executable, "-m", "training.scenes.preview", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT)


def test_preview(tmp_path):
    from PIL import Image

    done = preview(
        "--output", str(tmp_path / "a.png"), "--count", "3", "--columns", "2", "--height", "24", "--width", "32"
    )
    assert done.returncode == 0, done.stderr
    assert Image.open(tmp_path / "a.png").size == (128, 48)
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_preview_mistakes(tmp_path):
    for arguments in (["--output", str(tmp_path / "a.gif")], ["--output", str(tmp_path / "a.png"), "--kind", "moon"]):
        done = preview(*arguments)
        assert done.returncode == 2 and len(done.stderr.strip().splitlines()) == 1
