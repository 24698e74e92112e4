"""From the records of single images to what a data set's entry in results.json says."""

import json
import os
from pathlib import Path

from anydepth_hf.metrics import mean_metrics
from training.data.decoding import DataError
from training.evaluation.intervals import compare, intervals
from training.evaluation.measures import HIGHER_IS_BETTER
from training.evaluation.protocol import Protocol
from training.evaluation.regions import mean_by_region


def summarize(protocols: list[Protocol], records: list[dict], clips: dict[str, list[dict]]) -> dict:
    """
    Means, intervals and parts of one data set.

    Args:
        protocols: all that ran; the first is the one that cards and tables of models show.
        records: of the images, in order; see `Evaluation.run`.
        clips: of the protocols that fit clips, their records.

    Returns:
        `images`, `without_valid_pixels` (names), `metrics` and `interval` of the first protocol, the same of all in
        `protocols`, the first one's errors by `regions` and `ranges`, and `records`.
    """
    entries = {}
    for protocol in protocols:
        if own := protocol.fit.scope == "image":
            units = [record["protocols"][protocol.name] for record in records]
        else:
            units = [record["metrics"] for record in clips[protocol.name]]
        entries[protocol.name] = {
            "version": protocol.version,
            "metrics": mean_metrics(units),
            "interval": intervals(units),
            "images" if own else "clips": sum(unit is not None for unit in units),
        }
    first = protocols[0].name
    return {
        "images": len(records),
        "without_valid_pixels": [r["name"] for r in records if first in r["protocols"] and not r["protocols"][first]],
        "metrics": entries[first]["metrics"],
        "interval": entries[first]["interval"],
        "protocols": entries,
        **mean_by_region(records),
        "records": records,
        "clips": clips,
    }


def read_results(path: str | os.PathLike) -> dict:
    """A results.json, given itself or its folder; DataError where it lacks the records of single images."""
    path = Path(path)
    path = path / "results.json" if path.is_dir() else path
    try:
        results = json.loads(path.read_text(encoding="utf-8"))
        records = [record for entry in results["datasets"].values() for record in entry["records"]]
        if not all({"name", "protocols"} <= record.keys() for record in records):
            raise KeyError("protocols")
        results["protocol"], results["protocols"].keys()
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path}: this is no results.json of training.evaluate ({error!r}).") from error
    return results


def compare_results(results: dict, other: dict) -> dict:
    """
    Two evaluations image by image, for each data set and protocol of one version that both have.

    Returns:
        `protocol` (how the other came about) and, by data set and protocol, `intervals.compare` of each metric.

    Raises:
        DataError: they have no image in common.
    """
    datasets: dict[str, dict] = {}
    for name, entry in results["datasets"].items():
        theirs = other["datasets"].get(name, {"records": []})
        for protocol, definition in results["protocols"].items():
            pair = [_by_name(one["records"], protocol) for one in (entry, theirs)]
            version = other["protocols"].get(protocol, {}).get("version")
            if version == definition["version"] and pair[0].keys() & pair[1].keys():
                datasets.setdefault(name, {})[protocol] = {
                    metric: compare(
                        *({image: values[metric] for image, values in one.items()} for one in pair),
                        higher_is_better=metric in HIGHER_IS_BETTER,
                    )
                    for metric in definition["metrics"]
                }
    if not datasets:
        raise DataError("--compare: the two evaluations have no image in common under a protocol of one version.")
    return {"protocol": other["protocol"], "datasets": datasets}


def _by_name(records: list[dict], protocol: str) -> dict[str, dict]:
    return {r["name"]: r["protocols"][protocol] for r in records if r["protocols"].get(protocol)}
