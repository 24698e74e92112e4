"""Official checkpoints from the file to `from_pretrained`: the official implementations' numbers, and unseen sizes."""

import re

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import (
    AutoImageProcessor,
    DepthAnythingConfig,
    DepthAnythingForDepthEstimation,
    Dinov2Config,
    DINOv3ViTModel,
    pipeline,
)

from anydepth_hf import AnyDepthConfig, AnyDepthForDepthEstimation
from conversion.convert import convert, main
from conversion.formats.renaming import ConversionError
from conversion.writing import check_weights
from tests.conversion.official import (
    official_depth_anything_dpt,
    official_dinov2,
    official_dinov3,
    official_dinov3_dpt,
    randomize,
    with_prefix,
)

HEADS = "backbone.num_attention_heads=3"


@pytest.fixture
def reference(request):
    return request.config.rootpath / "tests" / "reference"


def load(output):
    return AnyDepthForDepthEstimation.from_pretrained(output)


def assert_features(levels, tensors, tolerance=5e-6):
    for index in range(4):
        for ours, name in ((levels.feature_maps, "feature_maps"), (levels.cls_tokens, "cls_tokens")):
            torch.testing.assert_close(ours[index], tensors[f"{name}.{index}"], rtol=0, atol=tolerance)


def assert_relative(actual, expected, tolerance=1e-5):
    assert (actual - expected).abs().max() <= tolerance * expected.abs().max()


@pytest.mark.parametrize("name, norm", [("anydepth_dinov3", "false"), ("anydepth_dinov3_norm", "true")])
@torch.no_grad()
def test_anydepth_with_dinov3(reference, tmp_path, name, norm):
    settings = [f"apply_backbone_norm={norm}"]
    convert("anydepth", reference / f"{name}.pth", tmp_path / "model", settings)
    expected = load_file(reference / f"{name}.safetensors")
    model = load(tmp_path / "model")
    assert_features(model.backbone(expected["pixel_values"]), expected)
    output = model(expected["pixel_values"])
    assert_relative(output.predicted_depth, expected["output"][:, 0])
    assert model.config.prediction_type == "disparity"


@pytest.mark.parametrize("size", ["70x70", "56x98"])
@torch.no_grad()
def test_depth_anything_v2(reference, tmp_path, size):
    convert("dav2", reference / "dav2.original.pth", tmp_path / "model", [HEADS])
    tensors = load_file(reference / "dav2.io.safetensors")
    expected = {name.removeprefix(f"{size}."): tensor for name, tensor in tensors.items() if name.startswith(size)}
    model = load(tmp_path / "model")
    levels = model.backbone(expected["pixel_values"])
    for index in range(4):
        grid = levels.feature_maps[index].shape[-2:]
        expected[f"feature_maps.{index}"] = expected[f"feature_tokens.{index}"].transpose(1, 2).unflatten(2, grid)
    assert_features(levels, expected)
    assert_relative(model(expected["pixel_values"]).predicted_depth, expected["output"])


def assert_same_weights(module, original):
    ours, theirs = module.state_dict(), original.state_dict()
    assert ours.keys() == theirs.keys()
    assert [name for name in ours if not torch.equal(ours[name], theirs[name])] == []


@pytest.mark.parametrize("name", ["sdt_cls", "sdt_nocls", "dpt_dinov3_cls"])
@torch.no_grad()
def test_bare_decoder(reference, tmp_path, name):
    """A decoder file and an encoder file, as the authors release them, under a prefix that nobody told."""
    fixture = load_file(reference / f"{name}.safetensors")
    state = {key.removeprefix("state."): value for key, value in fixture.items() if key.startswith("state.")}
    torch.save({"model": with_prefix("module.net.decoder.", state)}, tmp_path / "decoder.pth")
    encoder = build(dinov3(hidden_size=40, num_attention_heads=5)).backbone
    torch.save(with_prefix("student.", official_dinov3(encoder)), tmp_path / "encoder.pth")
    use_cls_token = name != "sdt_nocls"
    convert(
        "anydepth",
        tmp_path / "decoder.pth",
        tmp_path / "model",
        {"use_cls_token": use_cls_token, "backbone.out_layers": [0, 1, 2, 3]},
        encoder=tmp_path / "encoder.pth",
    )
    model = load(tmp_path / "model")
    maps = [fixture[f"input.feature_maps.{index}"] for index in range(4)]
    tokens = [fixture[f"input.cls_tokens.{index}"] for index in range(4)] if use_cls_token else None
    # the DPT's 256 outputs reach tens; which CPU computes them decides their last digits
    atol = 5e-6 * max(1.0, fixture["output"].abs().max().item())
    torch.testing.assert_close(model.head(maps, tokens), fixture["output"], rtol=0, atol=atol)
    assert_same_weights(model.backbone, encoder)
    pixel_values = torch.randn(1, 3, 48, 64)
    for ours, original in zip(model.backbone(pixel_values).feature_maps, encoder(pixel_values).feature_maps):
        torch.testing.assert_close(ours, original, rtol=0, atol=5e-6)


