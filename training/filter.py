"""Quality filter of the AnyDepth paper: `score` the depth maps once, then `select` samples and `report` in seconds.

    python training/filter.py score hypersim,root=/data/hypersim vkitti2,root=/data/vkitti2 --output scores
    python training/filter.py select --scores scores --output lists
    python training/filter.py report --scores scores --output report
    python training/filter.py calibrate vkitti2,root=/data/vkitti2,list=all.txt --kept train.txt

`score` can be interrupted at any moment and started again, and shares its work between the processes of
`accelerate launch` or `torchrun`. See docs/filtering.md.
"""

import argparse
import dataclasses
import os
import sys
from pathlib import Path

import numpy as np

from anydepth_hf.atomic_write import atomic_write_json, atomic_write_text
from anydepth_hf.programs import Mistakes, Parser, StepParser, number
from training.data.decoding import DataError
from training.data.folders import check_listable, format_list
from training.data.sources import DatasetSpec, PairDataset, open_dataset
from training.filtering.score_files import SCORE_COLUMNS, load_scores, score_datasets
from training.filtering.scores import ScoreOptions, SelectionRule, select


def score(arguments: argparse.Namespace) -> None:
    """Runs the scoring of this process."""
    for name in ("percentiles", "limits"):
        low, high = getattr(arguments, name) or (0, 1)
        if low >= high:
            raise DataError(f"--{name} {low:g} {high:g}: give the lower one first.")
    percentiles, limits = tuple(arguments.percentiles), arguments.limits and tuple(arguments.limits)
    options = ScoreOptions(arguments.num_bins, percentiles, limits, arguments.operator, arguments.edge_fraction)
    score_datasets(
        [DatasetSpec.parse(text) for text in arguments.dataset],
        Path(arguments.output),
        options,
        batch=arguments.batch,
        num_workers=arguments.num_workers,
        on_error=arguments.on_error,
        rank=int(os.environ.get("RANK", 0)),
        world_size=int(os.environ.get("WORLD_SIZE", 1)),
    )


def apply_rule(scores: dict, rule: SelectionRule) -> dict[str, tuple[np.ndarray, dict[str, float]]]:
    """Which samples of each data set (from `load_scores`) are kept, and the cuts of each set or, pooled, of all."""
    columns = {label: {name: table[name].to_numpy() for name in SCORE_COLUMNS} for label, (_, table) in scores.items()}
    if rule.scope == "dataset":
        return {label: select(values, rule) for label, values in columns.items()}
    pooled = {name: np.concatenate([values[name] for values in columns.values()]) for name in SCORE_COLUMNS}
    keep, cuts = select(pooled, rule)
    ends = np.cumsum([table.num_rows for _, table in scores.values()])
    return {label: (part, cuts) for label, part in zip(scores, np.split(keep, ends[:-1]))}


def select_lists(arguments: argparse.Namespace) -> None:
    """Writes a list file for each data set, and a summary."""
    rule = rule_of(arguments)
    scores = load_scores(Path(arguments.scores))
    output = Path(arguments.output)
    output.mkdir(parents=True, exist_ok=True)
    summary = {"rule": dataclasses.asdict(rule), "datasets": {}}
    for path in (*(output / f"{label}.txt" for label in scores), output / "summary.json"):
        if path.exists() and not arguments.overwrite:
            raise DataError(f"{path} exists; choose another --output, or give --overwrite.")
    for label, (keep, cuts) in apply_rule(scores, rule).items():
        kept = scores[label][1].filter(keep)
        path = output / f"{label}.txt"
        pairs = list(zip(kept["rgb"].to_pylist(), kept["depth"].to_pylist()))
        check_listable(pairs)
        atomic_write_text(path, format_list(pairs))
        lowest = {name: cut if np.isfinite(cut) else None for name, cut in cuts.items()}
        summary["datasets"][label] = {"total": len(keep), "kept": int(keep.sum()), "lowest_kept": lowest}
        print(f"{label}: {keep.sum()} of {len(keep)} samples kept ({keep.mean():.1%}), list in {path}")
    atomic_write_json(output / "summary.json", summary)


def rule_of(arguments: argparse.Namespace) -> SelectionRule:
    """The selection rule of the command line."""
    return SelectionRule(arguments.min_valid, arguments.drop, arguments.criterion, arguments.scope)


def build_report(arguments: argparse.Namespace) -> None:
    """Writes the report's pages and pictures."""
    from training.filtering.report import write_report

    scores = load_scores(Path(arguments.scores))
    rule = rule_of(arguments)
    print(write_report(Path(arguments.output), scores, apply_rule(scores, rule), rule, arguments.samples))


