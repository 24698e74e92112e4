"""What the maps of a video are written to: videos of colours and of numbers, frames in a folder, one array."""

import json
import os
import zipfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from .atomic_write import atomic_write_json
from .depth_files import KEY, write_depth
from .depth_map import GENERATOR, DepthMap
from .depth_quantization import INVALID, quantize
from .outputs import OutputOptions
from .video_reader import VideoInfo, av
from .video_sound import Sound
from .video_store import FFV1
from .visualization import add_legend, colorize

ENDINGS = {
    "color": "_color.mp4",
    "ffv1": ".mkv",
    "hevc": "_hevc.mp4",
    "npz": ".npz",
    "png": "_png",
    "exr": "_exr",
    "tiff": "_tiff",
}
"""Behind the name of a video and the kind of its maps; those without a dot are folders of frames."""


@dataclass(frozen=True)
class Clip:
    """What the writers know of a video before its first map comes."""

    path: Path
    info: VideoInfo
    pts: np.ndarray  # int64 (count,), times of its frames in units of `info.time_base`
    limits: tuple[float, float]  # values of the first and last colour
    levels: tuple[float, float]  # values of the first and last level of 16 bits
    options: OutputOptions

    @property
    def origin(self) -> Fraction:
        """Seconds of the original that are 0 in the results: where the file starts."""
        return max(Fraction(0), self.info.start)

    def time(self, index: int) -> Fraction:
        """When a frame is shown, seconds from the start of the file."""
        return int(self.pts[index]) * self.info.time_base - self.origin

    def seconds(self) -> list[float]:
        """When each frame is shown."""
        return [float(self.time(index)) for index in range(len(self.pts))]

    def about(self) -> dict[str, Any]:
        """For the metadata of every result."""
        return {"frames": len(self.pts), "rate": str(self.info.rate)}


class Sink:
    """One result; `stack` holds what is open."""

    needs_picture = False

    def __init__(self, path: Path, clip: Clip):
        self.path, self.clip, self.stack = path, clip, ExitStack()

    def write(self, index: int, depth: DepthMap, picture: Image.Image | None) -> None:
        """Takes the next map, and the frame itself where `needs_picture`."""
        raise NotImplementedError

    def close(self) -> None:
        """Completes the file."""
        self.stack.close()


