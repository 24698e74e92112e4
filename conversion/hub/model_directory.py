"""What of a model directory goes to the Hub, and whether it is fit to: complete, loadable, allowed."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from fnmatch import fnmatch
from pathlib import Path

import torch
from transformers.dynamic_module_utils import get_relative_import_files

from anydepth_hf import AnyDepthForDepthEstimation, AnyDepthImageProcessor
from anydepth_hf.loading import require_complete
from anydepth_hf.programs import one_line
from anydepth_hf.quiet import quiet_transformers

from .card_check import card_problems
from .eval_results import FOLDER as EVAL_RESULTS
from .exported import ExportedFilesError, check_exported, exported_files
from .reference import REFERENCE_FILE, write_reference

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "anydepth_hf"
REQUIRED = {
    "config.json": "a model directory has one",
    "preprocessor_config.json": "save the image processor there with `save_pretrained`",
    "README.md": "write the model card: of a preset by `python -m conversion.hub.model_card PRESET --directory "
    "{directory}`, of another model by hand",
    REFERENCE_FILE: "write it with `python -m conversion.hub.reference {directory} --write`",
}
UPLOADED = (*REQUIRED, "model*.safetensors", "model.safetensors.index.json", "LICENSE*", "NOTICE*")
UPLOADED += ("training_config.yaml", "run.json", "*.png", "*.jpg")


class UploadError(ValueError):
    """Why nothing was uploaded, in a sentence."""


def matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch(name, pattern) for pattern in patterns)


def code_files(directory: Path) -> dict[str, Path]:
    """The package's files that define the model and its processor, by name in the repository.

    Raises:
        UploadError: the configurations do not refer to them (`auto_map`).
    """
    entries = set()
    for name in ("config.json", "preprocessor_config.json"):
        try:
            auto_map = json.loads((directory / name).read_text(encoding="utf-8"))["auto_map"]
        except (ValueError, KeyError, TypeError):
            raise UploadError(
                f"{directory / name} has no `auto_map`: load and save the directory with this version of anydepth_hf, "
                "so that it loads without the package."
            ) from None
        for value in auto_map.values():
            entries |= {entry.split(".")[0] for entry in ([value] if isinstance(value, str) else value) if entry}
    paths = [PACKAGE / f"{entry}.py" for entry in entries]
    for path in paths:
        if not path.is_file():
            raise UploadError(f"{directory} names the code file {path.name}, which anydepth_hf does not have.")
    paths += [Path(file) for path in list(paths) for file in get_relative_import_files(path)]
    return {path.name: path for path in paths}


def add_reference(directory: Path) -> None:
    """Writes the reference output of a model directory that has none, such as a trained one; says so.

    Raises:
        UploadError: the model does not load, or predicts nothing that a comparison could rest on.
    """
    if (directory / REFERENCE_FILE).exists() or not (directory / "config.json").is_file():
        return
    try:
        with quiet_transformers():
            model, info = AnyDepthForDepthEstimation.from_pretrained(
                directory, dtype=torch.float32, output_loading_info=True
            )
            require_complete(info, directory)
            processor = AnyDepthImageProcessor.from_pretrained(directory)
        print(f"wrote {write_reference(model, processor, directory)}")
    except Exception as error:  # OSError, SafetensorError, StrictDataclassError ... of whatever it holds
        raise UploadError(one_line(error)) from None


def collect_files(directory: Path, include: Iterable[str] = ()) -> tuple[dict[str, Path], list[str]]:
    """
    What is uploaded, by name in the repository, and the names of what is left out. Code comes from the package.

    Raises:
        UploadError: no directory, or a file is missing.
    """
    if not directory.is_dir():
        raise UploadError(f"{directory} is not a directory.")
    for name, advice in REQUIRED.items():
        if not (directory / name).is_file():
            raise UploadError(f"{directory} has no {name}; {advice.format(directory=directory)}.")
    names = sorted(path.name for path in directory.iterdir())
    files = {name: directory / name for name in names if matches(name, (*UPLOADED, *include))}
    files = {name: path for name, path in files.items() if path.is_file()}
    files |= {f"{EVAL_RESULTS}/{path.name}": path for path in sorted((directory / EVAL_RESULTS).glob("*.yaml"))}
    if not any(matches(name, ("model*.safetensors",)) for name in files):
        raise UploadError(f"{directory} has no model.safetensors.")
    files |= code_files(directory)
    try:
        files |= exported_files(directory)
    except ExportedFilesError as error:
        raise UploadError(str(error)) from None
    folders = {name.split("/")[0] for name in files}
    return dict(sorted(files.items())), [name for name in names if name not in {*files, *folders}]


def check(directory: Path, files: dict[str, Path]) -> str:
    """
    Checks the card and runs what would be uploaded. Returns what the run said.

    Raises:
        UploadError: a card that may not be published, or a model that does not load or match its reference.
    """
    config = json.loads(files["config.json"].read_text(encoding="utf-8"))
    problems = card_problems(files["README.md"], config.get("prediction_type", "disparity"))
    if problems:
        raise UploadError(f"{files['README.md']} is not ready to publish: {'; '.join(problems)}.")
    with tempfile.TemporaryDirectory() as temporary:
        staged = Path(temporary, "model")
        staged.mkdir()
        for name, path in files.items():
            if "/" not in name:
                (staged / name).symlink_to(path.resolve())
        # isolated, so that the model is built from the code files beside it, as it will be at its users'
        run = subprocess.run(
            [sys.executable, "-I", ROOT / "conversion" / "hub" / "reference.py", staged],
            env={**os.environ, "HF_MODULES_CACHE": temporary, "HF_HUB_OFFLINE": "1"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        if run.returncode != 0:
            reason = (run.stderr.strip() or run.stdout.strip() or "no message").splitlines()[-1]
            raise UploadError(reason.removeprefix("reference.py: ").replace(str(staged), str(directory)))
    try:
        exported = check_exported(directory)
    except (ExportedFilesError, ImportError) as error:
        raise UploadError(str(error)) from None
    return f"{run.stdout.strip()}, {exported}" if exported else run.stdout.strip()
