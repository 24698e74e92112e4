"""Which files are videos. Needs nothing but the standard library."""

import os
from pathlib import Path

VIDEO_SUFFIXES = frozenset(
    ".3gp .asf .avi .flv .m2ts .m4v .mkv .mov .mp4 .mpeg .mpg .mts .ogv .ts .vob .webm .wmv".split()
)
"""File name endings, in lower case, by which folders are searched. A file that is named goes by its content too."""

_STILL_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1", b"heif", b"avif", b"avis")
_STARTS = (
    b"\x1aE\xdf\xa3",  # Matroska, WebM
    b"FLV\x01",
    b"0&\xb2u\x8ef\xcf\x11",  # ASF
    b"\x00\x00\x01\xba",  # MPEG program stream
    b"OggS",
)


def is_video(path: str | os.PathLike) -> bool:
    """Whether a file is a video: by its first bytes, and where they say nothing by its ending."""
    try:
        with open(path, "rb") as file:
            start = file.read(189)
    except OSError:
        start = b""
    if start[4:8] == b"ftyp":
        return start[8:12] not in _STILL_BRANDS
    if start.startswith(_STARTS) or (start[:4] == b"RIFF" and start[8:12] == b"AVI "):
        return True
    if start[:1] == start[188:] == b"G":  # MPEG transport stream: packets of 188 bytes
        return True
    suffix = Path(path).suffix.lower()
    return suffix in VIDEO_SUFFIXES and suffix not in (".ts", ".mts")  # TypeScript
