"""The Trainer example, run as users run it: accumulation, an interruption, and pipeline on the result."""

import shutil

import datasets
import numpy as np
import pytest
from PIL import Image
from safetensors.torch import load_file
from transformers import pipeline

from tests.conftest import ROOT

OPTIONS = [
    "--use_cpu", "--per_device_train_batch_size", "2", "--max_steps", "4", "--save_steps", "2", "--logging_steps", "1",
    "--learning_rate", "1e-2", "--seed", "1",
]  # fmt: skip


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Eight pictures whose brightness follows their disparity, as a folder of Parquet."""
    rng = np.random.default_rng(0)
    images, depths = [], []
    for _ in range(8):
        disparity = np.linspace(0.1, 1, 56)[:, None] * rng.uniform(0.5, 1, 60)
        images.append(Image.fromarray((255 * disparity[..., None].repeat(3, 2)).astype(np.uint8)))
        depths.append((1 / disparity).astype(np.float32))
    features = datasets.Features(image=datasets.Image(), depth=datasets.Array2D((56, 60), "float32"))
    folder = tmp_path_factory.mktemp("own_data")
    rows = datasets.Dataset.from_dict({"image": images, "depth": depths}, features=features)
    rows.to_parquet(folder / "train.parquet")
    return folder


@pytest.fixture
def run_example(tmp_path, save_tiny_model, run_process):
    """`run_example(dataset, name, *options)` returns the finished process, whose output is the folder `name`."""

    def run(dataset, name, *options):
        script = ROOT / "examples" / "finetune_with_trainer.py"
        return run_process("-c", f"import sys, runpy; sys.path.insert(0, {str(ROOT)!r}); sys.argv = sys.argv[1:]; "
                           "runpy.run_path(sys.argv[0], run_name='__main__')",
                           script, save_tiny_model(), dataset, tmp_path / name, *OPTIONS, *options)  # fmt: skip

    return run


def test_depth_in_millimetres_is_refused(tmp_path, run_example):
    image, depth = Image.new("RGB", (60, 56)), Image.fromarray(np.full((56, 60), 1500, dtype=np.uint16))
    rows = datasets.Dataset.from_dict({"image": [image] * 4, "depth": [depth] * 4})
    (tmp_path / "data").mkdir()
    rows.to_parquet(tmp_path / "data" / "train.parquet")
    result = run_example(tmp_path / "data", "model")
    assert result.returncode == 1 and "ValueError: All depth is beyond 100 metres" in result.stderr
    assert not (tmp_path / "model" / "config.json").exists()


def test_finetunes_resumes_and_loads(dataset, tmp_path, save_tiny_model, run_example):
    def train(name, *options):
        result = run_example(dataset, name, *options)
        assert result.returncode == 0, result.stderr
        return result.stdout

    train("straight", "--gradient_accumulation_steps", "2")
    straight = load_file(tmp_path / "straight" / "model.safetensors")
    before = load_file(save_tiny_model() / "model.safetensors")
    changed = {name for name in before if not before[name].equal(straight[name])}
    assert changed and all(name.startswith("head.") for name in changed)
    # as if it had been interrupted after two of four steps
    shutil.copytree(tmp_path / "straight", tmp_path / "resumed")
    (tmp_path / "resumed" / "model.safetensors").unlink()
    shutil.rmtree(tmp_path / "resumed" / "checkpoint-4")
    train("resumed", "--gradient_accumulation_steps", "2")
    resumed = load_file(tmp_path / "resumed" / "model.safetensors")
    assert all(straight[name].equal(resumed[name]) for name in straight)

    image = Image.fromarray(np.zeros((50, 70, 3), dtype=np.uint8))
    result = pipeline("depth-estimation", model=str(tmp_path / "resumed"), device="cpu")(image)
    assert result["depth"].size == (70, 50)


def test_without_its_arguments_it_says_what_they_are(run_process):
    result = run_process(ROOT / "examples" / "finetune_with_trainer.py")
    assert result.returncode == 1 and "MODEL DATASET OUTPUT" in result.stderr and "Traceback" not in result.stderr
