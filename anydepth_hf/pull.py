"""Presets with the weights that their authors published: downloaded, converted once and kept beside the Hub's cache.

The converter is the folder `conversion/` of a checkout; a wheel holds it inside this package.
"""

import argparse
import importlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from huggingface_hub import HfApi, cached_assets_path, constants, is_offline_mode, try_to_load_from_cache
from huggingface_hub.errors import HTTPError
from huggingface_hub.utils import WeakFileLock
from safetensors import SafetensorError
from transformers.utils import logging

from anydepth_cli.sentences import first_line, nearest

from .atomic_write import DISK_FULL, LEFTOVERS, atomic_directory
from .hub_files import HubFileError, HubUnreachable, RemoteFile, download, from_cache, look_up
from .licenses import WEIGHTS
from .modeling_anydepth import AnyDepthForDepthEstimation
from .originals import Original, OriginalFile, original, preset_of_repository
from .presets import preset, preset_config, preset_names

CONVERTED = "converted-1"
"""Name of a converted model's folder; the number rises when the same files are converted to another model."""

logger = logging.get_logger(__name__)


class PullError(OSError, ValueError):
    """Published weights that cannot be had; the message is one sentence."""


def run(args: argparse.Namespace) -> int:
    """Pulls and prints the folder. Returns the exit status."""
    print(pull(args.preset, args.output))
    return 0


def pull(name: str, output: str | os.PathLike | None = None) -> str:
    """
    The folder of a preset's published weights as a model of Transformers, made on first use.

    The files are downloaded through `huggingface_hub` (its cache, resume, token and offline mode), compared with the
    hashes that the Hub states, and converted; licences are shown before and stored beside. Later calls need neither
    network nor conversion. Two processes may ask at once.

    Args:
        name: a preset, or the repository that it is released as (`"AIGeeksGroup/AnyDepth"`).
        output: folder for the model, which must not exist yet or be empty; by default one beside the Hub's cache,
            `HF_HOME/assets/anydepth-hf`.

    Raises:
        ValueError: no such preset, or nobody published its weights.
        PullError: they cannot be downloaded, converted or written. Nothing half-made is left.
    """
    name = preset_of_repository(name) or name
    published = original(name)
    if published is None:
        encoder = preset(name)["encoder"]["id"]
        raise ValueError(
            f"Nobody published weights of {name}: train them with `training/train.py --preset {name}`, which starts "
            f"from the encoder {encoder}, or choose another preset (`anydepth models` lists them)."
        )
    cached = cached_folder(name)
    if output is not None:
        output = Path(output)
        if output.exists() and not (output.is_dir() and not any(output.iterdir())):
            raise PullError(f"{output} exists and is no empty folder; choose another --output.")
        if cached.is_dir():
            with _sentences(output), atomic_directory(output) as temporary:
                shutil.copytree(cached, temporary, dirs_exist_ok=True)
        else:
            _make(published, output)
        return str(output)
    if not cached.is_dir():
        cached.parent.mkdir(parents=True, exist_ok=True)
        with WeakFileLock(cached.with_name(".lock")):
            if not cached.is_dir():
                for leftover in cached.parent.glob(f"*{LEFTOVERS}"):  # of a process that was killed
                    shutil.rmtree(leftover, ignore_errors=True)
                _make(published, cached)
    return str(cached)


def from_preset(name: str, **kwargs: Any) -> AnyDepthForDepthEstimation:
    """
    The model of a preset with its published weights, which [`pull`] gets.

    Args:
        name: a preset, e.g. `"dav2-base-sdt"`.
        kwargs: passed to `from_pretrained`, e.g. `dtype`.

    Raises:
        ValueError, PullError: see [`pull`].
    """
    return AnyDepthForDepthEstimation.from_pretrained(pull(name), **kwargs)


