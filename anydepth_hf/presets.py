"""Presets, models by name: those of the paper's tables (arXiv 2601.02760, Tables 2 and 3), this project's own, and the
public encoders with the heads that they were released with (`dav2-*-dpt`, `da3-*-dual-dpt`, `vggt-1b-dpt` ...).

The data is in `presets.json`.
"""

import copy
import functools
import json
from pathlib import Path
from typing import Any

from anydepth_cli.sentences import did_you_mean

from .configuration_anydepth import BACKBONE_PRESETS, AnyDepthConfig


@functools.cache
def all_presets() -> dict[str, dict[str, Any]]:
    """Data of every preset by name, to be read only; [`preset`] gives a copy."""
    return json.loads(Path(__file__).with_name("presets.json").read_text(encoding="utf-8"))


def preset_names() -> list[str]:
    """Names of all presets, `<encoder>-<size>-<head>`, in the tables' order; `sdt-compact` follows its `sdt`."""
    return list(all_presets())


def preset(name: str) -> dict[str, Any]:
    """
    Data of one preset: `title`, `backbone` (a name in `BACKBONE_PRESETS`), `config` (fields of [`AnyDepthConfig`]),
    `encoder` (`id` on the Hub, whose licence `licenses.py` states, the conversion `source` and, for originals, the
    `file`), and `published`: the paper's own numbers, in percent per evaluation set, never measured here; `None` for
    a model that is not in it. Some have a `note`, a sentence about what the prediction means.

    Raises:
        ValueError: no preset of this name.
    """
    if name not in all_presets():
        hint = did_you_mean(name, all_presets()) or f"; choose from {', '.join(all_presets())}."
        raise ValueError(f"Unknown preset {name!r}{hint}")
    return copy.deepcopy(all_presets()[name])


def preset_config(name: str, **overrides: Any) -> AnyDepthConfig:
    """
    The configuration of a preset.

    Args:
        name: one of `preset_names()`.
        overrides: fields of [`AnyDepthConfig`] that replace the preset's. A dictionary for `backbone_config` replaces
            single fields of the encoder's preset.

    Raises:
        ValueError: no preset of this name.
    """
    entry = preset(name)
    backbone_config = overrides.pop("backbone_config", {})
    if isinstance(backbone_config, dict):
        backbone_config = {**BACKBONE_PRESETS[entry["backbone"]], **backbone_config}
    return AnyDepthConfig(**{**entry["config"], **overrides}, backbone_config=backbone_config)