def run_calibration(arguments: argparse.Namespace) -> None:
    """Tries the open choices against a published list, prints and writes how far each agrees."""
    from training.filtering import calibration
    from training.filtering.reprojection import score_vkitti2

    spec = dataclasses.replace(DatasetSpec.parse(arguments.dataset), far_plane=None)
    if arguments.reprojection and spec.name != "vkitti2":
        raise DataError(f"--reprojection needs the cameras of vkitti2; {spec.name} has none.")
    dataset = open_dataset(spec)
    if not isinstance(dataset, PairDataset):
        raise DataError(f"{spec.name!r} does not consist of files, so a list of files says nothing of it.")
    labels = calibration.keep_labels(dataset, arguments.kept)
    consistency = score_vkitti2(dataset) if arguments.reprojection else None  # first: it may lack its tables
    scores = calibration.score_dataset(dataset, arguments.num_workers)
    found = calibration.calibrate(scores, labels, calibration.choices())
    others = [calibration.random_agreement(labels)]
    if consistency is not None:
        others.append(calibration.rival("reprojection consistency", consistency, labels))
    print(f"{len(labels)} samples, {labels.sum()} kept by {arguments.kept}")
    print("  IoU  equal   kept  choice")
    for one in [*found[: arguments.show], *others]:
        print(f"{one.iou:5.3f}  {one.equal:5.3f}  {one.kept:5.3f}  {one.choice}")
    if arguments.output:
        entries = [dataclasses.asdict(one) for one in [*found, *others]]
        result = {"samples": len(labels), "kept": int(labels.sum()), "agreements": entries}
        atomic_write_json(Path(arguments.output), result)


def run_simulation(arguments: argparse.Namespace) -> None:
    """Writes a stand-in for Virtual KITTI 2 and the list of what the paper's rule keeps of it."""
    from training.filtering.calibration import Choice
    from training.filtering.simulation import simulate

    kept = simulate(Path(arguments.folder), arguments.pictures, arguments.images, Choice())
    print(f"wrote {arguments.images} rendered pictures; now try\n"
          f"python training/filter.py calibrate vkitti2,root={arguments.folder} --kept {kept}")  # fmt: skip


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = Parser(prog="filter.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    steps = parser.add_subparsers(
        required=True, metavar="{score,select,report,calibrate,simulate}", parser_class=StepParser
    )
    share = number(float, minimum=0, maximum=1)
    workers = {"type": number(minimum=0), "default": os.cpu_count()}
    step = steps.add_parser("score", help="score depth maps into Parquet files")
    step.set_defaults(run=score)
    step.add_argument("dataset", nargs="+", help="name,option=value,... as in training; see docs/data.md")
    step.add_argument("--output", required=True, help="folder of the scores; scores there are gone on with")
    step.add_argument("--num-workers", **workers, help="reading processes per process")
    batch_help = "samples per file: what an interruption may lose"
    step.add_argument("--batch", type=number(minimum=1), default=1024, help=batch_help)
    step.add_argument("--on-error", choices=["skip", "raise"], default="skip", help="at an unreadable depth file")
    ends = {"nargs": 2, "metavar": ("LOW", "HIGH")}
    defaults = ScoreOptions()
    step.add_argument("--num-bins", type=number(minimum=5), default=defaults.num_bins)
    step.add_argument(
        "--percentiles", type=number(float, minimum=0, maximum=100), default=defaults.percentiles, **ends,
        help="range of the bins, as percentiles of an image's depths (default: smallest to largest)",
    )  # fmt: skip
    step.add_argument("--limits", type=number(float, minimum=0), **ends, help="fixed range of the bins")
    step.add_argument("--operator", choices=["forward", "central"], default=defaults.operator, help="gradient")
    step.add_argument("--edge-fraction", type=share, default=defaults.edge_fraction, help="largest gradients left out")
    for name, run, text in (
        ("select", select_lists, "write lists of the samples to keep"),
        ("report", build_report, "write a report with pictures"),
    ):
        step = steps.add_parser(name, help=text)
        step.set_defaults(run=run)
        step.add_argument("--scores", required=True, help="folder that `score` wrote")
        step.add_argument("--output", required=True, help="folder to write to")
        rule = SelectionRule()
        step.add_argument("--min-valid", type=share, default=rule.min_valid, help="smallest share of valid pixels")
        step.add_argument("--drop", type=share, default=rule.drop, help="share dropped by each score")
        step.add_argument("--criterion", choices=["each", "total"], default=rule.criterion)
        step.add_argument("--scope", choices=["dataset", "pooled"], default=rule.scope, help="of the shares")
        if run is select_lists:
            step.add_argument("--overwrite", action="store_true")
        else:
            step.add_argument("--samples", type=number(minimum=0), default=12, help="images on each sheet")
    step = steps.add_parser("calibrate", help="try what the paper leaves open against a published list")
    step.set_defaults(run=run_calibration)
    step.add_argument("dataset", help="all samples that the list was chosen from, as for score")
    step.add_argument("--kept", required=True, help="list of the samples that were kept")
    step.add_argument("--output", help="JSON file of every choice and its agreement")
    step.add_argument("--show", type=number(minimum=1), default=5, help="best choices to print")
    step.add_argument("--num-workers", **workers, help="reading processes")
    step.add_argument("--reprojection", action="store_true", help="try consistency with the next frame as well")
    step = steps.add_parser("simulate", help="make a stand-in for Virtual KITTI 2 of rendered pictures")
    step.set_defaults(run=run_simulation)
    step.add_argument("folder", help="a new folder")
    step.add_argument("--pictures", type=Path, required=True, help="folder that training.scenes.make filled")
    step.add_argument("--images", type=number(minimum=5), default=200)
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Runs one step; 0, or 2 after a mistake."""
    with Mistakes("filter.py", interrupted="interrupted; the same command goes on from here") as ending:
        arguments = parse_arguments(argv)
        arguments.run(arguments)
    return ending.status


if __name__ == "__main__":
    sys.exit(main())
