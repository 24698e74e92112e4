"""Files and folders that exist whole or not at all, whatever stops the program."""

import errno
import json
import os
import platform
import re
import shutil
import time
import uuid
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

LEFTOVERS = ".writing-*"
"""Glob of the temporary names beside a target: what a killed program leaves."""

DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Of an `OSError`: no space left, a quota is used up, a file has become too large."""

_HOST = f"{zlib.crc32(platform.node().encode()):08x}"
_TEMPORARY = re.compile(r"\.writing-([0-9a-f]{8})-(\d+)-[0-9a-f]{8}(?!\w)")
_STALE_SECONDS = 3600


def temporary_name(path: str | os.PathLike) -> Path:
    """A new hidden name beside `path` with its suffix, short whatever the length of `path`'s own name."""
    path = Path(path)
    suffix = path.suffix if len(path.suffix) <= 32 else ""
    return path.with_name(f".writing-{_HOST}-{os.getpid()}-{uuid.uuid4().hex[:8]}{suffix}")


def shared_temporary_name(path: str | os.PathLike) -> Path:
    """The hidden name beside `path` for what several processes write together: the same in each of them."""
    return Path(path).with_name(f".writing-{Path(path).name}")


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
        move(temporary, path)
    except OSError as error:
        unnamed = error.filename is None and error.errno in DISK_FULL  # as from writing to an open file
        if unnamed or (error.filename is not None and Path(os.fsdecode(error.filename)) == temporary):
            error.filename, error.filename2 = os.fspath(path), None
        raise
    finally:
        temporary.unlink(missing_ok=True)


def atomic_write_text(path: str | os.PathLike, text: str) -> None:
    """Writes a text file in UTF-8 so that it exists whole or not at all."""
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def atomic_write_json(path: str | os.PathLike, value: Any) -> None:
    """Writes a value as indented JSON that exists whole or not at all; the folder it lies in is made."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    atomic_write_text(path, json.dumps(value, indent=1, ensure_ascii=False) + "\n")


@contextmanager
def atomic_directory(path: str | os.PathLike, replace: bool = False) -> Iterator[Path]:
    """
    Gives a temporary folder beside `path` to fill; at the end it becomes `path`, or is removed on an error.

    Args:
        path: the folder; its parents are made.
        replace: take the place of a folder that exists. It stays under `replaced_name(path)` until the new one is
            in its place, and comes back at the next call if the program was killed in between.

    Raises:
        OSError: `path` exists and is no empty folder, or whatever the writer raises.
    """
    path = Path(path)
    recover_directory(path)
    remove_leftovers(path.parent)
    with temporary_directory(path.parent) as temporary:
        yield temporary
        publish_directory(temporary, path, replace)


@contextmanager
def temporary_directory(parent: str | os.PathLike) -> Iterator[Path]:
    """A new hidden folder in `parent`, on the same disk as what it will be renamed to, removed at the end."""
    temporary = temporary_name(Path(parent) / "folder")
    temporary.mkdir(parents=True)
    try:
        yield temporary
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def move(path: str | os.PathLike, target: str | os.PathLike) -> None:
    """Gives a finished file or folder another name on the same disk; a file of that name is replaced."""
    os.replace(path, target)


def publish_files(temporary: Path, directory: Path, last: str) -> None:
    """Moves finished files into a folder, the one called `last` at the end: where it is, all are."""
    _flush_to_disk(temporary)
    for path in sorted(temporary.iterdir(), key=lambda path: path.name == last):
        move(path, directory / path.name)


def publish_directory(temporary: Path, path: Path, replace: bool = False) -> None:
    """
    Forces a finished folder to the disk and gives it its name; with `replace`, in the place of what exists there.

    Raises:
        OSError: `path` exists and may not be replaced; it is as it was.
    """
    _flush_to_disk(temporary)
    if not (replace and path.exists()):
        move(temporary, path)
        return
    old = replaced_name(path)
    move(path, old)
    try:
        move(temporary, path)
    except OSError:
        move(old, path)
        raise
    if old.is_dir():
        shutil.rmtree(old, ignore_errors=True)
    else:
        old.unlink()


def replaced_name(path: Path) -> Path:
    """Where a folder that is being replaced lies for the moment between two renames: in plain sight beside it."""
    return path.with_name(f"{path.name}.before-overwrite")


def recover_directory(path: Path) -> bool:
    """Puts a folder back that a killed program had moved aside and not yet replaced; says whether there was one."""
    old = replaced_name(path)
    if not old.is_dir():
        return False
    if path.exists():  # the new one was in its place already
        shutil.rmtree(old, ignore_errors=True)
        return False
    move(old, path)
    return True


def remove_directory(path: Path) -> None:
    """Removes a folder, out of sight first: half-deleted it must not look complete."""
    trash = temporary_name(path)
    move(path, trash)
    shutil.rmtree(trash, ignore_errors=True)


def remove_leftovers(folder: str | os.PathLike) -> None:
    """Removes what killed programs left half-written in a folder; what a running one is writing stays."""
    for path in Path(folder).glob(LEFTOVERS):
        with suppress(OSError):  # gone already, or not ours to remove
            if _is_abandoned(path):
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def _is_abandoned(path: Path) -> bool:
    """Whether nobody writes it any more: its process on this machine is gone, or it has not changed for an hour."""
    name = _TEMPORARY.match(path.name)
    if name is None:  # somebody else's file
        return False
    host, process = name[1], int(name[2])
    if host == _HOST and process != os.getpid():
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return True
        except (PermissionError, OverflowError):
            pass
    return time.time() - path.stat().st_mtime > _STALE_SECONDS


def _flush_to_disk(directory: Path) -> None:
    """Fsync of every file and folder: a rename must not reach the disk before what it names."""
    for path in [*directory.rglob("*"), directory]:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
