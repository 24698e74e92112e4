"""A pinhole camera: focal lengths and principal point in pixels, and where they come from.

Axes are OpenCV's, right-handed: x to the right, y down, z forward, in metres; depth is the z coordinate, not the
distance. Pixel centres have integer coordinates, (0, 0) is the centre of the first pixel, so the middle of a picture
is ((width - 1) / 2, (height - 1) / 2). Lenses are taken to be free of distortion.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from PIL import ExifTags, Image

FULL_FRAME_DIAGONAL = math.hypot(36, 24)
"""Diagonal in mm of 35 mm film, which "35 mm equivalent" focal lengths refer to (CIPA DCG-001)."""

_UNITS_PER_MM = {2: 1 / 25.4, 3: 1 / 10, 4: 1, 5: 1000}  # EXIF FocalPlaneResolutionUnit: inch, cm, mm, micrometre


@dataclass(frozen=True)
class Intrinsics:
    """
    Pinhole intrinsics in pixels of a picture of one size.

    Args:
        fx, fy: focal lengths in pixels, positive.
        cx, cy: principal point in pixels; pixel centres have integer coordinates.
        width, height: the picture's size, which the other four refer to.
        source: where they come from, for people: "given", "EXIF of photo.jpg".

    Raises:
        ValueError: a focal length or a side is not positive and finite, or the principal point is not finite.
    """

    fx: float
    fy: float
    cx: float
    cy: float
    width: int
    height: int
    source: str = "given"

    def __post_init__(self):
        positive = (self.fx, self.fy, self.width, self.height)
        if not all(math.isfinite(value) and value > 0 for value in positive):
            raise ValueError(f"Focal lengths and the picture's sides must be positive numbers, got {positive}.")
        if not (math.isfinite(self.cx) and math.isfinite(self.cy)):
            raise ValueError(f"The principal point must be two finite numbers, got {(self.cx, self.cy)}.")
        for name in ("fx", "fy", "cx", "cy", "width", "height"):  # NumPy's numbers are neither JSON nor COLMAP's text
            kind = int if name in ("width", "height") else float
            object.__setattr__(self, name, kind(getattr(self, name)))

    @classmethod
    def from_focal(cls, focal: float, width: int, height: int, source: str = "given") -> "Intrinsics":
        """Intrinsics of a focal length in pixels, square pixels and the principal point in the middle."""
        return cls(focal, focal, (width - 1) / 2, (height - 1) / 2, width, height, source)

    @classmethod
    def from_fov(cls, degrees: float, width: int, height: int, direction: str = "horizontal") -> "Intrinsics":
        """Intrinsics of a field of view in degrees: `"horizontal"` (the width's), `"vertical"` or `"diagonal"`."""
        sides = {"horizontal": width, "vertical": height, "diagonal": math.hypot(width, height)}
        if direction not in sides:
            raise ValueError(f"A field of view is one of {', '.join(sides)}, not {direction!r}.")
        if not 0 < degrees < 180:
            raise ValueError(f"A field of view lies between 0 and 180 degrees, got {degrees}.")
        focal = sides[direction] / 2 / math.tan(math.radians(degrees) / 2)
        return cls.from_focal(focal, width, height, f"a {direction} field of view of {degrees:g} degrees")

    @classmethod
    def from_matrix(cls, matrix: Sequence, width: int, height: int, source: str = "given") -> "Intrinsics":
        """Intrinsics of a (3, 3) camera matrix `[[fx, 0, cx], [0, fy, cy], [0, 0, 1]]` in pixels."""
        values = np.asarray(matrix, dtype=np.float64)
        expected = np.zeros_like(values)
        if values.shape == (3, 3):
            expected = np.array([[values[0, 0], 0, values[0, 2]], [0, values[1, 1], values[1, 2]], [0, 0, 1]])
        if values.shape != (3, 3) or not np.array_equal(values, expected):
            raise ValueError("A camera matrix is [[fx, 0, cx], [0, fy, cy], [0, 0, 1]] in pixels, without skew.")
        fx, fy, cx, cy = values[[0, 1, 0, 1], [0, 1, 2, 2]].tolist()
        return cls(fx, fy, cx, cy, width, height, source)

    @classmethod
    def from_exif(cls, image: Image.Image, name: str = "the image") -> "Intrinsics | None":
        """
        Intrinsics from the focal length that a camera wrote into a photograph, or `None` if it wrote none.

        The picture may be resized or turned, but not cropped. Square pixels, principal point in the middle.
        """
        try:
            exif = image.getexif()
            tags = {**exif, **exif.get_ifd(ExifTags.IFD.Exif)}
        except Exception:  # damaged EXIF data: struct.error, SyntaxError, KeyError ...
            return None
        focal = _focal_of_exif(tags, *image.size)
        return focal and cls.from_focal(focal, *image.size, f"EXIF of {name}")

    def matrix(self) -> np.ndarray:
        """The (3, 3) float64 camera matrix."""
        return np.array([[self.fx, 0, self.cx], [0, self.fy, self.cy], [0, 0, 1]], dtype=np.float64)

    def resized(self, width: int, height: int) -> "Intrinsics":
        """The same camera's intrinsics for its picture resized, not cropped, to another size."""
        if (width, height) == (self.width, self.height):
            return self
        x, y = width / self.width, height / self.height
        center = ((self.cx + 0.5) * x - 0.5, (self.cy + 0.5) * y - 0.5)
        return replace(self, fx=self.fx * x, fy=self.fy * y, cx=center[0], cy=center[1], width=width, height=height)

    def for_size(self, width: int, height: int) -> "Intrinsics":
        """`resized`, to a map of the whole picture: ValueError where the aspect ratio is another, by over a pixel."""
        if not same_shape((self.width, self.height), (width, height)):
            raise ValueError(
                f"The intrinsics are of a picture of {self.width} x {self.height} pixels, and the map of "
                f"{width} x {height} has another shape."
            )
        return self.resized(width, height)

    def fov(self) -> tuple[float, float]:
        """Horizontal and vertical field of view in degrees, from the outer edges of the outermost pixels."""

        def angle(side, center, focal):
            edges = math.atan((center + 0.5) / focal) + math.atan((side - 0.5 - center) / focal)
            return math.degrees(edges)

        return angle(self.width, self.cx, self.fx), angle(self.height, self.cy, self.fy)


def same_shape(size: Sequence[int], other: Sequence[int]) -> bool:
    """Whether two pictures have one aspect ratio, to a pixel."""
    return abs(size[0] * other[1] - size[1] * other[0]) <= max(*size, *other)


def _focal_of_exif(tags: dict, width: int, height: int) -> float | None:
    """Focal length in pixels, from the 35 mm equivalent or from the sensor's pixels per millimetre."""

    def number(tag: ExifTags.Base) -> float:
        try:
            value = float(tags.get(tag, 0))
        except (TypeError, ValueError, ZeroDivisionError):
            return 0.0
        return value if math.isfinite(value) and value > 0 else 0.0

    equivalent = number(ExifTags.Base.FocalLengthIn35mmFilm)
    if equivalent:
        return equivalent / FULL_FRAME_DIAGONAL * math.hypot(width, height)
    focal = number(ExifTags.Base.FocalLength)
    density = number(ExifTags.Base.FocalPlaneXResolution)
    density *= _UNITS_PER_MM.get(int(number(ExifTags.Base.FocalPlaneResolutionUnit)) or 2, 0)
    # the resolution counts the pixels of the picture as it was taken
    longest = max(number(ExifTags.Base.ExifImageWidth), number(ExifTags.Base.ExifImageHeight))
    if focal and density and longest:
        return focal * density * max(width, height) / longest
    return None
