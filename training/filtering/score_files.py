"""Scores of the quality filter on disk: a folder for each data set, Parquet files of a batch each, written whole."""

import dataclasses
import functools
import itertools
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm

from anydepth_hf.atomic_write import atomic_write
from anydepth_hf.extras import require
from anydepth_hf.programs import one_line
from training.data.decoding import DataError
from training.data.manifest import claim_folder
from training.data.sources import DatasetSpec, PairDataset, open_dataset
from training.filtering.scores import ScoreOptions, score_depth

if TYPE_CHECKING:
    import pyarrow

SETTINGS = "settings.json"
SCORE_COLUMNS = ("valid_fraction", "distribution", "gradient")


@dataclasses.dataclass(frozen=True)
class ScoringItems:
    """One sample's paths and scores per item; runs in worker processes.

    Attributes:
        dataset: the samples.
        score: from depth and valid mask to named scores.
        on_error: see `score_datasets`.
    """

    dataset: PairDataset
    score: Callable[[np.ndarray, np.ndarray], dict]
    on_error: str = "raise"

    def __getitem__(self, index: int) -> dict | DataError:
        rgb, depth_path = (os.path.abspath(path) for path in self.dataset.paths(index))
        row = {"index": index, "rgb": rgb, "depth": depth_path, "error": None}
        try:
            return row | self.score(*self.dataset.read_depth(index))
        except DataError as error:
            if self.on_error == "raise":
                return error
            return row | dict.fromkeys(SCORE_COLUMNS, float("nan")) | {"error": str(error)}


def score_datasets(
    specs: list[DatasetSpec],
    output: Path,
    options: ScoreOptions,
    *,
    batch: int,
    num_workers: int,
    on_error: str,
    rank: int = 0,
    world_size: int = 1,
) -> None:
    """Scores one process's share of the batches that have no file yet.

    Args:
        specs: data sets that consist of files.
        output: gets a folder for each data set, of its name, numbered where several share one.
        batch: samples per file; an interruption loses the one in hand.
        on_error: at an unreadable depth file, `raise` or `skip` (scores NaN, and the reason in the column `error`).
        rank, world_size: batches are dealt out to the processes in turn, which never meet.

    Raises:
        DataError: wrong data set, scores of something else in `output`, or an unreadable file with `raise`.
    """
    named: Counter[str] = Counter()
    for spec in specs:
        named[spec.name] += 1
        label = spec.name if named[spec.name] == 1 else f"{spec.name}-{named[spec.name]}"
        dataset = open_dataset(spec)
        if not isinstance(dataset, PairDataset):
            raise DataError(f"Data set {label!r}: the filter writes lists of files and cannot score {spec.name!r}.")
        folder = output / label
        claim_folder(folder / SETTINGS, spec, dataset, {"options": dataclasses.asdict(options), "batch": batch})
        parts = {start: folder / f"part-{start:09d}.parquet" for start in range(0, len(dataset), batch)}
        mine = list(parts)[rank::world_size]
        todo = {start: min(batch, len(dataset) - start) for start in mine if not parts[start].exists()}
        total = sum(min(batch, len(dataset) - start) for start in mine)
        indices = [index for start, size in todo.items() for index in range(start, start + size)]
        items = ScoringItems(dataset, functools.partial(score_depth, options=options), on_error)
        rows = score_rows(items, indices, num_workers)
        done = total - sum(todo.values())
        with tqdm(total=total, initial=done, desc=label, unit="image", disable=rank != 0) as progress:
            for start, size in todo.items():
                scored = []
                for row in itertools.islice(rows, size):
                    scored.append(row)
                    progress.update()
                _write_part(parts[start], scored)


def score_rows(items: ScoringItems, indices: Sequence[int], num_workers: int) -> Iterator[dict]:
    """Scored rows in order; the workers of a `DataLoader` end by themselves if this process is killed.

    Raises:
        DataError: an unreadable file, where `items` do not skip it.
    """
    from torch.utils.data import DataLoader

    from training.data.worker_memory import keep_freed_memory

    loader = DataLoader(
        items, sampler=indices, batch_size=8, num_workers=num_workers, collate_fn=list,
        prefetch_factor=4 if num_workers else None, worker_init_fn=keep_freed_memory,
    )  # fmt: skip
    for row in itertools.chain.from_iterable(loader):
        if isinstance(row, DataError):  # raised in a worker it would arrive as a page of traceback
            raise row
        yield row


def _write_part(path: Path, rows: list[dict]) -> None:
    pa, parquet = require("pyarrow", "train"), require("pyarrow.parquet", "train")
    names = {"index": pa.int64(), **dict.fromkeys(SCORE_COLUMNS, pa.float64()), "error": pa.string()}
    schema = pa.schema({**names, "rgb": pa.string(), "depth": pa.string()})
    with atomic_write(path) as temporary:
        parquet.write_table(pa.Table.from_pylist(rows, schema=schema), temporary)


def load_scores(folder: Path) -> dict[str, tuple[dict, "pyarrow.Table"]]:
    """The settings and the table of scores (`pyarrow.Table`, in the order of samples) of each data set.

    Raises:
        DataError: there are none, or scoring has not finished.
    """
    parquet = require("pyarrow.parquet", "train")
    found = {}
    for path in sorted(folder.glob(f"*/{SETTINGS}")):
        try:
            settings = json.loads(path.read_text(encoding="utf-8"))
            expected = -(-settings["samples"] // settings["batch"])
        except (ValueError, KeyError, TypeError, ArithmeticError) as error:
            raise DataError(f"{path} is damaged ({error}); score the data set again.") from None
        parts = sorted(path.parent.glob("part-*.parquet"))
        if len(parts) != expected:
            raise DataError(
                f"{path.parent}: {len(parts)} of {expected} batches are scored; run `filter.py score` to its end."
            )
        try:
            found[path.parent.name] = (settings, parquet.read_table(parts, partitioning=None))
        except (OSError, ValueError) as error:  # ArrowInvalid is a ValueError
            reason = one_line(error)
            raise DataError(
                f"{path.parent}: a file of scores is damaged ({reason}); delete it and score the data set again."
            ) from None
    if not found:
        raise DataError(f"{folder}: no scores here; run `filter.py score --output {folder}` first.")
    return found
