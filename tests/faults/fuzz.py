"""Feeds damaged files to everything that reads files of strangers; whatever is no sentence of ours is a failure.

    python tests/faults/fuzz.py --runs 2000 --seed 0                 every target, 2000 files each
    python tests/faults/fuzz.py --runs 20000 --targets checkpoint

A file is a valid one with bytes flipped, cut, repeated, swapped with those of another, or numbers in it replaced by
extreme ones. Files run in child processes, a hundred in each, with bounded memory and time: a crash of a C library, a
file that takes more than 20 s or 4 GiB, and any exception but the reader's own is reported with its bytes. A file that
a reader takes for a checkpoint must give the tensors that were saved or be refused, since the archive has checksums.
"""

import argparse
import collections
import faulthandler
import io
import multiprocessing
import os
import random
import resource
import signal
import struct
import sys
import tempfile
import traceback
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save

from anydepth_cli.parser import Parser, number

CHUNK = 100
SECONDS, BYTES = 20, 4 * 2**30
EXTREMES = [0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF]


@dataclass(frozen=True)
class Target:
    """
    One reader.

    Args:
        seeds: makes valid files, each a name and its bytes.
        read: reads the file of a path.
        refusals: makes the exceptions by which the reader says that it will not.
    """

    seeds: Callable[[], list[tuple[str, bytes]]]
    read: Callable[[Path], object]
    refusals: Callable[[], tuple]


def _depth() -> np.ndarray:
    return np.random.default_rng(0).uniform(1, 9, (12, 16)).astype(np.float32)


def _saved(image: Image.Image, format: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def image_seeds() -> list[tuple[str, bytes]]:
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 255, (20, 30, 3), dtype=np.uint8))
    exif = Image.Exif()
    exif[274] = 6
    seeds = [("a.jpg", _saved(picture, "JPEG", exif=exif)), ("a.gif", _saved(picture, "GIF"))]
    seeds += [(f"a.{name.lower()}", _saved(picture, name)) for name in ("PNG", "WEBP", "TIFF", "BMP", "PPM")]
    return [*seeds, ("b.tif", _saved(picture, "TIFF", compression="tiff_lzw")), ("a.eps", b"%!PS-Adobe-3.0 EPSF\n")]


def read_image(path: Path) -> object:
    from training.data.decoding import naming, read_rgb

    with naming(path):
        return read_rgb(str(path))


def depth_seeds() -> list[tuple[str, bytes]]:
    depth, files = _depth(), []
    integers = (1000 * depth).astype(np.uint16)
    buffer = io.BytesIO()
    np.save(buffer, depth)
    files.append(("a.npy", buffer.getvalue()))
    files += [("a.png", _saved(Image.fromarray(integers), "PNG")), ("a.tif", _saved(Image.fromarray(depth), "TIFF"))]
    files.append(("a.pfm", b"Pf\n16 12\n-1.0\n" + depth.tobytes()))
    import h5py
    import OpenEXR

    with tempfile.TemporaryDirectory() as folder:
        with h5py.File(f"{folder}/a.h5", "w") as file:
            file.create_dataset("dataset", data=depth, compression="gzip")
        header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
        OpenEXR.File(header, {"R": depth}).write(f"{folder}/a.exr")
        files += [(name, Path(folder, name).read_bytes()) for name in ("a.h5", "a.exr")]
    return files


def read_depth_label(path: Path) -> object:
    from training.data.own import OwnDepth
    from training.data.readers import DepthReader

    depth, valid = DepthReader(OwnDepth("depth", 1000.0)).read_depth(str(path))
    assert depth.shape == valid.shape and np.isfinite(depth[valid]).all() and (depth[valid] > 0).all()
    return depth


def refusals_of_data() -> tuple:
    from training.data.decoding import DataError

    return (DataError,)


TENSORS = {"head.a": torch.arange(60.0).view(3, 20), "head.b": torch.ones(5, dtype=torch.float16), "step": 3}


def checkpoint_seeds() -> list[tuple[str, bytes]]:
    seeds = []
    for name, options in (("a.pth", {}), ("legacy.pth", {"_use_new_zipfile_serialization": False})):
        buffer = io.BytesIO()
        torch.save({"model": TENSORS}, buffer, **options)
        seeds.append((name, buffer.getvalue()))
    packed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(seeds[0][1])) as old, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    tensors = {name: value for name, value in TENSORS.items() if isinstance(value, torch.Tensor)}
    return [*seeds, ("packed.pth", packed.getvalue()), ("a.safetensors", save(tensors))]


