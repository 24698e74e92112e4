"""The example of docs/adapters.md trains, merges and loads again equal."""

import re
from pathlib import Path

import pytest
import torch

pytest.importorskip("peft", reason="pip install 'anydepth-hf[lora]'")

PAGE = Path(__file__).parents[1] / "docs" / "adapters.md"


def test_the_example_of_the_page_runs_and_the_merged_model_loads_equal(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    example = re.search(r"## LoRA.*?```python\n(.*?)```", PAGE.read_text(), re.S)[1]
    names = {}
    exec(compile(example, str(PAGE), "exec"), names)
    assert names["loss"].isfinite()
    image = torch.randn(1, 3, 64, 80)
    original = names["AnyDepthForDepthEstimation"].from_pretrained(names["anydepth_hf"].BUNDLED_CHECKPOINT)
    with torch.no_grad():
        merged = names["merged"](image).predicted_depth
        torch.testing.assert_close(names["reloaded"](image).predicted_depth, merged, rtol=1e-5, atol=1e-6)
        assert not torch.allclose(original(image).predicted_depth, merged, rtol=1e-4)
