"""VGGT checkpoints through the converter and `from_pretrained`."""

import pytest
import torch
from safetensors.torch import load_file, save_file

from anydepth_hf import AnyDepthForDepthEstimation, AnyDepthImageProcessor
from conversion.convert import convert
from tests.anydepth_hf.backbone_checks import REFERENCE
from tests.anydepth_hf.test_backbone_vggt import imagenet_normalize

ORIGINAL = REFERENCE / "vggt.original.pt"
OPTIONS = ["backbone.num_attention_heads=3", "backbone.out_layers=0,1,2,3"]


@pytest.fixture(scope="module")
def expected():
    return load_file(REFERENCE / "vggt.io.safetensors")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    output = tmp_path_factory.mktemp("vggt") / "model"
    convert("vggt", ORIGINAL, output, OPTIONS)
    model, info = AnyDepthForDepthEstimation.from_pretrained(output, output_loading_info=True)
    assert not any(info.values()), info
    processor = AnyDepthImageProcessor.from_pretrained(output)
    assert processor.size["longest_edge"] == 518 and processor.ensure_multiple_of == 14
    return model


@pytest.mark.parametrize("size", ["70x70", "56x98"])
def test_depth_equals_the_official_one(model, expected, size):
    with torch.inference_mode():
        output = model(imagenet_normalize(expected[f"{size}.pixel_values_0_1"]))
    assert model.config.prediction_type == "depth" and model.config.dpt_style == "vggt"
    torch.testing.assert_close(output.predicted_depth, expected[f"{size}.depth"][..., 0], rtol=1e-5, atol=0)
    torch.testing.assert_close(output.confidence, expected[f"{size}.depth_conf"], rtol=1e-5, atol=0)


def test_other_heads_are_dropped_and_said_so(model, tmp_path):
    """The point head and the tracker's feature extractor have the depth head's names."""
    state = torch.load(ORIGINAL, weights_only=True)
    head = {name: tensor for name, tensor in state.items() if name.startswith("depth_head.")}
    for prefix in ("point_head.", "track_head.feature_extractor."):
        state |= {name.replace("depth_head.", prefix): torch.zeros_like(tensor) for name, tensor in head.items()}
    state["camera_head.pose_branch.fc1.weight"] = torch.zeros(2, 2)
    save_file(state, tmp_path / "model.safetensors")
    conversion = convert("vggt", tmp_path / "model.safetensors", tmp_path / "output", OPTIONS)
    for name, count in (("point_head", len(head)), ("track_head", len(head)), ("camera_head", 1)):
        assert f"{name} ({count})" in str(conversion)
    again = AnyDepthForDepthEstimation.from_pretrained(tmp_path / "output").state_dict()
    assert again.keys() == model.state_dict().keys()
    assert all(torch.equal(again[name], tensor) for name, tensor in model.state_dict().items())


def test_encoder_for_a_new_head(expected, tmp_path):
    conversion = convert("vggt", ORIGINAL, tmp_path / "model", [*OPTIONS, "head_type=sdt", "fusion_hidden_size=16"])
    assert "The sdt head is freshly initialised" in str(conversion)
    model = AnyDepthForDepthEstimation.from_pretrained(tmp_path / "model")
    assert model.config.prediction_type == "disparity" and model.config.head_input_norm
    with torch.inference_mode():
        levels = model.backbone(imagenet_normalize(expected["56x98.pixel_values_0_1"]))
    for level in range(4):
        got = levels.feature_maps[level].flatten(2).mT
        torch.testing.assert_close(got, expected[f"56x98.tokens.{level}"][:, 5:], atol=5e-6, rtol=0)
