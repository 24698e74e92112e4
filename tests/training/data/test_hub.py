import io

import datasets
import numpy as np
import pytest
import torch
from PIL import Image

from tests.training.data import writers
from training.data.decoding import DataError
from training.data.loader import build_train_loader
from training.data.sources import open_dataset
from training.data.transforms import TrainTransform

# datasets waits five seconds each time it stops the threads that feed its shuffle buffer, even in garbage collection
datasets.config.SLEEP_TIME_ON_THREADS_SHUTDOWN = 0.05
COUNT = 24
TRANSFORM = TrainTransform(size=32)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


def encode(array, format):
    buffer = io.BytesIO()
    np.save(buffer, array) if format == "NPY" else Image.fromarray(array).save(buffer, format)
    return buffer.getvalue()


def rows(depth_cell):
    for seed in range(COUNT):
        image, depth = writers.scene(seed, 40, 48)
        yield {"image": {"bytes": encode(image, "PNG"), "path": None}, "depth": depth_cell(depth), "name": f"s{seed}"}


def millimetres(depth):
    return (depth * 1000).astype(np.uint16)


DEPTH_COLUMNS = {
    "png16": (datasets.Image(), lambda d: {"bytes": encode(millimetres(d), "PNG"), "path": None}, 1000),
    "tiff": (datasets.Image(), lambda d: {"bytes": encode(d, "TIFF"), "path": None}, None),
    "npy bytes": (datasets.Value("binary"), lambda d: encode(d, "NPY"), None),
    "array": (datasets.Array2D((40, 48), "float32"), lambda d: d, None),
    "ragged array": (datasets.List(datasets.List(datasets.Value("float32"))), lambda d: d.tolist(), None),
    "uint16 array": (datasets.Array2D((40, 48), "uint16"), millimetres, 1000),
}


def build(kind, image=None):
    feature, cell, scale = DEPTH_COLUMNS[kind]
    image = datasets.Image() if image is None else image
    features = datasets.Features({"image": image, "depth": feature, "name": datasets.Value("string")})
    made = list(rows(cell))
    if isinstance(image, datasets.Value):
        # trailing zeros are what an array of bytes would lose
        made = [{**row, "image": row["image"]["bytes"] + bytes(5)} for row in made]
    return datasets.Dataset.from_list(made, features=features), scale


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("kind", DEPTH_COLUMNS)
def test_depth_columns_of_parquet_files(tmp_path, kind, streaming):
    dataset, scale = build(kind, image=datasets.Value("binary") if kind == "array" else None)
    dataset.to_parquet(tmp_path / "train.parquet")
    spec = {"name": "hub", "path": str(tmp_path / "*.parquet"), "depth_scale": scale, "streaming": streaming}
    opened = open_dataset(spec)
    samples = (
        [opened.read_row(row, i) for i, row in zip(range(COUNT), opened.rows(0, 0, 0, 1, shuffle=False))]
        if streaming
        else [opened[i] for i in range(COUNT)]
    )
    assert (opened.num_samples if streaming else len(opened)) == COUNT
    for seed, sample in enumerate(samples):
        image, depth = writers.scene(seed, 40, 48)
        assert np.array_equal(sample.image, image) and sample.is_metric
        expected = depth if scale is None else millimetres(depth) / np.float32(1000)
        assert np.array_equal(sample.depth, expected)
        assert f"row {seed} (s{seed})" in sample.name


def test_saved_to_disk_and_disparity(tmp_path):
    build("tiff")[0].save_to_disk(tmp_path / "saved")
    opened = open_dataset(
        {"name": "hub", "path": str(tmp_path / "saved"), "quantity": "disparity", "is_metric": False}
    )
    assert np.array_equal(opened[3].depth, 1 / writers.scene(3, 40, 48)[1]) and not opened[3].is_metric
    (batch, *_) = build_train_loader(opened, TRANSFORM, batch_size=4, num_workers=2)
    assert batch["labels"].shape == (4, 32, 32)


@pytest.mark.parametrize("streaming", [False, True])
def test_files_of_other_splits_in_a_folder_are_left_out(tmp_path, streaming):
    whole, _ = build("tiff")
    for split, rows in (("train", range(3)), ("test", range(3, 5))):
        whole.select(rows).to_parquet(tmp_path / f"{split}-00000-of-00001.parquet")
    spec = {"name": "hub", "path": str(tmp_path), "streaming": streaming}
    opened = [open_dataset(spec), open_dataset({**spec, "split": "test"})]
    assert [each.num_samples if streaming else len(each) for each in opened] == [3, 2]
    with pytest.raises(DataError, match="no .parquet file here begins with 'validation'; there are test-00000"):
        open_dataset({**spec, "split": "validation"})