def resolve(name: str | os.PathLike, revision: str = "main") -> str:
    """
    What `from_pretrained` loads for a name that a user gave: a folder or a Hub id stays itself, a preset becomes the
    folder of its published weights, and so does a repository of AnyDepth that holds no model of Transformers (yet).

    Args:
        name: folder, Hub id or preset.
        revision: of a repository of AnyDepth, where the model is looked for.

    Raises:
        ValueError: a file, a path to nothing, or a single word that is no preset; the nearest preset is named.
        PullError: published weights that cannot be had.
    """
    name = os.fspath(name)
    if os.path.isdir(name):
        return name
    if name in preset_names():
        return pull(name)
    released = preset_of_repository(name)
    if released is not None and not _holds_model(name, revision):
        folder = pull(released)
        logger.warning_once(f"{name} holds no model of Transformers; using its preset {released}, converted: {folder}")
        return folder
    if "/" not in name and os.sep not in name:
        close = nearest(name, preset_names())
        hint = f"did you mean the preset {close}?" if close else "`anydepth models` lists the presets."
        raise ValueError(f"{name} is neither a folder nor a preset nor a Hub id (OWNER/NAME); {hint}")
    if os.path.exists(name):
        raise ValueError(
            f"{name} is a file; give the folder of a model (docs/conversion.md makes one of a checkpoint)."
        )
    if name.startswith((".", "~", os.sep)) or len(Path(name).parts) > 2:  # no Hub id
        raise ValueError(f"{name} does not exist; give the folder of a model, a preset or a Hub id (OWNER/NAME).")
    return name


def cached_folder(name: str) -> Path:
    """Where [`pull`] keeps a preset. The folder exists as soon as the model in it is whole."""
    return cached_assets_path("anydepth-hf", namespace="models", subfolder=name) / CONVERTED


def _holds_model(repo: str, revision: str) -> bool:
    """Whether a repository on the Hub holds a model of Transformers; offline, whether one was loaded before."""
    if not is_offline_mode():
        try:
            return HfApi().file_exists(repo, "config.json", revision=revision)
        except (HTTPError, OSError):
            pass
    return isinstance(try_to_load_from_cache(repo, "config.json", revision=revision), str)


def _make(published: Original, folder: Path):
    """Downloads, converts and writes the model and what goes with it into `folder`, all or nothing."""
    name, encoder = published.preset, None
    beside = () if published.encoder else published.companions
    files = _fetch(published, published.checkpoint, beside, folder)
    checkpoint = next(iter(files))
    reading, converter, releases = map(_converter, ("reading", "converter", "hub.release_list"))
    try:
        # the authors' file may be a whole model, whose encoder was trained along, or a bare decoder
        if published.encoder is not None and not reading.holds_encoder(checkpoint):
            of_encoder = _fetch(published, published.encoder, published.companions, folder)
            encoder = next(iter(of_encoder))
            files |= of_encoder
        with _sentences(folder), atomic_directory(folder) as temporary:
            settings = _settings(name, published)
            conversion = converter.convert(published.source, checkpoint, temporary, settings, encoder=encoder)
            releases.check_architecture(name, conversion.config)
            _write_papers(published, files, temporary, conversion.notes)
    except _converter("formats.renaming").ConversionError as error:
        raise PullError(f"The published weights of {name} cannot be converted: {error}") from error


def _settings(name: str, published: Original) -> dict[str, Any]:
    """What the preset knows and the tensors do not tell."""
    config, stated = preset_config(name), preset(name)["config"]
    settings: dict[str, Any] = {"backbone.num_attention_heads": config.backbone_config.num_attention_heads}
    if published.source != "anydepth":
        settings["backbone.out_indices"] = list(config.backbone_config.out_indices)
    elif "apply_backbone_norm" in stated:
        settings["apply_backbone_norm"] = stated["apply_backbone_norm"]
    return settings


