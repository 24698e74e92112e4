"""What each preset's repository on the Hub holds: whose weights, under which name and licence."""

from dataclasses import dataclass
from typing import Literal

from anydepth_hf.licenses import CC_BY_NC_SA, WEIGHTS, License
from anydepth_hf.presets import preset

# The SDT weights that the paper's authors released (AIGeeksGroup/AnyDepth), by preset.
AUTHORS_DECODERS = {"dav2-base-sdt": "dav2_sdt_vitb.pth", "da3-large-sdt": "da3_sdt_vitl.pth"}
# Presets whose architecture is that of the encoder's own release, head included.
OFFICIAL_MODELS = (
    *(f"dav2-{size}-dpt" for size in ("small", "base", "large")),
    *(f"da3-{size}-dual-dpt" for size in ("small", "base", "large", "giant")),
    *("da3-mono-large-dpt", "da3-metric-large-dpt", "vggt-1b-dpt"),
)
# The preset that `AIGeeksGroup/AnyDepth` itself is: the smaller of the authors' two.
DEFAULT_PRESET = "dav2-base-sdt"


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
    encoder = WEIGHTS[preset(name)["encoder"]["id"]]
    repo = "AnyDepth" if name == DEFAULT_PRESET else f"AnyDepth-{name}"
    if name in AUTHORS_DECODERS:
        return Release(name, repo, "authors", CC_BY_NC_SA, AUTHORS_DECODERS[name])
    return Release(name, repo, "official" if name in OFFICIAL_MODELS else "trained", encoder)
