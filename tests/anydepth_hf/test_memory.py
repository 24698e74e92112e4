import re
import resource
from pathlib import Path

import pytest
import torch
from transformers import AutoImageProcessor

from anydepth_hf import AnyDepthForDepthEstimation, memory
from anydepth_hf.prediction import Predictor


@pytest.fixture
def model(save_tiny_model):
    return AnyDepthForDepthEstimation.from_pretrained(save_tiny_model())


def test_too_large_a_prediction_is_refused_before_the_model_runs(model, save_tiny_model, monkeypatch):
    monkeypatch.setattr(memory, "NEGLIGIBLE", 0)
    monkeypatch.setattr(memory, "available_memory", lambda: 1e6)
    small, large = torch.zeros(1, 3, 32, 32), torch.zeros(1, 3, 320, 640)
    predictor = Predictor(model, AutoImageProcessor.from_pretrained(save_tiny_model()))
    with torch.no_grad():
        predictor.forward(small, [(32, 32)])
        model.backbone.register_forward_pre_hook(lambda *args: pytest.fail("the encoder ran"))
        with pytest.raises(
            ValueError, match=r"1 image\(s\) of 320x640 takes at least .* GiB .* 0.0 GiB are available"
        ):
            predictor.forward(large, [(320, 640)])


def test_required_memory_grows_with_what_grows(model):
    base = memory.required_memory(model, torch.zeros(1, 3, 320, 320))
    assert memory.required_memory(model, torch.zeros(1, 3, 640, 320)) == 2 * base
    assert memory.required_memory(model, torch.zeros(1, 3, 320, 320, dtype=torch.bfloat16)) == base // 2
    # the last full map but one, 8 times the patch grid, and its input
    assert base == 4 * 20 * 20 * (64 * 16 + 16 * 16)


@pytest.mark.skipif(not Path("/proc/meminfo").exists(), reason="reads Linux's counters")
def test_available_memory_knows_the_limit_of_the_address_space():
    assert 0 < memory.available_memory() < 2**50
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    used = 1024 * int(re.search(r"VmSize:\s+(\d+)", Path("/proc/self/status").read_text())[1])
    try:
        resource.setrlimit(resource.RLIMIT_AS, (used + 2**29, hard))
        limited = memory.available_memory()
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
    assert 0 < limited <= 2**29
