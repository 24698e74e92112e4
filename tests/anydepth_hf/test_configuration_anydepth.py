import pytest
from transformers import AutoConfig, DINOv3ViTConfig

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


def test_unknown_field_suggests_the_right_name():
    with pytest.raises(ValueError, match="did you mean `fusion_hidden_size`"):
        AnyDepthConfig(fusion_hiden_size=128)
    with pytest.raises(ValueError, match="has no field `zzz`"):
        AnyDepthConfig(zzz=1)


def test_an_encoders_configuration_is_refused(tmp_path):
    DINOv3ViTConfig().save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="model type 'dinov3_vit', not of AnyDepth"):
        AnyDepthConfig.from_pretrained(tmp_path)


def test_files_keep_keys_of_others_but_no_misspelt_ones():
    assert AnyDepthConfig.from_dict({"my_note": "x"}).my_note == "x"
    with pytest.raises(ValueError, match="did you mean `apply_backbone_norm`"):
        AnyDepthConfig.from_dict({"aply_backbone_norm": True})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"fusion_hidden_size": 30}, "multiples of `dysample_groups`=4"),
        ({"upsample_hidden_sizes": [64, 64, 30, 16]}, "multiples of `dysample_groups`=4"),
        ({"upsample_hidden_sizes": [64, 64]}, "needs three or four widths"),
        ({"reassemble_hidden_sizes": [64, 64, 64]}, "needs four widths"),
        ({"output_hidden_sizes": [64]}, "needs two widths"),
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
