"""From a video to its maps and from these to files, frame by frame in constant memory.

First every frame is predicted and put away in segments (`video_store`), which a run that was stopped finds again; then
the maps are stabilised (`video_stabilizer`), get the size of the video and go to the writers (`video_sinks`). So the
colours of the whole clip are known before the first picture is written, and both halves overlap reading, computing and
writing.
"""

import os
import shutil
import zlib
from collections.abc import Callable, Generator, Iterable
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from .atomic_write import move, publish_directory
from .background import Behind, ahead
from .outputs import OutputOptions, check_replaceable
from .prediction import Predictor
from .video_reader import VideoError, probe, read_frames
from .video_sinks import ENDINGS, Clip, make_sinks
from .video_stabilizer import MODES, Stabilizer, bounds
from .video_store import Segment, SegmentStore, segment_length
from .visualization import value_range

FORMATS = tuple(ENDINGS)
GUIDE_SIDE = 240
"""Pixels along the longer side of the pictures that the stabiliser compares."""
PHASES = ("predict", "steady", "write")
"""What is done to all frames, one after another; `steady` in two passes only."""
Progress = Callable[[str, int, int], Any]
"""Called with the phase, how many frames it has done and how many there are, as far as the file tells."""


@dataclass(frozen=True)
class Converted:
    """What became of a video: its results, the number of its frames, and how many of them repeat the one before."""

    paths: dict[str, Path]
    frames: int
    damaged: int


def video_paths(output_dir: Path, stem: str, kind: str, formats: Iterable[str]) -> dict[str, Path]:
    """Result of each format for the video whose results are called `stem`, which may name folders."""
    return {name: Path(f"{output_dir / stem}_{kind}{ENDINGS[name]}") for name in formats}


def damage_of(source: str | os.PathLike, converted: Converted) -> str:
    """What to tell about frames that could not be decoded."""
    count = converted.damaged
    return (
        f"{os.fspath(source)}: {count} of {converted.frames} frames could not be decoded or predicted and "
        f"repeat{'s' * (count == 1)} the one before"
    )


def convert_video(
    predictor: Predictor,
    source: Path,
    paths: dict[str, Path],
    options: OutputOptions,
    stabilize: str = "causal",
    progress: Progress | None = None,
) -> Converted:
    """
    Predicts a video into the files of `paths`; goes on where an earlier run of the same was stopped.

    Args:
        predictor: its `batch_size` frames run at once.
        paths: file or folder of each format.
        options: `step`, `colormap`, `limits`, `robust`, `legend`, `beside` and `overwrite` count.

    Raises:
        ValueError, OSError: see `predict_video`.
    """
    if stabilize not in MODES:
        raise ValueError(f"A video is stabilised {', '.join(MODES)}, not {stabilize!r}.")
    if not options.overwrite:
        check_replaceable(paths.values())
    info = probe(source)
    first = next(iter(paths.values()))
    first.parent.mkdir(parents=True, exist_ok=True)
    with closing(SegmentStore(first.with_name(f".{first.name}.partial"), _job(predictor, source))) as store:
        _predict(predictor, source, store, _Steps(progress, "predict", info.frames))
        statistics = store.statistics()
        levels = float(statistics["low"].min()), float(statistics["high"].max())
        ends = (1, 2) if options.robust else (0, 3)
        colors = [np.quantile(statistics["quantiles"][:, end], part) for end, part in zip(ends, (0.05, 0.95))]
        clip = Clip(
            source,
            info,
            statistics["pts"],
            options.limits or _range_of(predictor, *colors),
            _range_of(predictor, *(levels if stabilize == "off" else bounds(*levels))),
            options,
        )
        _write(predictor, store, clip, paths, stabilize, progress)
        store.remove()
    return Converted(paths, len(clip.pts), int(statistics["damaged"].sum()))


def stabilized_maps(
    store: SegmentStore, mode: str, device: Any = "cpu", done: Callable[[], Any] = lambda: None
) -> Generator[np.ndarray, None, None]:
    """
    The maps of a store in order, float32 of the model's size, stabilised.

    Args:
        mode: one of `MODES`. In two passes each map is the mean of what a run from the start and one from the end
            make of it.
        done: called after each frame of the backward pass.
    """
    with ExitStack() as stack:
        backward = None
        if mode == "two-pass":
            backward = stack.enter_context(closing(SegmentStore(store.folder / "backward", {})))
            stabilizer = Stabilizer(device)
            for index in reversed(range(store.count)):
                segment = store.read(index)
                for place in reversed(range(len(segment))):
                    segment.maps[place] = stabilizer(segment.maps[place], segment.guides[place]).cpu().numpy()
                    done()
                backward.write(index, segment)
        stabilizer = Stabilizer(device)
        for index in range(store.count):
            segment = store.read(index)
            other = None if backward is None else backward.read(index)
            for place, (values, guide) in enumerate(zip(segment.maps, segment.guides)):
                if mode != "off":
                    values = stabilizer(values, guide).cpu().numpy()
                yield values if other is None else (values + other.maps[place]) / 2


