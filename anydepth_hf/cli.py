"""The `anydepth` command."""

import argparse
import importlib
import os
import sys

COMMANDS = {
    "predict": "disparity or depth maps of images and folders",
    "benchmark": "parameters, FLOPs, latency and memory of models",
}


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="anydepth", description="Depth from one image.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    argv = sys.argv[1:] if argv is None else argv
    for name, description in COMMANDS.items():
        command = commands.add_parser(
            name, help=description, description=f"{description[0].upper()}{description[1:]}."
        )
        if argv[:1] == [name]:
            # torch and transformers take seconds to import: only the command that runs pays for its own
            module = importlib.import_module(f".{name}", __package__)
            module.add_arguments(command)
            command.set_defaults(run=module.run)
    args = parser.parse_args(argv)
    try:
        return args.run(args)
    except (ValueError, OSError, ImportError, RuntimeError) as error:
        if os.environ.get("ANYDEPTH_DEBUG"):
            raise
        print(f"anydepth {args.command}: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
