import os
import resource
import sys
from pathlib import Path

import datasets
import numpy as np
import pytest

from tests.training.data import writers
from tests.training.drawn import write_pictures
from training import make_shards
from training.data.sources import open_dataset


@pytest.fixture
def dataset(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    writers.write_dataset("blendedmvs", tmp_path / "blendedmvs", 7)
    return open_dataset(f"blendedmvs,root={tmp_path / 'blendedmvs'}")


def convert(dataset, output, *options, status=0):
    result = make_shards.main(
        [
            f"blendedmvs,root={dataset.root}",
            "--output",
            str(output),
            "--shard-size",
            "3",
            "--num-workers",
            "0",
            *options,
        ]
    )
    assert result == status


@pytest.mark.parametrize("format, extension", [("parquet", "parquet"), ("webdataset", "tar")])
def test_shards_hold_what_the_files_hold(tmp_path, dataset, format, extension, capsys):
    output = tmp_path / "shards"
    convert(dataset, output, "--format", format)
    assert sorted(path.name for path in output.iterdir()) == [
        "shards.json", *(f"train-0000{number}-of-00003.{extension}" for number in range(3))
    ]  # fmt: skip
    spec = capsys.readouterr().out.split("For the trainer: ")[1].strip()
    assert spec.endswith("num_samples=7")
    stream = open_dataset(spec)
    if format == "parquet":
        mapped = open_dataset({"name": "hub", "path": str(output), "is_metric": True})
        assert len(mapped) == 7 and not mapped[0].is_metric  # the rows' own word counts
    samples = [stream.read_row(row, i) for i, row in zip(range(7), stream.rows(0, 0, 0, 1, shuffle=False))]
    originals = {writers.scene(index, 60, 80)[1].tobytes(): dataset[index] for index in range(7)}
    order = [list(originals).index(sample.depth.tobytes()) for sample in samples]
    assert sorted(order) == list(range(7)) and order != sorted(order)
    for sample in samples:
        original = originals[sample.depth.tobytes()]
        assert np.array_equal(sample.image, original.image) and np.array_equal(sample.valid, original.valid)
        assert not sample.is_metric


def test_rendered_pictures_become_png(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    spec = write_pictures(tmp_path / "pictures", 3, street=True)
    make_shards.main([spec, "--output", str(tmp_path / "shards"), "--num-workers", "0"])
    shards, pictures = open_dataset(f"hub,path={tmp_path / 'shards'}"), open_dataset(spec)
    stored = {shards[index].depth.tobytes(): shards[index] for index in range(len(shards))}
    for picture in (pictures[index] for index in range(3)):
        sample = stored[np.where(picture.valid, picture.depth, 0).tobytes()]
        assert np.array_equal(sample.image, picture.image) and np.array_equal(sample.valid, picture.valid)
        assert 0.2 < sample.valid.mean() < 0.9  # the sky, and what is beyond 100 m, has no label
    assert make_shards.main([f"{spec},include=*/0-0-0*", "--output", str(tmp_path / "shards")]) == 2
    assert "another dataset" in capsys.readouterr().err


def test_interrupted_conversion_goes_on(tmp_path, dataset, capsys):
    output = tmp_path / "shards"
    convert(dataset, output)
    paths = sorted(output.glob("*.parquet"))
    contents = [path.read_bytes() for path in paths]
    times = [path.stat().st_mtime_ns for path in paths]
    paths[1].unlink()
    convert(dataset, output)
    assert [path.read_bytes() for path in paths] == contents
    assert [path.stat().st_mtime_ns == time for path, time in zip(paths, times)] == [True, False, True]
    convert(dataset, output, "--seed", "1", status=2)
    assert "holds results made with another seed" in capsys.readouterr().err


def test_a_full_disk_is_one_sentence_with_the_file(tmp_path, dataset):
    output = tmp_path / "shards"
    pid = os.fork()
    if not pid:
        resource.setrlimit(resource.RLIMIT_FSIZE, (3000, resource.RLIM_INFINITY))
        sys.stderr = open(tmp_path / "stderr", "w", buffering=1)
        options = "--output", str(output), "--shard-size", "3", "--num-workers", "1"
        os._exit(make_shards.main([f"blendedmvs,root={dataset.root}", *options]))
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 2
    sentence = (tmp_path / "stderr").read_text().splitlines()[-1]
    assert sentence.startswith(f"make_shards.py: {output}/train-0000") and "Traceback" not in sentence
    assert [path.name for path in output.iterdir()] == ["shards.json"]


def test_unreadable_samples(tmp_path, dataset, capsys):
    damaged = Path(dataset.paths(4)[1])
    damaged.write_bytes(b"nothing")
    convert(dataset, tmp_path / "a", status=2)
    assert f"make_shards.py: {damaged}" in capsys.readouterr().err
    assert not [name for name in os.listdir(tmp_path / "a") if name.startswith(".")]
    convert(dataset, tmp_path / "b", "--on-error", "skip")
    output = capsys.readouterr()
    assert f"skipped: {damaged}" in output.err and "num_samples=6" in output.out
    convert(dataset, tmp_path / "b", "--on-error", "skip")  # all there, as after an interruption at the end
    assert "num_samples=6" in capsys.readouterr().out