def read_checkpoint(path: Path) -> object:
    from conversion.checkpoint import load_state_dict

    found = load_state_dict(path)
    if path.name.endswith(("a.pth", "packed.pth")):  # these have checksums: what is read is what was saved
        for name, value in found.items():
            expected = TENSORS.get(name.removeprefix("model."))
            assert isinstance(expected, torch.Tensor) and value.dtype == expected.dtype, f"{name} was never saved"
            assert torch.equal(value, expected), f"other values of {name} than were saved"
    return found


def refusals_of_conversion() -> tuple:
    from conversion.formats.renaming import ConversionError

    return (ConversionError,)


def map_seeds() -> list[tuple[str, bytes]]:
    from anydepth_hf.depth_files import write_depth
    from anydepth_hf.depth_map import DepthMap

    with tempfile.TemporaryDirectory() as folder:
        files = []
        for suffix in ("exr", "tif", "npz", "npy", "png"):
            write_depth(path := Path(folder, f"a.{suffix}"), DepthMap(_depth(), "depth", unit="m"))
            files.append((path.name, path.read_bytes()))
    return files


def read_map(path: Path) -> object:
    from anydepth_hf import read_depth

    return read_depth(path)


def refusals_of_maps() -> tuple:
    return (ValueError, OSError)


def config_seeds() -> list[tuple[str, bytes]]:
    from anydepth_hf import BUNDLED_CHECKPOINT

    return [("config.json", Path(BUNDLED_CHECKPOINT, "config.json").read_bytes())]


def read_config(path: Path) -> object:
    from anydepth_hf import BUNDLED_CHECKPOINT
    from anydepth_hf.loading import load_model

    with tempfile.TemporaryDirectory() as folder:
        for file in Path(BUNDLED_CHECKPOINT).iterdir():
            os.symlink(path if file.name == "config.json" else file, Path(folder, file.name))
        return load_model(folder, "cpu")


def refusals_of_models() -> tuple:
    from anydepth_hf.loading import ModelError

    return (ModelError,)


def yaml_seeds() -> list[tuple[str, bytes]]:
    from training.trainer.arguments import parse_arguments

    folder = Path(__file__).resolve().parents[2] / "training" / "configs"
    names = ("bundled", "dinov3-small-sdt")
    parsed = [parse_arguments([str(folder / f"{name}.yaml"), "--output_dir", "run"]) for name in names]
    return [(f"{name}.yaml", options.to_yaml().encode()) for name, options in zip(names, parsed)]


def read_yaml_config(path: Path) -> object:
    from training.trainer.arguments import parse_arguments

    return parse_arguments([str(path)])


TARGETS = {
    "image": Target(image_seeds, read_image, refusals_of_data),
    "label": Target(depth_seeds, read_depth_label, refusals_of_data),
    "map": Target(map_seeds, read_map, refusals_of_maps),
    "checkpoint": Target(checkpoint_seeds, read_checkpoint, refusals_of_conversion),
    "yaml": Target(yaml_seeds, read_yaml_config, lambda: (ValueError,)),
    "config": Target(config_seeds, read_config, refusals_of_models),
}


