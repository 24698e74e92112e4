"""The model under adapters, quantisation and offloading, which call, replace or move its linear layers."""

import logging

import pytest
import torch
from torch import nn

from anydepth_hf import AnyDepthConfig, AnyDepthForDepthEstimation
from tests.conftest import TINY_BACKBONES

peft = pytest.importorskip("peft", reason="pip install 'anydepth-hf[train]' has peft")


@pytest.fixture
def model(save_tiny_model):
    return AnyDepthForDepthEstimation.from_pretrained(save_tiny_model("dinov2"))


@pytest.fixture
def images():
    return torch.randn(2, 3, 56, 70, generator=torch.Generator().manual_seed(0))


def adapted(model, **settings):
    return peft.get_peft_model(model, peft.LoraConfig(r=4, target_modules="all-linear", **settings))


def test_every_adapter_of_a_frozen_encoder_and_its_head_learns(model, images):
    model = adapted(model, lora_dropout=0.1).train()
    assert all(p.requires_grad == ("lora_" in name) for name, p in model.named_parameters())
    encoder = model.base_model.model.backbone
    assert not encoder.training and all(
        module.training == ("lora_" in name) for name, module in encoder.named_modules() if name
    )
    # B starts at zero, behind which A would get no gradient
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(parameter, std=0.02)
    model(pixel_values=images, labels=torch.rand(2, 56, 70) + 1).loss.backward()
    adapters = {name: p.grad for name, p in model.named_parameters() if "lora_" in name}
    assert sum("readout_projects" in name for name in adapters) == 8
    assert [name for name, gradient in adapters.items() if gradient is None or not gradient.any()] == []


def test_merging_keeps_the_output(model, images):
    model = adapted(model).eval()
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            nn.init.normal_(parameter, std=0.1)
    with torch.no_grad():
        expected = model(pixel_values=images).predicted_depth
        merged = model.merge_and_unload()(pixel_values=images).predicted_depth
    torch.testing.assert_close(merged, expected, rtol=1e-4, atol=1e-4)


def test_a_model_that_cannot_learn_says_so(model, images, caplog):
    model.head.requires_grad_(False)
    model.train()
    logging.getLogger("transformers").propagate = True
    loss = model(images, labels=torch.rand(2, 56, 70) + 1).loss
    assert not loss.requires_grad
    assert "No parameter of this AnyDepth model can train" in caplog.text


def relative_error(got, expected):
    return ((got - expected).norm() / expected.norm()).item()


def test_dynamic_int8_gives_nearly_the_float_map(model, images):
    with torch.no_grad():
        expected = model(images).predicted_depth
        quantized = torch.ao.quantization.quantize_dynamic(model, {nn.Linear}, dtype=torch.qint8)
        assert relative_error(quantized(images).predicted_depth, expected) < 0.01


def test_torchao_int8_gives_nearly_the_float_map(model, images):
    torchao = pytest.importorskip("torchao.quantization")
    with torch.no_grad():
        expected = model(images).predicted_depth
        torchao.quantize_(model, torchao.Int8WeightOnlyConfig())
        assert relative_error(model(images).predicted_depth, expected) < 0.01


@pytest.mark.parametrize("place", ["cpu", "disk"])
def test_offloaded_weights_give_the_same_map(save_tiny_model, model, images, tmp_path, place):
    device_map = {"backbone": place, "head": place if place == "disk" else "cpu"}
    options = {"offload_folder": tmp_path} if place == "disk" else {}
    offloaded = AnyDepthForDepthEstimation.from_pretrained(
        save_tiny_model("dinov2"), device_map=device_map, offload_buffers=True, **options
    )
    with torch.no_grad():
        expected = model(images).predicted_depth
        torch.testing.assert_close(offloaded(images).predicted_depth, expected, rtol=1e-4, atol=1e-5)
    if place == "disk":
        assert any(parameter.is_meta for parameter in offloaded.head.parameters())


@pytest.mark.parametrize("head_type", ["sdt", "dpt"])
@pytest.mark.parametrize("encoder", [*TINY_BACKBONES, "monocular"])
def test_blocks_that_stay_whole_are_parts_of_the_model(encoder, head_type):
    """FSDP refuses a name that it does not find in the model; `device_map="auto"` would split what is not named."""
    from accelerate import FullyShardedDataParallelPlugin
    from accelerate.utils.fsdp_utils import fsdp2_prepare_auto_wrap_policy

    is_type = encoder in TINY_BACKBONES
    model_type, changes = (encoder, {}) if is_type else ("depth_anything_3", {"alt_start": None, "cat_token": False})
    backbone = {"model_type": model_type, "hidden_size": 32, "num_hidden_layers": 4, "num_attention_heads": 2}
    backbone |= {"out_indices": [1, 2, 3, 4], **TINY_BACKBONES[model_type], **changes}
    model = AnyDepthForDepthEstimation(
        AnyDepthConfig(backbone_config=backbone, head_type=head_type, fusion_hidden_size=8)
    )
    plugin = FullyShardedDataParallelPlugin(fsdp_version=2, auto_wrap_policy="transformer_based_wrap")
    policy = fsdp2_prepare_auto_wrap_policy(plugin, model)
    wrapped = [name for name, module in model.named_modules() if policy(module)]
    assert "head" in wrapped and any(name.endswith("embeddings") for name in wrapped) and len(wrapped) >= 6


def test_hooks_see_a_call_of_every_readout(model, images):
    seen = []
    for project in model.head.weighted_fusion.readout_projects:
        project[0].register_forward_hook(lambda module, args, output: seen.append(args[0].shape[-1]))
    with torch.no_grad():
        expected = model(images).predicted_depth
    assert seen == [64] * 4
    for project in model.head.weighted_fusion.readout_projects:
        project[0]._forward_hooks.clear()
    with torch.no_grad():
        torch.testing.assert_close(model(images).predicted_depth, expected, rtol=1e-5, atol=1e-5)
