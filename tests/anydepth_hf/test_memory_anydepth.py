import re
import resource
from pathlib import Path

import pytest
import torch

from anydepth_hf import AnyDepthForDepthEstimation, memory_anydepth


@pytest.fixture
def model(save_tiny_model):
    return AnyDepthForDepthEstimation.from_pretrained(save_tiny_model())


def test_too_large_an_input_is_refused_before_the_encoder_runs(model, monkeypatch):
    monkeypatch.setattr(memory_anydepth, "NEGLIGIBLE", 0)
    monkeypatch.setattr(memory_anydepth, "available_memory", lambda: 1e6)
    small, large = torch.zeros(1, 3, 32, 32), torch.zeros(1, 3, 320, 640)
    with torch.no_grad():
        model(small)
        model.backbone.register_forward_pre_hook(lambda *args: pytest.fail("the encoder ran"))
        with pytest.raises(
            ValueError, match=r"1 image\(s\) of 320x640 takes at least .* GiB .* 0.0 GiB are available"
        ):
            model(large)


def test_required_memory_grows_with_what_grows(model):
    base = memory_anydepth.required_memory(model, torch.zeros(1, 3, 320, 320))
    assert memory_anydepth.required_memory(model, torch.zeros(1, 3, 640, 320)) == 2 * base
    assert memory_anydepth.required_memory(model, torch.zeros(1, 3, 320, 320, dtype=torch.bfloat16)) == base // 2
    # the last full map but one, 8 times the patch grid, and its input
    assert base == 4 * 20 * 20 * (64 * 16 + 16 * 16)


@pytest.mark.skipif(not Path("/proc/meminfo").exists(), reason="reads Linux's counters")
def test_available_memory_knows_the_limit_of_the_address_space():
    assert 0 < memory_anydepth.available_memory() < 2**50
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    used = 1024 * int(re.search(r"VmSize:\s+(\d+)", Path("/proc/self/status").read_text())[1])
    try:
        resource.setrlimit(resource.RLIMIT_AS, (used + 2**29, hard))
        limited = memory_anydepth.available_memory()
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
    assert 0 < limited <= 2**29
