"""Entry point of the `anydepth` command."""

import argparse
import importlib
import importlib.metadata
import sys

from .mistakes import Mistakes
from .parser import Parser, UsageError
from .sentences import did_you_mean

COMMANDS = {
    "predict": "disparity or depth maps of images, videos and folders",
    "live": "disparity or depth of a webcam, a network camera or a playing file, in the browser",
    "calibrate": "scale and shift that turn a model's predictions into metres, from known distances",
    "serve": "predictions over HTTP, those of several clients together",
    "export": "a model as ONNX, OpenVINO, ExecuTorch or torch.export files, each checked against PyTorch",
    "models": "presets: size, licence, what they predict, and which are on this disk",
    "pull": "a preset's published weights, downloaded and converted to a model of Transformers",
    "demo": "a page in the browser: photographs and videos, metres, 3-D, downloads",
    "benchmark": "parameters, FLOPs, latency and memory of models",
}
"""Every command and what it does: options in the module of that name here, work in that of `anydepth_hf`."""


def main(argv: list[str] | None = None) -> int:
    """Runs one command and returns the exit status: 0, 1 where a part failed, 2 for a mistake, 130 after Ctrl-C."""
    argv = sys.argv[1:] if argv is None else argv
    name = argv[0] if argv and not argv[0].startswith("-") else None
    prog = f"anydepth {name}" if name in COMMANDS else "anydepth"
    with Mistakes(prog) as ending:
        return _run(name, argv)
    return ending.status


def _run(name: str | None, argv: list[str]) -> int:
    if name is None:
        width = max(map(len, COMMANDS))
        listing = "\n".join(f"  {command:{width}}  {text}" for command, text in COMMANDS.items())
        parser = Parser(
            prog="anydepth",
            usage="anydepth COMMAND ...",
            description="Depth from one image.",
            epilog=f"commands:\n{listing}\n\n`anydepth COMMAND --help` lists a command's options.",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        version = importlib.metadata.version("anydepth-hf")
        parser.add_argument("--version", action="version", version=version, help="show the version and exit")
        parser.parse_args(argv)
        raise UsageError(f"give a command: {', '.join(COMMANDS)}")
    if name not in COMMANDS:
        hint = did_you_mean(name, COMMANDS) or f"; the commands are {', '.join(COMMANDS)}"
        raise UsageError(f"unknown command {name}{hint}")
    command = importlib.import_module(f".{name}", __package__)
    description = COMMANDS[name]
    parser = Parser(prog=f"anydepth {name}", description=f"{description[0].upper()}{description[1:]}.")
    command.add_arguments(parser)
    args = parser.parse_intermixed_args(argv[1:])  # intermixed: files may stand before and behind options
    module = command.module(args) if hasattr(command, "module") else name
    return importlib.import_module(f"anydepth_hf.{module}").run(args)
