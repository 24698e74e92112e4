"""Photographs that carry their map: JPEG with GDepth data in extended XMP (developers.google.com/depthmap-metadata).

The map is a 16-bit PNG inside. GDepth's normalised value `n` in [0, 1] is linear in depth ("RangeLinear",
`depth = near + n * (far - near)`) or in disparity ("RangeInverse", `1 / depth = 1 / near - n * (1 / near - 1 / far)`).
GDepth knows no pixels without a value: the highest code, the farthest, is kept for them. It knows no maps without a
unit either: theirs have near 1 and far 2 in `Units="relative"`, so that viewers show the relief, and only the text
under the name `anydepth` gives the numbers back.
"""

import base64
import hashlib
import io
import json
import os
import re
import struct
from html import unescape
from pathlib import Path
from xml.sax.saxutils import quoteattr

import numpy as np
from PIL import Image

from .depth_map import DepthMap, UnknownMeaning, parse_metadata
from .depth_quantization import quantize
from .image_io import as_rgb, open_image
from .visualization import colorize

_XMP = b"http://ns.adobe.com/xap/1.0/\0"
_EXTENSION = b"http://ns.adobe.com/xmp/extension/\0"
_CHUNK = 65000  # an APP1 segment has at most 65533 bytes, its headers included
_TOP = 65535


def write_jpeg(path: Path, depth: DepthMap, photo: Image.Image | None = None, **_):
    """Writes the photograph, or the map in colours, with the map inside."""
    quantized = quantize(depth.values, depth.valid)
    disparity = depth.kind == "disparity"
    # in our files code 0 is no value and 1..65535 grow with the value; here 0..65534 grow with the distance
    codes = np.where(depth.valid, _TOP - quantized.codes if disparity else quantized.codes - 1, _TOP)
    scale = -quantized.scale if disparity else quantized.scale
    offset = quantized.offset + (_TOP * quantized.scale if disparity else quantized.scale)
    near, far = (offset + scale * code for code in (0, _TOP))
    if disparity:
        near, far = (1 / max(value, 1e-6) for value in (near, far))
    if not depth.is_metric:
        near, far = 1.0, 2.0
    metadata = depth.metadata(scale, offset, step=quantized.scale, invalid=_TOP)
    png = io.BytesIO()
    Image.fromarray(codes.astype(np.uint16)).save(png, "PNG", compress_level=1)
    extension = _packet(f'GDepth:Data="{base64.b64encode(png.getvalue()).decode()}"')
    digest = hashlib.md5(extension, usedforsecurity=False).hexdigest().upper()  # the name that XMP wants
    properties = {
        "GDepth:Format": "RangeInverse" if disparity else "RangeLinear",
        "GDepth:Near": repr(near),
        "GDepth:Far": repr(far),
        "GDepth:Mime": "image/png",
        "GDepth:Units": "m" if depth.is_metric else "relative",
        "GDepth:MeasureType": "OpticalAxis",
        "GDepth:Software": metadata["generator"],
        "anydepth:Meta": json.dumps(metadata),
        "xmpNote:HasExtendedXMP": digest,
    }
    main = _packet("\n".join(f"{name}={quoteattr(value)}" for name, value in properties.items()))
    parts = [_segment(_XMP + main)]
    for start in range(0, len(extension), _CHUNK):
        header = digest.encode() + struct.pack(">II", len(extension), start)
        parts.append(_segment(_EXTENSION + header + extension[start : start + _CHUNK]))
    picture = as_rgb(photo) if photo else colorize(depth.values, depth.kind, depth.valid)
    jpeg = io.BytesIO()
    picture.save(jpeg, "JPEG", quality=95, subsampling=0)
    data = jpeg.getvalue()
    # behind the start of the image and the JFIF segment, which has to be the first
    start = 4 + int.from_bytes(data[4:6], "big") if data[2:4] == b"\xff\xe0" else 2
    path.write_bytes(data[:start] + b"".join(parts) + data[start:])


def read_jpeg(path: str | os.PathLike) -> DepthMap:
    """Reads the map of a JPEG file with GDepth data, of this package or of a camera; UnknownMeaning without them."""
    text = _read_xmp(Path(path).read_bytes())
    data = _property(text, "GDepth:Data")
    if data is None:
        raise UnknownMeaning(f"{os.fspath(path)} holds no GDepth data")
    image = open_image(base64.b64decode(data), orient=False, name=f"the map in {os.fspath(path)}")
    if (own := _property(text, "anydepth:Meta")) is not None:
        metadata = parse_metadata(path, own)
        codes = np.asarray(image)
        valid = codes != metadata["invalid"]
        values = np.where(valid, codes * np.float64(metadata["scale"]) + metadata["offset"], np.nan)
        return DepthMap.from_metadata(values.astype(np.float32), metadata, valid=valid)
    codes = np.asarray(image if image.mode.startswith("I") else image.convert("L"))
    position = codes / np.float64(_TOP if image.mode.startswith("I") else 255)
    near, far = (float(_property(text, f"GDepth:{name}")) for name in ("Near", "Far"))
    factor = {"m": 1.0, "mm": 1e-3, "cm": 1e-2}.get((_property(text, "GDepth:Units") or "m").lower())
    near, far = (side * (factor or 1) for side in (near, far))
    if _property(text, "GDepth:Format") == "RangeLinear":
        return DepthMap(near + position * (far - near), "depth", factor and "m")
    return DepthMap(1 / near - position * (1 / near - 1 / far), "disparity", factor and "1/m")


def _packet(properties: str) -> bytes:
    return (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<rdf:Description rdf:about="" xmlns:GDepth="http://ns.google.com/photos/1.0/depthmap/" '
        'xmlns:xmpNote="http://ns.adobe.com/xmp/note/" xmlns:anydepth="https://arxiv.org/abs/2601.02760/" '
        f"{properties}/></rdf:RDF></x:xmpmeta>"
    ).encode()


def _segment(payload: bytes) -> bytes:
    return b"\xff\xe1" + struct.pack(">H", len(payload) + 2) + payload


def _read_xmp(data: bytes) -> str:
    """Text of all XMP packets of a JPEG file, extended ones put together."""
    main, parts, position = b"", {}, 2
    while data[position : position + 1] == b"\xff" and data[position + 1] != 0xDA:  # until the pixels start
        (length,) = struct.unpack_from(">H", data, position + 2)
        payload = data[position + 4 : position + 2 + length]
        if data[position + 1] == 0xE1 and payload.startswith(_XMP):
            main += payload[len(_XMP) :]
        elif data[position + 1] == 0xE1 and payload.startswith(_EXTENSION):
            payload = payload[len(_EXTENSION) :]
            _, start = struct.unpack_from(">II", payload, 32)
            parts[start] = payload[40:]
        position += 2 + length
    return (main + b"".join(parts[start] for start in sorted(parts))).decode("utf-8", "replace")


def _property(text: str, name: str) -> str | None:
    """Value of an XMP property, written as an attribute or as an element."""
    # a search, not an XML parser: those can be made to fill the memory by a small file
    match = re.search(rf"""{name}\s*=\s*(?:"([^"]*)"|'([^']*)')|<{name}>([^<]*)</{name}>""", text)
    return unescape(next(group for group in match.groups() if group is not None)) if match else None
