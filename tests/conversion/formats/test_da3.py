"""Depth Anything 3 checkpoints through the converter and `from_pretrained`."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from anydepth_hf import AnyDepthForDepthEstimation, AnyDepthImageProcessor
from anydepth_hf.configuration_anydepth import BACKBONE_PRESETS
from conversion.convert import convert, main
from conversion.formats.da3 import PRESETS, use_preset
from conversion.formats.renaming import ConversionError
from conversion.formats.settings import Settings
from tests.anydepth_hf.backbone_checks import REFERENCE
from tests.anydepth_hf.da3_reference import giant_like_forward, giant_like_state_dict

OUT_LAYERS = {"da3_anyview": "3,4,5,7", "da3_mono": "1,3,5,7"}


def settings(name, *more):
    return ["backbone.num_attention_heads=3", f"backbone.out_layers={OUT_LAYERS[name]}", *more]


def original(name):
    return REFERENCE / f"{name}.original.safetensors"


@pytest.fixture(scope="module", params=["da3_anyview", "da3_mono"])
def converted(request, tmp_path_factory):
    """A converted official checkpoint, its reference inputs and outputs, and what the converter said."""
    output = tmp_path_factory.mktemp(request.param) / "model"
    conversion = convert("da3", original(request.param), output, settings(request.param))
    model, info = AnyDepthForDepthEstimation.from_pretrained(output, output_loading_info=True)
    assert not any(info.values()), info
    return model, load_file(REFERENCE / f"{request.param}.io.safetensors"), conversion


@pytest.mark.parametrize("size", ["70x70", "56x98"])
def test_depth_equals_the_official_one(converted, size):
    model, expected, _ = converted
    with torch.inference_mode():
        output = model(expected[f"{size}.pixel_values"])
    assert model.config.prediction_type == "depth"
    torch.testing.assert_close(output.predicted_depth, expected[f"{size}.depth"], rtol=1e-5, atol=0)
    if f"{size}.depth_conf" in expected:
        torch.testing.assert_close(output.confidence, expected[f"{size}.depth_conf"], rtol=1e-5, atol=0)
    else:
        assert output.confidence is None


def test_what_the_converter_reads_and_says(converted):
    model, _, conversion = converted
    config, encoder = model.config, model.config.backbone_config
    anyview = encoder.cat_token
    assert config.head_type == ("dual_dpt" if anyview else "dpt") and encoder.alt_start == (2 if anyview else None)
    assert config.head_input_norm == config.predict_confidence == anyview
    assert f"head's {'ray' if anyview else 'sky'} branch" in str(conversion)
    processor = AnyDepthImageProcessor.from_pretrained(conversion.output)
    assert processor.size["longest_edge"] == 504 and processor.ensure_multiple_of == 14


def test_branches_for_other_tasks_are_left_out_and_said_so(tmp_path):
    state = load_file(original("da3_anyview"))
    state |= {f"model.{name}.weight": torch.ones(2) for name in ("cam_enc.fc", "cam_dec.fc", "gs_head.norm")}
    save_file(state, tmp_path / "model.safetensors")
    conversion = convert("da3", tmp_path / "model.safetensors", tmp_path / "output", settings("da3_anyview"))
    assert "cam_dec (1), cam_enc (1), gs_head (1)" in str(conversion)


@pytest.mark.parametrize("name", ["da3_anyview", "da3_mono"])
def test_encoder_for_a_new_head(name, tmp_path):
    options = settings(name, "head_type=sdt", "fusion_hidden_size=16")
    conversion = convert("da3", original(name), tmp_path / "model", options)
    assert "The sdt head is freshly initialised" in str(conversion)
    model = AnyDepthForDepthEstimation.from_pretrained(tmp_path / "model")
    assert model.config.prediction_type == "disparity" and model.config.head_input_norm == (name == "da3_anyview")
    expected = load_file(REFERENCE / f"{name}.io.safetensors")
    with torch.inference_mode():
        levels = model.backbone(expected["56x98.pixel_values"])
    got = levels.feature_maps[3].flatten(2).mT
    torch.testing.assert_close(got, expected["56x98.feature_maps.3"], atol=5e-6, rtol=0)


def test_giant_layout(tmp_path):
    """SwiGLU and an odd `alt_start` are read off the tensors."""
    state = giant_like_state_dict(width=48, depth=8, alt_start=3, swiglu_width=128, grid=5)
    save_file({f"model.backbone.pretrained.{k}": state[k] for k in state}, tmp_path / "model.safetensors")
    options = ["backbone.num_attention_heads=3", "backbone.out_layers=3,4,5,7", "fusion_hidden_size=16"]
    convert("da3", tmp_path / "model.safetensors", tmp_path / "output", options)
    model = AnyDepthForDepthEstimation.from_pretrained(tmp_path / "output")
    encoder = model.config.backbone_config
    assert encoder.use_swiglu_ffn and encoder.alt_start == 3
    images = torch.randn(1, 3, 70, 70)
    with torch.inference_mode():
        levels = model.backbone(images)
    expected = giant_like_forward(state, images.double(), 3, 8, 3, (3, 4, 5, 7))
    for feature_map, (patches, _) in zip(levels.feature_maps, expected, strict=True):
        assert (feature_map.flatten(2).mT - patches).square().mean().sqrt() < 1e-6 * patches.square().mean().sqrt()


def test_nested_models_are_refused(tmp_path, capsys):
    state = {
        f"model.{part}.{name.removeprefix('model.')}": tensor
        for part, source in (("da3", "da3_anyview"), ("da3_metric", "da3_mono"))
        for name, tensor in load_file(original(source)).items()
    }
    checkpoint = tmp_path / "model.safetensors"
    save_file(state, checkpoint)
    assert main(["--source", "da3", "--checkpoint", str(checkpoint), "--output", str(tmp_path / "output")]) == 2
    message = capsys.readouterr().err
    assert str(checkpoint) in message and "nested" in message and "DA3METRIC-LARGE" in message
    assert list(tmp_path.iterdir()) == [checkpoint]


def hub_folder(path, model_name, width):
    """A folder as on the Hub: `config.json`, and where the weights would be; and the one tensor that is looked at."""
    (path / "config.json").write_text(json.dumps({"model_name": model_name, "config": {}}))
    return path / "model.safetensors", {"model.backbone.pretrained.cls_token": torch.zeros(1, 1, width)}


@pytest.mark.parametrize("suffix", ["", "-1.1"])
@pytest.mark.parametrize("name", PRESETS)
def test_levels_come_from_the_preset_that_the_hub_names(name, suffix, tmp_path):
    preset = BACKBONE_PRESETS[PRESETS[name]]
    options = Settings()
    notes = use_preset(*hub_folder(tmp_path, name + suffix, preset["hidden_size"]), options)
    assert options.backbone == {"out_indices": preset["out_indices"]}
    assert any("focal length" in note for note in notes) == (name == "da3metric-large")


def test_set_wins_over_the_preset(tmp_path):
    options = Settings(["backbone.out_layers=1,2,3,4"])
    use_preset(*hub_folder(tmp_path, "da3-small", 384), options)
    assert options.backbone == {"out_layers": "1,2,3,4"}


def test_configuration_of_another_model_is_refused(tmp_path):
    with pytest.raises(ConversionError, match="says da3-large, whose encoder is 1024 wide, but .* is 384 wide"):
        use_preset(*hub_folder(tmp_path, "da3-large", 384), Settings())
    with pytest.raises(ConversionError, match="nested"):
        use_preset(*hub_folder(tmp_path, "da3nested-giant-large-1.1", 1536), Settings())
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ConversionError, match="config.json is no configuration"):
        use_preset(tmp_path / "model.safetensors", {}, Settings())


def test_unknown_name_is_said(tmp_path):
    options = Settings()
    (note,) = use_preset(*hub_folder(tmp_path, "da4-tiny", 384), options)
    assert "'da4-tiny', which is not known" in note and not options.backbone
