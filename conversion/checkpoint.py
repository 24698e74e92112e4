"""Reading checkpoints without trusting them."""

import pickle
import re
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from .formats.renaming import ConversionError, StateDict

# Components that wrappers (DDP, torch.compile, FSDP, activation checkpointing) put into names.
WRAPPERS = re.compile(r"(?<![^.])(?:module|_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")

LARGEST_RATIO = 100
"""Unpacked to packed size of a file; weights hardly shrink at all."""


def load_state_dict(path: str | Path) -> StateDict:
    """
    Tensors of a safetensors file or a PyTorch file (told apart by content), as one flat dictionary.

    Nested dictionaries are flattened (`{"model": {"a": ...}}` gives `model.a`), what is no tensor is left out, and
    wrappers' components are removed from names. A pickle loads only if it holds nothing but tensors and plain values.

    Raises:
        ConversionError: no such file, neither format, truncated, or a pickle that wants to run code.
    """
    path = Path(path)
    if not path.is_file():
        kind = "is a directory; give the weights file in it" if path.is_dir() else "does not exist"
        raise ConversionError(f"{path} {kind}.")
    with path.open("rb") as file:
        start = file.read(9)
    try:
        if start[8:9] == b"{":
            checkpoint = load_file(path)
        elif start[:2] == b"PK" or start[:1] == b"\x80":
            checkpoint = load_pickle(path, is_zip=start[:2] == b"PK")
        else:
            raise ConversionError(f"{path} is neither a safetensors nor a PyTorch checkpoint.")
    except ConversionError:
        raise
    except DamagedArchive as error:
        raise ConversionError(f"{path} is damaged: {error}; get it again.") from None
    # a corrupt pickle raises whatever its bytes happen to mean
    except Exception as error:
        text = str(error)
        refusal = re.search(
            r"[Uu]nsupported (?:GLOBAL|global: GLOBAL|class) ([\w.]+)|Unsupported operand|allowlisted", text
        )
        if isinstance(error, pickle.UnpicklingError) and refusal:
            raise ConversionError(
                f"{path} holds more than tensors (it asks for {refusal[1] or 'code'}) and is refused, because loading "
                "it could run code; have its author save the state dict alone."
            ) from None
        # torch's own message begins with advice to load it unsafely
        reason = text.split("WeightsUnpickler error:")[-1].strip().split("\n")[0].split(". ")[0].removesuffix(".")
        raise ConversionError(f"{path} cannot be read; is it complete? ({reason})") from None
    state_dict = {WRAPPERS.sub("", name): tensor for name, tensor in flatten(checkpoint) if name}
    if not state_dict:
        raise ConversionError(f"{path} holds no tensors.")
    return state_dict


def load_pickle(path: Path, is_zip: bool) -> Any:
    with warnings.catch_warnings():
        # about protocols other than torch's, which it then refuses
        warnings.simplefilter("ignore", UserWarning)
        # plain pickles of old PyTorch versions cannot be mapped; torch reads by name what is called .safetensors
        if is_zip and check_archive(path) and path.suffix != ".safetensors":
            return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        with path.open("rb") as file:
            return torch.load(file, map_location="cpu", weights_only=True)


def flatten(values: Any, prefix: str = "") -> Iterator[tuple[str, torch.Tensor]]:
    if isinstance(values, torch.Tensor):
        yield prefix.removesuffix("."), values
    elif isinstance(values, Mapping):
        for key, value in values.items():
            yield from flatten(value, f"{prefix}{key}.")


class DamagedArchive(ValueError):
    """Why an archive must not be read; a part of a sentence."""


def check_archive(path: Path) -> bool:
    """
    Checks a zip archive of `torch.save` before torch reads it: whole, unaltered, no bomb.

    Mapped into memory, torch takes a tensor's bytes from where its record begins, as many as the pickle says. Of a
    record that is compressed or short these would be other bytes than were saved, without a word; and nothing compares
    checksums.

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
