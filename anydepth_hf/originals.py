"""Where the weights of each preset are published by their authors: repositories, revisions and files on the Hub.

The data is in `originals.json`. Each file is marked `seen`, where it stands in its owner's documents or code, or
`assumed`; which repositories ask for consent first is said there too. Licences are in `licenses.py`.
"""

import functools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from .licenses import WEIGHTS, License
from .presets import preset, preset_names


@functools.cache
def _data() -> dict[str, Any]:
    return json.loads(Path(__file__).with_name("originals.json").read_text(encoding="utf-8"))


@dataclass(frozen=True)
class OriginalFile:
    """A file `name` of the repository `repo` on the Hub."""

    repo: str
    name: str

    @property
    def revision(self) -> str:
        """The branch, tag or commit that is downloaded."""
        return _data()["repositories"][self.repo]["revision"]


@dataclass(frozen=True)
class Original:
    """
    What the public weights of a preset are made from.

    Args:
        preset: name of the preset.
        source: the converter's `source`, whose checkpoint it is.
        checkpoint: the file with the head: the paper authors', or the encoder's own release.
        encoder: the encoder's release, for a checkpoint of the paper's authors that is a bare decoder.
        companions: files that must lie beside the checkpoint, or beside the encoder where there is one.
    """

    preset: str
    source: str
    checkpoint: OriginalFile
    encoder: OriginalFile | None = None
    companions: tuple[OriginalFile, ...] = ()

    @property
    def repositories(self) -> list[str]:
        """The repositories whose weights the model is made from."""
        return [file.repo for file in (self.checkpoint, self.encoder) if file is not None]

    @property
    def license(self) -> License:
        """The licence of the model: of the checkpoint's repository, which is never freer than the encoder's."""
        return WEIGHTS[self.checkpoint.repo]

    @property
    def prediction_type(self) -> Literal["disparity", "depth"]:
        """What the released head predicts: those of Depth Anything 3 and VGGT depth, all others disparity."""
        return "depth" if self.source in ("da3", "vggt") else "disparity"


def original(name: str) -> Original | None:
    """
    What the public weights of a preset are made from, or `None` where nobody published any.

    Raises:
        ValueError: no preset of this name.
    """
    encoder, data = preset(name)["encoder"], _data()
    companions = tuple(OriginalFile(encoder["id"], file) for file in data["companions"].get(encoder["source"], ()))
    if name in data["authors"]["files"]:
        decoder = OriginalFile(data["authors"]["repository"], data["authors"]["files"][name])
        return Original(name, "anydepth", decoder, OriginalFile(encoder["id"], encoder["file"]), companions)
    if name in data["official"]:
        return Original(name, encoder["source"], OriginalFile(encoder["id"], encoder["file"]), companions=companions)
    return None


def encoder_source(name: str) -> str:
    """
    What holds the released encoder of a preset as a model of Transformers: a Hub id, or the preset of the encoder and
    the head that it was released with.

    Raises:
        ValueError: no preset of this name.
    """
    encoder = preset(name)["encoder"]
    if encoder["source"] == "dinov3":
        return encoder["id"]
    return next(official for official in _data()["official"] if preset(official)["encoder"] == encoder)


def is_gated(repo: str) -> bool:
    """Whether a repository asks for consent to its licence before it can be downloaded from."""
    return _data()["repositories"].get(repo, {}).get("gated", False)


def repository(name: str) -> str:
    """The repository under which a preset is released as a model of Transformers: `AIGeeksGroup/AnyDepth...`."""
    authors = _data()["authors"]
    return authors["repository"] if name == authors["default"] else f"{authors['repository']}-{name}"


def preset_of_repository(repo: str) -> str | None:
    """The preset with public weights that is released as `repo`, or `None`."""
    return next((name for name in preset_names() if repository(name) == repo and original(name)), None)
