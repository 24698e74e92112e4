import copy

import pytest
import torch
from transformers import (
    AutoModelForDepthEstimation,
    Dinov2Backbone,
    Dinov2Config,
    Dinov2Model,
    DINOv3ViTBackbone,
    DINOv3ViTConfig,
    DINOv3ViTModel,
    Trainer,
    TrainingArguments,
)

from anydepth_hf import AnyDepthConfig, AnyDepthForDepthEstimation, DepthAnything3Backbone, VGGTBackbone
from tests.conftest import TINY_BACKBONES

TINY = {"hidden_size": 32, "num_hidden_layers": 4, "num_attention_heads": 2, "out_indices": [1, 2, 3, 4]}
DINOV3 = {"model_type": "dinov3_vit", "intermediate_size": 64, "num_register_tokens": 4, **TINY}
DINOV2 = {"model_type": "dinov2", "mlp_ratio": 2, "image_size": 56, "patch_size": 14, "use_mask_token": False, **TINY}


def tiny_model(backbone=DINOV3, **settings):
    torch.manual_seed(0)
    return AnyDepthForDepthEstimation(AnyDepthConfig(backbone_config=dict(backbone), fusion_hidden_size=8, **settings))


@pytest.fixture(params=[DINOV3, DINOV2], ids=["dinov3", "dinov2"])
def model(request):
    return tiny_model(request.param).eval()


@pytest.mark.parametrize("alignment", ["resize", "pad"])
@pytest.mark.parametrize("size", [(16, 16), (16, 97), (63, 40), (64, 48)])
def test_prediction_has_the_size_of_the_input(alignment, size):
    for backbone in (DINOV3, DINOV2):
        model = tiny_model(backbone, patch_alignment=alignment).eval()
        with torch.no_grad():
            output = model(torch.randn(2, 3, *size))
        assert output.predicted_depth.shape == (2, *size)
        assert output.predicted_depth.dtype == torch.float32
        assert output.predicted_depth.min() >= model.config.min_depth


def test_padding_leaves_an_aligned_input_alone_and_crops_back():
    model = tiny_model(patch_alignment="pad").eval()
    image = torch.randn(1, 3, 40, 60)
    padded = torch.nn.functional.pad(image, (0, 4, 0, 8), mode="replicate")
    with torch.no_grad():
        torch.testing.assert_close(model(image).predicted_depth, model(padded).predicted_depth[:, :40, :60])


def test_a_batch_gives_the_numbers_of_each_image(model):
    images = torch.randn(3, 3, 48, 80)
    with torch.no_grad():
        together = model(images).predicted_depth
        alone = torch.cat([model(image[None]).predicted_depth for image in images])
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("norm", [True, False])
def test_backbone_norm_is_for_all_levels_or_none(model, norm):
    model.backbone.config.apply_layernorm = norm
    with torch.no_grad():
        output = model.backbone(torch.randn(1, 3, 112, 112), output_hidden_states=True)
    final_norm = model.backbone.norm if hasattr(model.backbone, "norm") else model.backbone.layernorm
    prefix = output.hidden_states[0].shape[1] - output.feature_maps[0][0, 0].numel()
    assert len(output.hidden_states) == 5
    for level, cls_token, hidden in zip(output.feature_maps, output.cls_tokens, output.hidden_states[1:]):
        hidden = final_norm(hidden) if norm else hidden
        torch.testing.assert_close(level.flatten(2).transpose(1, 2), hidden[:, prefix:])
        torch.testing.assert_close(cls_token, hidden[:, 0])


def test_the_model_does_what_its_configuration_says_of_the_norm(tmp_path):
    model = tiny_model()
    model.save_pretrained(tmp_path)
    loaded = AnyDepthForDepthEstimation.from_pretrained(tmp_path, apply_backbone_norm=True)
    config = copy.deepcopy(model.config)
    config.apply_backbone_norm = True
    for changed in (loaded, AnyDepthForDepthEstimation(config)):
        assert changed.config.apply_backbone_norm and changed.backbone.config.apply_layernorm


def test_hidden_states_and_attentions_on_request():
    model = tiny_model().eval()
    model.set_attn_implementation("eager")
    output = model(torch.randn(1, 3, 32, 32), output_hidden_states=True, output_attentions=True)
    assert (len(output.hidden_states), len(output.attentions)) == (5, 4)
    assert model(torch.randn(1, 3, 32, 32)).hidden_states is None
    assert isinstance(model(torch.randn(1, 3, 32, 32), return_dict=False), tuple)
    model.config.output_hidden_states = model.config.output_attentions = True
    output = model(torch.randn(1, 3, 32, 32))
    assert (len(output.hidden_states), len(output.attentions)) == (5, 4)
    assert model(torch.randn(1, 3, 32, 32), output_hidden_states=False).hidden_states is None


