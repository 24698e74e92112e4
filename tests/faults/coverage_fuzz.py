"""Feeds the readers of `fuzz.py` files that atheris grows towards code that no file has reached yet.

    pip install atheris
    python -m tests.faults.coverage_fuzz checkpoint --runs 100000

The process ends at the first failure and leaves the file as `crash-*` in the folder `--keep`.
"""

import argparse
import logging
import sys
import tempfile
from pathlib import Path

import atheris

from anydepth_cli.parser import Parser, number

READERS = ["anydepth_hf", "conversion", "training", "PIL", "zipfile", "tifffile"]
"""Packages whose code is watched."""

with atheris.instrument_imports(include=READERS):
    from tests.faults.fuzz import TARGETS, import_reader


def main(argv: list[str] | None = None) -> None:
    """Runs until a file fails, or so many have been read or refused."""
    parser = Parser(prog="coverage_fuzz.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--runs", type=number(minimum=1), default=10_000)
    parser.add_argument("--seed", type=number(minimum=1), default=1)
    parser.add_argument("--keep", type=Path, default=Path("fuzz-failures"), help="folder for a file that failed")
    arguments = parser.parse_args(argv)
    target = TARGETS[arguments.target]
    with atheris.instrument_imports(include=READERS):
        import_reader(target)
    logging.disable()  # tifffile says much about damaged files
    refusals, seeds = target.refusals(), target.seeds()
    arguments.keep.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        corpus = Path(folder, "corpus")
        corpus.mkdir()
        # the first byte says which of the names the file has, since readers go by it
        for index, (_, data) in enumerate(seeds):
            (corpus / str(index)).write_bytes(bytes([index]) + data)

        def read(data: bytes) -> None:
            if not data:
                return
            path = Path(folder, seeds[data[0] % len(seeds)][0])
            path.write_bytes(data[1:])
            try:
                target.read(path)
            except refusals as error:
                if not str(error).strip():
                    raise RuntimeError(f"an empty {type(error).__name__}") from error

        # a small file may hold all the pixels that are read at all: six seconds, and several times as many here
        longest = 2 * max(len(data) for _, data in seeds)
        options = [f"-atheris_runs={arguments.runs}", f"-max_len={longest}", "-timeout=120", "-rss_limit_mb=6144"]
        options += [f"-seed={arguments.seed}", f"-artifact_prefix={arguments.keep}/"]
        atheris.Setup([sys.argv[0], *options, str(corpus)], read)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
