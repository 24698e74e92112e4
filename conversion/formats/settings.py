"""`--set key=value`: what cannot be read off a checkpoint's tensors."""

import inspect
import types
import typing
from collections.abc import Iterable, Mapping
from typing import Any, Literal, Union

from anydepth_hf import AnyDepthConfig
from anydepth_hf.programs import nearest

from .renaming import ConversionError

# Blocks (0-based) whose outputs the paper's heads read, by depth of the encoder.
DEFAULT_OUT_LAYERS = {12: (2, 5, 8, 11), 24: (4, 11, 17, 23)}


class Settings:
    """
    Fields of the configuration by name, `backbone.X` for fields of the encoder's. Strings are parsed to the field's
    type; other values are taken as they are. `backbone.out_layers` counts blocks from 0, as the papers do.

    Raises:
        ConversionError: no `=`, an unknown field (with the nearest name), or a value of another type.
    """

    def __init__(self, values: Mapping[str, Any] | Iterable[str] = ()):
        if not isinstance(values, Mapping):
            values = dict(self.split(item) for item in values)
        self.backbone = {key.removeprefix("backbone."): values[key] for key in values if key.startswith("backbone.")}
        model = {key: value for key, value in values.items() if not key.startswith("backbone.")}
        self.model = parse_fields(model, field_types(AnyDepthConfig, exclude={"backbone_config"}))

    @staticmethod
    def split(item: str) -> tuple[str, str]:
        key, separator, value = item.partition("=")
        if not separator:
            raise ConversionError(f"--set needs key=value, got {item!r}.")
        return key.strip(), value.strip()

    def backbone_fields(self, config_class: type) -> dict[str, Any]:
        """The encoder's fields as its configuration takes them: `out_layers` become `out_indices`."""
        known = {**field_types(config_class), "out_layers": list[int], "out_indices": list[int]}
        fields = parse_fields(self.backbone, known, prefix="backbone.")
        if "out_layers" in fields:
            fields["out_indices"] = [layer + 1 for layer in fields.pop("out_layers")]
        return fields


def encoder_config(
    config_class: type, settings: Settings, out_layers: Mapping[int, Iterable[int]] = DEFAULT_OUT_LAYERS, **read: Any
) -> dict[str, Any]:
    """
    An encoder's configuration from what was read off its tensors, completed and overruled by the settings.

    Args:
        out_layers: exported blocks (0-based) by number of blocks, for when they are not set.
        read: fields; `hidden_size` and `num_hidden_layers` at least. Heads are 64 wide unless given.

    Raises:
        ConversionError: the number of heads or the levels can neither be read nor assumed.
    """
    fields = {"model_type": config_class.model_type, **read, **settings.backbone_fields(config_class)}
    if "num_attention_heads" not in fields:
        if fields["hidden_size"] % 64:
            raise ConversionError(
                f"The number of attention heads cannot be read off the weights (width {fields['hidden_size']}); "
                "give it with --set backbone.num_attention_heads=N."
            )
        fields["num_attention_heads"] = fields["hidden_size"] // 64
    if fields["num_attention_heads"] < 1 or fields["hidden_size"] % fields["num_attention_heads"]:
        raise ConversionError(
            f"backbone.num_attention_heads={fields['num_attention_heads']} does not divide the encoder's width, "
            f"{fields['hidden_size']}."
        )
    if "out_indices" not in fields:
        if fields["num_hidden_layers"] not in out_layers:
            raise ConversionError(
                f"Which of the encoder's {fields['num_hidden_layers']} blocks the head reads cannot be read off the "
                "weights; give four, counted from 0, with --set backbone.out_layers=A,B,C,D."
            )
        fields["out_indices"] = [layer + 1 for layer in out_layers[fields["num_hidden_layers"]]]
    layers = [index - 1 for index in fields["out_indices"]]
    if len(layers) != 4 or min(layers) < 0 or max(layers) >= fields["num_hidden_layers"]:
        raise ConversionError(
            f"backbone.out_layers={','.join(map(str, layers))} must be four of the encoder's blocks, 0 to "
            f"{fields['num_hidden_layers'] - 1}."
        )
    return fields


def field_types(config_class: type, exclude: Iterable[str] = ()) -> dict[str, Any]:
    """Types of the fields that a configuration class itself declares."""
    own = inspect.get_annotations(config_class, eval_str=True)
    return {name: kind for name, kind in own.items() if not name.startswith("_") and name not in exclude}


def parse_fields(values: Mapping[str, Any], types_by_name: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    parsed = {}
    for name, value in values.items():
        if name not in types_by_name:
            raise ConversionError(f"--set {prefix}{name}: no such field; {suggest(name, types_by_name, prefix)}")
        kind = types_by_name[name]
        try:
            parsed[name] = parse_value(value, kind) if isinstance(value, str) else value
        except ValueError:
            raise ConversionError(f"--set {prefix}{name}={value}: expected {describe_type(kind)}.") from None
    return parsed


def suggest(name: str, known: Iterable[str], prefix: str) -> str:
    close = nearest(name, known)
    if close:
        return f"did you mean `{prefix}{close}`?"
    if not prefix:
        encoder = ("out_layers", "num_attention_heads", "num_hidden_layers", "patch_size", "image_size", "alt_start")
        close = nearest(name, encoder)
        if close:
            return f"fields of the encoder begin with `backbone.`: did you mean `backbone.{close}`?"
    return f"known are {', '.join(prefix + field for field in sorted(known))}."


def parse_value(text: str, kind: Any) -> Any:
    """`text` as a value of type `kind`. Raises ValueError."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (Union, types.UnionType):
        if type(None) in arguments and text.lower() in ("none", "null"):
            return None
        # int before float: "1" should stay an integer where both are allowed; str takes anything, so last
        for option in sorted((a for a in arguments if a is not type(None)), key=_parse_order):
            try:
                return parse_value(text, option)
            except ValueError:
                continue
        raise ValueError(text)
    if origin is Literal:
        if text not in arguments:
            raise ValueError(text)
        return text
    if origin in (list, tuple):
        items = [item.strip() for item in text.strip("[]() ").split(",") if item.strip()]
        return [parse_value(item, arguments[0]) for item in items]
    if kind is bool:
        if text.lower() not in ("true", "false", "yes", "no", "1", "0"):
            raise ValueError(text)
        return text.lower() in ("true", "yes", "1")
    if kind in (int, float, str):
        return kind(text)
    raise ValueError(text)


def _parse_order(kind: Any) -> int:
    order = [bool, int, float, list, tuple]
    origin = typing.get_origin(kind) or kind
    return order.index(origin) if origin in order else len(order)


def describe_type(kind: Any) -> str:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (Union, types.UnionType):
        return " or ".join(describe_type(argument) for argument in arguments)
    if origin is Literal:
        return " or ".join(repr(argument) for argument in arguments)
    if origin in (list, tuple):
        return "values separated by commas"
    names = {int: "an integer", float: "a number", bool: "true or false", str: "text", type(None): "none"}
    return names.get(kind, str(kind))
