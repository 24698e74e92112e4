"""Measures depth predictions on the five zero-shot sets, or on one's own data; see docs/evaluation.md.

python training/evaluate.py --model DIR_OR_HUB_ID --sets all --data_dir DATA --output_dir OUT
accelerate launch training/evaluate.py ...      # or torchrun: the same numbers, sooner
"""

import json
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import torch

from anydepth_hf.environment import device_name, package_versions
from anydepth_hf.extras import require
from anydepth_hf.metrics import mean_metrics
from anydepth_hf.option_schema import AT_LEAST_0, AT_LEAST_1, POSITIVE, checked
from anydepth_hf.programs import run_program
from training.data.decoding import DataError
from training.evaluation.datasets import EvaluationDataset, set_names
from training.evaluation.predictions import FilePredictions, ImageFreePrior, ModelPredictions, default_alignment
from training.evaluation.protocol import OwnDataset, Protocol
from training.evaluation.report import describe_protocol, error_panels, write_report
from training.evaluation.runner import Evaluation, RecordCache

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass
class EvaluateArguments:
    # what is measured
    model: str | None = field(default=None, metadata={"help": "Hub id, folder or preset of a depth-estimation model"})
    predictions: str | None = field(
        default=None,
        metadata={"help": "instead: folder of .npy or 16-bit .png files named as the images; or image-free-prior"},
    )
    prediction_scale: Annotated[float, POSITIVE] = field(
        default=1.0, metadata={"help": "divisor of the integers of .png predictions"}
    )
    predicts: Literal["disparity", "depth", "metric_depth"] | None = field(
        default=None, metadata={"help": "what is predicted (default: known for each model type)"}
    )
    revision: str | None = None
    trust_remote_code: bool = False

    # on what
    sets: list[str] = field(default_factory=list, metadata={"help": f"all, or some of {', '.join(set_names())}"})
    data_dir: str | None = field(default=None, metadata={"help": "folder of the sets, as Marigold packs them"})
    lists_dir: str | None = field(default=None, metadata={"help": "folder of the split lists: Marigold's data_split"})
    frames: str | None = field(
        default=None,
        metadata={"help": "own data: folder of NAME.rgb.jpg (or .png ...) beside NAME.depth.png, millimetres"},
    )
    rgb_dir: str | None = field(default=None, metadata={"help": "own data: folder of images"})
    depth_dir: str | None = field(default=None, metadata={"help": "own data: folder of depth files, named alike"})
    depth_scale: Annotated[float | None, POSITIVE] = field(
        default=None, metadata={"help": "own data: stored values per metre, e.g. 1000"}
    )
    dataset: str | None = field(
        default=None,
        metadata={"help": 'own data, any other: a data set specification as JSON, e.g. {"name": "hub", "path": "ID"}'},
    )
    title: str | None = field(default=None, metadata={"help": "own data: its name in tables"})
    min_depth: Annotated[float | None, AT_LEAST_0] = field(
        default=None, metadata={"help": "own data: nearer depth is not compared"}
    )
    max_depth: Annotated[float | None, POSITIVE] = field(
        default=None, metadata={"help": "own data: farther depth is not compared"}
    )
    crop: Annotated[list[int] | None, AT_LEAST_1] = field(
        default=None, metadata={"help": "own data: HEIGHT WIDTH cut at the bottom centre"}
    )
    valid_box: list[str] | None = field(
        default=None, metadata={"help": "own data: TOP BOTTOM LEFT RIGHT compared; pixels, or fractions with a point"}
    )
    limit: Annotated[int | None, AT_LEAST_1] = field(
        default=None, metadata={"help": "only this many images: a look, not a result"}
    )

    # how
    alignment: Literal["disparity", "depth", "none"] | None = field(
        default=None, metadata={"help": "space of the fit (default: that of the prediction; none for metric depth)"}
    )
    processing_size: str | None = field(
        default=None, metadata={"help": "shorter side, or HEIGHTxWIDTH, of the input (default: the image processor's)"}
    )
    flip: bool = field(default=False, metadata={"help": "average with the mirrored image's prediction"})
    batch_size: Annotated[int, AT_LEAST_1] = field(
        default=1, metadata={"help": "images of one input size that run together"}
    )
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    num_workers: Annotated[int, AT_LEAST_0] = field(
        default=4, metadata={"help": "reading processes per evaluating process"}
    )

    # results
    output_dir: str = field(default="", metadata={"help": "folder of results.json, results.md and worst.html"})
    worst: Annotated[int, AT_LEAST_0] = field(
        default=8, metadata={"help": "images with error maps, for each data set"}
    )
    overwrite: bool = field(default=False, metadata={"help": "replace the results in output_dir"})

    def __post_init__(self):
        checked(self)
        own = [name for name in ("frames", "rgb_dir", "dataset") if getattr(self, name)]
        if bool(self.model) == bool(self.predictions):
            raise ValueError("give either --model or --predictions")
        if bool(self.sets) == bool(own) or len(own) > 1:
            raise ValueError("give one of --sets, --frames, --rgb_dir with --depth_dir, and --dataset")
        if self.sets and not self.data_dir:
            raise ValueError("give --data_dir: the folder that holds the sets")
        if bool(self.rgb_dir) != bool(self.depth_dir):
            raise ValueError("--rgb_dir and --depth_dir go together")
        if self.sets and any((self.min_depth, self.max_depth, self.crop, self.valid_box)):
            raise ValueError(
                "--min_depth, --max_depth, --crop and --valid_box are for own data; an evaluation set fixes them"
            )
        if not self.output_dir:
            raise ValueError("give --output_dir: where the results go")
        if self.min_depth is not None and self.max_depth is not None and self.min_depth >= self.max_depth:
            raise ValueError("--min_depth must be less than --max_depth")
        self.size  # noqa: B018  (raises for a malformed size)

    @property
    def size(self) -> int | tuple[int, int] | None:
        """`processing_size` as the shorter side, or as (height, width)."""
        if self.processing_size is None:
            return None
        match = re.fullmatch(r"(\d+)(?:x(\d+))?", self.processing_size.lower())
        if not match or int(match[1]) < 1:
            raise ValueError(f"--processing_size {self.processing_size}: write a shorter side, or HEIGHTxWIDTH")
        return (int(match[1]), int(match[2])) if match[2] else int(match[1])


