"""Frames of a video file with their times, upright, one after another: nothing is held but the frame at hand.

A frame that cannot be decoded is not left out: it comes as a damaged one at its own time, so that pictures, sound and
numbers stay in step. FFmpeg (PyAV) opens only the formats of a list, and of files only the file: a playlist under
another name opens no others.
"""

import heapq
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
from PIL import Image

from .extras import require

CONTAINERS = "mov,mp4,matroska,webm,avi,mpegts,mpeg,mpegvideo,flv,asf,ogg,h264,hevc,ivf,m4v,nut"
"""FFmpeg's demuxers that are tried; those that open further files or devices are not among them."""
MAX_SIDE = 16384
"""Pixels along a side that a frame may have."""


class VideoError(ValueError):
    """A video that cannot be used; the message is one sentence that begins with its name."""


@dataclass(frozen=True)
class VideoInfo:
    """What is known of a video before it is decoded."""

    width: int  # of its upright frames, pixels
    height: int
    time_base: Fraction  # seconds that one unit of a frame's `pts` is
    rate: Fraction  # frames a second on the average
    frames: int  # as far as the file says, else counted in it
    aspect: Fraction  # width of a pixel over its height, upright
    audio: int  # number of sound tracks
    start: Fraction  # seconds at which the file starts


@dataclass
class VideoFrame:
    """One frame."""

    index: int  # its place, from 0
    pts: int  # when it is shown, in units of `VideoInfo.time_base`
    damaged: bool  # it could not be decoded; its picture is the one before
    decoded: Any  # PyAV's frame
    size: tuple[int, int]  # (width, height) as stored, which all frames of the video get
    converting: threading.Lock = field(default_factory=threading.Lock)  # of `decoded`, which repeated frames share

    @property
    def name(self) -> str:
        """What messages call the frame."""
        return f"frame {self.index}"

    def open(self) -> Image.Image:
        """The picture, RGB and upright."""
        with self.converting:  # PyAV keeps the converter in its frame, and two threads in one converter crash
            array = self.decoded.to_ndarray(format="rgb24", width=self.size[0], height=self.size[1])
        turns = round(self.decoded.rotation / 90) % 4
        return Image.fromarray(np.ascontiguousarray(np.rot90(array, turns)) if turns else array)


def av() -> Any:
    """The package PyAV. Raises ImportError without it (extra `video`)."""
    return require("av", "video", "Reading and writing videos")


def reason_of(error: Exception) -> str:
    """What FFmpeg says, in one line, without the name that it opened, which may not be the one that was given."""
    return " ".join(str(getattr(error, "strerror", None) or error).split())


@contextmanager
def open_video(path: str | os.PathLike) -> Iterator[tuple[Any, Any]]:
    """
    Opens a video file for reading: PyAV's container and its first stream of moving pictures.

    Raises:
        VideoError: it is no video of a format that is read here, or has no picture.
        OSError: the file cannot be opened.
    """
    package = av()
    name = os.fspath(path)
    with open(path, "rb"):  # a missing file is an OSError that says so
        pass
    try:
        container = package.open(
            f"file:{os.path.abspath(name)}",
            options={"format_whitelist": CONTAINERS, "protocol_whitelist": "file"},
            metadata_errors="replace",
        )
    except package.error.FFmpegError as error:
        raise VideoError(
            f"{name} is no video that can be read: damaged, or of another format ({reason_of(error)})."
        ) from error
    with container:
        cover = package.stream.Disposition.attached_pic  # the picture on an album is a video stream to FFmpeg
        streams = [stream for stream in container.streams.video if not stream.disposition & cover]
        if not streams or streams[0].codec_context is None:
            raise VideoError(f"{name} has no pictures that can be decoded.")
        streams[0].thread_type = "AUTO"
        yield container, streams[0]


