"""What a person has who only installed the wheel: no checkout, an empty folder, and the Hub."""

import subprocess
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.small_presets import fill

pytest.importorskip("hatchling", reason="builds the wheel: pip install 'anydepth-hf[test]'")

SCRIPT = """
import runpy, sys
wheel, small_presets = sys.argv[1:3]
sys.path.insert(0, wheel)
import anydepth_hf
assert anydepth_hf.__file__.startswith(wheel)
runpy.run_path(small_presets)["shrink"]()
from anydepth_cli.main import main
for command in ("pull dav2-small-dpt --output mine", "predict --model da3-small-dual-dpt", "models"):
    assert main(command.split()) == 0, command
assert "conversion" not in sys.modules and "anydepth_hf.conversion" in sys.modules
"""


@pytest.fixture(scope="module")
def wheel(request, tmp_path_factory):
    """A folder with the wheel's content."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=request.config.rootpath, check=True, capture_output=True)
    (path,) = folder.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        archive.extractall(folder / "installed")
    return folder / "installed"


def test_the_wheel_brings_the_converter_as_a_part_of_the_package(wheel):
    tops = {path.name for path in wheel.iterdir() if not path.name.endswith(".dist-info")}
    assert tops == {"anydepth_cli", "anydepth_hf"}
    converter = {path.name for path in (wheel / "anydepth_hf" / "conversion").rglob("*.*")}
    assert {"converter.py", "da3.py", "model_card_template.md"} <= converter and "push_to_hub.py" not in converter


def test_two_processes_at_once_make_one_model(wheel, hub, run_process, request):
    fill(hub)
    script = (
        "import runpy, sys; sys.path.insert(0, sys.argv[1]); runpy.run_path(sys.argv[2])['shrink']();"
        "from anydepth_hf import from_preset; print(from_preset('dav2-small-dpt').config.head_type)"
    )
    small_presets = request.config.rootpath / "tests" / "small_presets.py"
    with ThreadPoolExecutor() as pool:
        both = list(pool.map(lambda _: run_process("-c", script, wheel, small_presets, hub=hub), range(2)))
    assert [process.stdout.strip() for process in both] == ["dpt", "dpt"], [process.stderr for process in both]
    assert sum("downloading" in process.stderr for process in both) == 1
    assert sum(method == "GET" and path.endswith("vits.pth") for method, path in hub.requests) == 1


def test_pull_and_predict_from_the_wheel_alone(wheel, hub, run_process, tmp_path, request):
    fill(hub)
    small_presets = request.config.rootpath / "tests" / "small_presets.py"
    process = run_process("-c", SCRIPT, wheel, small_presets, hub=hub)
    assert process.returncode == 0, process.stderr
    here = tmp_path / "elsewhere"
    assert {path.name for path in here.iterdir()} == {"mine", "coffee_depth.png", "coffee_depth_color.png"}
    assert (here / "mine" / "model.safetensors").is_file()
    assert "da3-small-dual-dpt: made from depth-anything/DA3-SMALL, Apache 2.0 (" in process.stderr
    (line,) = [line for line in process.stdout.splitlines() if line.startswith("da3-small-dual-dpt")]
    assert line.endswith("converted-1") and "depth" in line
