"""`pipeline("depth-estimation")` by import and by remote code, from a folder and from a Hub, with every input kind."""

import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import pipeline

from anydepth_hf import AnyDepthForDepthEstimation
from tests.anydepth_hf.test_remote_code import without_progress
from tests.hub_server import Repository

ROOT = Path(__file__).resolve().parents[2]
NAME = "AIGeeksGroup/AnyDepth"

USE = """
import json
from PIL import Image
from transformers import pipeline

def use(model, path, url, **kwargs):
    depth = pipeline("depth-estimation", model=model, **kwargs)
    image = Image.open(path)
    single = [depth(image), depth(path), depth(url)]
    several = depth([image, path, url, image.convert("L")], batch_size=2)
    maps = [result["predicted_depth"] for result in single + several]
    assert all(result["depth"].size == image.size for result in single + several)
    return {
        "module": type(depth.model).__module__,
        "shapes": [list(values.shape) for values in maps],
        "spread": [float((values - maps[0]).abs().max()) for values in maps],
        "std": float(maps[0].std()),
    }
"""


@pytest.fixture
def photo(tmp_path, hub):
    """A picture as a file and behind a URL: `(path, url)`."""
    pixels = np.random.default_rng(0).integers(0, 255, (70, 90, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "png")
    (tmp_path / "photo.png").write_bytes(buffer.getvalue())
    hub.static["photo.png"] = buffer.getvalue()
    return tmp_path / "photo.png", f"{hub.url}/static/photo.png"


@pytest.fixture
def on_hub(hub, save_tiny_model):
    """The name of a repository that holds a saved model, and the folder it came from."""
    folder = save_tiny_model()
    repository = hub.repositories[NAME] = Repository()
    repository.commit("main", {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()})
    repository.tags["v1"] = repository.branches["main"]
    return NAME, folder


def check(report: dict, module: str):
    assert report["module"].startswith(module)
    assert report["shapes"] == [[70, 90]] * 7
    assert report["spread"][:6] == pytest.approx([0] * 6, abs=1e-5)
    assert report["spread"][6] > 1e-4, "the gray picture gives another prediction"
    assert report["std"] > 1e-4


def test_with_the_package_imported(hub, on_hub, photo, run_process):
    name, folder = on_hub
    script = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
import anydepth_hf
{USE}
print(json.dumps([use({str(folder)!r}, *sys.argv[1:]), use({name!r}, *sys.argv[1:])]))
"""
    done = run_process("-W", "default", "-c", script, *photo, hub=hub)
    assert done.returncode == 0, done.stderr
    assert without_progress(done.stderr) == ""
    for report in json.loads(done.stdout):
        check(report, "anydepth_hf.")


def test_by_remote_code(hub, on_hub, photo, run_process):
    """
    Without the user's word nothing is loaded and no prompt waits for an answer. With it, a pinned revision loads
    silently; without one, transformers advises to pin it, and nothing else is said.
    """
    name, folder = on_hub
    script = f"""
import sys
from urllib.request import urlopen
sys.modules["anydepth_hf"] = None
{USE}
try:
    use({name!r}, *sys.argv[1:], trust_remote_code=False)
except ValueError as error:
    assert "trust_remote_code" in str(error)
    urlopen(sys.argv[2])  # marks in the Hub's log how far this got
reports = [use({str(folder)!r}, *sys.argv[1:], trust_remote_code=True)]
reports.append(use({name!r}, *sys.argv[1:], trust_remote_code=True, revision="v1"))
print("unpinned", file=sys.stderr)
reports.append(use({name!r}, *sys.argv[1:], trust_remote_code=True))
print(json.dumps(reports))
"""
    done = run_process("-W", "default", "-c", script, *photo, hub=hub)
    assert done.returncode == 0, done.stderr
    paths = [path for _, path in hub.requests]
    assert not [path for path in paths[: paths.index("/static/photo.png")] if path.endswith(".py")]
    assert [path for path in paths if path.endswith("modeling_anydepth.py")]
    silent, _, advice = without_progress(done.stderr).partition("unpinned")
    assert silent == ""
    assert all(
        line.startswith(("- ", "A new version of the following files", ".")) for line in advice.split("\n") if line
    )
    for report in json.loads(done.stdout):
        check(report, "transformers_modules.")


@pytest.mark.parametrize("kept", ["half", "none"])
def test_a_checkpoint_that_lacks_weights_predicts_nothing(kept, save_tiny_model, tmp_path):
    """Until its weights are trained or loaded; `from_pretrained` itself gives a model and warns."""
    folder = tmp_path / "model"
    shutil.copytree(save_tiny_model(), folder)
    weights = load_file(folder / "model.safetensors")
    names = sorted(weights)[: len(weights) // 2] if kept == "half" else []
    save_file({name: weights[name] for name in names}, folder / "model.safetensors", {"format": "pt"})
    depth = pipeline("depth-estimation", model=str(folder), device="cpu")
    image = Image.new("RGB", (64, 48))
    for _ in range(2):
        with pytest.raises(ValueError, match=r"lacks \d+ of its weights, .* would predict noise"):
            depth(image)
    pixel_values, labels = torch.rand(1, 3, 48, 64), torch.ones(1, 48, 64)
    assert torch.isfinite(depth.model(pixel_values, labels=labels).loss)
    depth.model.load_state_dict(weights)
    expected = pipeline("depth-estimation", model=str(save_tiny_model()), device="cpu")(image)["predicted_depth"]
    torch.testing.assert_close(depth(image)["predicted_depth"], expected, rtol=1e-5, atol=1e-6)


def test_a_new_head_predicts_once_it_is_trained(save_tiny_model, tmp_path):
    whole = AnyDepthForDepthEstimation.from_pretrained(save_tiny_model())
    whole.backbone.save_pretrained(tmp_path)
    model = AnyDepthForDepthEstimation.from_pretrained(tmp_path, config=whole.config)
    pixel_values, labels = torch.rand(2, 3, 48, 64), torch.ones(2, 48, 64)
    with pytest.raises(ValueError, match="would predict noise"):
        model(pixel_values)
    optimizer = torch.optim.AdamW(model.head.parameters(), lr=1e-3)
    model.train()
    model(pixel_values, labels=labels).loss.backward()
    optimizer.step()
    assert torch.isfinite(model.eval()(pixel_values).predicted_depth).all()
