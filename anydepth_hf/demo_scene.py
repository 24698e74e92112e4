"""What the demo knows of one visitor's photograph: its map, the points whose distance is known, and so metres."""

import math
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from .alignment import sample
from .calibration import Calibration, Sample, fit_calibration
from .camera import Intrinsics
from .colormaps import color_table
from .depth_map import DepthMap
from .geometry import unproject
from .image_io import open_image
from .pixels_anydepth import pil_to_rgb
from .prediction import Predictor
from .visualization import colorize, value_range

SHOWN = 1280
"""Longest side of the pictures that the page shows, in pixels; files have the photograph's own size."""
_MANY = 10  # known depths from which outliers can be told
_ROBUST = 0.01  # share of the values at either end whose colour stays: a few far pixels would take all colours


@dataclass(frozen=True, eq=False)
class Scene:
    """A photograph and its prediction; never changed, every step gives a new one."""

    path: str  # file of the photograph, which tells one from another
    image: Image.Image  # the photograph, upright
    prediction: DepthMap  # what the model said
    camera: Intrinsics | None = None  # from the EXIF data or the model's calibration
    size: int | None = None  # shortest side that the model was told to see
    points: tuple[tuple[float, float, float], ...] = ()  # (x, y, metres) each, in pixels of the photograph
    clicked: tuple[tuple[float, float], ...] = ()  # the last points that were clicked, (x, y), at most two
    fitted: Calibration | None = None  # scale and shift, fitted to `points`
    given: Calibration | None = None  # those that came with the model

    @property
    def calibration(self) -> Calibration | None:
        """Scale and shift, if they are known."""
        return self.fitted or self.given

    @cached_property
    def depth(self) -> DepthMap:
        """The map: in metres where scale and shift are known, else the prediction."""
        alignment = self.calibration and self.calibration.alignment
        return self.prediction.to_depth(alignment) if alignment else self.prediction

    @property
    def stem(self) -> str:
        """What files of this photograph begin with."""
        return Path(self.path).stem or "photo"

    @cached_property
    def shown(self) -> Image.Image:
        """The photograph as the page shows it."""
        return _small(Image.fromarray(pil_to_rgb(self.image)))

    def limits(self) -> tuple[float, float]:
        """Values of the first and the last colour."""
        return value_range(self.depth.values, self.depth.valid, _ROBUST)

    def colored(self, colormap: str) -> Image.Image:
        """The map in colours, of the size of `shown`."""
        depth = self.depth
        return _small(colorize(depth.values, depth.kind, depth.valid, colormap, self.limits()))

    def legend(self, colormap: str) -> str:
        """HTML of a bar of the colours, from near to far, and what they mean."""
        table = color_table(colormap)
        steps = [table[index * (len(table) - 1) // 16] for index in range(17)]
        bar = ", ".join(f"rgb({r} {g} {b})" for r, g, b in steps)
        low, high = self.limits()
        depth = self.depth
        ticks, text = ["near", "far"], f"relative {depth.kind}, without unit"
        if depth.unit == "m":
            ticks = [f"{low + (high - low) * share / 4:.2f} m" for share in range(5)]
            text = "depth along the camera's axis"
        elif depth.is_metric:
            text = f"{depth.kind} in {depth.unit}"
        height, width = depth.shape
        spans = "".join(f"<span>{tick}</span>" for tick in ticks)
        return (
            f'<div class="bar" style="background: linear-gradient(to right, {bar})"></div>'
            f'<div class="ticks">{spans}</div><p>{text}; {width} × {height} pixels; {depth.model}</p>'
        )

    def click(self, x: float, y: float) -> "Scene":
        """The scene after a click at a pixel of `shown`."""
        shown, image = np.array(self.shown.size), np.array(self.image.size)
        # the middle of a shown pixel, in pixels whose centres are integers
        point = (np.clip([x, y], 0, shown - 1) + 0.5) * image / shown - 0.5
        return replace(self, clicked=(*self.clicked[-1:], tuple(point.tolist())))

    def know(self, metres: float | None) -> "Scene":
        """
        The scene in which the last clicked point has this depth; from two of them on it is in metres, from one on
        where the prediction is depth.

        Raises:
            ValueError: nothing was clicked, no positive distance, or points that determine no scale.
        """
        if not self.clicked:
            raise ValueError("Click a point of the photograph first, then type how far it is.")
        if metres is None or not (math.isfinite(metres) and metres > 0):
            raise ValueError("Type the distance of the point in metres, a number more than 0.")
        x, y = self.clicked[-1]
        others = [point for point in self.points if point[:2] != (x, y)]
        return replace(self, points=(*others, (x, y, metres)))._fitted()

    def forget(self) -> "Scene":
        """The scene without points; what came with the model stays."""
        return replace(self, points=(), clicked=(), fitted=None)

    def like(self, other: "Scene | None") -> "Scene":
        """The scene with the points of another one of the same photograph, as after another model was chosen."""
        if other is None or other.path != self.path or not other.points or self.prediction.is_metric:
            return self
        return replace(self, points=other.points, clicked=other.clicked)._fitted()

    def _fitted(self) -> "Scene":
        kind, alone = self.prediction.kind, len(self.points) == 1
        if not self.points or (alone and kind != "depth"):
            return self
        points = torch.tensor(self.points, dtype=torch.float64)
        values = sample(torch.from_numpy(self.prediction.values), points[:, :2])
        calibration = fit_calibration(
            [Sample(Path(self.path).name, values.numpy(), points[:, 2].numpy())],
            model=self.prediction.model or "",
            size=self.size,
            method="ransac" if len(points) >= _MANY else "least_squares",
            prediction_type=kind,
            scale_only=alone,
        )
        if calibration.alignment.scale <= 0:
            raise ValueError(
                "By these distances the nearer points would be the farther ones: check the last, or begin anew."
            )
        return replace(self, fitted=calibration)

    def reading(self, camera: Intrinsics | None = None) -> str:
        """What is known of the last clicked point, in words."""
        if not self.clicked:
            return ""
        x, y = self.clicked[-1]
        column, row = round(x), round(y)
        value = float(self.depth.values[row, column])
        place = f"at column {column}, row {row}"
        if not self.depth.is_metric:
            return f"Relative {self.depth.kind} {value:.3g} {place}; no metres yet"
        metric = self.depth.to_depth()
        if not metric.valid[row, column]:
            return f"Nothing is known {place}: it is too far away."
        text = f"**{_metres(float(metric.values[row, column]))}** {place}"
        apart = self._apart(metric, camera)
        return text if apart is None else f"{text}, **{_metres(apart)}** from the point before"

    def _apart(self, depth: DepthMap, camera: Intrinsics | None) -> float | None:
        """Distance in metres of the two clicked points, where the camera is known."""
        if camera is None or len(self.clicked) < 2:
            return None
        values = np.where(depth.valid, depth.values, np.float32("nan"))
        points = unproject(values, camera)
        first, second = (points[round(y), round(x)] for x, y in self.clicked)
        apart = float(np.linalg.norm(first - second))
        return apart if math.isfinite(apart) else None

    def marked(self) -> Image.Image:
        """The photograph as the page shows it, with the known and the clicked points."""
        picture = self.shown.copy()
        draw = ImageDraw.Draw(picture)
        scale = picture.width / self.image.width
        radius = max(5, round(max(picture.size) / 110))
        font = ImageFont.load_default(max(14, 2 * radius))
        known = {point[:2] for point in self.points}
        for x, y, metres in self.points:
            _mark(draw, (x * scale, y * scale), radius, "#ff7a00", _metres(metres), font, picture.width)
        for x, y in self.clicked:
            if (x, y) not in known:
                _mark(draw, (x * scale, y * scale), radius, "#00a2ff", "", font, picture.width)
        return picture


def predict_scene(
    path: str, predictor: Predictor, calibration: Calibration | None, size: int | None, max_pixels: int
) -> Scene:
    """
    Predicts a photograph.

    Raises:
        ValueError: no picture, one of more than `max_pixels` pixels, or one that the model cannot take.
        OSError: the file is gone.
    """
    name = Path(path).name
    source = SimpleNamespace(name=name, open=lambda: open_image(path, name=name, max_pixels=max_pixels))
    (result,) = predictor.stream([source])
    if result.error is not None:
        raise result.error
    assert result.depth is not None and result.image is not None
    camera = result.depth.intrinsics or (calibration and calibration.camera_of(*result.image.size))
    size = size or (calibration and calibration.size)
    return Scene(path, result.image, result.depth, camera, size, given=calibration)


def _small(picture: Image.Image) -> Image.Image:
    scale = SHOWN / max(picture.size)
    if scale >= 1:
        return picture
    size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    return picture.resize(size, Image.Resampling.BOX if scale < 0.5 else Image.Resampling.BILINEAR)


def _metres(value: float) -> str:
    return f"{value:.2f} m" if value < 100 else f"{value:.0f} m"


def _mark(draw: ImageDraw.ImageDraw, place: tuple[float, float], radius: int, color: str, text: str, font, width: int):
    x, y = place
    for grown, outline in ((radius + 2, "white"), (radius, color)):
        draw.ellipse([x - grown, y - grown, x + grown, y + grown], outline=outline, width=max(2, radius // 3))
    if text:
        fits = x + 2 * radius + draw.textlength(text, font) < width  # to the right of the point
        side, anchor = (x + 1.6 * radius, "lm") if fits else (x - 1.6 * radius, "rm")
        draw.text((side, y), text, fill=color, font=font, anchor=anchor, stroke_width=3, stroke_fill="white")
