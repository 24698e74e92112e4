"""Frames of a camera, a network stream or a file as they happen: always the latest one, never a queue."""

import os
import re
import threading
import time
from pathlib import Path
from typing import Any

from PIL import Image

from .video_reader import VideoError, VideoFrame, av, reason_of

_NETWORK = "file,rtsp,rtsps,rtp,udp,tcp,tls,http,https,crypto"
_TIMEOUT = "5000000"  # microseconds without an answer


class Latest:
    """One slot: what is put replaces what nobody took."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._value: Any = None
        self._number = 0
        self.closed = False

    def put(self, value: Any) -> None:
        """Replaces what is there."""
        with self._condition:
            self._value, self._number = value, self._number + 1
            self._condition.notify_all()

    def get(self, after: int = 0, timeout: float = 1.0) -> tuple[Any, int]:
        """The value and its number once that is greater than `after`; (None, after) if none comes in time."""
        with self._condition:
            self._condition.wait_for(lambda: self._number > after or self.closed, timeout)
            return (self._value, self._number) if self._number > after else (None, after)

    def close(self) -> None:
        """Says that nothing more comes."""
        with self._condition:
            self.closed = True
            self._condition.notify_all()


class LiveSource(threading.Thread):
    """
    Decodes a source in a thread and keeps its latest frame in `frames`.

    Args:
        name: number or device of a webcam, an address, or a file.
        loop: begin a file anew at its end.

    Raises:
        VideoError: it cannot be opened.
    """

    def __init__(self, name: str, loop: bool = False):
        super().__init__(daemon=True, name="source")
        self.source, self.loop = name, loop
        self.frames = Latest()
        self.error: VideoError | None = None
        self.stopped = threading.Event()
        self.is_file = Path(name).is_file()
        self.container = self._open()

    def run(self) -> None:
        """Decodes until `stop`, the end, or an error, which stands in `error`."""
        try:
            while not self.stopped.is_set():
                self._play()
                if not (self.is_file and self.loop):
                    break
                self.container = self._open()
        except (av().error.FFmpegError, VideoError) as error:
            self.error = error if isinstance(error, VideoError) else VideoError(f"{self.source} ended: {error}.")
        finally:
            self.container.close()
            self.frames.close()

    def stop(self) -> None:
        """Ends the thread after its current frame."""
        self.stopped.set()

    def _open(self) -> Any:
        package = av()
        name, format, options = self.source, None, {"protocol_whitelist": _NETWORK, "timeout": _TIMEOUT}
        if name.isdecimal() or name.startswith("/dev/video"):
            name, format, options = f"/dev/video{name}" if name.isdecimal() else name, "v4l2", {}
            if not Path(name).exists():
                raise VideoError(f"There is no camera {name}; give another number, a device, an address or a file.")
        elif self.is_file:
            name = os.path.abspath(name)  # else FFmpeg takes what stands before a colon for a protocol
        elif not re.match(r"(rtsps?|https?|udp|tcp)://", name):
            raise VideoError(f"{name} is no camera, no address and no file that exists.")
        try:
            container = package.open(name, format=format, options=options, timeout=10.0)
        except (package.error.FFmpegError, OSError, ValueError) as error:
            raise VideoError(f"{self.source} cannot be opened as a video ({reason_of(error)}).") from error
        if not container.streams.video:
            raise VideoError(f"{self.source} has no pictures.")
        return container

    def _play(self) -> None:
        stream = self.container.streams.video[0]
        stream.thread_type = "SLICE"  # threads over frames would hold several back
        begin, first = time.monotonic(), None
        for packet in self.container.demux(stream):
            if self.stopped.is_set():
                return
            try:
                frames = packet.decode()
            except av().error.InvalidDataError:
                continue
            for frame in frames:
                if self.is_file and frame.time is not None:
                    first = frame.time if first is None else first
                    if self.stopped.wait(max(0.0, begin + frame.time - first - time.monotonic())):
                        return
                self.frames.put(frame)


def picture_of(frame: Any) -> Image.Image:
    """PyAV's frame as a picture, upright."""
    return VideoFrame(0, 0, False, frame, (frame.width, frame.height)).open()