def test_bad_input_is_explained(model):
    with pytest.raises(ValueError, match=r"\(batch, 3, height, width\)"):
        model(torch.randn(1, 1, 64, 64))
    with pytest.raises(ValueError, match="at least one patch"):
        model(torch.randn(1, 3, 8, 64))
    with pytest.raises(ValueError, match="`labels` must be depth of shape"):
        model(torch.randn(1, 3, 64, 64), labels=torch.ones(1, 32, 32))
    with pytest.raises(ValueError, match=r"got \(0, 3, 64, 64\)"):
        model(torch.randn(0, 3, 64, 64))
    for not_a_tensor in ([torch.randn(3, 64, 64)], torch.randn(1, 3, 64, 64).numpy()):
        with pytest.raises(TypeError, match='call the image processor with `return_tensors="pt"`'):
            model(not_a_tensor)


def test_save_reload_and_resave_are_bit_equal(model, tmp_path):
    model.save_pretrained(tmp_path / "a")
    loaded, info = AutoModelForDepthEstimation.from_pretrained(tmp_path / "a", output_loading_info=True)
    assert not any(info.values())
    loaded.save_pretrained(tmp_path / "b")
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in "ab"]
    assert weights[0] == weights[1]
    image = torch.randn(1, 3, 40, 56)
    with torch.no_grad():
        # to rounding: on some CPUs the order of summation follows where the weights lie in memory
        torch.testing.assert_close(model(image).predicted_depth, loaded(image).predicted_depth, rtol=1e-5, atol=1e-6)


def test_weights_missing_from_a_checkpoint_are_initialised(model, tmp_path):
    model.save_pretrained(tmp_path)
    wider = AnyDepthForDepthEstimation.from_pretrained(
        tmp_path, fusion_hidden_size=16, ignore_mismatched_sizes=True
    ).head
    sampler = wider.upsample_1.dysample1[0]
    assert torch.equal(sampler.init_pos, sampler.initial_positions(sampler.groups))
    assert 0 < sampler.offset.weight.std() < 0.002
    assert not sampler.scope.weight.any()
    weight = wider.output_conv[0].weight
    assert 0.9 < weight.std() * (3 * weight[0].numel()) ** 0.5 < 1.1


RELU_HEADS = {
    "sdt": {},
    "sdt-cls": {"head_input_norm": True, "predict_confidence": True},
    "dpt": {"head_type": "dpt"},
    "dpt-depth-anything": {"head_type": "dpt", "dpt_style": "depth_anything"},
    "dpt-vggt": {"head_type": "dpt", "dpt_style": "vggt", "head_input_norm": True},
    "dual-dpt": {"head_type": "dual_dpt", "head_input_norm": True},
}


@pytest.mark.parametrize("settings", RELU_HEADS.values(), ids=RELU_HEADS)
@pytest.mark.parametrize("training", [False, True], ids=["eval", "train"])
def test_a_new_relu_output_starts_positive_everywhere(settings, training):
    for seed in range(10):
        torch.manual_seed(seed)
        config = AnyDepthConfig(backbone_config=dict(DINOV3), fusion_hidden_size=16, **settings)
        model = AnyDepthForDepthEstimation(config).train(training)
        with torch.no_grad():
            prediction = model(2 * torch.randn(2, 3, 48, 64)).predicted_depth
        assert prediction.min() > config.min_depth and prediction.std() > 0


def test_only_new_relu_outputs_are_lifted(tmp_path):
    def last_bias(model):
        return model.head.output_conv[-1].bias

    assert last_bias(tiny_model()).item() == 1
    assert last_bias(tiny_model(output_activation="exp")).abs().item() < 0.2
    assert (last_bias(tiny_model(num_output_channels=4)).abs() < 0.2).all()
    model = tiny_model()
    torch.nn.init.constant_(last_bias(model), -0.25)
    model.save_pretrained(tmp_path / "model")
    assert last_bias(AnyDepthForDepthEstimation.from_pretrained(tmp_path / "model")).item() == -0.25
    # an encoder alone, as for fine-tuning with Trainer
    model.backbone.save_pretrained(tmp_path / "encoder")
    new = AnyDepthForDepthEstimation.from_pretrained(tmp_path / "encoder", config=model.config)
    assert last_bias(new).item() == 1


