"""The Depth Anything 3 encoder against the official one, and as a citizen of transformers."""

import pytest
import torch
from huggingface_hub.errors import StrictDataclassClassValidationError
from safetensors.torch import load_file
from torch import nn
from transformers.models.dinov2.modeling_dinov2 import Dinov2Layer

from anydepth_hf.backbone_depth_anything_3 import DepthAnything3Backbone
from anydepth_hf.configuration_depth_anything_3 import DepthAnything3Config
from conversion.formats.dinov2 import DINOV2
from conversion.formats.renaming import select_prefix
from tests.anydepth_hf import backbone_checks as checks
from tests.anydepth_hf.da3_reference import giant_like_forward, giant_like_state_dict

SMALL = {"hidden_size": 48, "num_attention_heads": 3, "num_hidden_layers": 8, "image_size": 70}
ANYVIEW = {**SMALL, "alt_start": 2, "out_indices": [4, 5, 6, 8]}
MONO = {**SMALL, "alt_start": None, "cat_token": False, "out_indices": [2, 4, 6, 8]}


def small_model(**overrides):
    return checks.randomize(DepthAnything3Backbone(DepthAnything3Config(**{**ANYVIEW, **overrides}))).eval()


@pytest.mark.parametrize("size", ["70x70", "56x98"])
@pytest.mark.parametrize("name, config", [("da3_anyview", ANYVIEW), ("da3_mono", MONO)])
def test_features_equal_the_official_ones(name, config, size):
    model = DepthAnything3Backbone(DepthAnything3Config(**config)).eval()
    original = load_file(checks.REFERENCE / f"{name}.original.safetensors")
    model.load_state_dict(DINOV2.convert(select_prefix(original, "model.backbone.pretrained.")))
    expected = load_file(checks.REFERENCE / f"{name}.io.safetensors")
    with torch.inference_mode():
        output = model(expected[f"{size}.pixel_values"])
    assert len(output.feature_maps) == len(output.cls_tokens) == 4
    for level in range(4):
        patches = output.feature_maps[level].flatten(2).transpose(1, 2)
        torch.testing.assert_close(patches, expected[f"{size}.feature_maps.{level}"], atol=checks.TOLERANCE, rtol=0)
        tokens = expected[f"{size}.cls_tokens.{level}"]
        torch.testing.assert_close(output.cls_tokens[level], tokens, atol=checks.TOLERANCE, rtol=0)


def test_giant_layout_equals_an_independent_implementation():
    width, heads, depth, alt_start, out_layers = 48, 3, 8, 3, (3, 4, 5, 7)
    config = DepthAnything3Config(
        **{**SMALL, "alt_start": alt_start, "use_swiglu_ffn": True, "out_indices": [layer + 1 for layer in out_layers]}
    )
    model = DepthAnything3Backbone(config).eval().double()
    state = giant_like_state_dict(width, depth, alt_start, swiglu_width=128, grid=5)
    model.load_state_dict(DINOV2.convert(state))
    images = torch.randn(2, 3, 70, 70, generator=torch.Generator().manual_seed(4)).double()
    with torch.inference_mode():
        output = model(images)
    expected = giant_like_forward(state, images, heads, depth, alt_start, out_layers)
    for feature_map, cls_token, (patches, token) in zip(output.feature_maps, output.cls_tokens, expected, strict=True):
        torch.testing.assert_close(feature_map.flatten(2).mT, patches, atol=checks.TOLERANCE, rtol=0)
        torch.testing.assert_close(cls_token, token, atol=checks.TOLERANCE, rtol=0)


@pytest.mark.parametrize("config", [ANYVIEW, MONO])
def test_layer_norm_epsilons(config):
    model = DepthAnything3Backbone(DepthAnything3Config(**config))
    norms = {name: module.eps for name, module in model.named_modules() if isinstance(module, nn.LayerNorm)}
    assert norms.pop("layernorm") == 1e-5
    qk_norms = {name: eps for name, eps in norms.items() if name.endswith(("q_norm", "k_norm"))}
    assert len(qk_norms) == (0 if config is MONO else 2 * 6) and set(qk_norms.values()) <= {1e-5}
    blocks = {name: eps for name, eps in norms.items() if name not in qk_norms}
    assert len(blocks) == 2 * 8 and set(blocks.values()) == {1e-6}


@pytest.mark.parametrize(
    "parameters, config",
    [
        (22_059_008, {"hidden_size": 384, "num_attention_heads": 6}),
        (86_583_296, {}),
        (304_373_760, {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "alt_start": 8}),
        (
            1_136_489_216,
            {
                "hidden_size": 1536,
                "num_hidden_layers": 40,
                "num_attention_heads": 24,
                "alt_start": 13,
                "use_swiglu_ffn": True,
            },
        ),
        (
            304_367_616,
            {
                "hidden_size": 1024,
                "num_hidden_layers": 24,
                "num_attention_heads": 16,
                "alt_start": None,
                "cat_token": False,
            },
        ),
    ],
    ids=["small", "base", "large", "giant", "mono-large"],
)
def test_full_size_parameter_counts(parameters, config):
    with torch.device("meta"):
        model = DepthAnything3Backbone(DepthAnything3Config(**config))
    assert sum(p.numel() for p in model.parameters()) == parameters
    assert model.channels == [config.get("hidden_size", 768) * (2 if config.get("cat_token", True) else 1)]


@pytest.mark.parametrize("config", [ANYVIEW, MONO])
def test_images_of_a_batch_do_not_see_each_other(config):
    checks.check_batch_equals_alone(small_model(**config), (56, 98))


def test_gradient_checkpointing_keeps_the_gradients():
    checks.check_gradient_checkpointing(small_model(), (70, 70))


def test_export():
    checks.check_export(small_model(), (56, 98))


@pytest.mark.parametrize("config", [ANYVIEW, {**ANYVIEW, "use_swiglu_ffn": True}, MONO])
def test_save_and_load(config, tmp_path):
    checks.check_save_and_load(small_model(**config), tmp_path)


def test_auto_classes(tmp_path):
    checks.check_auto_classes(small_model(), tmp_path)


def test_half_precision():
    checks.check_half_precision(small_model(), (70, 70))


def test_only_exported_levels_are_kept():
    model = small_model(num_hidden_layers=16, out_indices=[4, 6, 8, 16])
    checks.check_kept_in_memory(model, Dinov2Layer, (70, 70), limit=2 * 4 + 1)


def test_hidden_states_and_attentions_on_request():
    model = small_model()
    model.set_attn_implementation("eager")
    images = torch.randn(2, 3, 56, 98, generator=torch.Generator().manual_seed(1))
    output = model(images, output_hidden_states=True, output_attentions=True)
    assert [tuple(h.shape) for h in output.hidden_states] == [(2, 29, 48)] * 9
    assert [tuple(a.shape) for a in output.attentions] == [(2, 3, 29, 29)] * 8
    model.set_attn_implementation("sdpa")
    assert checks.largest_difference(model(images), output) < 1e-5
    assert model.get_input_embeddings() is model.embeddings.patch_embeddings


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"alt_start": 8}, "alt_start must be a block between 0 and 7, or None"),
        ({"num_attention_heads": 8}, "num_attention_heads"),
    ],
)
def test_impossible_configurations(wrong, message):
    with pytest.raises(StrictDataclassClassValidationError, match=message):
        DepthAnything3Config(**{**ANYVIEW, **wrong})
