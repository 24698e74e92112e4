"""A map as the bytes of an HTTP answer: a file of one format, or several in a zip archive."""

import io
import json
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from PIL import Image, PngImagePlugin

from .depth_files import KEY
from .depth_map import DepthMap
from .outputs import MAPS, OutputOptions, output_paths, write_outputs
from .outputs_3d import ENDINGS, with_arrays

MEDIA_TYPES = {
    ".png": "image/png",
    ".exr": "image/x-exr",
    ".tiff": "image/tiff",
    ".npz": "application/zip",
    ".npy": "application/octet-stream",
    ".jpg": "image/jpeg",
    ".ply": "application/octet-stream",
    ".glb": "model/gltf-binary",
    ".html": "text/html; charset=utf-8",
    ".zip": "application/zip",
}
"""By the ending of the answer's file name."""


@dataclass(frozen=True)
class Answer:
    """What a client gets: a file with its name, and what its numbers are."""

    name: str
    data: bytes
    about: dict

    @property
    def media_type(self) -> str:
        """Of the file."""
        return MEDIA_TYPES[Path(self.name).suffix]

    @property
    def headers(self) -> dict[str, str]:
        """What the numbers are, in plain words and as the JSON that `read_depth` knows; pictures open in a browser."""
        place = "inline" if self.media_type in ("image/png", "image/jpeg") else "attachment"
        name = f'filename="{self.name}"' if self.name.isascii() else f"filename*=UTF-8''{quote(self.name)}"
        headers = {
            "Content-Disposition": f"{place}; {name}",
            "AnyDepth-Kind": self.about["kind"],
            "AnyDepth-Unit": self.about["unit"] or "none",
        }
        headers |= {
            f"AnyDepth-{key.title()}": repr(self.about[key]) for key in ("scale", "offset") if key in self.about
        }
        return headers | {"AnyDepth-Metadata": json.dumps(self.about)}


def make_answer(depth: DepthMap, image: Image.Image, stem: str, options: OutputOptions) -> Answer:
    """
    Writes a map as `anydepth predict` does.

    Args:
        stem: of the file names.
        options: with several formats, or `colmap`, which is several files, the answer is a zip archive.

    Raises:
        ImportError: a format that needs a package which is missing.
        OSError: no space for temporary files.
        ValueError: a three-dimensional format of a map without unit or camera.
    """
    formats = list(dict.fromkeys(options.formats))
    several = len(formats) > 1 or "colmap" in formats
    if several:
        formats = with_arrays(formats)
    with tempfile.TemporaryDirectory(prefix="anydepth-serve-") as folder:
        paths = output_paths(Path(folder), stem, depth.kind, formats)
        write_outputs(depth, image, paths, options)
        if several:
            return Answer(f"{stem}.zip", _archive(Path(folder)), about(depth, formats[0], None))
        path = paths[formats[0]]
        data = path.read_bytes()
    return Answer(path.name, data, about(depth, formats[0], data))


def about(depth: DepthMap, format: str, data: bytes | None) -> dict:
    """
    What the numbers of a file are. `value = scale * stored + offset` where both are there: in files of floats, and in
    16-bit PNG; for a picture, a page or several files there is no one scale.
    """
    if data is not None and data.startswith(b"\x89PNG"):
        metadata = json.loads(PngImagePlugin.PngImageFile(io.BytesIO(data)).info[KEY])
    else:
        metadata = (depth.to_depth() if format in ENDINGS else depth).metadata()
    if data is None or format not in MAPS or format == "jpeg":
        metadata = {key: value for key, value in metadata.items() if key not in ("scale", "offset")}
    return metadata


def _archive(folder: Path) -> bytes:
    """A zip of a folder, not compressed: what is in it is, or does not get smaller."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                archive.write(path, path.relative_to(folder).as_posix())
    return buffer.getvalue()