def open_datasets(arguments: EvaluateArguments) -> dict[str, EvaluationDataset | OwnDataset]:
    """The data sets to evaluate on, by name."""
    if arguments.sets:
        names = set_names() if arguments.sets == ["all"] else arguments.sets
        return {name: EvaluationDataset(name, arguments.data_dir, arguments.lists_dir) for name in names}
    box = arguments.valid_box
    if box is not None:
        try:
            box = tuple(float(edge) if "." in edge else int(edge) for edge in box)
        except ValueError:
            box = ()
    for name, values, count in (("valid_box", box, 4), ("crop", arguments.crop, 2)):
        if values is not None and len(values) != count:
            raise DataError(f"--{name} takes {count} numbers.")
    protocol = Protocol(
        min_depth=arguments.min_depth, max_depth=arguments.max_depth, crop=arguments.crop, valid_box=box
    )
    title = arguments.title or "own data"
    if arguments.frames:
        spec = {"name": "frames", "root": arguments.frames, "depth_scale": arguments.depth_scale}
        title = arguments.title or Path(arguments.frames).resolve().name
    elif arguments.rgb_dir:
        spec = {"name": "pairs", "rgb_dir": arguments.rgb_dir, "depth_dir": arguments.depth_dir,
                "depth_scale": arguments.depth_scale}  # fmt: skip
    else:
        try:
            spec = json.loads(arguments.dataset)
        except json.JSONDecodeError as error:
            raise DataError(f"--dataset is not a JSON mapping ({error}).") from error
        if not isinstance(spec, dict):
            raise DataError('--dataset must be a JSON mapping such as {"name": "hub", "path": "ID"}.')
    return {"own": OwnDataset(spec, protocol, title)}


