"""A saved model carries its code: it loads and saves again where the package is not importable, and says nothing."""

import filecmp
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import anydepth_hf
from anydepth_hf import AnyDepthForDepthEstimation, AnyDepthImageProcessor
from tests.conftest import TINY_BACKBONES

PACKAGE = Path(anydepth_hf.__file__).parent

SCRIPT = """
import json, sys
sys.modules["anydepth_hf"] = None  # importing it fails, also where it is installed
import numpy as np
from PIL import Image
from transformers import AutoConfig, AutoImageProcessor, AutoModelForDepthEstimation, pipeline

image = Image.open(sys.argv[1])
report = {}
for folder in sys.argv[2:]:
    depth = pipeline("depth-estimation", model=folder, trust_remote_code=True)
    model, processor = depth.model, depth.image_processor
    np.save(folder + "/again.npy", depth(image)["predicted_depth"].numpy())
    AutoConfig.from_pretrained(folder, trust_remote_code=True)
    AutoImageProcessor.from_pretrained(folder, trust_remote_code=True)
    AutoModelForDepthEstimation.from_pretrained(folder, trust_remote_code=True).save_pretrained(folder + "/again")
    processor.save_pretrained(folder + "/again")
    again = pipeline("depth-estimation", model=folder + "/again", trust_remote_code=True)
    np.save(folder + "/again/again.npy", again(image)["predicted_depth"].numpy())
    report[model.config.backbone_config.model_type] = [type(x).__module__ for x in (model, processor, model.config)]
print(json.dumps(report))
"""


def without_progress(stderr: str) -> str:
    """What a process wrote besides progress bars."""
    lines = [line for line in stderr.replace("\r", "\n").splitlines() if "%|" not in line]
    return "\n".join(lines).strip()


@pytest.fixture
def photo(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (70, 90, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def code_files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*.py"))


def test_every_encoder_loads_without_the_package(save_tiny_model, run_process, photo, tmp_path):
    folders = {name: shutil.copytree(save_tiny_model(name), tmp_path / name) for name in TINY_BACKBONES}
    done = run_process("-W", "default", "-c", SCRIPT, photo, *folders.values())
    assert done.returncode == 0, done.stderr
    assert without_progress(done.stderr) == ""
    report = json.loads(done.stdout)
    assert list(report) == list(TINY_BACKBONES)
    for name, folder in folders.items():
        assert all(module.startswith("transformers_modules.") for module in report[name]), report[name]
        model = AnyDepthForDepthEstimation.from_pretrained(folder)
        processor = AnyDepthImageProcessor.from_pretrained(folder)
        inputs = processor(Image.open(photo), return_tensors="pt")
        with torch.inference_mode():
            expected = processor.post_process_depth_estimation(model(**inputs), [(70, 90)])[0]["predicted_depth"]
        assert expected.std() > 1e-4, "a constant prediction would compare equal to anything"
        for path in (folder / "again.npy", folder / "again" / "again.npy"):
            np.testing.assert_allclose(np.load(path), expected, rtol=0, atol=1e-6)
        files = code_files(folder)
        assert files == code_files(folder / "again") and "modeling_anydepth.py" in files
        for copies in (folder, folder / "again"):
            match, mismatch, errors = filecmp.cmpfiles(copies, PACKAGE, files, shallow=False)
            assert match == files and not mismatch and not errors


def test_saved_code_is_complete_and_no_more(save_tiny_model):
    """The files that are saved are those that the model needs: no tools, no data, whatever the encoder."""
    for name in TINY_BACKBONES:
        files = code_files(save_tiny_model(name))
        assert "__init__.py" not in files and "cli.py" not in files
        assert {"configuration_anydepth.py", "modeling_sdt.py", "image_processing_anydepth.py"} <= set(files)