def probe(path: str | os.PathLike) -> VideoInfo:
    """
    What a video is; decodes its first frame.

    Raises:
        VideoError: no video, one without a frame that can be decoded, or with frames too large.
        OSError: the file cannot be opened.
    """
    with open_video(path) as (container, stream):
        rate = stream.average_rate or stream.guessed_rate or Fraction(25)
        seconds = container.duration / av().time_base if container.duration else 0
        first = next(_decode(container, stream, []), None)
        if first is None:
            raise VideoError(f"{os.fspath(path)} has no frame that can be decoded.")
        if max(first.width, first.height) > MAX_SIDE:
            raise VideoError(f"{os.fspath(path)} has {first.width}x{first.height} pixels; at most {MAX_SIDE} a side.")
        aspect = stream.sample_aspect_ratio or Fraction(1)
        turned = round(first.rotation / 90) % 2 == 1
        width, height = (first.height, first.width) if turned else (first.width, first.height)
        return VideoInfo(
            width,
            height,
            stream.time_base,
            Fraction(rate),
            stream.frames or round(seconds * rate) or _count(path),
            1 / aspect if turned else aspect,
            len(container.streams.audio),
            Fraction(container.start_time or 0, av().time_base),
        )


def _count(path: str | os.PathLike) -> int:
    """Pictures of a video that does not say how long it is, as those that browsers record; none is decoded."""
    with open_video(path) as (container, stream):
        return sum(packet.size > 0 for packet in packets_of(container, stream))


def read_frames(path: str | os.PathLike, start: int = 0) -> Iterator[VideoFrame]:
    """
    Yields the frames of a video in the order in which they are shown, each time later than the one before.

    Args:
        start: index of the first frame to yield; those before are decoded and dropped, which keeps indices exact.

    Raises:
        VideoError, OSError: see `open_video`.
    """
    with open_video(path) as (container, stream):
        size, before, converting = None, None, threading.Lock()
        for index, (pts, damaged, picture) in enumerate(_timed(container, stream)):
            size = size or (picture.width, picture.height)
            if picture is not before:
                before, converting = picture, threading.Lock()
            if index >= start:
                yield VideoFrame(index, pts, damaged, picture, size, converting)


def _timed(container, stream) -> Iterator[tuple[int, bool, Any]]:
    """Time, whether it is damaged, and picture of each frame; where none was decoded, those before stand in."""
    step = max(1, round(1 / (stream.average_rate or 25) / stream.time_base))
    waiting: list[int] = []  # times of packets whose frames have not come, as a heap
    last, picture = None, None
    repeated: set[int] = set()  # times of frames that were given up
    for decoded in _decode(container, stream, waiting):
        if decoded.pts in repeated:  # it comes after all, behind later ones
            continue
        pts = decoded.pts
        if pts is None:
            pts = 0 if last is None else last + step
        while waiting and waiting[0] <= pts:
            lost = heapq.heappop(waiting)
            # frames come in the order of their times: what is earlier and has not come was not decoded
            if last is not None and last < lost < pts:
                repeated.add(lost)
                yield lost, True, picture
                last = lost
        if decoded.key_frame:
            repeated.clear()
        if picture is None or not decoded.is_corrupt:
            picture = decoded
        last = pts if last is None else max(pts, last + 1)
        yield last, decoded.is_corrupt, picture
    for lost in sorted(waiting):
        if last is not None and lost > last:
            yield lost, True, picture
            last = lost


def _decode(container, stream, waiting: list[int]) -> Iterator[Any]:
    """Decoded frames; times of packets go into `waiting`, and packets that fail are passed over."""
    context = stream.codec_context
    # these files hold no times of display: FFmpeg's are in the order of decoding, which is another one
    guessed = container.format.name in ("avi", "asf") and context.name in ("h264", "hevc") and context.has_b_frames
    for packet in packets_of(container, stream):
        if guessed:
            packet.pts = None
        try:
            frames = packet.decode()
        except av().error.EOFError:
            return
        except av().error.FFmpegError:
            frames = []
        # before any frame can need it: decoders return frames at the earliest with their packet
        if packet.pts is not None and packet.size and not packet.is_discard:
            heapq.heappush(waiting, packet.pts)
        yield from frames


def packets_of(container: Any, *streams: Any) -> Iterator[Any]:
    """The packets of some streams of a container; damaged places are passed over."""
    failed = 0
    while failed < 100:  # a file that is damaged throughout ends here
        try:
            for packet in container.demux(*streams):
                failed = 0
                yield packet
            return
        except av().error.EOFError:
            return
        except av().error.FFmpegError:
            failed += 1
