"""Readers of the training sets: one RGB and one depth file, in the set's own encoding, to a `DepthSample`."""

import functools
import math
import os
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from training.data.decoding import (
    DataError,
    Source,
    naming,
    read_exr,
    read_hdf5,
    read_npy,
    read_pfm,
    read_png16,
    read_rgb,
    read_rgba_float,
)
from training.scenes import picture_files

HYPERSIM_FOCAL, HYPERSIM_SHAPE = 886.81, (768, 1024)
IRS_FOCAL_TIMES_BASELINE = 480 * 0.1
VKITTI2_SKY = 65535
TARTANAIR_SKY = 1000.0
LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True, slots=True)
class DepthSample:
    """One image with its depth.

    Attributes:
        image: uint8 (H, W, 3).
        depth: float32 (H, W), planar depth along the optical axis (not disparity), in metres if `is_metric`; any value
            where `valid` is false.
        valid: bool (H, W).
        is_metric: whether depth is in metres, else in unknown units.
        name: the file or row it came from, for messages.
    """

    image: np.ndarray
    depth: np.ndarray
    valid: np.ndarray
    is_metric: bool
    name: str


@functools.cache
def _hypersim_ray_to_planar() -> np.ndarray:
    """Cosine of the angle between each pixel's ray and the optical axis (ml-hypersim's README): f / ||(x, y, f)||."""
    height, width = HYPERSIM_SHAPE
    x = np.linspace(-(width - 1) / 2, (width - 1) / 2, width)
    y = np.linspace(-(height - 1) / 2, (height - 1) / 2, height)[:, None]
    return (HYPERSIM_FOCAL / np.sqrt(x**2 + y**2 + HYPERSIM_FOCAL**2)).astype(np.float32)


def decode_hypersim(source: Source) -> np.ndarray:
    """Hypersim `depth_meters.hdf5`: distance to the optical centre in metres, turned into planar depth."""
    distance = read_hdf5(source)
    if distance.shape != HYPERSIM_SHAPE:
        raise DataError(f"expected Hypersim's {HYPERSIM_SHAPE} pixels (the focal length is known for those only), "
                        f"got {distance.shape}.")  # fmt: skip
    return distance.astype(np.float32) * _hypersim_ray_to_planar()


def decode_vkitti2(source: Source) -> np.ndarray:
    """Virtual KITTI 2: 16-bit PNG in centimetres; 65535 is sky."""
    centimetres = read_png16(source)
    return np.where(centimetres == VKITTI2_SKY, np.float32(0), centimetres / np.float32(100))


def decode_irs(source: Source) -> np.ndarray:
    """IRS: EXR of the left disparity in pixels; depth = 480 * 0.1 m / disparity."""
    disparity = read_exr(source)
    positive = disparity > 0
    return np.divide(np.float32(IRS_FOCAL_TIMES_BASELINE), disparity, out=np.zeros_like(disparity), where=positive)


def decode_tartanair(source: Source) -> np.ndarray:
    """TartanAir: V1 `.npy` (float16 or float32) or V2 float32 packed in an RGBA PNG; metres; the sky is far away."""
    is_npy = (source[:6] == b"\x93NUMPY") if isinstance(source, bytes) else str(source).lower().endswith(".npy")
    depth = (read_npy if is_npy else read_rgba_float)(source).astype(np.float32)
    return np.where(depth < TARTANAIR_SKY, depth, np.float32(0))  # NaN compares false: no label


@dataclass(frozen=True)
class DepthReader:
    """Reads the files of one data set; call it with `(rgb_path, depth_path)`.

    Attributes:
        decode: depth file to float (H, W); 0, negative, NaN and infinite values are "no label".
        is_metric: whether the decoded depth is in metres.
        far_plane: depths beyond it are not valid (the paper: 100 m); `None` keeps all.
        decode_image: image file to uint8 (H, W, 3).
    """

    decode: Callable[[Source], np.ndarray]
    is_metric: bool = True
    far_plane: float | None = 100.0
    decode_image: Callable[[Source], np.ndarray] = read_rgb

    def read_depth(self, source: Source, name: str | os.PathLike | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Depth float32 (H, W) and its valid mask, bool (H, W).

        Raises:
            DataError: the file is missing, damaged or of another format; the message begins with `name`, or the path.
        """
        with naming(source if name is None else name):
            depth = np.asarray(self.decode(source))
            if depth.ndim != 2 or depth.size == 0:
                raise DataError(f"expected a depth map of shape (height, width), got {depth.shape}.")
            if depth.dtype.kind not in "fiu":
                raise DataError(f"expected a depth map of numbers, got {depth.dtype}.")
        depth = depth.astype(np.float32, copy=False)
        valid = depth > 0
        valid &= depth <= min(math.inf if self.far_plane is None else self.far_plane, LARGEST)
        return depth, valid

    def __call__(self, rgb: Source, depth: Source, name: str | None = None) -> DepthSample:
        """Reads one sample.

        Args:
            rgb, depth: paths, or the files' bytes.
            name: the sample's name, default the path of the image.

        Raises:
            DataError: a file cannot be read, or the two differ in size.
        """
        depth_map, valid = self.read_depth(depth, name)
        name = os.fspath(rgb) if name is None else name
        with naming(name):
            image = self.decode_image(rgb)
        if image.shape[:2] != depth_map.shape:
            where = "its depth" if isinstance(depth, bytes) else os.fspath(depth)
            raise DataError(f"{name}: the image has {image.shape[0]}x{image.shape[1]} pixels (height x width) "
                            f"but {where} has {depth_map.shape[0]}x{depth_map.shape[1]}.")  # fmt: skip
        return DepthSample(image, depth_map, valid, self.is_metric, name)


READERS: dict[str, DepthReader] = {
    "hypersim": DepthReader(decode_hypersim),
    "vkitti2": DepthReader(decode_vkitti2),
    "irs": DepthReader(decode_irs),
    # the units of a scene are undefined (no GPS), so a far plane in metres would mean nothing
    "blendedmvs": DepthReader(read_pfm, is_metric=False, far_plane=None),
    "tartanair": DepthReader(decode_tartanair),
    "pictures": DepthReader(picture_files.read_depth, decode_image=picture_files.read_image),
}
"""Readers by data set name; the name, never the path, chooses the decoder."""