LEVELS = {4: [1, 2, 3, 4], 12: [3, 6, 9, 12], 24: [5, 12, 18, 24]}


def dinov3(**fields):
    defaults = {"hidden_size": 48, "num_hidden_layers": 4, "num_attention_heads": 3, "num_register_tokens": 4}
    fields = {"model_type": "dinov3_vit", "intermediate_size": 96, **defaults, **fields}
    return {"out_indices": LEVELS[fields["num_hidden_layers"]], **fields}


def dinov2(**fields):
    defaults = {"hidden_size": 48, "num_hidden_layers": 4, "num_attention_heads": 3, "image_size": 56}
    fields = {"model_type": "dinov2", "patch_size": 14, "use_mask_token": False, **defaults, **fields}
    return {"out_indices": LEVELS[fields["num_hidden_layers"]], **fields}


def unreadable(backbone, rope=True):
    """Settings for what the weights of `dinov3()` and `dinov2()` do not tell."""
    settings = {}
    if backbone["num_hidden_layers"] == 4:
        settings["backbone.out_layers"] = "0,1,2,3"
    if backbone["model_type"] == "dinov2" or not rope:
        settings["backbone.num_attention_heads"] = backbone["num_attention_heads"]
    return settings


def build(backbone, seed=0, **fields):
    fields = {"fusion_hidden_size": 16, **fields}
    return randomize(AnyDepthForDepthEstimation(AnyDepthConfig(backbone_config=backbone, **fields)), seed)


@torch.no_grad()
def assert_equal_models(original, output, size=(90, 118)):
    """Same configuration but for what does not matter, same features, same head output: bit for bit."""
    converted = load(output)
    pixel_values = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(1))
    aligned = original.align_to_patches(pixel_values)
    expected, levels = original.backbone(aligned), converted.backbone(aligned)
    for index in range(4):
        torch.testing.assert_close(levels.feature_maps[index], expected.feature_maps[index], rtol=0, atol=0)
        torch.testing.assert_close(levels.cls_tokens[index], expected.cls_tokens[index], rtol=0, atol=0)
    head_output = original.head(expected.feature_maps, expected.cls_tokens)
    assert head_output.std() > 1e-3
    torch.testing.assert_close(converted.head(levels.feature_maps, levels.cls_tokens), head_output, rtol=0, atol=0)
    torch.testing.assert_close(
        converted(pixel_values).predicted_depth, original(pixel_values).predicted_depth, rtol=0, atol=0
    )


SDT_VARIANTS = {
    "24 blocks": (dinov3(hidden_size=64, num_hidden_layers=24, num_attention_heads=2), {}),
    "12 blocks, 64 wide heads": (dinov3(hidden_size=128, num_attention_heads=2, num_hidden_layers=12), {}),
    "gated": (dinov3(use_gated_mlp=True, hidden_act="silu", intermediate_size=72), {}),
    "patch 8, no registers": (dinov3(patch_size=8, num_register_tokens=0), {}),
    "key bias": (dinov3(key_bias=True), {}),
    "no biases": (dinov3(query_bias=False, value_bias=False), {}),
    "widths": (
        dinov3(),
        {
            "upsample_hidden_sizes": [24, 16, 16, 12],
            "output_hidden_sizes": [10, 8],
            "dysample_groups": 2,
            "dysample_scope": False,
            "num_output_channels": 5,
        },
    ),
    "patch 8, upsampled 8 times": (dinov3(patch_size=8), {"upsample_hidden_sizes": [24, 16, 12]}),
    "no class token": (dinov3(), {"use_cls_token": False}),
    "no detail enhancer": (dinov3(), {"use_detail_enhancer": False, "use_cls_token": False}),
    "norm": (dinov3(), {"apply_backbone_norm": True, "head_input_norm": True}),
    "Depth Anything V2's encoder": (dinov2(num_hidden_layers=24), {"apply_backbone_norm": True}),
}