ENCODERS = {
    "dinov3_vit": [DINOv3ViTModel, DINOv3ViTBackbone],
    "dinov2": [Dinov2Model, Dinov2Backbone],
    "depth_anything_3": [DepthAnything3Backbone],
    "vggt": [VGGTBackbone],
}


@pytest.mark.parametrize(
    ("model_type", "encoder_class"), [(name, each) for name, classes in ENCODERS.items() for each in classes]
)
def test_an_encoder_alone_is_loaded_whole_under_a_new_head(save_tiny_model, tmp_path, model_type, encoder_class):
    model = AnyDepthForDepthEstimation.from_pretrained(save_tiny_model(model_type))
    encoder = encoder_class(model.config.backbone_config)
    encoder.save_pretrained(tmp_path)
    new, info = AnyDepthForDepthEstimation.from_pretrained(tmp_path, config=model.config, output_loading_info=True)
    assert info["missing_keys"] and all(name.startswith("head.") for name in info["missing_keys"])
    assert not info["unexpected_keys"] and is_frozen(new)
    # what adapters and cards name as the base
    assert new.name_or_path == new.config.name_or_path == str(tmp_path)
    weights = dict(encoder.state_dict())
    for name, value in new.backbone.state_dict().items():
        name = name if name in weights else name.replace("model.layer", "layer")
        name = name if name in weights else name.replace("layer.", "model.layer.")
        assert torch.equal(value, weights[name])


def test_a_new_head_is_described_beside_the_name_of_the_encoder(save_tiny_model, tmp_path):
    AnyDepthForDepthEstimation.from_pretrained(save_tiny_model("dinov2")).backbone.save_pretrained(tmp_path)
    model = AnyDepthForDepthEstimation.from_pretrained(
        tmp_path, head_type="dpt", fusion_hidden_size=8, dtype=torch.bfloat16
    )
    assert type(model.head).__name__ == "DPTHead" and model.dtype == torch.bfloat16
    with pytest.raises(TypeError, match="fusion_hiden_size"):
        AnyDepthForDepthEstimation.from_pretrained(tmp_path, fusion_hiden_size=8)


def test_an_encoder_that_exports_its_last_level_alone_gets_four_at_loading(save_tiny_model, tmp_path):
    encoder = AnyDepthForDepthEstimation.from_pretrained(save_tiny_model("dinov2")).config.backbone_config.to_dict()
    del encoder["out_indices"], encoder["out_features"]
    Dinov2Model(Dinov2Config(**encoder)).save_pretrained(tmp_path)
    model = AnyDepthForDepthEstimation.from_pretrained(tmp_path, backbone_config={"out_indices": [1, 2, 3, 4]})
    assert list(model.config.backbone_config.out_indices) == [1, 2, 3, 4]
    with pytest.raises(Exception, match=r"is \[4\]; name four, as `backbone_config=\{'out_indices': "):
        AnyDepthForDepthEstimation.from_pretrained(tmp_path)


def test_a_variant_of_an_encoder_alone_is_found(save_tiny_model, tmp_path):
    model = AnyDepthForDepthEstimation.from_pretrained(save_tiny_model())
    ENCODERS["dinov3_vit"][0](model.config.backbone_config).save_pretrained(tmp_path, variant="fp16")
    AnyDepthForDepthEstimation.from_pretrained(tmp_path, config=model.config, variant="fp16")


def test_an_encoder_that_does_not_fit_is_refused(save_tiny_model, tmp_path):
    config = AnyDepthForDepthEstimation.from_pretrained(save_tiny_model("dinov2")).config
    shallow = {**TINY, **TINY_BACKBONES["dinov3_vit"], "num_hidden_layers": 1, "out_indices": [1]}
    DINOv3ViTModel(DINOv3ViTConfig(**shallow)).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="holds a model of type 'dinov3_vit'"):
        AnyDepthForDepthEstimation.from_pretrained(tmp_path, config=config)
    config = AnyDepthForDepthEstimation.from_pretrained(save_tiny_model("dinov3_vit")).config
    with pytest.raises(ValueError, match="lacks .* weights of the encoder, such as "):
        AnyDepthForDepthEstimation.from_pretrained(tmp_path, config=config)


def is_frozen(model):
    trainable = any(p.requires_grad for p in model.backbone.parameters())
    return not trainable and not any(m.training for m in model.backbone.modules())


