import pytest
import torch

from anydepth_hf import DPTHead


@pytest.mark.parametrize(("width", "millions"), [(384, 50.83), (768, 76.05), (1024, 99.58)])
def test_parameter_counts_of_the_papers_baseline(width, millions):
    with torch.device("meta"):
        head = DPTHead(width)
    assert round(sum(p.numel() for p in head.parameters()) / 1e6, 2) == millions


@pytest.mark.parametrize("style", ["dinov3", "depth_anything"])
@pytest.mark.parametrize("use_batch_norm", [False, True])
def test_styles_train_and_have_their_sizes(style, use_batch_norm):
    head = DPTHead(
        8, 12, 2, style=style, reassemble_channels=[4, 6, 8, 10], use_batch_norm=use_batch_norm, patch_size=14
    )
    output = head([torch.randn(2, 8, 4, 5) for _ in range(4)], [torch.randn(2, 8) for _ in range(4)])
    # the dinov3 style doubles five times from the coarsest level, which has ceil(grid / 2) cells
    assert output.shape == ((2, 2, 2 * 32, 3 * 32) if style == "dinov3" else (2, 2, 56, 70))
    output.square().mean().backward()
    assert [name for name, p in head.named_parameters() if p.grad is None] == []


def test_wrong_number_of_levels_is_explained():
    with pytest.raises(ValueError, match="four widths"):
        DPTHead(8, 8, reassemble_channels=[8])
    with pytest.raises(ValueError, match="four encoder levels, got 1"):
        DPTHead(8, 8)([torch.randn(1, 8, 2, 2)])
