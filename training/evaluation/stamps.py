"""Whether files are still those that a result was computed from: by path, size and time of change."""

import hashlib
import os
from collections.abc import Iterable


def stamp(paths: Iterable[str | os.PathLike]) -> str:
    """A short digest that changes when a file does, or is replaced, added or removed; empty without files."""
    digest, empty = hashlib.sha256(), True
    for path in paths:
        empty = False
        try:
            status = os.stat(path)
            line = f"{os.fspath(path)} {status.st_size} {status.st_mtime_ns}\n"
        except OSError:
            line = f"{os.fspath(path)} absent\n"
        digest.update(line.encode(errors="surrogateescape"))
    return "" if empty else digest.hexdigest()[:16]
