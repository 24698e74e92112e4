"""How original checkpoints name and shape their tensors: renaming tables, and encoders and heads under any prefix."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from .settings import Settings

StateDict = dict[str, torch.Tensor]


class ConversionError(ValueError):
    """A checkpoint or an option that cannot be converted; the message is one sentence for the user."""


class RenamingTable:
    """
    Names of modules in a checkpoint and in this package.

    Args:
        pairs: (original, ours). A name stands for everything below it (`norm` for `norm.weight`), `#` for a number.
            Several of ours for one original are equal parts of its first dimension, in order.
    """

    def __init__(self, *pairs: tuple[str, str | tuple[str, ...]]):
        self.pairs = [(original, (ours,) if isinstance(ours, str) else ours) for original, ours in pairs]

    @staticmethod
    def rename(name: str, source: str, target: str) -> str | None:
        match = re.fullmatch(re.escape(source).replace(r"\#", r"(\d+)") + r"(\..+)?", name)
        if match is None:
            return None
        *numbers, rest = match.groups(default="")
        for number in numbers:
            target = target.replace("#", number, 1)
        return target + rest

    def convert(self, state_dict: Mapping[str, torch.Tensor]) -> StateDict:
        """The same values under our names; names that no pair covers pass through."""
        converted = {}
        for name, tensor in state_dict.items():
            for original, ours in self.pairs:
                renamed = [self.rename(name, original, part) for part in ours]
                if renamed[0] is not None:
                    # parts are copied: views of one tensor could not be saved
                    chunks = [tensor] if len(ours) == 1 else [part.clone() for part in tensor.chunk(len(ours))]
                    converted.update(zip(renamed, chunks, strict=True))
                    break
            else:
                converted[name] = tensor
        return converted

    def original(self, name: str) -> str:
        """The checkpoint's name of one of ours, for messages."""
        for original, ours in self.pairs:
            for part in ours:
                renamed = self.rename(name, part, original)
                if renamed is not None:
                    return renamed
        return name


@dataclass
class Part:
    """
    An encoder or a head, read from a checkpoint.

    Args:
        state_dict: its tensors under the names they have in our module.
        backbone_config: an encoder's configuration, `model_type` included; see `encoder_config`.
        fields: fields of [`AnyDepthConfig`] that this part decides.
        processor: fields of [`AnyDepthImageProcessor`] that this part decides.
        notes: what was dropped or assumed, each a sentence.
        original_name: our name of a tensor -> the checkpoint's, for messages; filled in by `read_part`.
    """

    state_dict: StateDict
    backbone_config: dict[str, Any] = field(default_factory=dict)
    fields: dict[str, Any] = field(default_factory=dict)
    processor: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    original_name: Callable[[str], str] = str


@dataclass(frozen=True)
class CheckpointFormat:
    """
    One kind of encoder or head as original code names it.

    Args:
        label: what to call it in messages.
        source: the `--source` that reads it.
        keys: names that it always has, relative to its prefix.
        read: (tensors without the prefix, settings) -> [`Part`].
        names: table for the names in messages.
        absent: names that it never has.
        head_type: of a head.
    """

    label: str
    source: str
    keys: tuple[str, ...]
    read: Callable[[StateDict, "Settings"], Part]
    names: RenamingTable = RenamingTable()
    absent: tuple[str, ...] = ()
    head_type: str = ""

    def prefixes(self, state_dict: StateDict) -> list[str]:
        """Every prefix under which `state_dict` has this format."""
        first = self.keys[0]
        candidates = [name.removesuffix(first) for name in state_dict if name.endswith(first)]
        return [
            prefix
            for prefix in candidates
            if (not prefix or prefix.endswith("."))
            and all(prefix + key in state_dict for key in self.keys)
            and not any(prefix + key in state_dict for key in self.absent)
        ]


def select_prefix(state_dict: Mapping[str, torch.Tensor], prefix: str) -> StateDict:
    """The tensors whose names begin with `prefix`, without it."""
    return {name[len(prefix) :]: tensor for name, tensor in state_dict.items() if name.startswith(prefix)}


def count_blocks(state_dict: StateDict, name: str = "blocks") -> int:
    """Number of blocks `name.0`, `name.1`, ..."""
    return 1 + max(int(match[1]) for key in state_dict if (match := re.match(rf"{re.escape(name)}\.(\d+)\.", key)))


def describe_keys(names: list[str], limit: int = 4) -> str:
    """A few names and the number of the others."""
    shown = ", ".join(names[:limit])
    return f"{shown} and {len(names) - limit} more" if len(names) > limit else shown
