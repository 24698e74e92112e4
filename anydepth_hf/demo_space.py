"""A folder that is a Space of the Hub: the demo with the package's own files, which run as they lie there."""

import importlib.metadata
import os
import shutil
import tomllib
from collections.abc import Sequence
from pathlib import Path

from packaging.requirements import Requirement

from .atomic_write import atomic_directory
from .demo_models import BUNDLED
from .extras import require
from .prediction import model_label

EXTRAS = ("formats", "video")
"""Of the package, whose needs the folder states; what reads pictures and videos."""
_MARK = "# Written by `anydepth demo --export-space`."
_APP = '''{mark}
"""AnyDepth in the browser."""

from anydepth_hf.demo import make_page

demo, options = make_page({models!r})

if __name__ == "__main__":
    demo.launch(**options)
'''
_README = """---
title: AnyDepth
emoji: ☕
colorFrom: red
colorTo: indigo
sdk: gradio
sdk_version: {gradio}
python_version: "3.11"
app_file: app.py
license: apache-2.0
short_description: Depth from one photograph
---

Depth from one photograph with [AnyDepth](https://arxiv.org/abs/2601.02760): disparity, metres from two known
distances, 3-D, and files to download. It runs on a CPU; [configuration](https://huggingface.co/docs/hub/spaces-config-reference).

{models}
"""
_ROOM = "models"  # folder of the models that were directories


def write_space(folder: str | os.PathLike, models: Sequence[str] | None = None) -> str:
    """
    Writes the folder, whole or not at all.

    Args:
        folder: a new or empty folder, or one that this wrote, which is replaced.
        models: to choose from, as `demo_models.Models` takes them; directories are copied into the folder.

    Returns:
        What was written, in a sentence.

    Raises:
        ValueError: the folder holds what this did not write, or two models have one name.
        ImportError: Gradio is missing (extra `demo`): its version is part of the folder.
        OSError: a file cannot be written.
    """
    folder = Path(folder)
    _check_replaceable(folder)
    require("gradio", "demo", "A Space")
    names = list(models or [BUNDLED])
    directories = {name: f"{_ROOM}/{Path(name).resolve().name}" for name in names if os.path.isdir(name)}
    if len(set(directories.values())) < len(directories):
        raise ValueError("Two of the models' directories have the same name; rename one.")
    inside = [directories.get(name, name) for name in names]
    with atomic_directory(folder, replace=folder.exists()) as temporary:
        _copy_package(temporary)
        for name, place in directories.items():
            shutil.copytree(name, temporary / place)
        (temporary / "app.py").write_text(_APP.format(mark=_MARK, models=inside), encoding="utf-8")
        (temporary / "requirements.txt").write_text("\n".join(_requirements()) + "\n", encoding="utf-8")
        listing = f"Models: {', '.join(model_label(name) for name in names)}."
        readme = _README.format(gradio=importlib.metadata.version("gradio"), models=listing)
        (temporary / "README.md").write_text(readme, encoding="utf-8")
    return (
        f"Wrote {folder}, a Space as it is: `python {folder / 'app.py'}` starts it here, "
        f"`hf upload USER/NAME {folder} --repo-type space` publishes it."
    )


def _check_replaceable(folder: Path) -> None:
    if folder.is_file():
        raise ValueError(f"{folder} is a file; choose a folder.")
    if Path.cwd().is_relative_to(folder.resolve()):
        raise ValueError(f"{folder} holds the folder that you are in; choose a new one.")
    if not folder.is_dir():
        return
    ours = {"README.md", "app.py", "requirements.txt", "anydepth_cli", "anydepth_hf", "conversion", _ROOM}
    app = folder / "app.py"
    if not (app.is_file() and app.read_text(encoding="utf-8", errors="replace").startswith(_MARK)):
        ours = set()
    strange = sorted({path.name for path in folder.iterdir()} - ours - {"__pycache__"})
    if strange:
        raise ValueError(f"{folder} holds {strange[0]}, which `anydepth demo` did not write; choose another folder.")


def _copy_package(folder: Path) -> None:
    """The packages and, in a checkout, the converter beside them, without which no preset can be had."""
    package = Path(__file__).parent
    converter = package.parent / "conversion"
    ignore = shutil.ignore_patterns("__pycache__", "*.pyc", ".*")
    for name in (package.name, "anydepth_cli"):
        shutil.copytree(package.parent / name, folder / name, ignore=ignore)
    if not (package / "conversion").is_dir() and (converter / "converter.py").is_file():
        shutil.copytree(converter, folder / "conversion", ignore=ignore)


def _requirements() -> list[str]:
    """What the package and its `EXTRAS` need; the Hub itself installs Gradio."""
    checkout = Path(__file__).parents[1] / "pyproject.toml"
    if checkout.is_file():
        project = tomllib.loads(checkout.read_text(encoding="utf-8"))["project"]
        return project["dependencies"] + [line for extra in EXTRAS for line in project["optional-dependencies"][extra]]
    needed = [Requirement(line) for line in importlib.metadata.requires("anydepth-hf") or []]
    wanted = [item for item in needed if item.marker is None]
    for extra in EXTRAS:
        wanted += [item for item in needed if item.marker is not None and item.marker.evaluate({"extra": extra})]
    return [f"{item.name}{item.specifier}" for item in wanted]
