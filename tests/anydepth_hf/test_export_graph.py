"""Formulations for other runtimes are the same function."""

import pytest
import torch

from anydepth_hf.export_graph import GatherDySample, gathering
from anydepth_hf.modeling_sdt import DySample, SDTHead


@pytest.mark.parametrize("size", [(5, 7), (1, 1), (1, 6), (4, 1)])
@pytest.mark.parametrize("use_scope", [True, False])
@torch.no_grad()
def test_gathering_is_sampling(size, use_scope):
    """Offsets of several pixels, beyond the border too, and maps of a single row or column."""
    torch.manual_seed(0)
    dysample = DySample(8, groups=2, use_scope=use_scope).eval()
    for parameter in dysample.parameters():
        torch.nn.init.normal_(parameter, std=3.0)
    features = torch.randn(3, 8, *size)
    expected = dysample(features)
    dysample.__class__ = GatherDySample
    torch.testing.assert_close(dysample(features), expected, rtol=1e-4, atol=1e-4)


def test_the_model_is_afterwards_what_it_was():
    head = SDTHead(16, 16, upsample_channels=[8, 8, 8, 8])
    with pytest.raises(RuntimeError), gathering(head):
        assert sum(type(module) is GatherDySample for module in head.modules()) == 4
        raise RuntimeError
    assert sum(type(module) is DySample for module in head.modules()) == 4