@pytest.mark.parametrize("variant", SDT_VARIANTS)
def test_unseen_anydepth_checkpoints(tmp_path, variant):
    backbone, fields = SDT_VARIANTS[variant]
    original = build(backbone, **fields)
    if backbone["model_type"] == "dinov2":
        encoder = official_dinov2(original.backbone)
    else:
        encoder = official_dinov3(original.backbone, key_bias_mask=variant not in ("key bias", "no biases"))
    torch.save(
        {**with_prefix("0.encoder.backbone.", encoder), **with_prefix("0.decoder.", original.head.state_dict())},
        tmp_path / "model.pth",
    )
    norm = original.config.apply_backbone_norm
    settings = {"apply_backbone_norm": norm, **unreadable(backbone)}
    convert("anydepth", tmp_path / "model.pth", tmp_path / "model", settings)
    assert_equal_models(original, tmp_path / "model")


@pytest.mark.parametrize("use_cls_token", [True, False])
def test_unseen_paper_baseline(tmp_path, use_cls_token):
    original = build(
        dinov3(num_hidden_layers=24),
        head_type="dpt",
        num_output_channels=7,
        use_cls_token=use_cls_token,
        reassemble_hidden_sizes=[48, 40, 32, 24],
        fusion_hidden_size=20,
    )
    checkpoint = {
        **with_prefix("0.encoder.backbone.", official_dinov3(original.backbone)),
        **with_prefix("0.decoder.", official_dinov3_dpt(original.head)),
    }
    torch.save(checkpoint, tmp_path / "model.pth")
    convert("anydepth", tmp_path / "model.pth", tmp_path / "model")
    assert_equal_models(original, tmp_path / "model")


@pytest.mark.parametrize(
    "backbone",
    [dinov2(hidden_size=64, num_hidden_layers=24, num_attention_heads=1), dinov2(use_swiglu_ffn=True, image_size=70)],
)
def test_unseen_depth_anything_v2(tmp_path, backbone):
    original = build(
        backbone,
        head_type="dpt",
        dpt_style="depth_anything",
        use_cls_token=False,
        apply_backbone_norm=True,
        min_depth=0.0,
        reassemble_hidden_sizes=[8, 12, 20, 28],
        fusion_hidden_size=18,
    )
    checkpoint = {
        **with_prefix("pretrained.", official_dinov2(original.backbone)),
        **with_prefix("depth_head.", official_depth_anything_dpt(original.head)),
    }
    torch.save(checkpoint, tmp_path / "model.pth")
    convert("dav2", tmp_path / "model.pth", tmp_path / "model", unreadable(backbone))
    assert_equal_models(original, tmp_path / "model")


def test_depth_anything_v2_metric_gives_metres(reference, tmp_path):
    settings = [HEADS, "depth_estimation_type=metric", "max_depth=20"]
    convert("dav2", reference / "dav2.original.pth", tmp_path / "model", settings)
    model = load(tmp_path / "model")
    pixel_values = torch.randn(1, 3, 56, 70)
    levels = model.backbone(pixel_values)
    expected = 20 * model.head(levels.feature_maps, levels.cls_tokens).sigmoid()
    torch.testing.assert_close(model(pixel_values).predicted_depth, expected[:, 0])
    assert model.config.prediction_type == "depth"
    assert AutoImageProcessor.from_pretrained(tmp_path / "model").prediction_type == "depth"


