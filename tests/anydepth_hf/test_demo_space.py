"""The folder of `anydepth demo --export-space`."""

import os
import re
import socket
import subprocess
import sys
import time
import tomllib
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from anydepth_cli.main import main

gradio = pytest.importorskip("gradio", reason="needs the extra demo")


@pytest.fixture
def space(tmp_path, save_tiny_model):
    assert main(["demo", "--export-space", str(tmp_path / "space"), "--model", "bundled", str(save_tiny_model())]) == 0
    return tmp_path / "space"


def test_the_folder_starts_in_a_process_of_its_own(space, save_tiny_model, tmp_path):
    front = dict(re.findall(r"^(\w+): (.*)$", (space / "README.md").read_text().split("---")[1], re.MULTILINE))
    assert (front["sdk"], front["app_file"], front["sdk_version"]) == ("gradio", "app.py", gradio.__version__)
    assert (space / "models" / save_tiny_model().name / "model.safetensors").is_file()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "GRADIO"))}
    environment |= {"GRADIO_SERVER_PORT": str(port), "TMPDIR": str(tmp_path), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", "import anydepth_hf, runpy; print(anydepth_hf.__file__, flush=True);"
               "runpy.run_path('app.py', run_name='__main__')"]  # fmt: skip
    with subprocess.Popen(command, cwd=space, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            page = answer(f"http://127.0.0.1:{port}", process)
            assert process.stdout.readline().strip() == str(space / "anydepth_hf" / "__init__.py")
        finally:
            process.kill()
    assert '"title":"AnyDepth"' in page and "bundled: small, at once" in page


def answer(address, process):
    deadline = time.monotonic() + 120
    while True:
        try:
            return urlopen(address, timeout=60).read().decode()
        except URLError:
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.2)


def test_the_requirements_are_those_of_the_package(space, request):
    project = tomllib.loads((request.config.rootpath / "pyproject.toml").read_text())["project"]
    lines = (space / "requirements.txt").read_text().splitlines()
    extras = project["optional-dependencies"]
    assert lines == project["dependencies"] + extras["formats"] + extras["video"]


@pytest.mark.parametrize("name", [".", ".."])
def test_the_folder_that_one_is_in_is_not_replaced(name, tmp_path, capsys, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert main(["demo", "--export-space", name]) == 2
    assert capsys.readouterr().err == f"anydepth demo: {name} holds the folder that you are in; choose a new one.\n"


def test_only_its_own_folder_is_replaced(space, capsys):
    (space / "app.py").write_text((space / "app.py").read_text() + "# older\n")
    assert main(["demo", "--export-space", str(space)]) == 0
    assert "# older" not in (space / "app.py").read_text() and not (space / "models").exists()
    (space / "notes.txt").write_text("mine")
    assert main(["demo", "--export-space", str(space)]) == 2
    assert "holds notes.txt, which `anydepth demo` did not write" in capsys.readouterr().err
    (space / "notes.txt").unlink()
    (space / "app.py").write_text("print('mine')")
    assert main(["demo", "--export-space", str(space)]) == 2
    assert (space / "app.py").read_text() == "print('mine')"
    assert main(["demo", "--export-space", str(space / "app.py")]) == 2
    assert capsys.readouterr().err.splitlines()[-1].endswith("is a file; choose a folder.")
