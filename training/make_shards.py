"""Turns a data set of files into Parquet or WebDataset shards for streaming.

    python training/make_shards.py hypersim,root=/data/hypersim --output shards/hypersim --format parquet
    # then, as a data set of the trainer:   hub,path=shards/hypersim,streaming=true
    python training/make_shards.py pictures,root=runs/pictures --output shards/pictures

Image files keep their bytes; rendered pictures become PNG. Depth becomes float32 TIFF in the reader's units, lossless,
with 0 for "no label" (the far plane is applied here). Rows are shuffled over all shards. The same command goes on with
an interrupted run.
"""

import argparse
import io
import os
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from anydepth_hf.atomic_write import atomic_write
from anydepth_hf.extras import require
from anydepth_hf.programs import Mistakes, Parser, number
from training.data.batches import unchanged
from training.data.decoding import DataError
from training.data.manifest import claim_folder
from training.data.sources import DatasetSpec, PairDataset, open_dataset

FLOAT_PREDICTOR = {317: 3}  # TIFF's predictor for floating point halves the size


def encode(array: np.ndarray, format: str, **options) -> bytes:
    """An array as the bytes of an image file."""
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, format, **options)
    return buffer.getvalue()


@dataclass
class Shards:
    """Writes one shard per item; runs in worker processes and gives the messages of skipped samples."""

    dataset: PairDataset
    order: np.ndarray
    arguments: argparse.Namespace
    paths: list[Path]

    def __getitem__(self, number: int) -> list[str] | Exception:
        size, path = self.arguments.shard_size, self.paths[number]
        skipped: list[str] = []
        write = _write_parquet if self.arguments.format == "parquet" else _write_tar
        try:
            with atomic_write(path) as temporary:
                write(temporary, self._rows(self.order[number * size : (number + 1) * size], skipped))
        except (DataError, OSError, ImportError) as error:  # raised in a worker it would come as a page of traceback
            return error
        return skipped

    def _rows(self, indices: np.ndarray, skipped: list[str]) -> Iterator[dict]:
        for index in indices.tolist():
            try:
                sample = self.dataset[index]  # decodes the image too, so that no shard holds a damaged one
            except DataError as error:
                if self.arguments.on_error == "raise":
                    raise
                skipped.append(str(error))
                continue
            key, path, root = f"{index:09d}", self.dataset.paths(index)[0], self.dataset.root
            extension = os.path.splitext(path)[1].lower()
            if extension == ".safetensors":
                extension, image = ".png", encode(sample.image, "PNG")
            else:
                image = Path(path).read_bytes()
            depth = np.where(sample.valid, sample.depth, np.float32(0))
            depth = encode(depth, "TIFF", compression="tiff_adobe_deflate", tiffinfo=FLOAT_PREDICTOR)
            yield {
                "image": {"bytes": image, "path": key + extension},
                "depth": {"bytes": depth, "path": key + ".tiff"},
                "is_metric": sample.is_metric,
                "name": os.path.relpath(path, root) if root else path,
            }


def _write_parquet(path: Path, rows: Iterator[dict]) -> None:
    datasets, pa, parquet = (require(name, "train") for name in ("datasets", "pyarrow", "pyarrow.parquet"))
    features = datasets.Features(
        image=datasets.Image(), depth=datasets.Image(), is_metric=datasets.Value("bool"), name=datasets.Value("string")
    )
    # small row groups: a reader holds one in memory; the bytes are compressed already
    with parquet.ParquetWriter(path, features.arrow_schema, compression="none") as writer:
        for row in rows:
            writer.write_batch(pa.RecordBatch.from_pylist([row], schema=features.arrow_schema), row_group_size=1)


def _write_tar(path: Path, rows: Iterator[dict]) -> None:
    with tarfile.open(path, "w") as archive:
        for row in rows:
            for file, kind in ((row["image"], ""), (row["depth"], ".depth")):
                key, _, extension = file["path"].partition(".")
                member = tarfile.TarInfo(f"{key}{kind}.{extension}")
                member.size = len(file["bytes"])
                archive.addfile(member, io.BytesIO(file["bytes"]))


def _count_rows(path: Path) -> int:
    if path.suffix == ".parquet":
        return require("pyarrow.parquet", "train").read_metadata(path).num_rows
    with tarfile.open(path) as archive:
        return len(archive.getnames()) // 2


def run(arguments: argparse.Namespace) -> None:
    """Writes the shards that are missing."""
    from torch.utils.data import DataLoader

    spec = DatasetSpec.parse(arguments.dataset)
    dataset = open_dataset(spec)
    if not isinstance(dataset, PairDataset):
        raise DataError(f"Data set {spec.name!r} is in shards already: those of files are turned into them.")
    output = Path(arguments.output)
    settings = {name: getattr(arguments, name) for name in ("format", "shard_size", "seed")}
    claim_folder(output / "shards.json", spec, dataset, settings)
    count = -(-len(dataset) // arguments.shard_size)
    extension = "parquet" if arguments.format == "parquet" else "tar"
    paths = [output / f"train-{number:05d}-of-{count:05d}.{extension}" for number in range(count)]
    order = np.random.default_rng(arguments.seed).permutation(len(dataset))
    todo = [number for number, path in enumerate(paths) if not path.exists()]
    loader = DataLoader(
        Shards(dataset, order, arguments, paths), sampler=todo, batch_size=None, collate_fn=unchanged,
        num_workers=arguments.num_workers, prefetch_factor=1 if arguments.num_workers else None,
    )  # fmt: skip
    skipped = 0
    for result in tqdm(loader, total=count, initial=count - len(todo), unit="shard"):
        if isinstance(result, Exception):
            raise result
        skipped += len(result)
        for message in result:
            print(f"skipped: {message}", file=sys.stderr)
    unit = "" if dataset.reader.is_metric else ",is_metric=false"  # which tar files do not say
    print(
        f"{count} shards in {output}" + (f", {skipped} samples skipped" if skipped else "") + f". For the trainer: "
        f"hub,path={output}/*.{extension},streaming=true{unit},num_samples={sum(map(_count_rows, paths))}"
    )


def main(argv: list[str] | None = None) -> int:
    """Makes shards; 0, or 2 after a mistake."""
    with Mistakes("make_shards.py", interrupted="interrupted; the same command goes on from here") as ending:
        run(parse_arguments(argv))
    return ending.status


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = Parser(prog="make_shards.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", help="name,option=value,... as in training; see docs/data.md")
    parser.add_argument("--output", required=True, help="folder of the shards; those there are kept")
    parser.add_argument("--format", choices=["parquet", "webdataset"], default="parquet")
    parser.add_argument("--shard-size", type=number(minimum=1), default=256, help="samples per shard")
    parser.add_argument(
        "--num-workers", type=number(minimum=0), default=os.cpu_count(), help="processes, each writing a shard"
    )
    parser.add_argument("--seed", type=number(minimum=0), default=0, help="of the order of the samples")
    parser.add_argument("--on-error", choices=["skip", "raise"], default="raise", help="at an unreadable sample")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