def _fetch(
    published: Original, file: OriginalFile, companions: Iterable[OriginalFile], folder: Path
) -> dict[Path, RemoteFile]:
    """A file and what belongs beside it, with the repository's licence texts last, each checked."""
    name, names = published.preset, [file.name, *(companion.name for companion in companions)]
    try:
        try:
            remotes, licenses = look_up(file.repo, names, file.revision)
        except HubUnreachable as unreachable:
            cached = [from_cache(file.repo, entry, file.revision) for entry in names]
            if None in cached:
                raise PullError(
                    f"{name} is not on this disk yet, and {str(unreachable).rstrip('.')}: run `anydepth pull {name}` "
                    "once with a network."
                ) from unreachable
            _show_licenses(published, file)
            return {_cached_path(entry): entry for entry in cached}
        missing = [entry for entry in remotes if _cached_path(entry) is None]
        _require_space(name, sum(entry.size for entry in missing), sum(entry.size for entry in remotes), folder)
        _show_licenses(published, file)
        if missing:
            listing = ", ".join(f"{entry.name} ({entry.size / 1e9:.2f} GB)" for entry in missing)
            logger.warning(f"{name}: downloading {listing} of {file.repo}")
        return {download(entry, file.revision): entry for entry in [*remotes, *licenses]}
    except HubFileError as error:
        raise PullError(f"{name}: {error}") from error


def _show_licenses(published: Original, file: OriginalFile):
    """Shows, with the first file, the licences of all that the model is made from."""
    if file == published.checkpoint:
        parts = [f"{repo}, {WEIGHTS[repo]}" for repo in published.repositories]
        logger.warning(f"{published.preset}: made from " + "; ".join(parts))


def _cached_path(file: RemoteFile) -> Path | None:
    path = try_to_load_from_cache(file.repo, file.name, revision=file.commit)
    return Path(path) if isinstance(path, str) else None


def _require_space(name: str, downloaded: int, converted: int, folder: Path):
    """Refuses before the download what could not be kept. Weights are float32 in the files and in the model."""
    cache = Path(constants.HF_HUB_CACHE)
    for place, needed in ((cache, downloaded), (folder.parent, downloaded + converted)):
        existing = next(folder for folder in (place, *place.parents) if folder.exists())
        free = shutil.disk_usage(existing).free
        if needed > free:
            raise PullError(
                f"{name} needs {needed / 1e9:.1f} GB in {place}, where {free / 1e9:.1f} GB are free: free some space "
                "or set HF_HOME to a folder on another disk."
            )


def _write_papers(published: Original, files: dict[Path, RemoteFile], folder: Path, notes: list[str]):
    """Card, licences and origin (which files, of which commits, it was made from) beside a converted model."""
    name = published.preset
    card = _converter("hub.model_card").preset_card(name, directory=folder, model=f'anydepth_hf.pull("{name}")')
    (folder / "README.md").write_text(str(card).rstrip() + "\n", encoding="utf-8")
    lines = "".join(f"- `{repo}`: {WEIGHTS[repo]}\n" for repo in published.repositories)
    text = f"# Licences of these weights\n\nThe model: {published.license}. It was made from\n\n{lines}"
    (folder / "LICENSE.md").write_text(text, encoding="utf-8")
    for path, file in files.items():
        if file.name.upper().startswith("LICEN"):
            (folder / "licenses").mkdir(exist_ok=True)
            shutil.copyfile(path, folder / "licenses" / f"{file.repo.replace('/', '--')}--{file.name}")
    origin = {"preset": name, "files": [vars(file) for file in files.values()], "notes": notes}
    (folder / "origin.json").write_text(json.dumps(origin, indent=2) + "\n", encoding="utf-8")


@contextmanager
def _sentences(folder: Path) -> Iterator[None]:
    """Turns what fails while a model is written into one sentence that names its folder."""
    try:
        yield
    except (OSError, SafetensorError) as error:
        if isinstance(error, OSError) and error.errno not in DISK_FULL:
            raise
        reason = error.strerror if isinstance(error, OSError) else first_line(error)
        raise PullError(
            f"The model cannot be written to {folder} ({reason}); free some space or set HF_HOME to a folder on "
            "another disk, and run this again: the downloaded files are kept."
        ) from error


def _converter(module: str) -> ModuleType:
    """A module of the converter."""
    inside = Path(__file__).with_name("conversion").is_dir()
    try:
        return importlib.import_module(f"{__package__}.conversion.{module}" if inside else f"conversion.{module}")
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith("conversion"):
            raise
        raise ImportError(
            "This installation lacks the converter; install the package anew, or use a checkout."
        ) from error
