"""The zip archives that `torch.save` writes, checked before torch reads them: whole, unaltered, no bomb.

Mapped into memory, torch takes a tensor's bytes from where its record begins, as many as the pickle says. Of a record
that is compressed or short these would be other bytes than were saved, without a word; and nothing compares checksums.
"""

import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch

LARGEST_RATIO = 100
"""Unpacked to packed size; weights hardly shrink at all."""


class DamagedArchive(ValueError):
    """Why an archive must not be read; a part of a sentence."""


def check_archive(path: Path) -> bool:
    """
    Checks the checksum of every record, and that each holds as many bytes as its tensor needs.

    Returns:
        Whether the archive can be mapped into memory: no record is compressed.

    Raises:
        DamagedArchive, zipfile.BadZipFile: the archive is damaged, or not one that `torch.save` writes.
    """
    with zipfile.ZipFile(path) as archive:
        records = {record.filename: record for record in archive.infolist()}
        if len(records) != len(archive.infolist()):
            raise DamagedArchive("two records have one name")
        if sum(record.file_size for record in records.values()) > LARGEST_RATIO * path.stat().st_size:
            raise DamagedArchive("it would unpack to more than a hundred times its size")
        if broken := archive.testzip():
            raise DamagedArchive(f"the record {broken} does not have the checksum that the file states")
        names = [name for name in records if name.endswith("/data.pkl")]
        if len(names) != 1:
            raise DamagedArchive("it has no data.pkl, so torch.save did not write it")
        folder = names[0].removesuffix("data.pkl")
        with archive.open(names[0]) as file:
            claims = _StorageClaims(file).collect()
    for key, size in claims.items():
        record = records.get(f"{folder}data/{key}")
        if record is None:
            raise DamagedArchive(f"the record {folder}data/{key} is missing")
        if record.file_size < size:
            raise DamagedArchive(f"the record {record.filename} has {record.file_size} bytes of {size}")
    return all(record.compress_type == zipfile.ZIP_STORED for record in records.values())


class _StorageClaims(pickle.Unpickler):
    """Reads only how many bytes each storage is said to have; whatever the pickle names stays inert."""

    def collect(self) -> dict[str, int]:
        self.sizes: dict[str, int] = {}
        self.load()
        return self.sizes

    def find_class(self, module: str, name: str) -> Any:
        return type(name, (_Inert,), {})  # nothing is imported: the name alone counts

    def persistent_load(self, claim: Any) -> Any:
        _, storage, key, _, count = claim
        kind = getattr(torch, storage.__name__)
        itemsize = 1 if kind is torch.UntypedStorage else kind.dtype.itemsize
        self.sizes[key] = max(self.sizes.get(key, 0), count * itemsize)
        return _Inert()


class _Inert:
    """Stands for every object of a pickle and takes whatever is done to it."""

    def __new__(cls, *args, **kwargs):
        return object.__new__(cls)

    def ignore(self, *args, **kwargs):
        pass

    __init__ = __setstate__ = __setitem__ = append = extend = add = update = ignore
