"""An argument parser that answers a mistake with one sentence and the nearest right word."""

import argparse
import math
import re
import sys
from collections.abc import Callable
from typing import NoReturn

from .sentences import did_you_mean


class UsageError(ValueError):
    """A mistake on the command line; the message is one sentence."""


class Parser(argparse.ArgumentParser):
    """`argparse.ArgumentParser` that raises [`UsageError`] and takes no abbreviated options."""

    def __init__(self, **kwargs):
        kwargs.setdefault("allow_abbrev", False)
        kwargs.setdefault("formatter_class", HelpFormatter)
        super().__init__(**kwargs)

    def error(self, message: str) -> NoReturn:
        """Raises [`UsageError`] with the nearest right word where there is one."""
        if match := re.match(r"unrecognized arguments: (.*)", message):
            words = match[1].split() or ['""']  # an empty argument
            unknown = next((word for word in words if word.startswith("-")), words[0]).partition("=")[0]
            message = f"unknown option {unknown}{did_you_mean(unknown, self.option_names())}"
        message = re.sub(r"^(--[\w-]+)(?:/--[\w-]+)+:", r"\1:", message.removeprefix("argument "))  # both spellings
        raise UsageError(f"{message} (`{self.prog} --help` lists the options)")

    def parse_known_args(self, args=None, namespace=None):
        """Parses; of `--output-dir` and `--output_dir` both are taken where the parser knows one."""
        args = sys.argv[1:] if args is None else list(args)
        if any("_" in arg.partition("=")[0] for arg in args if arg.startswith("--")):
            known = set(self.option_names())
            args = [_known_spelling(arg, known) for arg in args]
        return super().parse_known_args(args, namespace)

    def option_names(self) -> list[str]:
        """Names of all options, those of groups too."""
        return re.findall(r"(?<![\w-])--?[a-z][\w-]*", self.format_help())


class StepParser(Parser):
    """Parser that refuses unknown options even where `parse_known_args` is called, as for the steps of a program."""

    def parse_known_args(self, args=None, namespace=None):
        """Parses; an unknown option is a mistake."""
        values, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return values, unknown


def _known_spelling(arg: str, known: set[str]) -> str:
    """`--an_option=value` as `--an-option=value`, where only that is known."""
    name, equals, value = arg.partition("=")
    hyphened = name.replace("_", "-")
    return f"{hyphened}{equals}{value}" if name not in known and hyphened in known else arg


class HelpFormatter(argparse.ArgumentDefaultsHelpFormatter):
    """Shows defaults except where there is none to speak of."""

    def _get_help_string(self, action):
        if action.default in (None, False, argparse.SUPPRESS, []) or "default" in (action.help or ""):
            return action.help
        if isinstance(action.default, list):
            return f"{action.help} (default: {' '.join(map(str, action.default))})"
        return super()._get_help_string(action)


def number(kind: type = int, minimum: float = -math.inf, above: float = -math.inf, maximum: float = math.inf):
    """A `type=` for finite numbers: at least `minimum`, more than `above`, at most `maximum`."""
    bounds = {"at least": minimum, "more than": above, "at most": maximum}
    limits = " and ".join(f"{words} {bound}" for words, bound in bounds.items() if math.isfinite(bound))
    wanted = f"{'a whole number' if kind is int else 'a number'} {limits}".rstrip()

    def parse(text: str):
        try:
            value = kind(text)
        except ValueError:
            value = math.nan
        if not (minimum <= value <= maximum and above < value < math.inf):
            raise argparse.ArgumentTypeError(f"must be {wanted}, got {text}")
        return value

    return parse


def one_of(*names: str) -> Callable[[str], str]:
    """A `type=` for one word of several, which suggests the nearest; the help should list them."""

    def parse(text: str) -> str:
        if text not in names:
            hint = did_you_mean(text, names) or f"; choose from {', '.join(names)}"
            raise argparse.ArgumentTypeError(f"unknown value {text}{hint}")
        return text

    return parse