@pytest.mark.parametrize("head_type", ["sdt", "dpt"])
@pytest.mark.parametrize("form", ["meta", "hub file", "hub directory", "saved file"])
def test_dinov3_encoder_with_a_fresh_head(tmp_path, form, head_type):
    fields = dinov3(hidden_size=64, num_attention_heads=4)
    encoder = build(fields).backbone
    checkpoint = tmp_path / "encoder.pth"
    settings = {"head_type": head_type, **unreadable(fields, rope=form in ("meta", "hub directory"))}
    if form == "meta":
        torch.save(official_dinov3(encoder), checkpoint)
    else:
        checkpoint = tmp_path / "hub"
        if form == "saved file":
            encoder.save_pretrained(checkpoint)
        else:
            hub_model = DINOv3ViTModel(encoder.config)
            hub_model.load_state_dict(encoder.state_dict())
            hub_model.save_pretrained(checkpoint)
        if form != "hub directory":
            checkpoint /= "model.safetensors"
            assert ("layer.0.norm1.weight" in load_file(checkpoint)) == (form == "hub file")
    conversions = [
        convert("dinov3", checkpoint, tmp_path / name, {**settings, "fusion_hidden_size": 32}) for name in "ab"
    ]
    model = load(tmp_path / "a")
    pixel_values = torch.randn(1, 3, 64, 48)
    for ours, original in zip(model.backbone(pixel_values).feature_maps, encoder(pixel_values).feature_maps):
        torch.testing.assert_close(ours, original, rtol=0, atol=0)
    assert model.config.head_type == head_type
    assert any("freshly initialised" in note for note in conversions[0].notes)
    # a fresh head is the same every time, and no two of its layers are
    again = load(tmp_path / "b").state_dict()
    assert all(torch.equal(tensor, again[name]) for name, tensor in model.state_dict().items())
    assert model.head.state_dict()["output_conv.0.weight" if head_type == "sdt" else "convs.0.weight"].std() > 0


def test_a_new_head_on_depth_anything_v2(reference, tmp_path):
    settings = [HEADS, "head_type=sdt", "fusion_hidden_size=8", "backbone.out_layers=1,4,7,10"]
    conversion = convert("dav2", reference / "dav2.original.pth", tmp_path / "model", settings)
    model = load(tmp_path / "model")
    assert model.config.head_type == "sdt" and model.config.backbone_config.out_indices == [2, 5, 8, 11]
    assert model.config.min_depth == AnyDepthConfig().min_depth
    assert model.config.reassemble_hidden_sizes is None
    assert any("Dropped the checkpoint's DPT head" in note for note in conversion.notes)


def test_encoder_from_a_converted_model(reference, tmp_path):
    convert("dav2", reference / "dav2.original.pth", tmp_path / "dav2", [HEADS])
    original = build(dinov2(), apply_backbone_norm=True)
    torch.save(original.head.state_dict(), tmp_path / "sdt.pth")
    convert("anydepth", tmp_path / "sdt.pth", tmp_path / "model", encoder=tmp_path / "dav2")
    official = torch.load(reference / "dav2.original.pth")
    model = load(tmp_path / "model")
    weight = model.backbone.encoder.layer[3].attention.k_proj.weight
    assert torch.equal(weight, official["pretrained.blocks.3.attn.qkv.weight"][48:96])
    assert torch.equal(model.head.output_conv[0].weight, original.head.output_conv[0].weight)
    assert model.config.apply_backbone_norm


@torch.no_grad()
def test_encoder_from_transformers_depth_anything(tmp_path):
    """The Hub's Depth Anything V2, whose position embeddings transformers resizes otherwise: equal at its own size."""
    fields = dinov2(reshape_hidden_states=False, apply_layernorm=True)
    config = DepthAnythingConfig(
        backbone_config=Dinov2Config(**fields),
        reassemble_hidden_size=48,
        neck_hidden_sizes=[8] * 4,
        fusion_hidden_size=8,
        head_hidden_size=8,
        patch_size=14,
    )
    original = randomize(DepthAnythingForDepthEstimation(config))
    original.save_pretrained(tmp_path / "hub")
    torch.save(build(dinov2()).head.state_dict(), tmp_path / "sdt.pth")
    convert("anydepth", tmp_path / "sdt.pth", tmp_path / "model", encoder=tmp_path / "hub")
    pixel_values = torch.randn(1, 3, 56, 56)
    expected = original.backbone(pixel_values).feature_maps
    for ours, tokens in zip(load(tmp_path / "model").backbone(pixel_values).feature_maps, expected):
        torch.testing.assert_close(ours.flatten(2).transpose(1, 2), tokens[:, 1:], rtol=0, atol=5e-6)


