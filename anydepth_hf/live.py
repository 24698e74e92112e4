"""`anydepth live`: predicts what a camera sees now and shows it in a browser. Frames are dropped, never queued."""

import argparse
import io
import sys
import time
from types import SimpleNamespace

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from .bundled_checkpoint import BUNDLED_CHECKPOINT
from .live_page import LivePage
from .live_source import Latest, LiveSource, picture_of
from .loading import load_model
from .prediction import Predictor, model_label
from .quiet import quiet_transformers
from .video_convert import guide_of, resized
from .video_stabilizer import Stabilizer
from .visualization import colorize, value_range

FORGET = 0.05
"""Part of the colours' range that each frame renews."""


class LivePredictor:
    """
    Pictures of disparity or depth for one frame after another.

    Args:
        predictor: with `own_size`.
        beside: the frame itself stands on the left.
    """

    def __init__(self, predictor: Predictor, stabilize: str = "causal", colormap: str = "spectral", beside=False):
        self.predictor, self.colormap, self.beside = predictor, colormap, beside
        self.stabilizer = Stabilizer(predictor.model.device) if stabilize == "causal" else None
        self.limits: tuple[float, float] | None = None

    def __call__(self, picture: Image.Image) -> Image.Image:
        """The frame's map in colours, whose range follows the frames slowly; ValueError: it cannot be predicted."""
        frame = SimpleNamespace(name="the frame", open=lambda: picture)
        result = next(self.predictor.run([(frame, *self.predictor.read(frame))]))
        if result.error is not None:
            raise result.error
        values = result.depth.values
        if self.stabilizer is not None:
            values = self.stabilizer(values, guide_of(picture)).cpu().numpy()
            if self.stabilizer.step.cut:
                self.limits = None
        seen = value_range(values, robust=0.01)
        if self.limits is None:
            self.limits = seen
        self.limits = tuple(old + FORGET * (new - old) for old, new in zip(self.limits, seen))
        values = resized(values, picture.size[::-1])
        colors = colorize(values, result.depth.kind, colormap=self.colormap, limits=self.limits)
        if not self.beside:
            return colors
        return Image.fromarray(np.concatenate([np.asarray(picture.convert("RGB")), np.asarray(colors)], axis=1))


def run(args: argparse.Namespace) -> int:
    """Shows the source until it ends or Ctrl-C. Returns the exit status."""
    source = LiveSource(args.source, args.loop)
    with quiet_transformers():
        model, processor = load_model(args.model, args.device, args.dtype, args.trust_remote_code)
    predictor = Predictor(model, processor, model_label(args.model or BUNDLED_CHECKPOINT), workers=1, own_size=True)
    predictor.set_size(args.size)
    live = LivePredictor(predictor, args.stabilize, args.colormap, args.side_by_side)
    pictures = Latest()
    page = LivePage(pictures, args.port)
    print(f"Showing {predictor.kind} of {args.source} at {page.address} (Ctrl-C ends)", flush=True)
    source.start()
    try:
        shown = _show(source, live, pictures)
    finally:
        source.stop()
        pictures.close()
        page.close()
    if source.error is not None:
        raise source.error
    print(f"{args.source} is over after {shown} frames.")
    return 0


def _show(source: LiveSource, live: LivePredictor, pictures: Latest) -> int:
    """Predicts the latest frame again and again; the number of frames that were shown."""
    number, shown, rate, before = 0, 0, 0.0, time.monotonic()
    while True:
        frame, number = source.frames.get(number)
        if frame is None:
            if source.frames.closed:
                return shown
            continue
        picture = live(picture_of(frame))
        now = time.monotonic()
        rate = rate + 0.1 * (1 / max(now - before, 1e-6) - rate) if shown else 1 / max(now - before, 1e-6)
        before, shown = now, shown + 1
        pictures.put(_jpeg(picture, f"{rate:.1f} frames/s"))
        if sys.stderr.isatty():
            print(f"\r{rate:5.1f} frames/s, {number - shown} dropped ", end="", file=sys.stderr, flush=True)


def _jpeg(picture: Image.Image, text: str) -> bytes:
    size = max(12, picture.height // 24)
    ImageDraw.Draw(picture).text(
        (size // 2, size // 2), text, "white", ImageFont.load_default(size), stroke_width=2, stroke_fill="black"
    )
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=85)
    return file.getvalue()
