"""Evaluates one data set image by image: spread over processes, cached so that an interrupted run goes on."""

import hashlib
import json
import os
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader
from tqdm.auto import tqdm

from training.data.decoding import DataError
from training.data.manifest import stamp
from training.data.readers import DepthSample
from training.evaluation.clips import measure_clip
from training.evaluation.comparison import Comparison
from training.evaluation.fitting import Fitted, fit_prediction
from training.evaluation.measures import measure
from training.evaluation.protocol import Protocol
from training.evaluation.regions import errors_by_region


class RecordCache:
    """Records of finished images in JSON lines: one file for each process of each run, so that nobody's line is torn.

    Args:
        folder: where the files go.
        key: everything the numbers depend on; another key is another cache.
        stamps: of an image's files as they are now; a record of other ones does not count.
        count: of images that are wanted.

    Attributes:
        records: by index of the image.
    """

    def __init__(self, folder: Path, key: dict, stamps: Callable[[int], str], count: int):
        digest = hashlib.sha256(json.dumps(key, sort_keys=True, default=str).encode()).hexdigest()
        folder = folder / digest[:16]
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / f"{uuid.uuid4().hex}.jsonl"
        self.records: dict[int, dict] = {}
        for path in folder.glob("*.jsonl"):
            for line in path.read_text().splitlines():
                try:
                    record = json.loads(line)
                except json.JSONDecodeError:  # the line at which a run was killed
                    continue
                if record["index"] < count and record.get("files") == stamps(record["index"]):
                    self.records[record["index"]] = record

    def add(self, record: dict) -> None:
        with open(self.path, "a") as file:
            file.write(json.dumps(record) + "\n")
        self.records[record["index"]] = record


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


