"""What a trained model's card says of the weights it began with, by the options of the run."""

import pytest

from anydepth_hf import BUNDLED_CHECKPOINT
from training.trainer.arguments import TrainArguments
from training.trainer.provenance import missing_line, notices, provenance, starting_point

ARCHITECTURE = {"architecture": "{}", "encoder": "full"}
CARD = """---
license: other
license_name: dinov3-license
license_link: https://example.org/license
base_model: [facebook/dinov3-vits16-pretrain-lvd1689m]
tags: [anydepth]
---
# A model
"""


def options(**values):
    return TrainArguments(dataset=["mine"], output_dir="run", **values)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (
            options(model=BUNDLED_CHECKPOINT),
            {"license": "apache-2.0", "base_model": "facebook/dinov2-small"},
        ),
        (
            options(model="AIGeeksGroup/AnyDepth"),
            {"license": "cc-by-nc-sa-4.0", "base_model": "AIGeeksGroup/AnyDepth"},
        ),
        (
            options(**ARCHITECTURE, encoder_weights="facebook/dinov2-small"),
            {"license": "apache-2.0", "base_model": "facebook/dinov2-small"},
        ),
    ],
)
def test_what_follows_from_the_start(arguments, expected):
    assert provenance(arguments) == expected
    assert missing_line(expected) == notices(expected) == ""


def test_dinov3_is_named_with_its_licence():
    metadata = provenance(options(preset="dinov3-base-sdt-compact"))
    assert (metadata["license"], metadata["license_name"]) == ("other", "dinov3-license")
    assert metadata["base_model"] == "facebook/dinov3-vitb16-pretrain-lvd1689m"
    assert notices(metadata) == "\n\n**Built with DINOv3.**"


@pytest.mark.parametrize(
    ("arguments", "asked", "not_asked"),
    [
        (options(**ARCHITECTURE), "`license:`", "base_model"),
        (options(model="someone/else"), "`license:`", "base_model"),
        (options(model="."), "`license:` and `base_model:`", "from-scratch"),
    ],
)
def test_the_user_is_asked_for_the_rest(arguments, asked, not_asked, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    line = missing_line(provenance(arguments))
    assert line.startswith("# ") and line.count("\n") == 1 and asked in line and not_asked not in line


def test_directories(tmp_path):
    """A converted directory has no card and is what the preset says; the card of any other counts."""
    converted = options(preset="vggt-1b-sdt", encoder_weights=str(tmp_path))
    assert provenance(converted) == {"license": "cc-by-nc-4.0", "base_model": "facebook/VGGT-1B"}
    (tmp_path / "README.md").write_text(CARD)
    for arguments in (converted, options(model=str(tmp_path))):
        metadata = provenance(arguments)
        assert metadata["license_name"] == "dinov3-license" and metadata["license_link"].endswith("/license")
        assert metadata["base_model"] == ["facebook/dinov3-vits16-pretrain-lvd1689m"] and "DINOv3" in notices(metadata)
    (tmp_path / "README.md").write_text("---\nlicense: [\n---\n")
    assert provenance(converted) == {}


def test_starting_points():
    assert starting_point(options(**ARCHITECTURE)) == "random weights"
    assert starting_point(options(preset="dinov3-small-sdt")).endswith("the encoder of `dinov3-small-sdt`")
    assert starting_point(options(preset="dinov3-small-sdt", encoder_weights="a/b")).endswith("the encoder of `a/b`")
    assert starting_point(options(model="a/b")) == "the model `a/b`"
