"""Measured and published results as model cards show them: in tables of their own, never in one column."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult

BENCHMARKS = {"nyuv2": "NYUv2", "kitti": "KITTI", "eth3d": "ETH3D", "scannet": "ScanNet", "diode": "DIODE"}
METRICS = {"abs_rel": "AbsRel", "delta1": "delta1"}
PAPER = "https://arxiv.org/abs/2601.02760"


@dataclass(frozen=True)
class Measured:
    """Metrics of one data set, as `training/evaluate.py` measured them (ratios), and under which conditions."""

    key: str
    title: str
    images: int
    metrics: dict[str, float]
    protocol: str


def read_results(paths: list[Path]) -> list[Measured]:
    """
    The data sets in files that `training.evaluate` wrote (`summary.json`).

    Raises:
        ValueError: a file that is no such result, one of a few images only (`--limit`), or of other measures.
    """
    measured = []
    for path in paths:
        try:
            results = json.loads(path.read_text(encoding="utf-8"))
            protocol = results["protocol"].partition(": ")[2].rstrip(".")
            for key, entry in results["datasets"].items():
                images = entry["images"] - len(entry["without_valid_pixels"])
                metrics = entry["metrics"] or {}
                if None in map(metrics.get, METRICS):
                    wanted = " and ".join(METRICS)
                    raise ValueError(f"{path} has no {wanted} of {key}; evaluate by a protocol that measures them.")
                measured.append(Measured(key, entry["title"], images, metrics, protocol))
        except (KeyError, TypeError, AttributeError, json.JSONDecodeError) as error:
            raise ValueError(f"{path} is no summary.json of training.evaluate ({error!r}).") from None
        if results["limit"]:
            raise ValueError(f"{path} covers the first {results['limit']} images only; a card states whole sets.")
    return measured


def measured_table(measured: list[Measured]) -> str:
    lines = ["| data | images | AbsRel % ↓ | δ1 % ↑ | RMSE ↓ | conditions |", "|---|---|---|---|---|---|"]
    for entry in measured:
        abs_rel, delta1, rmse = (entry.metrics.get(name) for name in ("abs_rel", "delta1", "rmse"))
        values = f"{100 * abs_rel:.1f} | {100 * delta1:.1f} | {'-' if rmse is None else f'{rmse:.3g}'}"
        lines.append(f"| {entry.title} | {entry.images} | {values} | {entry.protocol} |")
    return "\n".join(lines)


def published_table(published: dict[str, Any]) -> str:
    lines = ["| reported | " + " | ".join(BENCHMARKS.values()) + " |", "|---" * (len(BENCHMARKS) + 1) + "|"]
    for key, heading in (("abs_rel_percent", "AbsRel % ↓"), ("delta1_percent", "δ1 % ↑")):
        lines.append(f"| {heading} | " + " | ".join(f"{published[key][name]:.1f}" for name in BENCHMARKS) + " |")
    return "\n".join(lines)


def measured_index(measured: list[Measured]) -> list[EvalResult]:
    results = []
    for entry in measured:
        dataset = entry.key if entry.key in BENCHMARKS else entry.title.replace(" ", "-")
        conditions = {"protocol": entry.protocol, "images": entry.images}
        results += _results(dataset, entry.title, entry.metrics, conditions)
    return results


def published_index(published: dict[str, Any]) -> list[EvalResult]:
    """The paper's results of these very weights; what it does not say of its protocol is not filled in."""
    conditions = {"protocol": "zero-shot, affine-invariant; alignment, counts and sizes not stated in the paper"}
    results = []
    for dataset, title in BENCHMARKS.items():
        values = {metric: published[f"{metric}_percent"][dataset] / 100 for metric in METRICS}
        results += _results(dataset, title, values, conditions, published["source"])
    return results


def _results(
    dataset: str, title: str, values: dict[str, float], conditions: dict, source: str | None = None
) -> list[EvalResult]:
    return [
        EvalResult(
            task_type="depth-estimation",
            task_name="Monocular depth estimation",
            dataset_type=dataset,
            dataset_name=title,
            metric_type=metric,
            metric_name=f"{name} (reported in {source})" if source else name,
            metric_value=round(values[metric], 4),
            metric_args=conditions,
            source_name=source,
            source_url=source and PAPER,
        )
        for metric, name in METRICS.items()
    ]
