import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pyarrow.parquet as parquet
import pytest
from PIL import Image

from tests.training.data import writers
from training import filter as filter_script
from training.data.sources import open_dataset
from training.filtering.scores import ScoreOptions, score_depth

ROOT = Path(__file__).resolve().parents[2]
COUNT = 20


def step(name, *arguments, status=0):
    assert filter_script.main([name, *map(str, arguments)]) == status


@contextlib.contextmanager
def refused(capsys, message):
    """A step within ends with status 2 and one sentence that begins with the program's name and holds `message`."""
    capsys.readouterr()
    yield
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("filter.py: ")]
    assert len(errors) == 1 and re.search(message, errors[0]), errors


def start(*arguments, **environment):
    command = [sys.executable, str(ROOT / "training" / "filter.py"), *map(str, arguments)]
    environment = {"OMP_NUM_THREADS": "1", **os.environ, **environment}
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)


@pytest.fixture
def specs(tmp_path):
    for name in ("tartanair", "irs"):
        writers.write_dataset(name, tmp_path / name, COUNT)
    rng = np.random.default_rng(0)
    for index in range(COUNT):  # depths that differ in how they are distributed
        depth = 1 + 50 * rng.random((60, 80)) ** rng.uniform(0.5, 6)
        np.save(
            tmp_path / f"tartanair/ocean/Hard/P001/depth_left/{index:06d}_left_depth.npy", depth.astype(np.float32)
        )
    return [f"{name},root={tmp_path / name}" for name in ("tartanair", "irs")]


def test_score_select_and_train_on_the_list(tmp_path, specs, capsys):
    step("score", *specs, "--output", tmp_path / "scores", "--batch", 8, "--num-workers", 0)
    dataset = open_dataset(specs[0])
    table = parquet.read_table(sorted((tmp_path / "scores/tartanair").glob("*.parquet")))
    assert table["index"].to_pylist() == list(range(COUNT)) and table["error"].null_count == COUNT
    for index in range(COUNT):
        row = table.slice(index, 1).to_pylist()[0]
        expected = score_depth(*dataset.read_depth(index), ScoreOptions())
        assert {name: row[name] for name in expected} == expected
        assert (row["rgb"], row["depth"]) == dataset.paths(index)

    step("select", "--scores", tmp_path / "scores", "--output", tmp_path / "lists")
    assert "tartanair: " in capsys.readouterr().out
    summary = json.loads((tmp_path / "lists/summary.json").read_text())
    kept = open_dataset({"name": "tartanair", "list": str(tmp_path / "lists/tartanair.txt")})
    assert 12 <= len(kept) == summary["datasets"]["tartanair"]["kept"] <= 16
    assert np.array_equal(kept[0].depth, dataset[[dataset.paths(i) for i in range(COUNT)].index(kept.paths(0))].depth)
    for name in ("irs.txt", "tartanair.txt", "summary.json"):
        other = tmp_path / f"with {name}"
        other.mkdir()
        (other / name).write_text("mine")
        with refused(capsys, f"{name} exists; choose another --output, or give --overwrite"):
            step("select", "--scores", tmp_path / "scores", "--output", other, status=2)
        assert [path.read_text() for path in other.iterdir()] == ["mine"]
    step("select", "--scores", tmp_path / "scores", "--output", tmp_path / "lists", "--overwrite", "--drop", "0.5")
    assert len((tmp_path / "lists/tartanair.txt").read_text().splitlines()) < 10

    # all data sets in one order: the flat scenes of the other set score far better here, so this one loses more
    step("select", "--scores", tmp_path / "scores", "--output", tmp_path / "pooled", "--scope", "pooled")
    lengths = [len((tmp_path / f"pooled/{name}.txt").read_text().splitlines()) for name in ("tartanair", "irs")]
    assert lengths[0] < len(kept) and lengths[1] > lengths[0]


def test_two_ranks_give_the_lists_of_one(tmp_path, specs):
    step("score", *specs, "--output", tmp_path / "one", "--batch", 3, "--num-workers", 0)
    arguments = ["score", *specs, "--output", tmp_path / "two", "--batch", 3, "--num-workers", 1]
    ranks = [start(*arguments, RANK=str(rank), WORLD_SIZE="2") for rank in range(2)]
    for process in ranks:
        assert process.wait(120) == 0, process.stderr.read()
    for output in ("one", "two"):
        step("select", "--scores", tmp_path / output, "--output", tmp_path / f"lists-{output}")
    for name in ("tartanair.txt", "irs.txt", "summary.json"):
        one, two = ((tmp_path / f"lists-{output}" / name).read_bytes() for output in ("one", "two"))
        assert one == two


