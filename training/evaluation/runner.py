"""Evaluates one data set image by image: spread over processes, cached so that an interrupted run goes on."""

import hashlib
import json
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader
from tqdm.auto import tqdm

from anydepth_hf.alignment_marigold import align
from anydepth_hf.metrics import evaluate_depth
from training.data.decoding import DataError
from training.data.readers import DepthSample
from training.evaluation.stamps import stamp


class RecordCache:
    """Rows of finished images in JSON lines: one file for each process of each run, so that nobody's line is torn.

    Args:
        folder: where the files go.
        key: everything the numbers depend on; another key is another cache.
    """

    def __init__(self, folder: Path, key: dict):
        digest = hashlib.sha256(json.dumps(key, sort_keys=True, default=str).encode()).hexdigest()
        self.folder = folder / digest[:16]
        self.folder.mkdir(parents=True, exist_ok=True)
        self.rows: dict[int, dict] = {}
        self._found: dict[int, list[dict]] = {}
        for path in self.folder.glob("*.jsonl"):
            for line in path.read_text().splitlines():
                try:
                    row = json.loads(line)
                except json.JSONDecodeError:  # the line at which a run was killed
                    continue
                self._found.setdefault(row["index"], []).append(row)
        self._file = None

    def take(self, files_of: Callable[[int], str], count: int) -> None:
        """Puts into `rows` what was found for the first `count` images and is of their files as they are now."""
        for index in sorted(self._found):
            if index < count:
                now = files_of(index)
                for row in self._found[index]:
                    if row.get("files") == now:
                        self.rows[index] = row

    def add(self, row: dict) -> None:
        if self._file is None:
            handle, _ = tempfile.mkstemp(suffix=".jsonl", dir=self.folder)
            self._file = os.fdopen(handle, "w")
        self._file.write(json.dumps(row) + "\n")
        self._file.flush()
        self.rows[row["index"]] = row


class _Prepared(torch.utils.data.Dataset):
    """Samples with their model input, made in the loader's workers."""

    def __init__(self, dataset, prepare):
        self.dataset, self.prepare = dataset, prepare

    def __getitem__(self, index: int) -> tuple[int, DepthSample, torch.Tensor] | DataError:
        try:
            sample = self.dataset[index]
            return index, sample, self.prepare(sample.image, sample.name)
        except DataError as error:  # raised in a worker it would arrive as a page of traceback
            return error


def evaluation_batches(num_images: int, batch_size: int, process_index: int, num_processes: int) -> list[range]:
    """This process's batches. What a batch holds does not depend on the number of processes, so neither do results."""
    starts = range(0, num_images, batch_size)[process_index::num_processes]
    return [range(start, min(start + batch_size, num_images)) for start in starts]


@dataclass(frozen=True)
class Evaluation:
    """One data set, one source of predictions, one alignment.

    Attributes:
        dataset: map-style data set of `DepthSample`s with a `protocol` (`training.evaluation.datasets`).
        predictions: `ModelPredictions` or `FilePredictions`.
        alignment: as in `evaluation.evaluate_depth`. Predicted depth is inverted for a fit in disparity; predicted
            disparity has no other fit.
    """

    dataset: Any
    predictions: Any
    alignment: str | None

    def __post_init__(self):
        if self.predictions.predicts == "disparity" and self.alignment != "disparity":
            raise DataError(
                "The predictions are disparity up to an unknown scale and shift, which only a fit in disparity turns "
                "into depth: use --alignment disparity."
            )

    def run(
        self,
        cache: RecordCache,
        num_images: int,
        *,
        batch_size: int = 1,
        num_workers: int = 0,
        process_index: int = 0,
        num_processes: int = 1,
        title: str = "",
    ) -> dict[int, dict]:
        """Rows, by index, of this process's images and of all that the cache held before.

        A row has `index`, `files` (their `stamp`), `name`, `size`, `input_size` (height, width), `valid_pixels` and
        `metrics`, which is `None` for an image with nothing valid.

        Raises:
            DataError: an image cannot be read, has no prediction, or its prediction is not finite.
        """
        cache.take(self._files, num_images)
        batches = [
            batch
            for batch in evaluation_batches(num_images, batch_size, process_index, num_processes)
            if any(index not in cache.rows for index in batch)
        ]
        prepared = _Prepared(self.dataset, self.predictions.prepare)
        loader = DataLoader(prepared, batch_sampler=batches, collate_fn=list, num_workers=num_workers)
        with tqdm(total=sum(map(len, batches)), desc=title, unit="image", disable=process_index > 0) as progress:
            for batch in loader:
                for index, sample, input_size, prediction in self._predict(batch):
                    if index not in cache.rows:
                        cache.add(self._row(index, sample, input_size, prediction))
                    progress.update()
        return cache.rows

    def _files(self, index: int) -> str:
        return stamp(self.dataset.files_of(index))

    def picture(self, index: int) -> tuple[DepthSample, np.ndarray]:
        """One image again, with its (H, W) depth fitted and clipped as the metrics see it."""
        _, sample, _, prediction = next(self._predict([_Prepared(self.dataset, self.predictions.prepare)[index]]))
        return sample, align(prediction, sample.depth, sample.valid, **self._options()).float().cpu().numpy()

    def _predict(self, batch: list):
        """Yields (index, sample, input size, prediction on the model's device) for what `_Prepared` gave."""
        for item in batch:
            if isinstance(item, DataError):
                raise item
        maps = self.predictions.predict([item[2] for item in batch], [item[1].depth.shape for item in batch])
        for (index, sample, inputs), prediction in zip(batch, maps):
            if self.alignment == "disparity" and self.predictions.predicts != "disparity":
                prediction = torch.where(prediction > 0, 1 / prediction, 0)
            yield index, sample, list(inputs.shape[-2:]), prediction

    def _row(self, index: int, sample: DepthSample, input_size: list[int], prediction: torch.Tensor) -> dict:
        try:
            metrics = evaluate_depth(prediction, sample.depth, sample.valid, **self._options())
        except ValueError as error:
            raise DataError(f"{sample.name}: {error}.") from error
        return {
            "index": index,
            "files": self._files(index),
            "name": sample.name,
            "size": list(sample.depth.shape),
            "input_size": input_size,
            "valid_pixels": int(np.count_nonzero(sample.valid)),
            "metrics": metrics,
        }

    def _options(self) -> dict:
        protocol = self.dataset.protocol
        return {
            "alignment": self.alignment,
            "min_depth": protocol.min_depth,
            "max_depth": protocol.max_depth,
            "alignment_max_resolution": protocol.alignment_max_resolution,
        }
