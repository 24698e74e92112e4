"""The commands of docs/metres.md and docs/3d.md, run as they stand there."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from anydepth_cli.main import main
from tests.training.drawn import draw

ROOT = Path(__file__).resolve().parents[1]


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", (ROOT / "docs" / page).read_text(), re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two drawn rooms with a sparse, partly wrong depth map each, as the pages name them."""
    folder = tmp_path_factory.mktemp("docs")
    rng = np.random.default_rng(0)
    for seed, names in enumerate([("photo.jpg", "lidar.png"), ("second.jpg", "second_lidar.png")]):
        image, depth = draw(seed, 240, 320)
        Image.fromarray(image).save(folder / names[0], quality=95)
        sparse = depth * (rng.random(depth.shape) < 0.05)
        sparse[rng.random(depth.shape) < 0.1] *= 3
        Image.fromarray((sparse * 256).round().astype(np.uint16)).save(folder / names[1])
    return folder


@pytest.mark.parametrize("page", ["metres.md", "3d.md"])
def test_every_command_of_the_page_does_what_it_says(page, folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    commands = [line for block in blocks(page, "bash") for line in block.splitlines()]
    assert len(commands) >= 3
    for command in commands:
        program, *arguments = shlex.split(command)
        assert program == "anydepth"
        status = main([*arguments, "--overwrite"])
        assert (command, status) == (command, 0), capsys.readouterr().err
        if "--output" in arguments:
            assert Path(arguments[arguments.index("--output") + 1]).is_file()
        if "--output-dir" in arguments:
            assert len(list(Path(arguments[arguments.index("--output-dir") + 1]).iterdir())) >= 1
    for name in re.findall(r"`(out/[\w.]+)`", (ROOT / "docs" / page).read_text()):
        assert Path(name).is_file()
    for target in re.findall(r"\]\((?!http)([^)]+)\)", (ROOT / "docs" / page).read_text()):
        assert (ROOT / "docs" / target).is_file(), target


@pytest.mark.parametrize("page", ["metres.md", "3d.md"])
def test_the_python_of_the_page_runs(page, folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    if not (folder / "lidar.json").is_file():
        known = ["--depth", "lidar.png", "--encoding", "kitti", "--output", "lidar.json"]
        assert main(["calibrate", "photo.jpg", *known]) == 0
    (code,) = blocks(page, "python")
    values = {}
    exec(compile(code, page, "exec"), values)
    if page == "metres.md":
        assert values["depth"].shape == (240, 320) and values["wrong"].sum() > 100
        assert "Fitted by RANSAC" in capsys.readouterr().out
    else:
        assert (folder / "photo.glb").is_file() and len(values["cloud"]) <= 50_000
