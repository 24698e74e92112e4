"""One exported graph serves every batch size, height and width, on and off the patch grid."""

import itertools

import pytest
import torch

from anydepth_hf import AnyDepthConfig, AnyDepthForDepthEstimation
from tests.conftest import TINY_BACKBONES

HEADS = {
    "sdt": {},
    "dpt": {"head_type": "dpt"},
    "dpt-depth-anything": {"head_type": "dpt", "dpt_style": "depth_anything"},
    "dpt-vggt": {"head_type": "dpt", "dpt_style": "vggt"},
    "dual-dpt": {"head_type": "dual_dpt"},
}
# a quarter of a minute each: all of them with --long
QUICK = [("dinov2", "dpt", "pad"), ("vggt", "dual-dpt", "resize")]
MODELS = [
    *QUICK,
    *(
        pytest.param(*model, marks=pytest.mark.long)
        for model in itertools.product(TINY_BACKBONES, HEADS, ("resize", "pad"))
        if model not in QUICK
    ),
]


@pytest.mark.parametrize(("encoder", "head", "alignment"), MODELS)
@torch.no_grad()
def test_dynamic_batch_height_and_width(encoder, head, alignment):
    torch.manual_seed(0)
    backbone = {"model_type": encoder, "hidden_size": 32, "num_hidden_layers": 4, "num_attention_heads": 2}
    backbone |= {"out_indices": [1, 2, 3, 4], **TINY_BACKBONES[encoder]}
    settings = {"output_activation": "linear", "patch_alignment": alignment, **HEADS[head]}
    config = AnyDepthConfig(backbone_config=backbone, fusion_hidden_size=16, **settings)
    model = AnyDepthForDepthEstimation(config).eval()
    for parameter in model.parameters():
        parameter.mul_(2 if parameter.ndim > 1 else 1)
    dynamic = torch.export.Dim.DYNAMIC
    program = torch.export.export(
        model, (torch.randn(2, 3, 64, 112),), dynamic_shapes={"pixel_values": {0: dynamic, 2: dynamic, 3: dynamic}}
    ).module()
    # odd grids, the encoder's native square (56), sides between two multiples of the patch size
    for size in ((1, 3, 56, 56), (3, 3, 61, 93), (1, 3, 80, 48)):
        image = torch.randn(size)
        expected = model(image).predicted_depth
        assert expected.std() > 0.01 * expected.abs().max()
        torch.testing.assert_close(program(image).predicted_depth, expected, rtol=1e-4, atol=1e-5)
