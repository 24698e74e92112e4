"""The VGGT aggregator against the official one, and as a citizen of transformers."""

import pytest
import torch
from huggingface_hub.errors import StrictDataclassClassValidationError
from safetensors.torch import load_file
from torch import nn

from anydepth_hf.backbone_vggt import VGGTBackbone, VGGTLayer
from anydepth_hf.configuration_vggt import VGGTConfig
from conversion.formats.renaming import select_prefix
from conversion.formats.vggt import VGGT
from tests.anydepth_hf import backbone_checks as checks

SMALL = {
    "hidden_size": 48,
    "num_attention_heads": 3,
    "num_hidden_layers": 4,
    "num_patch_encoder_layers": 3,
    "image_size": 70,
    "out_indices": [1, 2, 3, 4],
}


def small_model(**overrides):
    return checks.randomize(VGGTBackbone(VGGTConfig(**{**SMALL, **overrides}))).eval()


def imagenet_normalize(images):
    mean = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    return (images - mean) / std


@pytest.mark.parametrize("size", ["70x70", "56x98"])
def test_features_equal_the_official_ones(size):
    model = VGGTBackbone(VGGTConfig(**SMALL)).eval()
    original = torch.load(checks.REFERENCE / "vggt.original.pt", weights_only=True)
    model.load_state_dict(VGGT.convert(select_prefix(original, "aggregator.")))
    expected = load_file(checks.REFERENCE / "vggt.io.safetensors")
    with torch.inference_mode():
        output = model(imagenet_normalize(expected[f"{size}.pixel_values_0_1"]))
    assert len(output.feature_maps) == len(output.cls_tokens) == 4
    for level in range(4):
        tokens = expected[f"{size}.tokens.{level}"]
        patches = output.feature_maps[level].flatten(2).transpose(1, 2)
        torch.testing.assert_close(patches, tokens[:, 5:], atol=checks.TOLERANCE, rtol=0)
        torch.testing.assert_close(output.cls_tokens[level], tokens[:, 0], atol=checks.TOLERANCE, rtol=0)


def test_layer_norm_epsilons():
    model = VGGTBackbone(VGGTConfig(**SMALL))
    norms = {name: module.eps for name, module in model.named_modules() if isinstance(module, nn.LayerNorm)}
    patch_encoder = {name: eps for name, eps in norms.items() if name.startswith("patch_encoder.")}
    assert len(patch_encoder) == 2 * 3 + 1 and set(patch_encoder.values()) == {1e-6}
    pairs = {name: eps for name, eps in norms.items() if name not in patch_encoder}
    assert len(pairs) == 2 * 4 * 4 and set(pairs.values()) == {1e-5}


def test_full_size_parameter_count():
    with torch.device("meta"):
        model = VGGTBackbone(VGGTConfig(out_indices=[5, 12, 18, 24]))
    assert sum(p.numel() for p in model.parameters()) == 909_112_320
    assert len(model.state_dict()) == 1_210 + 2 * 72 * 2  # q, k, v apart: two more weights and biases per block
    assert model.channels == [2048] * 4


def test_initial_layer_scales():
    model = VGGTBackbone(VGGTConfig(**SMALL))
    assert (model.patch_encoder.layer[0].layer_scale1.lambda1 == 1.0).all()
    for block in (*model.frame_blocks, *model.global_blocks):
        assert (block.layer_scale1.lambda1 == 0.01).all() and (block.layer_scale2.lambda1 == 0.01).all()


def test_images_of_a_batch_do_not_see_each_other():
    checks.check_batch_equals_alone(small_model(), (56, 98))


def test_gradient_checkpointing_keeps_the_gradients():
    checks.check_gradient_checkpointing(small_model(), (70, 70))


def test_export():
    checks.check_export(small_model(), (56, 98))


def test_save_and_load(tmp_path):
    checks.check_save_and_load(small_model(), tmp_path)


def test_auto_classes(tmp_path):
    checks.check_auto_classes(small_model(), tmp_path)


def test_half_precision():
    checks.check_half_precision(small_model(), (70, 70))


def test_only_exported_levels_are_kept():
    model = small_model(num_hidden_layers=8, out_indices=[1, 2, 3, 8])
    # the pair at work: the levels themselves are concatenations, copied out of the blocks' outputs
    checks.check_kept_in_memory(model, VGGTLayer, (70, 70), limit=3)


def test_hidden_states_and_attentions_on_request():
    model = small_model()
    model.set_attn_implementation("eager")
    images = torch.randn(2, 3, 56, 98, generator=torch.Generator().manual_seed(1))
    output = model(images, output_hidden_states=True, output_attentions=True)
    assert [tuple(h.shape) for h in output.hidden_states] == [(2, 33, 48)] * (1 + 2 * 4)
    assert [tuple(a.shape) for a in output.attentions] == [(2, 3, 33, 33)] * (2 * 4)
    model.set_attn_implementation("sdpa")
    assert checks.largest_difference(model(images), output) < 5e-6
    assert model.get_input_embeddings() is model.patch_encoder.embeddings.patch_embeddings


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"num_attention_heads": 8}, "num_attention_heads"),
    ],
)
def test_impossible_configurations(wrong, message):
    with pytest.raises(StrictDataclassClassValidationError, match=message):
        VGGTConfig(**{**SMALL, **wrong})


def test_hidden_states_are_counted_over_frame_and_global_blocks():
    model, images = small_model(), torch.randn(1, 3, 28, 42)
    with torch.inference_mode():
        every = model(images, output_hidden_states=True).hidden_states
        chosen = model(images, output_hidden_states=[-1, 2]).hidden_states
    assert len(every) == len(chosen) == 9
    assert [index for index, states in enumerate(chosen) if states is not None] == [2, 8]
    assert torch.equal(chosen[8], every[8])