def test_killed_in_mid_batch_loses_only_that_batch(tmp_path, specs, capsys):
    spec, output = specs[0], tmp_path / "scores"
    blocked = tmp_path / "tartanair/ocean/Hard/P001/depth_left/000011_left_depth.npy"
    content = blocked.read_bytes()
    blocked.unlink()
    os.mkfifo(blocked)  # reading sample 11 waits for ever: the batch in hand is the third
    process = start("score", spec, "--output", output, "--batch", 4, "--num-workers", 2)
    deadline = time.monotonic() + 100
    while len(list(output.glob("tartanair/part-*"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    os.close(os.open(blocked, os.O_WRONLY | os.O_NONBLOCK))  # lets the orphaned worker go on, and notice
    blocked.unlink()
    blocked.write_bytes(content)

    parts = {path: path.stat().st_mtime_ns for path in output.glob("tartanair/part-*")}
    assert len(parts) == 2 and all(parquet.read_table(path).num_rows == 4 for path in parts)
    with refused(capsys, "2 of 5 batches are scored; run `filter.py score` to its end"):
        step("select", "--scores", output, "--output", tmp_path / "lists", status=2)

    step("score", spec, "--output", output, "--batch", 4, "--num-workers", 0)
    assert all(path.stat().st_mtime_ns == time_ns for path, time_ns in parts.items())  # not scored again
    step("score", spec, "--output", tmp_path / "whole", "--batch", 4, "--num-workers", 0)
    for path in sorted((tmp_path / "whole/tartanair").glob("part-*")):
        assert parquet.read_table(path).equals(parquet.read_table(output / "tartanair" / path.name))
    assert not [path for path in output.rglob(".*")]


def test_unreadable_depth(tmp_path, specs, capsys):
    damaged = tmp_path / "irs/Home/Bath_BL2/d_3.exr"
    damaged.write_bytes(b"nothing")
    with refused(capsys, f"^filter.py: {damaged}: the file is damaged"):
        step("score", specs[1], "--output", tmp_path / "a", "--num-workers", 0, "--on-error", "raise", status=2)
    step("score", specs[1], "--output", tmp_path / "b", "--num-workers", 0)
    table = parquet.read_table(next((tmp_path / "b/irs").glob("part-*")))
    (error,) = table["error"].drop_null().to_pylist()
    assert error.startswith(f"{damaged}: ") and np.isnan(table["distribution"].to_numpy()).sum() == 1
    step("select", "--scores", tmp_path / "b", "--output", tmp_path / "lists", "--drop", "0")
    assert (
        str(damaged) not in (text := (tmp_path / "lists/irs.txt").read_text()) and len(text.splitlines()) == COUNT - 1
    )


def test_mistakes(tmp_path, specs, capsys):
    step("score", specs[0], "--output", tmp_path / "scores", "--num-workers", 0)
    for change, name in ((["--num-bins", 10], "options"), (["--batch", 5], "batch")):
        with refused(capsys, f"holds results made with another {name}; choose another --output"):
            step("score", specs[0], "--output", tmp_path / "scores", *change, status=2)
    with refused(capsys, "dataset and samples and sha256_of_pairs"):
        step("score", f"{specs[0]},include=*_left.png,exclude=*0_left.png", "--output", tmp_path / "scores", status=2)
    with refused(capsys, "no scores here; run `filter.py score"):
        step("select", "--scores", tmp_path / "none", "--output", tmp_path / "lists", status=2)
    with refused(capsys, "--num-bins: must be a whole number at least 5, got 4"):
        # the paper's concentration has no meaning for four bins or fewer: twice the fair share is half of all
        step("score", specs[0], "--output", tmp_path / "scores", "--num-bins", 4, status=2)
    with refused(capsys, "^filter.py: Unknown data set 'nyu'"):
        step("score", "nyu,root=/x", "--output", tmp_path / "scores", status=2)


def test_nothing_readable_or_kept(tmp_path, specs):
    for path in (tmp_path / "irs").rglob("d_*.exr"):
        path.write_bytes(b"nothing")
    step("score", specs[1], "--output", tmp_path / "scores", "--num-workers", 0)
    with warnings.catch_warnings(action="error", category=RuntimeWarning):
        step("report", "--scores", tmp_path / "scores", "--output", tmp_path / "report")
    assert (
        "| irs | 20 | 20 | 0 | 0 (0.0%) | 66.0% | - | 0.443 | - | 0.527 |"
        in (tmp_path / "report/report.md").read_text()
    )
    step("select", "--scores", tmp_path / "scores", "--output", tmp_path / "lists")
    summary = json.loads((tmp_path / "lists/summary.json").read_text())
    assert summary["datasets"]["irs"] == {
        "total": 20,
        "kept": 0,
        "lowest_kept": {"distribution": None, "gradient": None},
    }


def test_report(tmp_path, specs):
    (tmp_path / "irs/Home/Bath_BL2/d_3.exr").write_bytes(b"nothing")
    step("score", *specs, "--output", tmp_path / "scores", "--num-workers", 0)
    step("report", "--scores", tmp_path / "scores", "--output", tmp_path / "report", "--samples", 3)
    page = (tmp_path / "report/report.md").read_text()
    row = next(line for line in page.splitlines() if line.startswith("| tartanair"))
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert (
        cells[1] == str(COUNT) and cells[5] == "60.9%" and cells[7] == "0.328"
    )  # 186,693 of 306,637; the paper's mean
    table = parquet.read_table(next((tmp_path / "scores/tartanair").glob("part-*")))
    assert cells[6] == f"{table['distribution'].to_numpy().mean():.3f}"
    assert "1 depth files could not be read" in page and "d_3.exr: the file is damaged" in page
    pictures = re.findall(r"\]\((.+\.png)\)", page)
    assert len(pictures) == 5
    for picture in pictures:
        with Image.open(tmp_path / "report" / picture) as image:
            assert min(image.size) > 200 and len(image.convert("RGB").getcolors(1 << 24)) > 50
