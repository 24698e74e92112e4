"""Options as a dataclass: one schema, types and ranges beside each option, for YAML files and the command line."""

import dataclasses
import math
import types
import typing
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Union

from anydepth_cli.sentences import did_you_mean


@dataclass(frozen=True)
class Range:
    """Bounds of a number, as `Annotated[int, Range(minimum=1)]`; of a list, those of each number in it."""

    minimum: float = -math.inf
    above: float = -math.inf
    maximum: float = math.inf
    below: float = math.inf

    def __contains__(self, value: float) -> bool:
        return self.minimum <= value <= self.maximum and self.above < value < self.below

    def __str__(self) -> str:
        words = {"at least": self.minimum, "more than": self.above, "at most": self.maximum, "less than": self.below}
        return " and ".join(f"{word} {bound:g}" for word, bound in words.items() if math.isfinite(bound))


AT_LEAST_0 = Range(minimum=0)
AT_LEAST_1 = Range(minimum=1)
POSITIVE = Range(above=0)
SHARE = Range(minimum=0, maximum=1)


def checked(options: Any, prefix: str = "--") -> None:
    """
    Checks every field of a dataclass against its annotation, and puts strings that stand for numbers in order (YAML
    reads `2e-3` as text). Call it in `__post_init__`.

    Raises:
        ValueError: a value of another type, out of its range or none of the choices; names the option.
    """
    kinds = typing.get_type_hints(type(options), include_extras=True)
    for item in dataclasses.fields(options):
        value = checked_value(f"{prefix}{item.name}", getattr(options, item.name), kinds[item.name])
        setattr(options, item.name, value)


def checked_value(name: str, value: Any, kind: Any) -> Any:
    """`value` as an option of type `kind`, e.g. `Annotated[float, Range(above=0)] | None`. Raises `ValueError`."""
    try:
        return _fit(value, kind)
    except (ValueError, TypeError, OverflowError):
        raise ValueError(f"{name} must be {_described(kind)}, not {_shown(value)}") from None


def check_names(names: typing.Iterable[str], options: type, source: str) -> None:
    """Raises ValueError for a name that is no field of the dataclass `options`, and says the nearest."""
    known = [item.name for item in dataclasses.fields(options)]
    for name in names:
        if name not in known:
            raise ValueError(f"{source}: unknown option {name!r}{did_you_mean(str(name), known)}")


def _fit(value: Any, kind: Any) -> Any:
    kind, limits = _without_range(kind)
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        for kind in _alternatives(arguments, limits):
            try:
                return _fit(value, kind)
            except (ValueError, TypeError):
                continue
        raise ValueError
    if origin is Literal:
        if not any(value is choice or (type(value) is type(choice) and value == choice) for choice in arguments):
            raise ValueError
        return value
    if origin in (list, Sequence):
        if not isinstance(value, list if origin is list else list | tuple):
            raise ValueError
        item = typing.Annotated[arguments[0], limits] if limits else arguments[0]
        return (list if origin is list else tuple)(_fit(each, item) for each in value)
    if kind in (int, float):
        return _number(value, kind, limits)
    if kind is str and isinstance(value, int) and not isinstance(value, bool):
        return str(value)  # a folder called 2024
    if not isinstance(value, kind):
        raise ValueError
    return value


def _alternatives(kinds: tuple, limits: Range | None) -> list[Any]:
    """The types of a union but `None`, each with the union's range where it has none of its own."""
    kinds = [kind for kind in kinds if kind is not type(None)]
    return [typing.Annotated[kind, limits] if limits and _without_range(kind)[1] is None else kind for kind in kinds]


def _number(value: Any, kind: type, limits: Range | None) -> int | float:
    if isinstance(value, str):
        value = kind(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError
    if (kind is int and value != int(value)) or (limits is not None and value not in limits):
        raise ValueError
    return kind(value)


def _without_range(kind: Any) -> tuple[Any, Range | None]:
    if typing.get_origin(kind) is not typing.Annotated:
        return kind, None
    inner, *extras = typing.get_args(kind)
    return inner, next((extra for extra in extras if isinstance(extra, Range)), None)


def _described(kind: Any) -> str:
    """A type for a person: `a whole number, at least 1`."""
    kind, limits = _without_range(kind)
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (Union, types.UnionType):
        return " or ".join(_described(kind) for kind in _alternatives(arguments, limits))
    if origin is Literal:
        return f"one of {', '.join(map(str, arguments))}" if len(arguments) > 1 else repr(arguments[0])
    if origin in (list, Sequence):
        return f"a list, each {_described(typing.Annotated[arguments[0], limits] if limits else arguments[0])}"
    text = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}.get(kind, "of its type")
    return f"{text} {limits}" if limits else text


def _shown(value: Any) -> str:
    text = str(value) if isinstance(value, int | float | str) else repr(value)
    return (text if len(text) <= 60 else text[:57] + "...") or "nothing"
