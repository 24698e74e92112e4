"""What results were made from, so that an interrupted program goes on with results of its own only."""

import dataclasses
import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from anydepth_hf.atomic_write import atomic_write_text, remove_leftovers
from training.data.decoding import DataError
from training.data.folders import format_list
from training.data.readers import DepthSample
from training.data.sources import DatasetSpec, PairDataset


def claim_folder(path: Path, spec: DatasetSpec, dataset: Sequence[DepthSample], settings: dict) -> None:
    """Writes a folder's manifest, or checks that the one there says the same.

    Args:
        path: the manifest; its folder is created.
        spec, dataset: the data set whose samples, in this order, the results are of.
        settings: everything else that decides what the results are; JSON values.

    Raises:
        DataError: the folder holds results of other samples or settings; names what differs.
    """
    pairs = format_list([*map(dataset.paths, range(len(dataset)))]) if isinstance(dataset, PairDataset) else ""
    manifest = {
        "dataset": dataclasses.asdict(spec),
        "samples": len(dataset),
        "sha256_of_pairs": hashlib.sha256(pairs.encode(errors="surrogateescape")).hexdigest(),
        **settings,
    }
    text = json.dumps(manifest, indent=1)
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(path.parent)
    if not path.exists():
        return atomic_write_text(path, text)
    try:
        wanted, found = json.loads(text), dict(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise DataError(f"{path} is damaged ({error}); choose another --output, or delete it.") from None
    if changed := [key for key in wanted if found.get(key) != wanted[key]]:
        raise DataError(
            f"{path.parent} holds results made with another {' and '.join(changed)}; "
            "choose another --output, or delete it."
        )


def stamp(paths: Iterable[str | os.PathLike]) -> str:
    """A short digest by path, size and time of change: another one when a file changes, comes or goes; or empty."""
    digest, empty = hashlib.sha256(), True
    for path in paths:
        empty = False
        try:
            status = os.stat(path)
            line = f"{os.fspath(path)} {status.st_size} {status.st_mtime_ns}\n"
        except OSError:
            line = f"{os.fspath(path)} absent\n"
        digest.update(line.encode(errors="surrogateescape"))
    return "" if empty else digest.hexdigest()[:16]
