"""Videos of disparity or depth in one call."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from transformers.utils import logging

from .bundled_checkpoint import BUNDLED_CHECKPOINT
from .loading import load_model
from .outputs import OutputOptions
from .prediction import Predictor, model_label
from .video_convert import FORMATS, PHASES, convert_video, damage_of, video_paths
from .video_files import VIDEO_SUFFIXES
from .video_sinks import ENDINGS

COLOR_SUFFIXES = tuple(sorted(VIDEO_SUFFIXES - {".ogv", ".webm"}))
"""Endings of files that hold H.264."""

logger = logging.get_logger(__name__)


def predict_video(
    model: Any,
    source_path: str | os.PathLike,
    output_path: str | os.PathLike,
    *,
    formats: Sequence[str] = ("color",),
    stabilize: str = "causal",
    progress: Callable[[int, int], Any] | None = None,
    side_by_side: bool = False,
    colormap: str = "spectral",
    limits: tuple[float, float] | None = None,
    size: int | None = None,
    batch_size: int = 1,
    overwrite: bool = True,
) -> list[Path]:
    """
    Predicts a video and writes it.

    ```python
    anydepth_hf.video.predict_video(None, "clip.mp4", "clip_disparity.mp4")
    ```

    Args:
        model: a [`Predictor`], the pair that `load_model` returns, a directory, preset or Hub id, or `None` for the
            small model that comes with the package.
        source_path: the video.
        output_path: name of the colour video; results of other formats stand beside it under its name. Or a folder
            that exists, where they get the names that `anydepth predict` gives them.
        formats: some of `FORMATS`: `"color"` (H.264 with the sound), `"ffv1"` (16-bit gray without loss), `"hevc"`
            (12-bit gray), `"npz"` (one array), `"png"`, `"exr"`, `"tiff"` (folders of frames).
        stabilize: `"off"`, `"causal"` or `"two-pass"` (see `video_stabilizer`).
        progress: called from this thread with how many steps are done and how many there are, a few for each frame.
            What it raises ends the work, which goes on from there when it is started again.
        side_by_side: the colour video shows the original beside the map.
        colormap, limits: see `colorize`; by default limits that fit the whole clip.
        size: shortest side that the model sees; not with a `Predictor`, which knows.
        batch_size: frames at once; not with a `Predictor` either.
        overwrite: replace files that others wrote.

    Returns:
        The files and folders, in the order of `formats`. Frames that could not be decoded repeat the one before, and
        a warning tells how many there are.

    Raises:
        ValueError: no video that can be read, a format or mode that does not exist, a model that cannot be used.
        OSError: a file that cannot be opened or written.
    """
    predictor = model if isinstance(model, Predictor) else _predictor(model, size, batch_size)
    if not formats:
        raise ValueError("Choose at least one format.")
    for name in formats:
        if name not in FORMATS:
            raise ValueError(f"A video is written as {', '.join(FORMATS)}, not as {name!r}.")
    source, target = Path(source_path), Path(output_path)
    if target.is_dir():
        paths = video_paths(target, source.stem, predictor.output_kind, formats)
    else:
        paths = _named_paths(source, target, formats)
    options = OutputOptions(formats, colormap=colormap, limits=limits, beside=side_by_side, overwrite=overwrite)
    phases = [phase for phase in PHASES if phase != "steady" or stabilize == "two-pass"]

    def step(phase: str, done: int, frames: int):
        if progress is not None:
            progress(phases.index(phase) * frames + done, len(phases) * frames)

    converted = convert_video(predictor, source, paths, options, stabilize, step)
    if converted.damaged:
        logger.warning(f"{damage_of(source, converted)}.")
    return list(converted.paths.values())


def _named_paths(source: Path, target: Path, formats: Sequence[str]) -> dict[str, Path]:
    """The results of a video under the name of its colour video."""
    base = str(target.with_suffix(""))
    endings = ENDINGS | {"color": target.suffix or ".mp4"}
    if "color" in formats and endings["color"].lower() not in COLOR_SUFFIXES:
        raise ValueError(f"{target}: a colour video is {', '.join(COLOR_SUFFIXES)}, not {target.suffix}.")
    paths = {name: Path(base + endings[name]) for name in formats}
    if "ffv1" in paths and paths["ffv1"] == paths.get("color"):
        raise ValueError(f"color and ffv1 would both be {target}: give the colour video another ending.")
    for path in paths.values():
        if path.exists() and path.samefile(source):
            raise ValueError(f"{path} is the video itself: give its results another name.")
    return paths


def _predictor(model: Any, size: int | None, batch_size: int) -> Predictor:
    network, processor = model if isinstance(model, tuple) else load_model(model)
    name = network.config.name_or_path if isinstance(model, tuple) else os.fspath(model or BUNDLED_CHECKPOINT)
    predictor = Predictor(network, processor, model_label(name), batch_size)
    predictor.set_size(size)
    return predictor
