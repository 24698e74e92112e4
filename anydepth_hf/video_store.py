"""The maps of a video while it is predicted: numbered segments in a hidden folder, each whole or not at all.

A run that was stopped finds here what it had predicted. Maps have the model's size and 65,535 levels of each frame's
range, compressed without loss (FFV1); beside them lie the small gray pictures that the stabiliser compares.
"""

import io
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .atomic_write import atomic_write, atomic_write_json, remove_leftovers
from .depth_map import GENERATOR
from .video_reader import av

_JOB, _END = "job.json", "complete"
_LEVELS = 65535
_VALUES = 2**24
"""Numbers of a segment in memory, about."""

FFV1 = {"level": "3", "slices": "4", "slicecrc": "1"}
"""Options of FFmpeg's lossless codec: version 3, cut into parts that threads share and that have checksums."""


@dataclass
class Segment:
    """Frames that follow each other."""

    maps: np.ndarray  # float32 (count, height, width)
    guides: np.ndarray  # uint8 (count, guide_height, guide_width)
    pts: np.ndarray  # int64 (count,)
    damaged: np.ndarray  # bool (count,)

    def __len__(self) -> int:
        return len(self.pts)


class SegmentStore:
    """
    The folder of segments of one job.

    Args:
        folder: hidden, beside the results.
        job: whatever decides what the maps are, for JSON. A folder of another job is emptied.

    Raises:
        FileExistsError: the folder exists and is not ours.
        BlockingIOError: another process works in it.
    """

    def __init__(self, folder: Path, job: dict[str, Any]):
        self.folder = folder
        mark = {"generator": GENERATOR, "job": json.loads(json.dumps(job))}
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = _lock(folder)
        remove_leftovers(folder)
        found = _read_mark(folder)
        if found is None and any(folder.iterdir()):
            self.close()
            raise FileExistsError(
                f"{folder} is not of anydepth and stands where the work on a video is kept; move it away."
            )
        if found != mark:
            self._empty()
        atomic_write_json(folder / _JOB, mark)

    @property
    def count(self) -> int:
        """Number of segments that are complete; those after a gap do not count."""
        index = 0
        while self.path(index).exists():
            index += 1
        return index

    def path(self, index: int) -> Path:
        """Where a segment lies."""
        return self.folder / f"{index:06d}.npz"

    def write(self, index: int, segment: Segment) -> None:
        """Writes a segment; on return it is complete."""
        lows = segment.maps.min(axis=(1, 2)).astype(np.float64)
        scales = (segment.maps.max(axis=(1, 2)) - lows) / _LEVELS
        steps = np.where(scales > 0, scales, 1.0)[:, None, None]
        codes = np.rint((segment.maps - lows[:, None, None]) / steps).astype(np.uint16)
        data = {
            "codes": np.frombuffer(encode_gray(codes), np.uint8),
            "low": lows,
            "scale": scales,
            "quantiles": np.quantile(
                segment.maps[:, ::4, ::4].reshape(len(segment), -1), [0.01, 0.02, 0.98, 0.99], 1
            ).T,
            "guides": segment.guides,
            "pts": segment.pts,
            "damaged": segment.damaged,
        }
        with atomic_write(self.path(index)) as temporary, open(temporary, "wb") as file:
            np.savez(file, **data)

    def read(self, index: int) -> Segment:
        """Reads a segment; raises OSError or ValueError where it is damaged."""
        with np.load(self.path(index), allow_pickle=False) as file:
            codes = decode_gray(file["codes"].tobytes())
            low, scale = file["low"][:, None, None], file["scale"][:, None, None]
            maps = (codes * scale + low).astype(np.float32)
            return Segment(maps, file["guides"], file["pts"], file["damaged"])

    def statistics(self) -> dict[str, np.ndarray]:
        """Of all frames: `low` and `high`, `quantiles` (count, 4) (of 1, 2, 98 and 99 %), `pts` and `damaged`."""
        rows: dict[str, list] = {name: [] for name in ("low", "high", "quantiles", "pts", "damaged")}
        for index in range(self.count):
            with np.load(self.path(index), allow_pickle=False) as file:
                for name in rows:
                    rows[name].append(file["low"] + _LEVELS * file["scale"] if name == "high" else file[name])
        return {name: np.concatenate(parts) for name, parts in rows.items()}

    @property
    def is_complete(self) -> bool:
        """Whether `complete` was called: there are no more segments to come."""
        return (self.folder / _END).exists()

    def complete(self) -> None:
        """Says that all segments are there."""
        (self.folder / _END).touch()

    def close(self) -> None:
        """Lets another process work here."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def remove(self) -> None:
        """Removes the folder with all that is in it."""
        self._empty()
        self.folder.rmdir()

    def _empty(self) -> None:
        """The mark goes last, so that half of a folder is still ours."""
        for path in sorted(self.folder.iterdir(), key=lambda path: path.name == _JOB):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def _read_mark(folder: Path) -> dict | None:
    try:
        mark = json.loads((folder / _JOB).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return mark if isinstance(mark, dict) and mark.get("generator") == GENERATOR else None


def _lock(folder: Path) -> int | None:
    """Holds a folder for this process until it ends, however it ends; None where the system has no such locks."""
    try:
        import fcntl
    except ImportError:
        return None
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise BlockingIOError(f"Another process works on this video, in {folder}; wait for it or stop it.") from None
    except OSError:  # a file system without locks
        os.close(descriptor)
        return None
    return descriptor


def segment_length(values: int, batch_size: int) -> int:
    """Frames of a segment whose maps have so many values: whole batches, so that each run makes the same ones."""
    count = min(32, max(4, _VALUES // values))
    return -(-count // batch_size) * batch_size


def encode_gray(codes: np.ndarray) -> bytes:
    """uint16 `(count, height, width)` as an FFV1 video in memory."""
    file = io.BytesIO()
    with av().open(file, "w", format="nut") as container:
        stream = container.add_stream("ffv1", rate=25, options=FFV1)
        stream.height, stream.width = codes.shape[1:]
        stream.pix_fmt, stream.thread_type = "gray16le", "AUTO"
        for index, frame in enumerate(codes):
            picture = av().VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="gray16le")
            picture.pts = index
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    return file.getvalue()


def decode_gray(data: bytes) -> np.ndarray:
    """What `encode_gray` was given."""
    with av().open(io.BytesIO(data), format="nut") as container:
        container.streams.video[0].thread_type = "AUTO"
        return np.stack([frame.to_ndarray() for frame in container.decode(video=0)])
