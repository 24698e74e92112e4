"""What programs share with the `anydepth` command: how they answer mistakes; and those with options in a dataclass."""

from collections.abc import Callable
from typing import Any

from transformers import HfArgumentParser

from anydepth_cli.mistakes import Mistakes
from anydepth_cli.parser import Parser, StepParser, number
from anydepth_cli.sentences import first_line, nearest, one_line


class DataclassParser(StepParser, HfArgumentParser):
    """`HfArgumentParser` that answers mistakes as `anydepth` does; every option is `--with_underscores` or hyphens."""


def run_program(
    prog: str, options: type, run: Callable[[Any], None], argv: list[str] | None = None, description: str | None = None
) -> int:
    """
    Parses a command line, by default the process's own, into the dataclass `options`, and calls `run` with it.

    Returns:
        The exit status: 0, 2 after a mistake (one sentence that begins with `prog`), 130 after Ctrl-C.
    """
    with Mistakes(prog) as ending:
        parser = DataclassParser(dataclass_types=options, prog=prog, description=description)
        (values,) = parser.parse_args_into_dataclasses(argv, look_for_args_file=False)
        run(values)
    return ending.status


__all__ = [
    "DataclassParser",
    "Mistakes",
    "Parser",
    "StepParser",
    "first_line",
    "nearest",
    "number",
    "one_line",
    "run_program",
]