def open_predictions(arguments: EvaluateArguments, device: torch.device):
    """The model, the files or the guess to evaluate."""
    if arguments.predictions == "image-free-prior":
        return ImageFreePrior()
    if arguments.predictions:
        return FilePredictions(arguments.predictions, arguments.predicts, arguments.prediction_scale)
    return ModelPredictions(
        arguments.model,
        predicts=arguments.predicts,
        processing_size=arguments.size,
        flip=arguments.flip,
        device=device,
        dtype=DTYPES[arguments.dtype],
        revision=arguments.revision,
        trust_remote_code=arguments.trust_remote_code,
    )


def evaluate(arguments: EvaluateArguments) -> dict | None:
    """Evaluates and writes the results.

    Returns:
        What `results.json` holds, in the first process; `None` in the others.

    Raises:
        DataError: data, model or output cannot be used; one sentence.
    """
    require("accelerate", "train")
    from accelerate import PartialState
    from accelerate.utils import gather_object

    output_dir = Path(arguments.output_dir)
    if (output_dir / "results.json").exists() and not arguments.overwrite:
        raise DataError(f"{output_dir / 'results.json'} exists: choose another --output_dir, or --overwrite.")
    state = PartialState(cpu=arguments.device == "cpu")
    if arguments.device == "cuda" and state.device.type != "cuda":
        raise DataError("--device cuda: PyTorch sees no CUDA device.")
    torch.backends.cudnn.allow_tf32 = False  # float32 convolutions mean float32

    datasets = open_datasets(arguments)
    predictions = open_predictions(arguments, state.device)
    alignment = arguments.alignment or default_alignment(predictions.predicts)
    alignment = None if alignment == "none" else alignment

    output_dir.mkdir(parents=True, exist_ok=True)
    results = {
        "predictions": predictions.describe(),
        "alignment": alignment,
        "batch_size": arguments.batch_size,
        "limit": arguments.limit,
        "versions": {**package_versions(), "device": device_name(state.device)},
        "datasets": {},
    }
    pictures = {}
    for name, dataset in datasets.items():
        evaluation = Evaluation(dataset, predictions, alignment)
        description = dataset.describe()
        cache = RecordCache(output_dir / "cache", {**results, "datasets": description})
        state.wait_for_everyone()  # all have read the cache before any adds to it
        num_images = min(len(dataset), arguments.limit or len(dataset))
        rows = evaluation.run(
            cache,
            num_images,
            batch_size=arguments.batch_size,
            num_workers=arguments.num_workers,
            process_index=state.process_index,
            num_processes=state.num_processes,
            title=name,
        )
        gathered = {row["index"]: row for row in gather_object(list(rows.values())) if row["index"] < num_images}
        for row in gathered.values():
            row.pop("files", None)  # of use to the cache alone
        rows = [gathered[index] for index in sorted(gathered)]
        metrics = mean_metrics(row["metrics"] for row in rows)
        results["datasets"][name] = {
            "title": dataset.title,
            **description,
            "images": len(rows),
            "without_valid_pixels": [row["name"] for row in rows if row["metrics"] is None],
            "metrics": metrics,
            "rows": rows,
        }
        if state.is_main_process:
            valid = [row for row in rows if row["metrics"] is not None]
            worst = sorted(valid, key=lambda row: -row["metrics"]["abs_rel"])[: arguments.worst]
            pictures[name] = [(row, error_panels(*evaluation.picture(row["index"]))) for row in worst]
    if not state.is_main_process:
        return None
    results["protocol"] = describe_protocol(results)
    write_report(results, pictures, output_dir)
    return results


def evaluate_and_print(arguments: EvaluateArguments) -> None:
    """Evaluates; the first process prints the tables."""
    if evaluate(arguments) is not None:
        print((Path(arguments.output_dir) / "results.md").read_text(encoding="utf-8"))


def main(argv: list[str] | None = None) -> int:
    """Runs an evaluation; 0, or 2 after a mistake."""
    return run_program("evaluate.py", EvaluateArguments, evaluate_and_print, argv, __doc__)


if __name__ == "__main__":
    sys.exit(main())