class _Encoded(Sink):
    """A video file."""

    container: Any = None

    def begin(self, codec: str, width: int, height: int, pixels: str, options: dict[str, str], about: dict) -> None:
        """Opens the file, once its first frame and what it means are known."""
        self.container = self.stack.enter_context(av().open(os.path.abspath(self.path), "w"))
        self.container.metadata["comment"] = json.dumps(about)
        stream = self.container.add_stream(codec, rate=self.clip.info.rate, options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, pixels
        stream.codec_context.time_base = stream.time_base = self.clip.info.time_base
        stream.codec_context.sample_aspect_ratio = self.clip.info.aspect
        stream.thread_type = "AUTO"
        self.stream = stream

    def encode(self, index: int, frame: Any) -> None:
        """Adds a frame of PyAV."""
        frame.time_base = self.clip.info.time_base
        frame.pts = int(self.clip.pts[index]) - round(self.clip.origin / frame.time_base)
        self.container.mux(self.stream.encode(frame))

    def close(self) -> None:
        if self.container is not None:
            self.container.mux(self.stream.encode())  # what the encoder still holds
        super().close()


class _ColorVideo(_Encoded):
    """H.264 in MP4 that plays everywhere, with the sound of the original; one range of colours for all frames."""

    def __init__(self, path: Path, clip: Clip):
        super().__init__(path, clip)
        self.needs_picture = clip.options.beside
        self.sound: Sound | None = None
        self.legend: np.ndarray | None = None

    def write(self, index: int, depth: DepthMap, picture: Image.Image | None) -> None:
        options, limits = self.clip.options, self.clip.limits
        colors = np.asarray(colorize(depth.values, depth.kind, depth.valid, options.colormap, limits))
        if picture is not None:
            colors = np.concatenate([np.asarray(picture.convert("RGB")), colors], axis=1)
        if options.legend:
            if self.legend is None:
                whole = add_legend(Image.fromarray(colors), limits, depth.kind, depth.unit, options.colormap)
                self.legend = np.asarray(whole)[len(colors) :]
            colors = np.concatenate([colors, self.legend])
        odd = (colors.shape[0] % 2, colors.shape[1] % 2)
        if any(odd):  # colour at half the size needs even sides
            colors = np.pad(colors, ((0, odd[0]), (0, odd[1]), (0, 0)), "edge")
        if self.container is None:
            about = depth.metadata(colormap=options.colormap, limits=limits, **self.clip.about())
            height, width = colors.shape[:2]
            self.begin("libx264", width, height, "yuv420p", {"preset": "veryfast", "crf": "18"}, about)
            context = self.stream.codec_context
            context.colorspace = context.color_primaries = context.color_trc = 1  # BT.709
            context.color_range = 1
            if self.clip.info.audio:
                self.sound = Sound(self.clip.path, self.container, self.clip.origin)
                self.stack.callback(self.sound.close)
        frame = av().VideoFrame.from_ndarray(np.ascontiguousarray(colors), format="rgb24")
        self.encode(index, frame.reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG"))
        if self.sound is not None:
            self.sound.until(self.clip.time(index))

    def close(self) -> None:
        if self.sound is not None:
            self.sound.until()
        super().close()


class _LevelVideo(_Encoded):
    """16-bit gray without loss (FFV1 in Matroska); its scale and offset stand in the file's comment."""

    codec, pixels, drop = "ffv1", "gray16le", 0
    settings = FFV1

    def write(self, index: int, depth: DepthMap, picture: Image.Image | None) -> None:
        quantized = quantize(depth.values, depth.valid, self.clip.options.step, self.clip.levels)
        if self.container is None:
            scale = quantized.scale * 2**self.drop
            about = depth.metadata(scale, quantized.offset, step=scale, invalid=INVALID, **self.clip.about())
            height, width = depth.shape
            self.begin(self.codec, width, height, self.pixels, self.settings, about)
        codes = np.ascontiguousarray(quantized.codes >> self.drop)
        self.encode(index, av().VideoFrame.from_ndarray(codes, format=self.pixels))


class _HevcVideo(_LevelVideo):
    """12-bit gray, small and not without loss (HEVC in MP4)."""

    codec, pixels, drop = "libx265", "gray12le", 4
    settings = {"preset": "fast", "x265-params": "crf=10:log-level=none"}

    def begin(self, *args: Any) -> None:
        super().begin(*args)
        self.stream.codec_context.codec_tag = "hvc1"  # the name under which Apple's players look for it


class _FrameFolder(Sink):
    """A file for each frame, as `write_depth` writes pictures, and `frames.json` with their times."""

    def __init__(self, path: Path, clip: Clip, suffix: str):
        super().__init__(path, clip)
        self.suffix = suffix
        path.mkdir()

    def write(self, index: int, depth: DepthMap, picture: Image.Image | None) -> None:
        path = self.path / f"{index:06d}_{depth.kind}{self.suffix}"
        write_depth(path, depth, step=self.clip.options.step, limits=self.clip.levels)

    def close(self) -> None:
        about = {"generator": GENERATOR, **self.clip.about(), "seconds": self.clip.seconds()}
        atomic_write_json(self.path / "frames.json", about)


class _ArrayFile(Sink):
    """One `.npz` with the array (count, height, width), written to disk frame by frame."""

    file: Any = None

    def write(self, index: int, depth: DepthMap, picture: Image.Image | None) -> None:
        if self.file is None:
            archive = self.stack.enter_context(zipfile.ZipFile(self.path, "w"))
            about = np.bytes_(json.dumps(depth.metadata(**self.clip.about())))
            for name, value in ((KEY, about), ("seconds", self.clip.seconds())):
                with archive.open(f"{name}.npy", "w") as file:
                    np.lib.format.write_array(file, np.asarray(value), allow_pickle=False)
            self.file = self.stack.enter_context(archive.open(f"{depth.kind}.npy", "w", force_zip64=True))
            header = {"descr": "<f4", "fortran_order": False, "shape": (len(self.clip.pts), *depth.shape)}
            np.lib.format.write_array_header_2_0(self.file, header)
        self.file.write(np.ascontiguousarray(depth.filled(), "<f4").data)


def make_sinks(paths: dict[str, Path], clip: Clip) -> Sequence[Sink]:
    """The writers of some of `ENDINGS`, each to its path, which does not exist yet."""
    makers: dict[str, Any] = {"color": _ColorVideo, "ffv1": _LevelVideo, "hevc": _HevcVideo, "npz": _ArrayFile}
    return [
        makers[name](path, clip) if name in makers else _FrameFolder(path, clip, f".{name}")
        for name, path in paths.items()
    ]
