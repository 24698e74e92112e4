"""What each preset's repository on the Hub holds: whose weights, under which name and licence."""

from dataclasses import dataclass
from typing import Literal

from anydepth_hf import AnyDepthConfig
from anydepth_hf.licenses import WEIGHTS, License
from anydepth_hf.originals import original, repository
from anydepth_hf.presets import preset, preset_config

from ..formats.da3 import DEPTH_FIELDS
from ..formats.renaming import ConversionError


@dataclass(frozen=True)
class Release:
    """
    Args:
        preset: name of the preset.
        repo: name of the repository, without its owner.
        origin: whose head it is: the paper's authors' (`decoder` is its file), the encoder's official one, or one
            trained with `training/train.py`.
        license: of the weights in the repository, encoder included.
    """

    preset: str
    repo: str
    origin: Literal["authors", "official", "trained"]
    license: License
    decoder: str | None = None


def release(name: str) -> Release:
    """The release of a preset. Raises `ValueError` for an unknown one."""
    published, repo = original(name), repository(name).split("/")[1]
    if published is None:
        return Release(name, repo, "trained", WEIGHTS[preset(name)["encoder"]["id"]])
    if published.source == "anydepth":
        return Release(name, repo, "authors", published.license, published.checkpoint.name)
    return Release(name, repo, "official", published.license)


def released_config(name: str) -> AnyDepthConfig:
    """The configuration of a preset as it is released: official heads of DA3 and VGGT predict depth."""
    published = original(name)
    predicts_depth = published is not None and published.prediction_type == "depth"
    return preset_config(name, **(DEPTH_FIELDS if predicts_depth else {}))


def check_architecture(name: str, config: AnyDepthConfig) -> None:
    """
    Raises ConversionError where the encoder or the head is not the preset's. The widths of the authors' heads are
    those in their files, whatever they are.
    """
    expected, is_authors = released_config(name), release(name).origin == "authors"
    for what, get in (
        ("encoder", lambda c: c.backbone_config.model_type),
        ("encoder's width", lambda c: c.backbone_config.hidden_size),
        ("encoder's depth", lambda c: c.backbone_config.num_hidden_layers),
        ("head", lambda c: c.head_type),
        ("head's widths", lambda c: [c.fusion_hidden_size, *(c.upsample_hidden_sizes or [])]),
        ("prediction", lambda c: c.prediction_type),
    ):
        if get(config) != get(expected) and not (is_authors and what == "head's widths"):
            raise ConversionError(f"This is not {name}: its {what} is {get(config)}, the preset's {get(expected)}.")