def test_a_frozen_encoder_stays_frozen(model, tmp_path):
    assert is_frozen(model)
    model.save_pretrained(tmp_path)
    loaded = AnyDepthForDepthEstimation.from_pretrained(tmp_path)
    assert is_frozen(loaded)
    loaded.train()
    assert is_frozen(loaded) and loaded.head.training
    loss = loaded(torch.randn(2, 3, 42, 42), labels=torch.rand(2, 42, 42) + 1).loss
    loss.backward()
    assert all(p.grad is None for p in loaded.backbone.parameters())
    assert all(p.grad is not None for p in loaded.head.parameters())


class Scenes(torch.utils.data.Dataset):
    def __len__(self):
        return 4

    def __getitem__(self, index):
        generator = torch.Generator().manual_seed(index)
        return {
            "pixel_values": torch.randn(3, 32, 32, generator=generator),
            "labels": torch.rand(32, 32, generator=generator) + 1,
        }


def trainer_losses(tmp_path, **arguments):
    model = tiny_model()
    before = copy.deepcopy(model.backbone.state_dict())
    arguments = TrainingArguments(
        tmp_path, max_steps=2, logging_steps=1, report_to=[], use_cpu=True, save_strategy="no", disable_tqdm=True,
        **arguments,
    )  # fmt: skip
    trainer = Trainer(model, arguments, train_dataset=Scenes())
    trainer.train()
    assert is_frozen(model)
    assert all(torch.equal(value, before[key]) for key, value in model.backbone.state_dict().items())
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]


def test_trainer_leaves_the_encoder_alone_and_does_not_scale_the_loss(tmp_path):
    whole = trainer_losses(tmp_path, per_device_train_batch_size=4)
    accumulated = trainer_losses(tmp_path, per_device_train_batch_size=2, gradient_accumulation_steps=2)
    # batch norm sees other batches: close, but a loss that is summed over the steps would be twice as large
    assert accumulated[0] == pytest.approx(whole[0], rel=0.25)


def test_frozen_layers_keep_no_state_for_a_backward_pass():
    model = tiny_model().train()
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: kept.append(tensor), lambda none: none):
        model.head.forward = lambda maps, tokens: maps[0]
        model(torch.randn(1, 3, 32, 32))
    assert kept == []
    image = torch.randn(1, 3, 32, 32, requires_grad=True)
    tiny_model().eval()(image).predicted_depth.sum().backward()
    assert image.grad.any()


def test_an_unfrozen_encoder_learns_with_gradient_checkpointing():
    images, labels = torch.randn(2, 3, 32, 32), torch.rand(2, 32, 32) + 1
    gradients = []
    for checkpointing in (False, True):
        model = tiny_model({**DINOV3, "pos_embed_rescale": None}, freeze_backbone=False).train()
        if checkpointing:
            model.activation_checkpointing_enable()
        model(images, labels=labels).loss.backward()
        gradients.append({name: p.grad for name, p in model.named_parameters() if p.requires_grad})
    assert "backbone.embeddings.cls_token" in gradients[0]
    assert all(value is not None for value in gradients[0].values())
    for name, value in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], value, rtol=1e-4, atol=1e-6)


def test_bins_predict_their_weighted_mean():
    model = tiny_model(head_type="dpt", num_output_channels=5, max_depth=4.001)
    features = torch.full((1, 5, 2, 2), -1.0)
    torch.testing.assert_close(model.to_prediction(features), torch.full((1, 1, 2, 2), 2.001))
    features[:, 4] = 1e6
    torch.testing.assert_close(model.to_prediction(features), torch.full((1, 1, 2, 2), 4.001))


def test_autocast_does_not_round_the_depth_of_bins():
    model = tiny_model(head_type="dpt", num_output_channels=256)
    features = torch.randn(1, 256, 8, 8)
    with torch.autocast("cpu", torch.bfloat16):
        prediction = model.to_prediction(features)
    assert torch.equal(prediction, model.to_prediction(features))


@pytest.mark.parametrize(("activation", "expected"), [("relu", [0.001, 2.001]), ("linear", [-0.999, 2.001])])
def test_activations(activation, expected):
    prediction = tiny_model(output_activation=activation).to_prediction(torch.tensor([-1.0, 2.0]).view(1, 1, 1, 2))
    assert prediction.flatten().tolist() == pytest.approx(expected)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_16_bit_weights_predict_float32_close_to_full_precision(dtype):
    model = tiny_model().eval()
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        expected = model(image).predicted_depth
        output = model.to(dtype)(image.to(dtype)).predicted_depth
        uncast = model(image).predicted_depth
    assert output.dtype == torch.float32
    assert (output - expected).abs().mean() < 0.05 * expected.abs().mean()
    assert torch.equal(uncast, output)