def mutate(data: bytes, other: bytes, rng: random.Random) -> bytes:
    """One to four damages."""
    content = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        if not content:
            break
        at = rng.randrange(min(len(content), 200) if rng.random() < 0.5 else len(content))  # headers matter more
        kind = rng.randrange(7)
        if kind == 0:
            content[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            content[at : at + rng.randint(1, 8)] = rng.randbytes(rng.randint(0, 8))
        elif kind == 2:
            del content[at : at + rng.randint(1, 64)]
        elif kind == 3:
            content[at:at] = content[at : at + rng.randint(1, 64)]
        elif kind == 4:
            del content[at:]
        elif kind == 5:
            start = rng.randrange(len(other))
            content[at : at + 32] = other[start : start + 32]
        else:
            order, code = rng.choice("<>"), rng.choice("HI")
            content[at : at + struct.calcsize(code)] = struct.pack(
                order + code, rng.choice(EXTREMES) & (0xFFFF if code == "H" else 0xFFFFFFFF)
            )
    return bytes(content)


def run_chunk(name: str, seed: int, count: int, folder: str, answers) -> None:
    """Reads `count` damaged files; sends what became of each, and before it the number, so that a crash has one."""
    faulthandler.enable(open(os.devnull, "w"))
    torch.set_num_threads(1)
    target = TARGETS[name]
    seeds, refusals = target.seeds(), target.refusals()
    resource.setrlimit(resource.RLIMIT_AS, (_mapped() + BYTES, resource.RLIM_INFINITY))
    sink = os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, 2)
    os.dup2(sink, 1)
    for index in range(count):
        rng = random.Random(f"{name} {seed} {index}")
        (file_name, data), (_, other) = rng.choice(seeds), rng.choice(seeds)
        path = Path(folder, f"{index}-{file_name}")
        path.write_bytes(mutate(data, other, rng))
        answers.put((index, "begun", path.name))
        signal.alarm(SECONDS)
        try:
            target.read(path)
            outcome = "read"
        except refusals as error:
            outcome = "refused" if str(error).strip() else f"an empty {type(error).__name__}"
        except BaseException as error:
            outcome = "".join(traceback.format_exception(error))
        signal.alarm(0)
        answers.put((index, outcome, path.name))
        if outcome in ("read", "refused"):
            path.unlink()


def _mapped() -> int:
    """Address space in use, in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")


def fuzz(name: str, runs: int, seed: int, keep: Path) -> tuple[collections.Counter, list[str]]:
    """Outcomes by name, and a description of each failure; files that failed are left in `keep`."""
    context = multiprocessing.get_context("fork")
    import_reader(TARGETS[name])
    outcomes, failures = collections.Counter(), []
    for start in range(0, runs, CHUNK):
        answers = context.SimpleQueue()
        with tempfile.TemporaryDirectory() as folder:
            count = min(CHUNK, runs - start)
            process = context.Process(target=run_chunk, args=(name, seed + start, count, folder, answers))
            process.start()
            begun, done = None, 0
            while process.is_alive() or not answers.empty():
                if answers.empty():
                    process.join(0.01)
                    continue
                index, outcome, file_name = answers.get()
                if outcome == "begun":
                    begun = (index, file_name)
                    continue
                begun, done = None, done + 1
                outcomes[outcome if outcome in ("read", "refused") else "failed"] += 1
                if outcome not in ("read", "refused"):
                    failures.append(f"{_keep(Path(folder, file_name), keep, name, seed + start)}: {outcome}")
            process.join()
            if begun is not None:
                outcomes["failed"] += 1
                kept = _keep(Path(folder, begun[1]), keep, name, seed + start)
                failures.append(f"{kept}: ended the process with status {process.exitcode}")
            elif process.exitcode:
                failures.append(f"{name}: the process ended with status {process.exitcode} after {done} files")
    return outcomes, failures


def import_reader(target: Target) -> None:
    """Reads one valid file, so that the forked processes have every module already."""
    file_name, data = target.seeds()[0]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, file_name)
        path.write_bytes(data)
        target.read(path)
    target.refusals()


def _keep(path: Path, keep: Path, name: str, seed: int) -> Path:
    keep.mkdir(parents=True, exist_ok=True)
    kept = keep / f"{name}-{seed}-{path.name}"
    if path.exists():
        kept.write_bytes(path.read_bytes())
    return kept


def main(argv: list[str] | None = None) -> int:
    """Prints what became of the files; 1 where any failed."""
    parser = Parser(prog="fuzz.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=number(minimum=1), default=1000, help="files for each target")
    parser.add_argument("--seed", type=number(minimum=0), default=0)
    parser.add_argument("--targets", nargs="+", choices=TARGETS, default=list(TARGETS))
    parser.add_argument("--keep", type=Path, default=Path("fuzz-failures"), help="folder for files that failed")
    arguments = parser.parse_args(argv)
    status = 0
    for name in arguments.targets:
        outcomes, failures = fuzz(name, arguments.runs, arguments.seed, arguments.keep)
        print(f"{name}: {dict(outcomes)}", flush=True)
        for failure in failures:
            status = 1
            print(failure, flush=True)
    return status


if __name__ == "__main__":
    sys.exit(main())
