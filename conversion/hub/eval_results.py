"""Measured results as `.eval_results/*.yaml`, the Hub's current form, which leaderboards of data sets are made from.

    python -m conversion.hub.eval_results MODEL_DIR RESULTS/summary.json --dataset nyuv2=OWNER/NAME

Writes `MODEL_DIR/.eval_results/anydepth-hf.yaml`, which `conversion.push_to_hub` uploads with the rest; `model-index`
in the card stays, for what reads it. The Hub counts a result only for a data set of its own, so the id of that set
has to be given; sets without one are left out.
"""

import argparse
import sys
from pathlib import Path

import yaml
from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml

from anydepth_hf.atomic_write import atomic_write_text
from anydepth_hf.programs import Mistakes, Parser

from .card_results import METRICS, Measured, read_results

FOLDER = ".eval_results"


def entries(measured: list[Measured], dataset_ids: dict[str, str], url: str | None = None) -> list[EvalResultEntry]:
    """
    One entry for each metric of each measured set that has an id on the Hub.

    Args:
        measured: of `read_results`.
        dataset_ids: data sets on the Hub by the names of evaluation sets; the task is the metric's name.
        url: where the evaluation can be looked at.

    Raises:
        ValueError: an id for a set that was not measured.
    """
    if unknown := sorted(dataset_ids.keys() - {entry.key for entry in measured}):
        known = ", ".join(entry.key for entry in measured)
        raise ValueError(f"--dataset {unknown[0]}: not measured in these results, which have {known}.")
    return [
        EvalResultEntry(
            dataset_id=dataset_ids[entry.key],
            task_id=metric,
            value=round(entry.metrics[metric], 4),
            source_url=url,
            source_name=url and "anydepth-hf, training/evaluate.py",
            notes=f"{entry.protocol}, {entry.images} images",
        )
        for entry in measured
        if entry.key in dataset_ids
        for metric in METRICS
    ]


def main(argv: list[str] | None = None) -> int:
    """Writes the file, in the place of an earlier one; 0, or 2 after a mistake."""
    with Mistakes("eval_results.py") as ending:
        arguments = parse_arguments(argv)
        if not (arguments.directory / "config.json").is_file():
            raise ValueError(f"{arguments.directory} is no model directory: it has no config.json.")
        pairs = [text.partition("=") for text in arguments.dataset]
        if wrong := [name for name, equals, dataset_id in pairs if not equals or dataset_id.count("/") != 1]:
            raise ValueError(f"--dataset {wrong[0]}: write SET=OWNER/NAME, for instance nyuv2=owner/nyu_depth_v2.")
        ids = {name: dataset_id for name, _, dataset_id in pairs}
        found = eval_result_entries_to_yaml(entries(read_results(arguments.results), ids, arguments.url))
        path = arguments.directory / FOLDER / "anydepth-hf.yaml"
        path.parent.mkdir(exist_ok=True)
        atomic_write_text(path, yaml.safe_dump(found, sort_keys=False, allow_unicode=True))
        print(f"wrote {path}")
    return ending.status


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    parser = Parser(prog="python -m conversion.hub.eval_results", description=__doc__.split("\n")[0])
    parser.add_argument("directory", type=Path, help="model directory")
    parser.add_argument("results", type=Path, nargs="+", help="summary.json of training.evaluate")
    parser.add_argument("--dataset", nargs="+", required=True, metavar="SET=OWNER/NAME", help="data sets on the Hub")
    parser.add_argument("--url", help="where the evaluation can be looked at")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
