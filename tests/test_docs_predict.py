"""The commands of docs/predict.md, run as they stand there."""

import io
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import anydepth_hf
from anydepth_cli.main import main
from anydepth_hf.alignment import Alignment
from anydepth_hf.calibration import Calibration
from anydepth_hf.image_io import ImageError

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "predict.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


COMMANDS = [line for block in blocks("bash") for line in block.splitlines()]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The files that the page names."""
    photo = Image.open(Path(anydepth_hf.BUNDLED_CHECKPOINT) / "coffee.jpg")
    photo.resize((180, 120)).save(tmp_path / "photo.jpg")
    photo.resize((840, 560)).save(tmp_path / "large.jpg")
    for name in ("photos/a.jpg", "photos/deep/b.png", "dataset/train/c.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        photo.resize((90, 60)).save(tmp_path / name)
    (tmp_path / "list.txt").write_text("photo.jpg\nphotos\n")
    Calibration(Alignment(0.5, 0.1)).save(tmp_path / "calibration.json")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("command", [line for line in COMMANDS if not line.startswith("torchrun")])
def test_every_command_of_the_page_writes_what_it_says(command, folder, monkeypatch, capsys):
    if command.startswith("cat "):
        piped, command = command.removeprefix("cat ").split(" | ")
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(Path(piped).read_bytes())))
    # the one address of the page is answered from the folder
    monkeypatch.setattr("anydepth_hf.inputs.download", lambda url: Path(url.rpartition("/")[2]).read_bytes())
    program, *arguments = shlex.split(command)
    assert program == "anydepth"
    assert main(arguments) == 0, capsys.readouterr().err
    written = [path for path in Path(arguments[arguments.index("--output-dir") + 1]).rglob("*") if path.is_file()]
    assert written
    if "--format" not in arguments:
        assert len(written) % 2 == 0 and any(path.name.endswith("_color.png") for path in written)
    for path in written:
        if not path.name.endswith(("_color.png", ".json")):
            assert anydepth_hf.read_depth(path).valid.all()
    if "--step" in arguments:
        depth = anydepth_hf.read_depth("millimetres/photo_depth.png", encoding="millimetres")
        assert (
            np.abs(depth.values - anydepth_hf.predict_depth("photo.jpg", calibration="calibration.json").values).max()
            < 6e-4
        )


def test_processes_share_the_pictures_and_report_as_one(folder):
    (command,) = (line for line in COMMANDS if line.startswith("torchrun"))
    (folder / "photos" / "broken.jpg").write_bytes(b"\xff\xd8\xff")
    program, *arguments = shlex.split(command)
    process = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", *arguments],
        env=os.environ | {"PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert process.returncode == 1
    assert process.stdout.count("Wrote disparity of 2 images to shared") == 1, process.stderr
    assert process.stderr.count("1 of 3 images failed") == 1
    assert len(list((folder / "shared").rglob("*.png"))) == 4


def test_the_python_of_the_page_runs(folder):
    (code,) = blocks("python")
    values = {}
    exec(compile(code, "predict.md", "exec"), values)
    assert values["depth"].shape == (120, 180) and [depth.shape for depth in values["maps"]] == [(120, 180), (60, 90)]


def test_what_the_page_says_of_files_is_true(folder):
    disparity = anydepth_hf.predict_depth("photo.jpg")
    for suffix in ("png", "tiff", "npz", "npy", "jpg"):
        anydepth_hf.write_depth(f"a.{suffix}", disparity)
    assert json.loads(Image.open("a.png").text["anydepth"])["scale"] > 0
    assert json.loads(Image.open("a.tiff").tag_v2[270])["kind"] == "disparity"
    with np.load("a.npz") as file:
        assert {"anydepth", "disparity", "valid"} == set(file)
    assert json.loads(Path("a.npy.json").read_text())["unit"] is None
    assert b'GDepth:Units="relative"' in Path("a.jpg").read_bytes()
    for name in re.findall(r"\]\((?!http)([^)]+)\)", PAGE):
        assert (ROOT / "docs" / name).is_file(), name
    for name in (
        "`--robust`",
        "`--overwrite`",
        "`--report FILE`",
        "`--no-recursive`",
        "`--workers`",
        "`--batch-size`",
    ):
        assert name in PAGE and name.strip("`").split()[0] in (ROOT / "anydepth_cli" / "predict.py").read_text()
    shutil.copy("photo.jpg", "photo.eps")
    assert anydepth_hf.predict_depth("photo.eps").shape == (120, 180)  # told by content
    Path("ps.jpg").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 4 4\nshowpage\n")
    with pytest.raises(ImageError, match="ps.jpg is no image"):
        anydepth_hf.predict_depth("ps.jpg")
