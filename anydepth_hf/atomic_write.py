"""Files and folders that exist whole or not at all, whatever stops the program."""

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LEFTOVERS = ".writing-*"
"""Glob of the temporary names beside a target: what a killed program leaves."""


def temporary_name(path: str | os.PathLike) -> Path:
    """A new hidden name beside `path` with its suffix, short whatever the length of `path`'s own name."""
    path = Path(path)
    return path.with_name(f".writing-{uuid.uuid4().hex[:12]}{path.suffix}")


@contextmanager
def atomic_write(path: str | os.PathLike) -> Iterator[Path]:
    """
    Gives a temporary path in `path`'s folder to write to; at the end it replaces `path`, or is removed on an error.

    The temporary name has `path`'s suffix, for writers that choose the format by it. An existing file is replaced:
    ask before whether it may be.

    Raises:
        OSError: from the rename, or whatever the writer raises; names the target, not the temporary file.
    """
    temporary = temporary_name(path)
    try:
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        if error.filename is not None and Path(os.fsdecode(error.filename)) == temporary:
            error.filename, error.filename2 = os.fspath(path), None
        raise
    finally:
        temporary.unlink(missing_ok=True)


def atomic_write_text(path: str | os.PathLike, text: str) -> None:
    """Writes a text file in UTF-8 so that it exists whole or not at all."""
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


@contextmanager
def atomic_directory(path: str | os.PathLike) -> Iterator[Path]:
    """
    Gives a temporary folder beside `path` to fill; at the end it becomes `path`, or is removed on an error.

    Raises:
        OSError: `path` exists and is no empty folder, or whatever the writer raises.
    """
    temporary = temporary_name(path)
    temporary.mkdir(parents=True)
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


__all__ = ["LEFTOVERS", "atomic_directory", "atomic_write", "atomic_write_text", "temporary_name"]
