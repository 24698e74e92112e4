"""Measures depth predictions on the five zero-shot sets, or on one's own data; see docs/evaluation.md.

python training/evaluate.py --model DIR_OR_HUB_ID --sets all --data_dir DATA --output_dir OUT
accelerate launch training/evaluate.py ...      # or torchrun: the same numbers, sooner
"""

import math
import sys
from dataclasses import asdict, fields
from pathlib import Path

import torch
from PIL import Image

from anydepth_hf.environment import device_name, package_versions
from anydepth_hf.extras import require
from anydepth_hf.programs import run_program
from training.data.decoding import DataError
from training.data.sources import parse_dataset
from training.evaluation.arguments import EvaluateArguments
from training.evaluation.cells import beside_published, list_cells, load_cell
from training.evaluation.comparison import Comparison, OwnDataset, with_crop
from training.evaluation.datasets import EvaluationDataset, set_names
from training.evaluation.measures import HIGHER_IS_BETTER
from training.evaluation.predictions import GUESSES, FilePredictions, Guess, ModelPredictions
from training.evaluation.protocol import Protocol, choose_protocols
from training.evaluation.report import describe_protocol, error_panels, write_report
from training.evaluation.runner import Evaluation, RecordCache
from training.evaluation.summary import compare_results, read_results, summarize


def open_datasets(arguments: EvaluateArguments) -> dict[str, EvaluationDataset | OwnDataset]:
    """The data sets to evaluate on, by name."""
    if arguments.sets:
        names = set_names() if arguments.sets == ["all"] else arguments.sets
        return {name: EvaluationDataset(name, arguments.data_dir, arguments.lists_dir) for name in names}
    box = arguments.valid_box
    try:
        box = box and [float(edge) if "." in edge else int(edge) for edge in box]
    except ValueError:
        box = []
    for name, values, count in (
        ("valid_box", box, 4), ("crop", arguments.crop, 2), ("intrinsics", arguments.intrinsics, 4)
    ):  # fmt: skip
        if values is not None and len(values) != count:
            raise DataError(f"--{name} takes {count} numbers.")
    if box is not None and not all(0 <= edge < math.inf for edge in box):
        raise DataError("--valid_box takes pixels, or fractions of the sides, from 0 on.")
    if arguments.intrinsics is not None and min(arguments.intrinsics[:2]) <= 0:
        raise DataError("--intrinsics FX FY CX CY: the focal lengths FX and FY must be more than 0.")
    comparison = Comparison(
        min_depth=arguments.min_depth,
        max_depth=arguments.max_depth,
        crop=arguments.crop,
        valid_box=box,
        intrinsics=arguments.intrinsics,
    )
    title = arguments.title or "own data"
    if arguments.frames:
        spec = {"name": "frames", "root": arguments.frames}
        title = arguments.title or Path(arguments.frames).resolve().name
    elif arguments.rgb_dir:
        spec = {"name": "pairs", "rgb_dir": arguments.rgb_dir, "depth_dir": arguments.depth_dir}
    else:
        given = parse_dataset(arguments.dataset)
        spec = {one.name: getattr(given, one.name) for one in fields(given) if getattr(given, one.name) != one.default}
    return {"own": OwnDataset({"depth_scale": arguments.depth_scale, **spec}, comparison, title)}


def open_predictions(arguments: EvaluateArguments, device: torch.device) -> ModelPredictions | FilePredictions | Guess:
    """The model, the files or the guess to evaluate."""
    if arguments.predictions in GUESSES:
        if arguments.predicts not in (None, Guess.predicts):
            raise DataError(f"--predicts {arguments.predicts}: {arguments.predictions} is a guess at disparity.")
        return Guess(arguments.predictions)
    if arguments.predictions:
        return FilePredictions(arguments.predictions, arguments.predicts, arguments.prediction_scale)
    return ModelPredictions(
        arguments.model,
        predicts=arguments.predicts,
        processing_size=arguments.size,
        flip=arguments.flip,
        device=device,
        dtype=getattr(torch, arguments.dtype),
        revision=arguments.revision,
        trust_remote_code=arguments.trust_remote_code,
    )


