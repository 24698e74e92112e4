"""`--set key=value`."""

import pytest
from transformers import Dinov2Config, DINOv3ViTConfig

from anydepth_hf import DepthAnything3Config
from conversion.formats.renaming import ConversionError
from conversion.formats.settings import Settings


def test_values_have_the_types_of_their_fields():
    settings = Settings(
        [
            "apply_backbone_norm=true",
            "use_cls_token=False",
            "min_depth=1",
            "max_depth=0.5",
            "upsample_hidden_sizes=[24, 16,16,8]",
            "output_hidden_sizes=none",
            "head_type=dpt",
            "num_output_channels = 256",
        ]
    )
    assert settings.model == {
        "apply_backbone_norm": True,
        "use_cls_token": False,
        "min_depth": 1,
        "max_depth": 0.5,
        "upsample_hidden_sizes": [24, 16, 16, 8],
        "output_hidden_sizes": None,
        "head_type": "dpt",
        "num_output_channels": 256,
    }


def test_encoder_fields_and_blocks_counted_from_zero():
    settings = Settings(["backbone.out_layers=3,4,5,7", "backbone.num_attention_heads=3", "backbone.rope_theta=100"])
    fields = settings.backbone_fields(DINOv3ViTConfig)
    assert fields == {"out_indices": [4, 5, 6, 8], "num_attention_heads": 3, "rope_theta": 100.0}
    assert isinstance(fields["rope_theta"], float)
    settings = Settings({"backbone.alt_start": "2", "backbone.cat_token": "no", "backbone.out_layers": (1, 2)})
    fields = settings.backbone_fields(DepthAnything3Config)
    assert fields == {"alt_start": 2, "cat_token": False, "out_indices": [2, 3]}
    assert Settings({"backbone.alt_start": "none"}).backbone_fields(DepthAnything3Config) == {"alt_start": None}


@pytest.mark.parametrize(
    "item, message",
    [
        ("fusion_hiden_size=3", "did you mean `fusion_hidden_size`"),
        ("num_attention_heads=3", "did you mean `backbone.num_attention_heads`"),
        ("out_layers=1,2,3,4", "did you mean `backbone.out_layers`"),
        ("zzz=3", "known are "),
        ("fusion_hidden_size", "needs key=value"),
        ("fusion_hidden_size=wide", "expected an integer"),
        ("fusion_hidden_size=2.5", "expected an integer"),
        ("use_cls_token=2", "expected true or false"),
        ("head_type=mlp", "expected 'sdt' or 'dpt'"),
        ("upsample_hidden_sizes=1,two", "expected values separated by commas"),
        ("backbone_config=dinov3-base", "no such field"),
    ],
)
def test_mistakes(item, message):
    with pytest.raises(ConversionError, match="--set") as caught:
        Settings([item])
    assert message in str(caught.value)


def test_mistakes_in_encoder_fields():
    with pytest.raises(ConversionError, match="did you mean `backbone.num_attention_heads`"):
        Settings(["backbone.num_attention_head=3"]).backbone_fields(Dinov2Config)
    with pytest.raises(ConversionError, match="known are backbone"):
        Settings(["backbone.zzz=3"]).backbone_fields(Dinov2Config)
    with pytest.raises(ConversionError, match="expected values separated by commas"):
        Settings(["backbone.out_layers=a,b"]).backbone_fields(Dinov2Config)
