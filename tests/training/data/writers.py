"""Writes the data sets as their makers do, with code that shares nothing with the readers."""

import struct
import zlib
from pathlib import Path

import h5py
import numpy as np
import OpenEXR
from PIL import Image
from safetensors.numpy import save_file


def write_png(path: Path, array: np.ndarray) -> None:
    """uint8 (H, W), (H, W, 3), (H, W, 4) or uint16 (H, W), as the PNG specification says, without any library."""
    height, width = array.shape[:2]
    colour = {1: 0, 3: 2, 4: 6}[1 if array.ndim == 2 else array.shape[2]]
    rows = array.astype(array.dtype.newbyteorder(">")).reshape(height, -1).view(np.uint8).reshape(height, -1)
    data = zlib.compress(np.insert(rows, 0, 0, axis=1).tobytes())  # filter byte 0 before each row
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n")
        header = struct.pack(">IIBBBBB", width, height, 8 * array.dtype.itemsize, colour, 0, 0, 0)
        for kind, body in ((b"IHDR", header), (b"IDAT", data), (b"IEND", b"")):
            file.write(struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)))


def write_pfm(path: Path, array: np.ndarray, little_endian: bool) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    order = "<" if little_endian else ">"
    with open(path, "wb") as file:
        file.write(f"Pf\n{array.shape[1]} {array.shape[0]}\n{-1.0 if little_endian else 1.0}\n".encode())
        for row in reversed(range(array.shape[0])):
            file.write(struct.pack(f"{order}{array.shape[1]}f", *array[row]))


def write_exr(path: Path, channels: dict[str, np.ndarray]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    OpenEXR.File(header, channels).write(str(path))


def write_hdf5(path: Path, array: np.ndarray, key: str = "dataset") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file.create_dataset(key, data=array, compression="gzip")


def write_jpeg(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path, quality=95)


def pack_rgba(depth: np.ndarray) -> np.ndarray:
    """What OpenCV's PNG writer makes of little-endian floats seen as B, G, R, A: R, G, B, A = bytes 2, 1, 0, 3."""
    packed = np.empty((*depth.shape, 4), np.uint8)
    for y in range(depth.shape[0]):
        for x in range(depth.shape[1]):
            b0, b1, b2, b3 = struct.pack("<f", depth[y, x])
            packed[y, x] = b2, b1, b0, b3
    return packed


def scene(seed: int, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """An image, and depths of 1 to 12 m that tell every pixel and every seed apart."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    depth = 2 + seed % 5 + 4 * y / height + 2 * x / width + rng.random((height, width)) / 100
    image = np.stack([255 * y / height, 255 * x / width, np.full_like(y, 40 * seed % 256)], axis=-1)
    return image.astype(np.uint8), depth.astype(np.float32)


def write_dataset(name: str, root: Path, count: int) -> None:
    """`count` samples of a data set in its official layout."""
    for seed in range(count):
        height, width = (768, 1024) if name == "hypersim" else (60, 80)
        image, depth = scene(seed, height, width)
        if name == "hypersim":
            images = root / "ai_001_001" / "images"
            write_jpeg(images / f"scene_cam_00_final_preview/frame.{seed:04d}.tonemap.jpg", image)
            write_hdf5(
                images / f"scene_cam_00_geometry_hdf5/frame.{seed:04d}.depth_meters.hdf5", depth.astype(np.float16)
            )
        elif name == "vkitti2":
            frames = root / "Scene01" / "clone" / "frames"
            write_jpeg(frames / f"rgb/Camera_0/rgb_{seed:05d}.jpg", image)
            write_png(frames / f"depth/Camera_0/depth_{seed:05d}.png", (depth * 100).astype(np.uint16))
        elif name == "irs":
            folder = root / "Home" / "Bath_BL2"
            write_png(folder / f"l_{seed}.png", image)
            write_png(folder / f"r_{seed}.png", image)
            write_exr(folder / f"d_{seed}.exr", {"G": (48 / depth).astype(np.float32)})
        elif name == "blendedmvs":
            project = root / "5a3ca9cb270f0e3f14d0eddb"
            write_jpeg(project / f"blended_images/{seed:08d}.jpg", image)
            write_jpeg(project / f"blended_images/{seed:08d}_masked.jpg", image)
            write_pfm(project / f"rendered_depth_maps/{seed:08d}.pfm", depth, little_endian=True)
        elif name == "tartanair":
            folder = root / "ocean" / "Hard" / "P001"
            write_png(folder / f"image_left/{seed:06d}_left.png", image)
            (folder / "depth_left").mkdir(parents=True, exist_ok=True)
            np.save(folder / f"depth_left/{seed:06d}_left_depth.npy", depth)
        elif name == "pictures":
            folder = root / f"{height}x{width}"
            folder.mkdir(parents=True, exist_ok=True)
            tensors = {"image": image.transpose(2, 0, 1).copy(), "depth": depth.astype(np.float16)}
            save_file(tensors, folder / f"0-{seed}-0.safetensors")
        else:
            raise ValueError(name)
