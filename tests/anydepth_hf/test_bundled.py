from pathlib import Path

import numpy as np
import torch
from PIL import Image
from transformers import pipeline

from anydepth_hf import BUNDLED_CHECKPOINT, AnyDepthForDepthEstimation
from anydepth_hf.cli import main

ROOT = Path(__file__).resolve().parents[2]


def test_weights_are_small_and_load_in_full_precision_without_a_key_left_over():
    files = [path for path in Path(BUNDLED_CHECKPOINT).iterdir() if path.suffix == ".safetensors"]
    assert sum(path.stat().st_size for path in files) <= 38 * 2**20
    model, info = AnyDepthForDepthEstimation.from_pretrained(BUNDLED_CHECKPOINT, output_loading_info=True)
    assert not any(info.values())
    assert model.dtype == torch.float32


def test_first_command_predicts_the_photograph_of_the_package(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["predict"]) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["coffee_disparity.png", "coffee_disparity_color.png"]
    assert "coffee_disparity.png" in capsys.readouterr().out
    shown, drawn = (
        np.asarray(Image.open(folder / "coffee_disparity_color.png").convert("RGB"), dtype=np.float32)
        for folder in (ROOT / "docs/images", tmp_path)
    )
    assert np.abs(shown - drawn).mean() < 1  # the README shows what the command writes


def test_pipeline_loads_it_by_the_constant():
    result = pipeline("depth-estimation", model=BUNDLED_CHECKPOINT)(f"{BUNDLED_CHECKPOINT}/coffee.jpg")
    assert result["predicted_depth"].shape == (400, 600)
    assert result["predicted_depth"].std() > 0
