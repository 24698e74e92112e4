"""The position embedding of Depth Anything V2 and 3: resized with an offset of 0.1 patches, at any size."""

import pytest
import torch
from torch import nn
from transformers import Dinov2Config

from anydepth_hf.backbone_dinov2 import OffsetDinov2Embeddings


@pytest.fixture
def embeddings():
    torch.manual_seed(0)
    config = Dinov2Config(hidden_size=24, num_attention_heads=3, image_size=98, patch_size=14)
    return OffsetDinov2Embeddings(config).eval()


def positions(embeddings, rows, columns):
    tokens = torch.zeros(1, 1 + rows * columns, 24)
    return embeddings.interpolate_pos_encoding(tokens, 14 * rows, 14 * columns)


@pytest.mark.parametrize("grid", [(1, 1), (2, 9), (7, 8), (6, 7), (8, 6), (20, 31), (49, 1)])
def test_equals_interpolation_by_the_original_factors(embeddings, grid):
    native = embeddings.position_embeddings[:, 1:].unflatten(1, (7, 7)).permute(0, 3, 1, 2)
    factors = [(size + 0.1) / 7 for size in grid]
    expected = nn.functional.interpolate(native, scale_factor=factors, mode="bicubic").flatten(2).mT
    got = positions(embeddings, *grid)
    torch.testing.assert_close(got[:, 1:], expected, atol=5e-6, rtol=0)
    assert torch.equal(got[:, 0], embeddings.position_embeddings[:, 0])


def test_native_grid_is_returned_as_is(embeddings):
    assert positions(embeddings, 7, 7) is embeddings.position_embeddings


def test_float32_whatever_the_dtype(embeddings):
    expected = positions(embeddings, 5, 9)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(positions(embeddings, 5, 9), expected)
    rounded = embeddings.to(torch.bfloat16)
    got = positions(rounded, 5, 9)
    assert got.dtype == torch.bfloat16
    assert torch.equal(got, positions(rounded.float(), 5, 9).bfloat16())


def test_one_compiled_or_exported_program_serves_all_sizes(embeddings):
    sizes = {2: 14 * torch.export.Dim("rows", min=2, max=64), 3: 14 * torch.export.Dim("columns", min=2, max=64)}
    program = torch.export.export(embeddings, (torch.randn(1, 3, 56, 84),), dynamic_shapes=(sizes,)).module()
    for rows, columns in ((4, 6), (9, 5), (11, 3)):
        images = torch.randn(1, 3, 14 * rows, 14 * columns)
        torch.testing.assert_close(program(images), embeddings(images))