@torch.no_grad()
def test_bare_decoder_on_depth_anything_3(reference, tmp_path):
    tensors = load_file(reference / "da3_anyview.io.safetensors")
    backbone = {"model_type": "depth_anything_3", "hidden_size": 48, "num_hidden_layers": 8, "alt_start": 2}
    original = build({**backbone, "num_attention_heads": 3, "image_size": 70, "out_indices": [4, 5, 6, 8]})
    torch.save(with_prefix("depth_head.", original.head.state_dict()), tmp_path / "sdt.pth")
    convert(
        "anydepth",
        tmp_path / "sdt.pth",
        tmp_path / "model",
        [HEADS, "backbone.out_layers=3,4,5,7"],
        encoder=reference / "da3_anyview.original.safetensors",
    )
    model = load(tmp_path / "model")
    pixel_values = tensors["56x98.pixel_values"]
    levels = model.backbone(pixel_values)
    for index in range(4):
        tokens = levels.feature_maps[index].flatten(2).transpose(1, 2)
        torch.testing.assert_close(tokens, tensors[f"56x98.feature_maps.{index}"], rtol=0, atol=5e-6)
    assert_same_weights(model.head, original.head)
    expected = original.head(levels.feature_maps, levels.cls_tokens)
    torch.testing.assert_close(model.head(levels.feature_maps, levels.cls_tokens), expected, rtol=0, atol=5e-6)
    assert model.config.prediction_type == "disparity"


def test_wrappers_and_training_state(reference, tmp_path):
    """What trainers, DDP, torch.compile and EMA add changes nothing; of two copies the average is taken."""
    official = torch.load(reference / "anydepth_dinov3.pth")
    stale = {name: torch.zeros_like(tensor) for name, tensor in official.items()}
    optimizer = {"state": {0: {"exp_avg": torch.ones(3)}}, "param_groups": [{"lr": 1e-3}]}
    forms = {
        "state_dict": {"state_dict": with_prefix("module.", official), "epoch": 3, "optimizer": optimizer},
        "compiled": {"model": with_prefix("_orig_mod.module.", official)},
        "ema": {"model": stale, "ema": {"module": official, "decay": 0.999}},
        "averaged": {"n_averaged": torch.tensor(5), **with_prefix("module.", official)},
    }
    for name, form in forms.items():
        torch.save(form, tmp_path / f"{name}.pth")
        conversion = convert("anydepth", tmp_path / f"{name}.pth", tmp_path / name)
        weight = load(tmp_path / name).head.output_conv[0].weight
        assert torch.equal(weight, official["0.decoder.output_conv.0.weight"]), name
        assert any("optimizer (1)" in note for note in conversion.notes) == (name == "state_dict")
        assert any("under ema." in note for note in conversion.notes) == (name == "ema")


def test_format_is_told_by_content(reference, tmp_path):
    official = torch.load(reference / "anydepth_dinov3.pth")
    save_file(official, tmp_path / "safetensors.pth")
    torch.save(official, tmp_path / "zip.safetensors")
    torch.save(official, tmp_path / "legacy.ckpt", _use_new_zipfile_serialization=False)
    expected = official["0.decoder.output_conv.0.weight"]
    for name in ("safetensors.pth", "zip.safetensors", "legacy.ckpt"):
        convert("anydepth", tmp_path / name, tmp_path / "model", overwrite=True)
        assert torch.equal(load(tmp_path / "model").head.output_conv[0].weight, expected)


def test_half_precision_becomes_float32(reference, tmp_path):
    official = {name: value.bfloat16() for name, value in torch.load(reference / "dav2.original.pth").items()}
    torch.save(official, tmp_path / "half.pth")
    convert("dav2", tmp_path / "half.pth", tmp_path / "model", [HEADS])
    assert {tensor.dtype for tensor in load(tmp_path / "model").state_dict().values()} == {torch.float32}


