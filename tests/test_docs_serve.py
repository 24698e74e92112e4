"""docs/serve.md: its commands, run as they stand there against a server, and its tables."""

import re
import shlex
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest
from PIL import Image

import anydepth_hf

for package in ("fastapi", "uvicorn", "python_multipart", "psutil"):
    pytest.importorskip(package, reason="pip install 'anydepth-hf[serve]' psutil")

from anydepth_hf.serve_schema import PROBLEMS, Options  # noqa: E402
from tests.anydepth_hf.serve_process import Server  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "serve.md").read_text(encoding="utf-8")


@pytest.mark.skipif(not shutil.which("curl"), reason="the page's commands need curl")
def test_every_request_of_the_page_gets_what_it_asks_for(save_tiny_model, tmp_path):
    pytest.importorskip("OpenEXR", reason="pip install 'anydepth-hf[formats]'")
    photo = Image.open(Path(anydepth_hf.BUNDLED_CHECKPOINT) / "coffee.jpg")
    photo.resize((90, 60)).save(tmp_path / "photo.jpg")
    commands = re.findall(r"^curl .*", PAGE, re.MULTILINE)
    with Server("--model", save_tiny_model("dinov2"), log=tmp_path / "log") as server:
        for command in commands:
            command = shlex.split(command.replace("localhost:8000", f"127.0.0.1:{server.port}"))
            finished = subprocess.run([command[0], "--fail", "--silent", *command[1:]], cwd=tmp_path)
            assert finished.returncode == 0, command
    assert anydepth_hf.read_depth(tmp_path / "photo_disparity.png").shape == (60, 90)
    assert anydepth_hf.read_depth(tmp_path / "photo_disparity.exr").kind == "disparity"
    with zipfile.ZipFile(tmp_path / "photo.zip") as archive:
        names = [f"photo_disparity{ending}" for ending in (".npz", ".png", "_color.png")]
        assert sorted(archive.namelist()) == names


def test_the_tables_of_the_page_are_complete():
    options = re.findall(r"`(\w+)`", " ".join(re.findall(r"^\| (`\w+`(?:, `\w+`)*) \|", PAGE, re.MULTILINE)))
    assert set(options) == set(Options.model_fields)
    statuses = {int(code) for code in re.findall(r"^\| (\d{3}) \|", PAGE, re.MULTILINE)}
    assert statuses == set(PROBLEMS) - {500}
    for name in re.findall(r"\]\((?!http)([^)]+)\)", PAGE):
        assert (ROOT / "docs" / name).is_file(), name
    help_text = (ROOT / "anydepth_cli" / "serve.py").read_text()
    for option in re.findall(r"`(--(?!format)[\w-]+)", PAGE):
        assert option in help_text, option
