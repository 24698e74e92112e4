import logging

import pytest
from transformers import AutoConfig, Dinov2Config, DINOv3ViTConfig

from anydepth_hf import AnyDepthConfig
from anydepth_hf.configuration_anydepth import BACKBONE_PRESETS


def test_default_is_the_papers_small_row():
    config = AnyDepthConfig()
    assert config.backbone_config.hidden_size == 384
    assert config.backbone_config.out_indices == [3, 6, 9, 12]
    assert (config.fusion_hidden_size, config.min_depth, config.prediction_type) == (256, 0.001, "disparity")


@pytest.mark.parametrize("name", BACKBONE_PRESETS)
def test_presets_name_four_levels_within_the_encoder(name):
    backbone = AnyDepthConfig(backbone_config=name).backbone_config
    assert len(backbone.out_indices) == 4
    assert max(backbone.out_indices) == backbone.num_hidden_layers


def test_round_trip_through_a_file_and_auto_config(tmp_path):
    config = AnyDepthConfig(backbone_config="dav2-base", upsample_hidden_sizes=[64, 64, 32, 16], max_depth=80)
    config.save_pretrained(tmp_path)
    loaded = AutoConfig.from_pretrained(tmp_path)
    assert type(loaded) is AnyDepthConfig
    assert loaded.to_dict() == config.to_dict() | {"_name_or_path": loaded._name_or_path}


def warnings_of(caplog, make):
    caplog.clear()
    logging.getLogger("transformers").propagate = True
    config = make()
    return config, caplog.text


def test_a_misspelt_field_is_warned_of_with_the_right_name(caplog):
    for make in (
        lambda: AnyDepthConfig(fusion_hiden_size=3),
        lambda: AnyDepthConfig.from_dict({"fusion_hiden_size": 3}),
    ):
        config, text = warnings_of(caplog, make)
        assert "no field `fusion_hiden_size`, and keeps it unused; did you mean `fusion_hidden_size`?" in text
        assert (config.fusion_hiden_size, config.fusion_hidden_size) == (3, 256)


def test_keys_of_others_are_kept_without_a_word(caplog):
    keys = {
        "my_note": "x",
        "output_attentions": False,
        "torch_dtype": "float32",
        "num_labels": 3,
        "_commit_hash": None,
    }
    config, text = warnings_of(caplog, lambda: AnyDepthConfig.from_dict(keys))
    assert config.my_note == "x" and text == ""


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"fusion_hidden_size": 30}, "multiples of `dysample_groups`=4"),
        ({"upsample_hidden_sizes": [64, 64, 30, 16]}, "multiples of `dysample_groups`=4"),
        ({"upsample_hidden_sizes": [64, 64]}, "needs three or four widths"),
        ({"reassemble_hidden_sizes": [64, 64, 64]}, "needs four widths"),
        ({"output_hidden_sizes": [64]}, "needs two widths"),
        ({"upsample_hidden_sizes": [64, -4, 4, 4]}, "must be positive"),
        ({"fusion_hidden_size": 0}, "must be positive"),
        ({"dysample_groups": 0}, "must be positive"),
        ({"backbone_config": {"hidden_size": 384}}, "needs the `model_type` of an encoder"),
        ({"backbone_config": {"model_type": "dinov4"}}, "of an encoder, like 'dinov3_vit'; got 'dinov4'"),
        ({"min_depth": 5, "max_depth": 2}, "min_depth < max_depth"),
        ({"num_output_channels": 0}, "at least 1"),
        ({"head_type": "spt"}, "head_type"),
        ({"backbone_config": "dinov4-small"}, "the presets are dinov3-small"),
        ({"backbone_config": DINOv3ViTConfig(out_indices=[3, 6, 9])}, "name four"),
        ({"backbone_config": DINOv3ViTConfig(out_indices=[0, 3, 6, 9])}, r"must lie in 1\.\.12"),
    ],
)
def test_impossible_combinations_say_what_to_change(settings, message):
    with pytest.raises(Exception, match=message):
        AnyDepthConfig(**settings)


def test_the_encoder_follows_apply_backbone_norm():
    for norm in (True, False):
        assert AnyDepthConfig(apply_backbone_norm=norm).backbone_config.apply_layernorm is norm


def test_configurations_made_of_one_encoder_do_not_change_each_other():
    encoder = Dinov2Config(out_indices=[3, 6, 9, 12], apply_layernorm=True)
    normed, plain = (AnyDepthConfig(backbone_config=encoder, apply_backbone_norm=norm) for norm in (True, False))
    assert normed.backbone_config.apply_layernorm and not plain.backbone_config.apply_layernorm
    assert encoder.apply_layernorm


def test_what_is_given_at_loading_is_checked_and_reaches_the_encoder(tmp_path):
    AnyDepthConfig().save_pretrained(tmp_path)
    config, unused = AutoConfig.from_pretrained(
        tmp_path, apply_backbone_norm=True, min_depth=0.5, other=1, return_unused_kwargs=True
    )
    assert config.backbone_config.apply_layernorm and config.min_depth == 0.5 and unused == {"other": 1}
    with pytest.raises(Exception, match="min_depth < max_depth"):
        AutoConfig.from_pretrained(tmp_path, min_depth=500)


@pytest.mark.parametrize("encoder", ["dav2-small", BACKBONE_PRESETS["dav2-small"]], ids=["name", "dict"])
def test_another_encoder_given_at_loading_replaces_that_of_the_file(tmp_path, encoder):
    AnyDepthConfig().save_pretrained(tmp_path)
    config = AutoConfig.from_pretrained(tmp_path, backbone_config=encoder)
    assert config.backbone_config == AnyDepthConfig(backbone_config=encoder).backbone_config
    with pytest.raises(Exception, match="name four"):
        AutoConfig.from_pretrained(tmp_path, backbone_config=Dinov2Config())


def test_fields_of_the_encoder_given_at_loading_change_the_files(tmp_path):
    AnyDepthConfig(backbone_config="dav2-small").save_pretrained(tmp_path)
    config = AutoConfig.from_pretrained(tmp_path, backbone_config={"out_indices": [1, 2, 3, 4], "image_size": 56})
    assert (list(config.backbone_config.out_indices), config.backbone_config.image_size) == ([1, 2, 3, 4], 56)
    assert config.backbone_config.hidden_size == 384
    with pytest.raises(Exception, match="name four"):
        AutoConfig.from_pretrained(tmp_path, backbone_config={"out_indices": [1, 2]})


def test_widths_may_be_tuples():
    assert AnyDepthConfig(upsample_hidden_sizes=(8, 8, 8, 8), output_hidden_sizes=(4, 4)).output_hidden_sizes == (4, 4)