def test_slices_of_a_folder_s_split(tmp_path):
    build("tiff")[0].to_parquet(tmp_path / "train-00000-of-00001.parquet")
    parts = [open_dataset(f"hub,path={tmp_path},split={part}") for part in ("train[:75%]", "train[75%:]")]
    assert [len(part) for part in parts] == [COUNT * 3 // 4, COUNT // 4]
    assert "(s18)" in parts[1][0].name


def test_another_split_than_the_one_saved_to_disk_is_refused(tmp_path):
    splits = datasets.DatasetDict({"train": build("tiff")[0], "test": build("tiff")[0].select(range(2))})
    splits.save_to_disk(tmp_path / "all")
    assert len(open_dataset(f"hub,path={tmp_path / 'all'},split=test")) == 2
    assert len(open_dataset(f"hub,path={tmp_path / 'all' / 'test'},split=test")) == 2
    build("tiff")[0].save_to_disk(tmp_path / "one")
    for path, split in (("all/train", "test"), ("one", "validation")):
        with pytest.raises(DataError, match=f"this folder holds one split, 'train', not '{split}'"):
            open_dataset(f"hub,path={tmp_path / path},split={split}")


def test_folders_of_image_files_are_pointed_to_their_data_sets(tmp_path):
    for name in ("rgb", "depth"):
        (tmp_path / name).mkdir()
        Image.new("RGB" if name == "rgb" else "I;16", (8, 6)).save(tmp_path / name / "0.png")
    with pytest.raises(DataError, match="one of image, label.*pairs .rgb_dir, depth_dir. or frames .root."):
        open_dataset({"name": "hub", "path": str(tmp_path)})


def test_mistakes(tmp_path):
    build("tiff")[0].rename_columns({"depth": "abstand"}).to_parquet(tmp_path / "a.parquet")
    path = str(tmp_path / "a.parquet")
    with pytest.raises(DataError, match="set depth_column to one of image, abstand, name"):
        open_dataset({"name": "hub", "path": path})
    with pytest.raises(DataError, match="no column 'tiefe'; set depth_column to one of"):
        open_dataset({"name": "hub", "path": path, "depth_column": "tiefe"})
    assert len(open_dataset({"name": "hub", "path": path, "depth_column": "abstand"})) == COUNT
    with pytest.raises(DataError, match="datasets cannot load it .*no file matches"):
        open_dataset({"name": "hub", "path": str(tmp_path / "*.tar")})
    with pytest.raises(DataError, match="cannot be mixed"):
        open_dataset([{"name": "hub", "path": path, "depth_column": "abstand", "streaming": True}] * 2)
    build("png16")[0].to_parquet(tmp_path / "b.parquet")
    with pytest.raises(DataError, match=r"b.parquet, row 2 \(s2\): holds uint16 values; set depth_scale"):
        open_dataset({"name": "hub", "path": str(tmp_path / "b.parquet")})[2]


@pytest.fixture
def shards(tmp_path):
    dataset, _ = build("tiff")
    for number in range(4):
        dataset.shard(4, number, contiguous=True).to_parquet(tmp_path / "shards" / f"{number}.parquet")
    return {"name": "hub", "path": str(tmp_path / "shards"), "streaming": True, "shuffle_buffer": 4}


def names(batches):
    return [name.split("(")[1].rstrip(")") for batch in batches for name in batch["name"]]


@pytest.mark.parametrize("num_workers", [0, 2])
def test_stream_resumes_exactly(shards, num_workers):
    def loader():
        return build_train_loader(open_dataset(shards), TRANSFORM, batch_size=2, seed=1, num_workers=num_workers)

    whole = list(first := loader())
    assert len(first) == len(whole) == 12
    assert sorted(names(whole)) == sorted(f"s{i}" for i in range(COUNT))  # every sample once
    for position in (5, 8):
        resumed = loader()
        resumed.set_position(0, position)
        rest = list(resumed)
        assert names(rest) == names(whole[position:])
        assert all(
            torch.equal(a["pixel_values"], b["pixel_values"]) for a, b in zip(rest, whole[position:], strict=True)
        )
    assert names(list(first)) != names(whole) and first.epoch == 2


def test_stream_over_processes(shards):
    seen = []
    for rank in range(2):
        loader = build_train_loader(
            open_dataset(shards), TRANSFORM, batch_size=3, num_workers=2, process_index=rank, num_processes=2
        )
        assert len(loader) == 4
        seen += names(loader)
    assert sorted(seen) == sorted(f"s{i}" for i in range(COUNT))
    # fewer shards than processes: rows are dealt out
    seen = []
    for rank in range(3):
        loader = build_train_loader(
            open_dataset(shards), TRANSFORM, batch_size=4, num_workers=2, process_index=rank, num_processes=3
        )
        seen += names(loader)
    assert len(seen) == COUNT and len(set(seen)) > 0.8 * COUNT


def test_stream_longer_than_its_rows_starts_again(shards):
    loader = build_train_loader(open_dataset({**shards, "num_samples": 60}), TRANSFORM, batch_size=4, num_workers=2)
    assert len(names(loader)) == 60


def test_stream_replaces_unreadable_rows(tmp_path):
    feature, cell, _ = DEPTH_COLUMNS["tiff"]
    made = list(rows(cell))
    for index in (0, 7, 8):
        made[index]["depth"]["bytes"] = b"II*\0 broken"
    features = datasets.Features({"image": datasets.Image(), "depth": feature, "name": datasets.Value("string")})
    datasets.Dataset.from_list(made, features=features).to_parquet(tmp_path / "a.parquet")
    spec = {"name": "hub", "path": str(tmp_path / "a.parquet"), "streaming": True}
    with pytest.raises(DataError, match=r"row 0 \(s0\): the image is a damaged image"):
        list(build_train_loader(open_dataset(spec), TRANSFORM, batch_size=4, shuffle=False))
    loader = build_train_loader(open_dataset(spec), TRANSFORM, batch_size=4, shuffle=False, on_error="skip")
    seen = names(loader)
    assert seen == [f"s{1 if i == 0 else 9 if i in (7, 8) else i}" for i in range(COUNT)]
    assert len(loader.skipped) == 4
    loader.set_position(0, 2)
    assert names(loader) == seen[8:]