def evaluate(arguments: EvaluateArguments) -> None:
    """Evaluates; the first process writes the results and prints the tables. Or lists the published cells.

    Raises:
        DataError: data, model or output cannot be used; one sentence.
    """
    if arguments.reproduce == "list":
        print(list_cells())
        return
    require("accelerate", "train")
    from accelerate import PartialState

    output_dir = Path(arguments.output_dir)
    if (output_dir / "results.json").exists() and not arguments.overwrite:
        raise DataError(f"{output_dir / 'results.json'} exists: choose another --output_dir, or --overwrite.")
    state = PartialState(cpu=arguments.device == "cpu")
    if arguments.device == "cuda" and state.device.type != "cuda":
        raise DataError("--device cuda: PyTorch sees no CUDA device.")
    torch.backends.cudnn.allow_tf32 = False  # float32 convolutions mean float32

    other = read_results(arguments.compare) if arguments.compare else None
    datasets = open_datasets(arguments)
    predictions = open_predictions(arguments, state.device)
    has_camera = any(dataset.comparison.intrinsics for dataset in datasets.values())
    protocols, refused = choose_protocols(arguments.protocol, predictions.predicts, has_camera)

    output_dir.mkdir(parents=True, exist_ok=True)
    results = {
        "predictions": predictions.describe(),
        "protocols": {protocol.name: asdict(protocol) for protocol in protocols},
        "not_measured": refused,
        "batch_size": arguments.batch_size,
        "limit": arguments.limit,
        "versions": {**package_versions(), "device": device_name(state.device)},
        "datasets": {},
    }
    pictures = {}
    for name, dataset in datasets.items():
        num_images = min(len(dataset), arguments.limit or len(dataset))
        groups: dict[tuple[int, int] | None, list[Protocol]] = {}  # by crop, since the model sees the cropped image
        for protocol in protocols:
            crop = protocol.comparison_for(name, dataset.comparison).crop
            groups.setdefault(crop and tuple(crop), []).append(protocol)
        evaluations = [
            Evaluation(with_crop(dataset, crop), predictions, tuple(group), name) for crop, group in groups.items()
        ]
        records = measure_images(evaluations, num_images, results, arguments, state)
        if state.is_main_process:
            clips = {
                protocol.name: one.run_clips(num_images, protocol)
                for one in evaluations
                for protocol in one.protocols
                if protocol.fit.scope == "clip"
            }
            entry = summarize(protocols, records, clips)
            results["datasets"][name] = {"title": dataset.title, **dataset.describe(), **entry}
            pictures[name] = worst_pictures(evaluations[0], records, arguments.worst)
    if not state.is_main_process:
        return
    results["protocol"] = describe_protocol(results)
    if arguments.reproduce:
        cell = load_cell(arguments.reproduce)
        results["reproduced"] = beside_published(cell, results["datasets"][cell.set])
    if other is not None:
        results["compared_with"] = compare_results(results, other)
    write_report(results, pictures, output_dir)
    print((output_dir / "results.md").read_text(encoding="utf-8"))


def measure_images(
    evaluations: list[Evaluation], num_images: int, results: dict, arguments: EvaluateArguments, state
) -> list[dict]:
    """Records of one data set's images, measured by all processes, in order, under the protocols of all evaluations.

    Args:
        results: what the numbers depend on besides the data set; the key of the cache.
        state: accelerate's `PartialState`.
    """
    from accelerate.utils import gather_object

    records: dict[int, dict] = {}
    for evaluation in evaluations:
        group = [protocol.name for protocol in evaluation.protocols]
        key = {**results, "datasets": {"group": group, **evaluation.dataset.describe()}}
        cache = RecordCache(Path(arguments.output_dir) / "cache", key, evaluation.stamp, num_images)
        state.wait_for_everyone()  # all have read the cache before any adds to it
        found = evaluation.run(cache, num_images, arguments.batch_size, arguments.num_workers, state)
        for record in gather_object(list(found.values())):
            record.pop("files", None)  # of use to the cache alone
            merged = records.setdefault(record["index"], {**record, "protocols": {}})
            merged["protocols"].update(record["protocols"])
    return [records[index] for index in sorted(records)]


def worst_pictures(evaluation: Evaluation, records: list[dict], count: int) -> list[tuple[dict, Image.Image]]:
    """The worst images by the first measure of the evaluation's first protocol, with their error maps."""
    protocol, measure = evaluation.protocols[0].name, evaluation.protocols[0].metrics[0]
    valid = [record for record in records if record["protocols"].get(protocol)]
    valid.sort(key=lambda record: record["protocols"][protocol][measure], reverse=measure not in HIGHER_IS_BETTER)
    return [(record, error_panels(*evaluation.picture(record["index"]))) for record in valid[:count]]


def main(argv: list[str] | None = None) -> int:
    """Runs an evaluation; 0, or 2 after a mistake."""
    return run_program("evaluate.py", EvaluateArguments, evaluate, argv, __doc__)


if __name__ == "__main__":
    sys.exit(main())