@dataclass(frozen=True)
class Evaluation:
    """One data set, one source of predictions, one or more protocols.

    Attributes:
        dataset: map-style data set of `DepthSample`s with a `comparison` (`training.evaluation.datasets`).
        predictions: `ModelPredictions`, `FilePredictions` or `Guess`.
        protocols: each must measure this kind of predictions; pictures and regions are the first one's.
        set_name: by which protocols know the set.
    """

    dataset: Any
    predictions: Any
    protocols: tuple[Protocol, ...]
    set_name: str

    def run(self, cache: RecordCache, num_images: int, batch_size: int, num_workers: int, state) -> dict[int, dict]:
        """Records, by index, of this process's images (`state` is its `PartialState`) and of all that the cache held.

        A record has `index`, `files` (their `stamp`), `name`, `size`, `input_size` (height, width), `valid_pixels`,
        `protocols` (metrics of each protocol that fits single images; `None` for an image without enough valid
        pixels), and the first one's errors by `regions` and `ranges`.

        Raises:
            DataError: an image cannot be read, has no prediction, or its prediction is not finite.
        """
        # what a batch holds does not depend on the number of processes, so neither do results
        starts = range(0, num_images, batch_size)[state.process_index :: state.num_processes]
        batches = [range(start, min(start + batch_size, num_images)) for start in starts]
        batches = [batch for batch in batches if not cache.records.keys() >= set(batch)]
        loader = DataLoader(self._prepared(), batch_sampler=batches, collate_fn=list, num_workers=num_workers)
        total, silent = sum(map(len, batches)), not state.is_main_process
        with tqdm(total=total, desc=self.set_name, unit="image", disable=silent) as progress:
            for batch in loader:
                for index, sample, input_size, prediction in self._predict(batch):
                    if index not in cache.records:
                        cache.add(self._record(index, sample, input_size, prediction))
                    progress.update()
        return cache.records

    def _prepared(self) -> _Prepared:
        return _Prepared(self.dataset, self.predictions.prepare)

    def stamp(self, index: int) -> str:
        """The stamp of an image's files, empty where it has none of its own."""
        return stamp(self.dataset.files_of(index))

    def run_clips(self, num_images: int, protocol: Protocol) -> list[dict]:
        """Records of a protocol that fits clips: `name` (the folder), `images`, and `metrics`.

        A clip is the images of one folder and one size in the order of their names, each predicted once more.
        """
        folders: dict[str, list[int]] = {}
        for index in range(num_images):
            folders.setdefault(os.path.dirname(self.dataset.name(index)), []).append(index)
        records = []
        for folder, indices in folders.items():
            clips: dict[tuple[int, ...], list[tuple]] = {}
            for index in sorted(indices, key=self.dataset.name):
                _, sample, _, prediction = next(self._predict([self._prepared()[index]]))
                frame = (prediction, sample.depth, self._mask(protocol, sample))
                clips.setdefault(sample.depth.shape, []).append(frame)
            for frames in clips.values():
                try:
                    metrics = measure_clip(protocol, self._comparison(protocol), self.predictions.predicts, frames)
                except ValueError as error:
                    raise DataError(f"{folder or 'the images'}: {error}.") from error
                records.append({"name": folder or ".", "images": len(frames), "metrics": metrics})
        return records

    def picture(self, index: int) -> tuple[DepthSample, np.ndarray]:
        """One image again, `valid` where it is compared, with its (H, W) depth as the first protocol aligns it."""
        _, sample, _, prediction = next(self._predict([self._prepared()[index]]))
        fitted = self._fit(self.protocols[0], sample, prediction)
        depth = fitted.predicted if self.protocols[0].metrics_of == "depth" else 1 / fitted.predicted
        return replace(sample, valid=fitted.valid.cpu().numpy()), depth.float().cpu().numpy()

    def _predict(self, batch: list):
        """Yields (index, sample, input size, prediction on the model's device) for what `_Prepared` gave."""
        for item in batch:
            if isinstance(item, DataError):
                raise item
        maps = self.predictions.predict([item[2] for item in batch], [item[1].depth.shape for item in batch])
        for (index, sample, inputs), prediction in zip(batch, maps):
            yield index, sample, list(inputs.shape[-2:]), prediction

    def _comparison(self, protocol: Protocol) -> Comparison:
        return protocol.comparison_for(self.set_name, self.dataset.comparison)

    def _mask(self, protocol: Protocol, sample: DepthSample) -> np.ndarray:
        return self._comparison(protocol).mask(sample.depth, sample.valid)

    def _fit(self, protocol: Protocol, sample: DepthSample, prediction: torch.Tensor) -> Fitted:
        mask, kind = self._mask(protocol, sample), self.predictions.predicts
        return fit_prediction(protocol, self._comparison(protocol), prediction, kind, sample.depth, mask)

    def _record(self, index: int, sample: DepthSample, input_size: list[int], prediction: torch.Tensor) -> dict:
        record: dict[str, Any] = {
            "index": index,
            "files": self.stamp(index),
            "name": sample.name,
            "size": list(sample.depth.shape),
            "input_size": input_size,
            "valid_pixels": int(np.count_nonzero(self._mask(self.protocols[0], sample))),
            "protocols": {},
        }
        for protocol in self.protocols:
            if protocol.fit.scope != "image":
                continue
            try:
                fitted = self._fit(protocol, sample, prediction)
            except ValueError as error:
                raise DataError(f"{sample.name}: {error}.") from error
            enough = int(fitted.valid.sum()) >= protocol.min_valid_pixels
            camera = self._comparison(protocol).intrinsics
            arguments = (fitted.predicted, fitted.target, fitted.valid, protocol.epsilon, camera)
            record["protocols"][protocol.name] = measure(protocol.metrics, *arguments) if enough else None
            if protocol is self.protocols[0] and protocol.metrics_of == "depth" and enough:
                present = torch.as_tensor(sample.valid, device=fitted.valid.device)
                record |= errors_by_region(fitted.predicted, fitted.target, fitted.valid, present)
        return record
