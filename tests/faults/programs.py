"""The project's programs as processes that start at once, and what each leaves when nothing disturbs it."""

import contextlib
import functools
import json
import multiprocessing
import os
import re
import shutil
import signal
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import forkserver
from pathlib import Path

import numpy as np
from PIL import Image

from tests.training.tiny_run import ROOT, write_pairs

PRELOADED = [
    "anydepth_cli.main", "anydepth_hf.predict", "conversion.convert", "datasets", "pyarrow.parquet",
    "training.evaluate", "training.filter", "training.make_shards",
]  # fmt: skip
REFERENCE = ROOT / "tests" / "reference"


@dataclass(frozen=True)
class Program:
    """
    One program with its arguments.

    Args:
        module: its module, with a `main(argv)`.
        arguments: the command line, for a folder of inputs and the folder to write to.
        prepare: puts into the folder to write to what is there before; by default nothing.
        again: arguments of a run that goes on where another was interrupted.
    """

    module: str
    arguments: Callable[[Path, Path], list]
    prepare: Callable[[Path], None] | None = None
    again: tuple[str, ...] = ()


def _convert_before(output: Path) -> None:
    """A model that the conversion will replace."""
    from conversion.converter import convert

    convert("anydepth", REFERENCE / "anydepth_dinov3.pth", output / "model", ["min_depth=0.5"])


PROGRAMS = {
    "predict": Program(
        "anydepth_cli.main",
        lambda inputs, output: ["predict", inputs / "data/rgb", "--output-dir", output, "--size", 56, "--device",
                                "cpu", "--format", "png", "npy"],
    ),
    "evaluate": Program(
        "training.evaluate",
        lambda inputs, output: ["--predictions", "image-free-prior", "--rgb_dir", inputs / "data/rgb", "--depth_dir",
                                inputs / "data/depth", "--output_dir", output, "--device", "cpu", "--num_workers", 0],
        again=("--overwrite",),
    ),
    "filter": Program(
        "training.filter",
        lambda inputs, output: ["score", pairs(inputs), "--output", output, "--batch", 2, "--num-workers", 0],
    ),
    "make_shards": Program(
        "training.make_shards",
        lambda inputs, output: [pairs(inputs), "--output", output, "--shard-size", 2, "--num-workers", 0],
    ),
    "convert": Program(
        "conversion.convert",
        lambda inputs, output: ["--source", "anydepth", "--checkpoint", REFERENCE / "anydepth_dinov3_norm.pth",
                                "--output", output / "model", "--overwrite"],
        _convert_before,
    ),
}  # fmt: skip


def pairs(inputs: Path) -> str:
    return f"pairs,root={inputs / 'data'},rgb_dir=rgb,depth_dir=depth"


def make_inputs(folder: Path, count: int = 16) -> None:
    write_pairs(folder / "data", count)


class Process:
    """`main` of a program in a process of its own; what it printed is in `output` after `wait`."""

    def __init__(self, program: Program, inputs: Path, output: Path, *more: str, setup: Callable | None = None):
        handle, name = tempfile.mkstemp(suffix=".log")
        os.close(handle)
        self.log, self.output = Path(name), ""
        argv = [str(argument) for argument in (*program.arguments(inputs, output), *more)]
        self.process = _server().Process(target=_run, args=(program.module, argv, name, setup))
        self.process.start()

    def wait(self, seconds: float = 120) -> int:
        """The exit status; negative for the signal that ended the process."""
        self.process.join(seconds)
        if self.process.is_alive():
            self.process.kill()
            raise AssertionError(f"still running after {seconds} s: {self.log.read_text()}")
        self.output = self.log.read_text(encoding="utf-8", errors="replace")
        self.log.unlink()
        return self.process.exitcode

    def send(self, number: int) -> None:
        if self.process.is_alive():
            with contextlib.suppress(ProcessLookupError):  # it has ended just now
                os.kill(self.process.pid, number)


@functools.cache
def _server():
    """Processes forked from one that has imported everything already."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([*PRELOADED, "training.trainer.loop", "peft"])
    before = dict(os.environ)
    os.environ.update(OMP_NUM_THREADS="1", HF_HUB_OFFLINE="1", CUDA_VISIBLE_DEVICES="", PYTHONPATH=str(ROOT))
    try:
        forkserver.ensure_running()
        first = context.Process(target=int)  # waits for the imports, which are no part of a program's time
        first.start()
        first.join()
    finally:
        os.environ.clear()
        os.environ.update(before)
    return context


def _run(module: str, argv: list[str], log: str, setup: Callable | None) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    descriptor = os.open(log, os.O_WRONLY | os.O_APPEND)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    main = __import__(module, fromlist=["main"]).main
    if setup is not None:
        setup()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # as in a terminal, wherever the tests run
    status = main(argv)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise SystemExit(status)


FRAME = re.compile(r'^  File "(.*)", line \d+, in (.*)$', re.MULTILINE)
EDGES = ("/multiprocessing/", "tests/faults/programs.py", "anydepth_cli/mistakes.py", "/signal.py")


def came_at_the_edge(output: str) -> bool:
    """Whether Ctrl-C came in the moment before the program hears it, or behind its end, where Python shows it."""
    frames = FRAME.findall(output)
    at_edges = all(
        function in ("main", "run_program") or any(edge in file for edge in EDGES) for file, function in frames
    )
    return at_edges and output.endswith("KeyboardInterrupt\n")


def content(folder: Path) -> dict[str, bytes]:
    """What is visible below a folder, by name: bytes, of JSON files those without what differs from run to run."""
    found = {}
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        if path.is_file() and not any(part.startswith(".") for part in parts) and parts[0] != "cache":
            found["/".join(parts)] = _comparable(path)
    return found


def _comparable(path: Path) -> bytes:
    data = path.read_bytes()
    if path.name in ("results.json", "summary.json"):
        return json.dumps(json.loads(data), sort_keys=True).encode()
    return data


def copy(source: Path, target: Path) -> None:
    shutil.copytree(source, target, dirs_exist_ok=True)


def picture(path: Path, size: tuple[int, int] = (40, 30)) -> None:
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (*size[::-1], 3), dtype=np.uint8)).save(path)
