"""Small real videos."""

from fractions import Fraction

import av
import numpy as np

CODECS = {"h264": ("libx264", ".mp4"), "hevc": ("libx265", ".mkv"), "vp9": ("libvpx-vp9", ".webm")}


def picture(index: int, width: int = 96, height: int = 64) -> np.ndarray:
    """Blocks of colour that move to the left, uint8 (height, width, 3)."""
    generator = np.random.default_rng(0)
    blocks = generator.integers(0, 255, (height // 8, 256, 3), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
    return np.ascontiguousarray(blocks[:, 2 * index % 1024 : 2 * index % 1024 + width])


def make_video(path, codec="libx264", frames=12, size=(96, 64), times=None, sound=None, rate=25, gop=None, live=False):
    """
    Writes a video; `times` are milliseconds of the frames, `sound` is a codec of a second track, and a `live` WebM
    does not say how long it is, as those that browsers record.
    """
    options = {"x265-params": "log-level=none"} if codec == "libx265" else {}
    with av.open(str(path), "w", options={"live": "1"} if live else {}) as container:
        stream = container.add_stream(codec, rate=rate, options=options)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        if gop:
            stream.codec_context.gop_size = gop
        if times is not None:
            stream.codec_context.time_base = stream.time_base = Fraction(1, 1000)
        audio = container.add_stream(sound, rate=48000, layout="mono") if sound else None
        for index in range(frames):
            frame = av.VideoFrame.from_ndarray(picture(index, *size), format="rgb24")
            frame.pts = index if times is None else times[index]
            frame.time_base = Fraction(1, rate) if times is None else Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
        if audio:
            tone = np.sin(np.arange(48000 * frames // rate) * 0.05).astype(np.float32)
            size = audio.codec_context.frame_size or 1024
            for start in range(0, len(tone), size):
                samples = av.AudioFrame.from_ndarray(tone[None, start : start + size], "fltp", "mono")
                samples.sample_rate, samples.pts, samples.time_base = 48000, start, Fraction(1, 48000)
                container.mux(audio.encode(samples))
            container.mux(audio.encode())
    return path


def decoded(path, format="rgb24") -> tuple[list[np.ndarray], list[float]]:
    """Frames and their seconds."""
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
    return [frame.to_ndarray(format=format) for frame in frames], [
        float(frame.pts * frame.time_base) for frame in frames
    ]