def test_eight_bit_floats_become_float32(reference, tmp_path):
    official = torch.load(reference / "dav2.original.pth")
    name = "depth_head.scratch.output_conv1.weight"
    official[name] = official[name].to(torch.float8_e4m3fn)
    save_file(official, tmp_path / "float8.safetensors")
    convert("dav2", tmp_path / "float8.safetensors", tmp_path / "model", [HEADS])
    assert torch.equal(load(tmp_path / "model").head.output_conv1.weight, official[name].float())


def test_save_load_save_is_equal_and_pipeline_runs(reference, tmp_path):
    convert("anydepth", reference / "anydepth_dinov3.pth", tmp_path / "model")
    load(tmp_path / "model").save_pretrained(tmp_path / "again")
    for name in ("config.json", "model.safetensors"):
        assert (tmp_path / "model" / name).read_bytes() == (tmp_path / "again" / name).read_bytes()
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 90, 3), dtype=np.uint8))
    estimator = pipeline("depth-estimation", model=str(tmp_path / "model"))
    estimator.image_processor.size = {"shortest_edge": 64}
    result = estimator(image)
    assert result["predicted_depth"].shape == (60, 90) and result["depth"].size == (90, 60)
    # the pipeline's numbers are the model's own
    inputs = estimator.image_processor(image, return_tensors="pt")
    assert inputs["pixel_values"].shape == (1, 3, 64, 96)
    with torch.no_grad():
        outputs = estimator.model(**inputs)
    expected = estimator.image_processor.post_process_depth_estimation(outputs, target_sizes=[(60, 90)])[0]
    torch.testing.assert_close(result["predicted_depth"], expected["predicted_depth"])
    assert expected["prediction_type"] == "disparity"


def test_processor_follows_the_encoder(reference, tmp_path):
    convert("anydepth", reference / "anydepth_dinov3.pth", tmp_path / "dinov3")
    convert("dav2", reference / "dav2.original.pth", tmp_path / "dav2", [HEADS])
    dinov3, dav2 = (AutoImageProcessor.from_pretrained(tmp_path / name) for name in ("dinov3", "dav2"))
    assert (dict(dinov3.size)["shortest_edge"], dinov3.ensure_multiple_of) == (768, 16)
    # the fixture's position embeddings are 70 pixels wide, official ones 518
    assert (dict(dav2.size)["shortest_edge"], dav2.ensure_multiple_of) == (70, 14)


def test_command_line(reference, tmp_path, capsys):
    checkpoint, output = str(reference / "dav2.original.pth"), str(tmp_path / "model")
    arguments = ["--source", "dav2", "--checkpoint", checkpoint, "--output", output]
    assert main([*arguments, "--set", HEADS, "--set", "max_depth=80"]) == 0
    printed = capsys.readouterr().out
    assert "0.44 M parameters; reloaded, outputs equal" in printed and "predicts relative disparity" in printed
    assert "Dropped mask_token" in printed and "levels from blocks 2, 5, 8, 11" in printed
    assert load(output).config.max_depth == 80
    assert main([*arguments, "--set", HEADS]) == 2
    assert re.match("convert.py: .*not empty.*--overwrite", capsys.readouterr().err)
    assert main([*arguments, "--overwrite", "--set", "backbone.out_layer=1,2,3,4"]) == 2
    assert "did you mean `backbone.out_layers`" in capsys.readouterr().err
    assert main([*arguments, "--overwrit"]) == 2
    assert "unknown option --overwrit; did you mean --overwrite?" in capsys.readouterr().err


def test_one_wrong_bit_in_what_was_written_is_noticed(tmp_path):
    model = build(dinov3())
    model.save_pretrained(tmp_path)
    check_weights(tmp_path, model)
    weights = load_file(tmp_path / "model.safetensors")
    name = min(weights)
    weights[name].view(torch.int32).flatten()[0] ^= 1
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ConversionError, match=re.escape(name)):
        check_weights(tmp_path, model)