class _Steps:
    """Counts the frames of a phase for a progress callback."""

    def __init__(self, progress: Progress | None, phase: str, frames: int):
        self.progress, self.phase, self.done, self.total = progress, phase, 0, frames

    def __call__(self, count: int = 1):
        self.done += count
        self.total = max(self.total, self.done)  # files are wrong about their length
        if self.progress is not None:
            self.progress(self.phase, self.done, self.total)


def _predict(predictor: Predictor, source: Path, store: SegmentStore, steps: _Steps):
    """Fills the store with what it lacks."""
    if store.is_complete:
        steps(len(store.statistics()["pts"]))
        return
    # what is metric, and as large as the video, it becomes at the end
    predictor = replace(predictor, alignment=None, own_size=True)
    count = store.count
    length = len(store.read(0)) if count else 0
    if count:
        steps(count * length)
    frames = ahead(read_frames(source, count * length), 2 * predictor.batch_size)
    writer = Behind(store.write, 1)
    rows: list[tuple] = []
    before: np.ndarray | None = None
    try:
        for result in predictor.stream(frames):
            if result.error is not None and (result.image is None or before is None):
                raise VideoError(f"{source}, {result.source.name}: {result.error}") from result.error
            values = before if result.depth is None else result.depth.values
            before = values
            damaged = result.source.damaged or result.depth is None
            rows.append((values, guide_of(result.image), result.source.pts, damaged))
            length = length or segment_length(values.size, predictor.batch_size)
            if len(rows) == length:
                writer.put(count, _segment(rows))
                count, rows = count + 1, []
            steps()
        if rows:
            writer.put(count, _segment(rows))
        writer.finish()
    finally:
        writer.stop()
        frames.close()
    store.complete()


def _segment(rows: list[tuple]) -> Segment:
    maps, guides, pts, damaged = zip(*rows)
    return Segment(np.stack(maps), np.stack(guides), np.array(pts, np.int64), np.array(damaged))


def guide_of(image: Image.Image) -> np.ndarray:
    """The small gray picture of a frame."""
    scale = min(1.0, GUIDE_SIDE / max(image.size))
    size = [max(16, round(side * scale)) for side in image.size]
    return np.array(image.resize(size, Image.Resampling.BOX, reducing_gap=2).convert("L"))


def _write(
    predictor: Predictor,
    store: SegmentStore,
    clip: Clip,
    paths: dict[str, Path],
    stabilize: str,
    progress: Progress | None,
):
    """Gives the stabilised maps to all writers, and their files their names once all are complete."""
    work = store.folder / "results"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    temporary = {name: work / path.name for name, path in paths.items()}
    sinks = make_sinks(temporary, clip)
    steady, steps = (_Steps(progress, phase, len(clip.pts)) for phase in PHASES[1:])
    size = clip.info.height, clip.info.width
    with ExitStack() as stack:
        maps = stack.enter_context(closing(stabilized_maps(store, stabilize, predictor.model.device, steady)))
        pictures: Iterable[Any] = repeat(None, len(clip.pts))
        if any(sink.needs_picture for sink in sinks):
            pictures = stack.enter_context(closing(ahead(frame.open() for frame in read_frames(clip.path))))
        for sink in sinks:
            stack.callback(sink.stack.close)
        writers = [Behind(sink.write) for sink in sinks]
        for writer in writers:
            stack.callback(writer.stop)
        for index, (values, picture) in enumerate(zip(maps, pictures, strict=True)):
            depth = predictor.describe({"values": resized(values, size)}, None, clip.path.name)
            for writer in writers:
                writer.put(index, depth, picture)
            steps()
        for writer, sink in zip(writers, sinks):
            writer.finish()
            sink.close()
    for key, path in paths.items():
        if temporary[key].is_dir():
            publish_directory(temporary[key], path, replace=True)
        else:
            move(temporary[key], path)


def resized(values: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A map of another `(height, width)`, as image processors resize predictions."""
    if values.shape == size:
        return values
    return F.interpolate(torch.from_numpy(values)[None, None], size=size, mode="bilinear")[0, 0].numpy()


def _range_of(predictor: Predictor, low: float, high: float) -> tuple[float, float]:
    """Smallest and largest value that predictions from `low` to `high` become, aligned where there is an alignment."""
    depth = predictor.describe({"values": np.linspace(low, high, 1024, dtype=np.float32)[None]}, None, "")
    return value_range(depth.values, depth.valid)


def _job(predictor: Predictor, source: Path) -> dict[str, Any]:
    """Whatever decides what the predictions are."""
    state = os.stat(source)
    weights = 0
    for parameter in predictor.model.parameters():
        weights = zlib.crc32(parameter.detach().flatten()[:64].float().cpu().numpy().tobytes(), weights)
    return {
        "video": [str(source.absolute()), state.st_size, state.st_mtime_ns],
        "model": [predictor.name, weights, str(predictor.model.dtype), predictor.model.device.type],
        "processor": zlib.crc32(repr(sorted(predictor.processor.to_dict().items(), key=str)).encode()),
        "options": [predictor.tiles, predictor.batch_size, GUIDE_SIDE],
    }
