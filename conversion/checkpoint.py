"""Reading checkpoints without trusting them."""

import pickle
import re
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from .formats.renaming import ConversionError, StateDict
from .torch_archive import DamagedArchive, check_archive

# Components that wrappers (DDP, torch.compile, FSDP, activation checkpointing) put into names.
WRAPPERS = re.compile(r"(?<![^.])(?:module|_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")


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
