"""The sound of a video, taken over into another file beside new pictures."""

import os
from fractions import Fraction
from typing import Any

from .video_reader import av, open_video, packets_of

_COPIED = frozenset("aac ac3 alac eac3 flac mp3 opus".split())
"""Codecs whose packets go into an MP4 file as they are; other sound becomes AAC."""
_LAYOUTS = ("stereo", "3.0", "4.0", "5.0", "5.1", "7.1")  # of AAC


class Sound:
    """
    Every sound track of a video, written to another container in step with its pictures.

    Args:
        path: the video that it is taken from.
        container: PyAV's, being written; the tracks are added to it.
        origin: seconds that count as 0 in the new file.
    """

    def __init__(self, path: str | os.PathLike, container: Any, origin: Fraction = Fraction(0)):
        self.container, self.origin = container, origin
        self._opened = open_video(path)
        self._source, _ = self._opened.__enter__()
        self._tracks: dict[int, _Copy | _Encode] = {}
        for stream in self._source.streams.audio:
            if stream.codec_context is not None:
                copied = stream.codec_context.name.removesuffix("float") in _COPIED
                self._tracks[stream.index] = (_Copy if copied else _Encode)(stream, container, origin)
        self._packets = self._read()
        self._next = next(self._packets, None)

    def until(self, seconds: Fraction | None = None) -> None:
        """Writes the sound up to a time; by default the rest of it."""
        while self._next is not None:
            time = self._next.dts * self._next.time_base - self.origin
            if seconds is not None and time > seconds:
                return
            for packet in self._tracks[self._next.stream_index].convert(self._next):
                self.container.mux(packet)
            self._next = next(self._packets, None)
        if seconds is None:
            for track in self._tracks.values():
                for packet in track.finish():
                    self.container.mux(packet)

    def close(self) -> None:
        """Closes the video that the sound is taken from."""
        self._packets.close()
        self._opened.__exit__(None, None, None)

    def _read(self):
        if streams := [self._source.streams[index] for index in self._tracks]:
            for packet in packets_of(self._source, *streams):
                if packet.size and packet.dts is not None and not packet.is_corrupt:
                    yield packet


class _Copy:
    """A track whose packets are copied."""

    def __init__(self, stream, container, origin: Fraction):
        self.stream = container.add_stream_from_template(stream)
        self.shift = round(origin / stream.time_base)

    def convert(self, packet):
        packet.pts = None if packet.pts is None else packet.pts - self.shift
        packet.dts -= self.shift
        packet.stream = self.stream
        yield packet

    def finish(self):
        return ()


class _Encode:
    """A track that becomes AAC."""

    def __init__(self, stream, container, origin: Fraction):
        context = stream.codec_context
        rate = context.sample_rate if 8000 <= context.sample_rate <= 96000 else 48000
        channels = context.layout.nb_channels
        # some files count channels and do not say where they stand
        layout = "mono" if channels == 1 else context.layout.name if context.layout.name in _LAYOUTS else "stereo"
        self.stream = container.add_stream("aac", rate=rate, layout=layout)
        self.origin = origin
        self.resampler = av().AudioResampler(format="fltp", layout=layout, rate=rate)

    def convert(self, packet):
        try:
            frames = packet.decode()
        except av().error.FFmpegError:  # a damaged packet is silence
            return
        for frame in frames:
            if frame.pts is not None:
                frame.pts -= round(self.origin / frame.time_base)
            yield from self._encode(frame)

    def finish(self):
        yield from self._encode(None)
        yield from self.stream.encode(None)

    def _encode(self, frame):
        for resampled in self.resampler.resample(frame):
            yield from self.stream.encode(resampled)
