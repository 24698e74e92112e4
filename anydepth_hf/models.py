"""The presets as a list: size, licence, what they predict, and whether their weights are on this disk."""

import argparse
import json
from typing import Any

from .originals import original
from .presets import preset, preset_names
from .pull import cached_folder


def run(args: argparse.Namespace) -> int:
    """Prints the list, as JSON or as a table. Returns the exit status."""
    print(json.dumps(catalog(), indent=2) if args.json else table())
    return 0


def catalog() -> list[dict[str, Any]]:
    """
    One entry for each preset, in the order of `preset_names()`: `name`, `title`, `parameters`, and for those whose
    weights are published `predicts` (`"disparity"` or `"depth"`), `license`, `commercial_use`, `repositories`, and
    `folder`, where the converted weights are on this disk, or `None`.
    """
    entries = []
    for name in preset_names():
        entry, published = preset(name), original(name)
        entries.append({"name": name, "title": entry["title"], "parameters": entry["parameters"]})
        entries[-1]["published"] = published is not None
        if published is not None:
            folder = cached_folder(name)
            entries[-1] |= {
                "predicts": published.prediction_type,
                "license": published.license.title,
                "commercial_use": published.license.is_commercial,
                "repositories": published.repositories,
                "folder": str(folder) if folder.is_dir() else None,
            }
    return entries


def table() -> str:
    """[`catalog`] for people."""
    entries = catalog()
    rows = [("PRESET", "PARAMETERS", "PREDICTS", "LICENCE", "ON THIS DISK")]
    for entry in entries:
        if entry["published"]:
            limits = "" if entry["commercial_use"] else ", not for commercial use"
            size = f"{entry['parameters'] / 1e6:.1f} M"
            rows.append((entry["name"], size, entry["predicts"], entry["license"] + limits, entry["folder"] or "no"))
    widths = [max(map(len, column)) for column in zip(*rows)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]
    others = ", ".join(entry["name"] for entry in entries if not entry["published"])
    lines += [
        "",
        "Disparity is 1 / depth up to scale and shift: large is near. `anydepth pull PRESET` gets one, and so does "
        "--model PRESET of every command.",
        f"Without published weights, for training: {others}.",
    ]
    return "\n".join(lines)
