"""Options of `training/train.py`: dataclasses, filled from a YAML file and then from the command line."""

import dataclasses
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from transformers.hf_argparser import HfArg

from anydepth_hf.option_schema import AT_LEAST_0, AT_LEAST_1, POSITIVE, SHARE, Range, check_names, checked
from anydepth_hf.programs import DataclassParser, one_line

# Options that had another name before, still read under it on the command line, in configs and in checkpoints.
RENAMED_OPTIONS = {"row": "preset", "scenes_per_epoch": "pictures_per_epoch"}
BELOW_1 = Range(minimum=0, below=1)
Count = Annotated[int, AT_LEAST_1]
CountFrom0 = Annotated[int, AT_LEAST_0]
Rate = Annotated[float, AT_LEAST_0]


@dataclass
class TrainArguments:
    """Defaults are those of `configs/base.yaml` where it names one: the paper's recipe, with each value's source."""

    # model: one of preset, model, architecture
    preset: str | None = HfArg(default=None, help="named model: its encoder's weights, a new head")
    model: str | None = HfArg(default=None, help="AnyDepth model to fine-tune: Hub id, folder or preset")
    architecture: str | None = HfArg(default=None, help="AnyDepthConfig with a new head: JSON, or a mapping in YAML")
    encoder_weights: str | None = HfArg(
        default=None,
        help="Hub id, folder or preset with an encoder to start from (default: the preset's), or 'random'",
    )
    encoder: Literal["frozen", "full", "lora"] = HfArg(
        default="frozen", help="what of the encoder is trained: nothing, everything, LoRA adapters"
    )
    lora_rank: Count = HfArg(default=16, help="rank and alpha of the LoRA adapters")
    gradient_checkpointing: bool = HfArg(default=False, help="recompute a trained encoder's activations")
    compile: bool = HfArg(default=False, help="torch.compile the model")
    channels_last: bool = HfArg(default=False, help="NHWC memory format (convolutions on tensor cores)")

    # data
    dataset: list[str] = HfArg(default_factory=list, help="training data: 'pictures' or data set specs")
    validation_dataset: list[str] = HfArg(default_factory=list, help="held-out data: data set specs")
    validation_samples: Count = HfArg(default=64, help="images validated each time, spread over the set")
    image_size: list[str] = HfArg(
        default_factory=lambda: ["768x768"], help="HxW; of several, --dataset pictures draws one for each batch"
    )
    squash: bool = HfArg(default=False, help="resize to image_size instead of a random crop")
    min_crop: Annotated[float, Range(above=0, maximum=1)] = HfArg(
        default=1.0, help="smallest random crop, as a share of the sides of the largest that fits"
    )
    flip_probability: Annotated[float, SHARE] = 0.5
    rotation_probability: Annotated[float, SHARE] = 0.5
    max_rotation: Annotated[float, Range(minimum=0, maximum=180)] = HfArg(default=2.5, help="degrees")
    color_augmentation: bool = False
    far_plane: Annotated[float | None, POSITIVE] = HfArg(
        default=None, help="metres; depth beyond it is no label (default: the model's max_depth, 100)"
    )
    pictures_dir: str | None = HfArg(
        default=None, help="folder of rendered pictures for --dataset pictures: see scenes/make.py"
    )
    pictures_on_device: bool = HfArg(
        default=False,
        help="keep pictures in the GPU's memory and cut and recolour them there; --num_workers is unused",
    )
    pictures_per_epoch: Count = HfArg(default=50_000, help="of --dataset pictures, drawn anew for each epoch")
    num_workers: CountFrom0 | None = HfArg(default=None, help="reading processes for each process (default: by cores)")
    on_error: Literal["raise", "skip"] = HfArg(default="raise", help="at a bad sample of a data set")

    # loss
    relative_loss: Literal["affine_invariant", "log"] | None = HfArg(
        default=None, help="of a relative model, see AnyDepthConfig (default: what the model says)"
    )
    gradient_matching_weight: Rate | None = HfArg(
        default=None, help="of the loss of a relative model (default: what the model says, 2)"
    )

    # optimisation; the length is max_minutes, else max_steps, else num_epochs
    num_epochs: Annotated[float, POSITIVE] = 5.0
    max_steps: Count | None = None
    max_minutes: Annotated[float | None, POSITIVE] = HfArg(
        default=None, help="wall time; the schedule follows the clock"
    )
    batch_size: Count = HfArg(default=64, help="per process")
    gradient_accumulation_steps: Count = 1
    learning_rate: Rate = 1e-3
    encoder_learning_rate: Rate = HfArg(default=1e-4, help="of a trained encoder or its adapters")
    weight_decay: Rate = 0.01
    adam_beta2: Annotated[float, BELOW_1] = 0.999
    schedule: Literal["polynomial", "cosine", "constant"] = "polynomial"
    power: Rate = HfArg(default=0.9, help="of the polynomial decay")
    warmup_ratio: Annotated[float, BELOW_1] = HfArg(default=0.4, help="share of the run with a linear warm-up")
    max_grad_norm: Rate = HfArg(default=35.0, help="0: no clipping")
    ema_decay: Annotated[float, BELOW_1] = HfArg(default=0.0, help="weight average, used for the saved model; 0: off")
    mixed_precision: Literal["no", "bf16", "fp16"] | None = HfArg(
        default=None, help="default: what `accelerate config` says"
    )
    seed: Annotated[int, Range(minimum=0, below=2**32)] = 0

    # run
    output_dir: str = HfArg(default="", help="run directory; ends as a complete model")
    resume: bool = HfArg(default=False, help="go on from the newest checkpoint in output_dir, if any")
    checkpoint_steps: Count = HfArg(default=1000, help="steps between checkpoints")
    keep_checkpoints: Count = 2
    validations: CountFrom0 = HfArg(default=20, help="times the run is validated, evenly over its length")
    pictures: CountFrom0 = HfArg(default=4, help="validation images shown beside the truth")
    logging_steps: Count = HfArg(default=20, help="the device is only waited for this often")
    trackers: list[str] = HfArg(
        default_factory=list, help="trackio, tensorboard, wandb ... beside metrics.jsonl (default: none)"
    )
    cpu: bool = HfArg(default=False, help="train on the CPU, with gloo under torchrun")
    profile_steps: CountFrom0 = HfArg(default=0, help="profile this many steps into output_dir, then stop")
    push_to_hub: bool = HfArg(default=False, help="upload the finished model")
    hub_model_id: str | None = HfArg(default=None, help="default: the name of output_dir")
    hub_private_repo: bool = HfArg(default=False, help="make the repository private, where it is new")

    def __post_init__(self):
        checked(self)
        given = [name for name in ("preset", "model", "architecture") if getattr(self, name)]
        if len(given) != 1:
            raise ValueError(
                f"give exactly one of --preset, --model and --architecture (given: {', '.join(given) or 'none'})"
            )
        if not self.dataset:
            raise ValueError("give --dataset: 'pictures', or one or more data set specs")
        if not self.output_dir:
            raise ValueError("give --output_dir: where checkpoints and the trained model go")
        if ("pictures" in self.dataset) != bool(self.pictures_dir) or len(self.dataset) > 1 and self.pictures_dir:
            raise ValueError(
                "--dataset pictures, alone, and --pictures_dir DIR go together; others mix pictures,root=DIR"
            )
        if len(self.image_size) > 1 and self.dataset != ["pictures"]:
            raise ValueError("several --image_size are for --dataset pictures; a data set is cut to one size")
        if self.pictures_on_device and self.dataset != ["pictures"]:
            raise ValueError("--pictures_on_device is for --dataset pictures")
        self.sizes  # noqa: B018  (raises for a malformed size)

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """`image_size` as (height, width) pairs."""
        try:
            sizes = [tuple(int(side) for side in size.lower().split("x")) for size in self.image_size]
        except ValueError:
            sizes = [()]
        if any(len(size) != 2 or min(size) < 1 for size in sizes):
            raise ValueError(f"--image_size {' '.join(self.image_size)}: write sizes as HEIGHTxWIDTH, e.g. 768x768")
        return sizes

    def to_yaml(self) -> str:
        """The options as a config file that starts the same training."""
        values = dataclasses.asdict(self)
        if self.architecture:
            values["architecture"] = json.loads(self.architecture)
        return yaml.safe_dump(values, sort_keys=False)


def parse_arguments(argv: list[str]) -> TrainArguments:
    """
    `[CONFIG.yaml] [--option value ...]`; the command line wins over the file, the file over the file its `base` names.

    Raises:
        ValueError: in one sentence, for a file that cannot be used, an unknown option, a value of another type or out
            of its range, or options that contradict each other.
    """
    argv = [_renamed(argument) for argument in argv]
    parser = DataclassParser(
        dataclass_types=TrainArguments,
        prog="train.py",
        usage="accelerate launch training/train.py [CONFIG.yaml] --output_dir DIR [--option VALUE ...]",
        description="Trains or fine-tunes an AnyDepth model.",
    )
    if argv and argv[0].endswith((".yaml", ".yml")):
        parser.set_defaults(**_read_config(Path(argv[0])))
        argv = argv[1:]
    (arguments,) = parser.parse_args_into_dataclasses(argv, look_for_args_file=False)
    return arguments


def _renamed(argument: str) -> str:
    """The command-line argument under its present name."""
    name, equals, value = argument.partition("=")
    old = name.removeprefix("--")
    if old == name or old not in RENAMED_OPTIONS:
        return argument
    _announce_renaming(old)
    return f"--{RENAMED_OPTIONS[old]}{equals}{value}"


def _announce_renaming(old: str) -> None:
    print(f"--{old} is called --{RENAMED_OPTIONS[old]} now; the old name goes with version 0.3.", file=sys.stderr)


def _read_config(path: Path, below: tuple[Path, ...] = ()) -> dict:
    """The options of a config file, and those of the files under `base:`; `below` are the files that led here."""
    if path.resolve() in below:
        raise ValueError(f"{path}: its `base:` leads back to itself")
    values = _read_yaml(path)
    base = values.pop("base", None)
    for old, new in RENAMED_OPTIONS.items():
        if old in values:
            old_value = values.pop(old)
            if old_value is not None:
                _announce_renaming(old)
            values.setdefault(new, old_value)
    check_names(values, TrainArguments, str(path))
    for name in ("dataset", "validation_dataset", "image_size", "trackers"):
        if name in values:
            items = values[name] if isinstance(values[name], list) else [values[name]]
            values[name] = [_as_text(item) for item in items]
    if isinstance(values.get("architecture"), dict):
        values["architecture"] = json.dumps(values["architecture"], default=str)
    if base is not None and not isinstance(base, str):
        raise ValueError(f"{path}: base must be the name of another config file, not {base!r}")
    return {**(_read_config(path.parent / base, (*below, path.resolve())) if base else {}), **values}


def _as_text(item):
    """An item of a list as the command line has it: a mapping as JSON, a number as its digits."""
    if isinstance(item, dict):
        return json.dumps(item, default=str)
    return str(item) if isinstance(item, int | float) and not isinstance(item, bool) else item


class _Loader(yaml.SafeLoader):
    """`yaml.SafeLoader` that refuses a key that stands twice in a mapping, of which it would keep the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(None, None, f"{key.value!r} stands twice", key.start_mark)
                seen.add(key.value)
        return super().construct_mapping(node, deep)


def _read_yaml(path: Path) -> dict[str, Any]:
    """The `option: value` lines of a file; empty for an empty one. Raises ValueError with the file's name."""
    try:
        values = yaml.load(path.read_text(encoding="utf-8-sig"), Loader=_Loader)  # noqa: S506  (a safe loader)
    except FileNotFoundError:
        raise ValueError(f"{path}: there is no such config file") from None
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise ValueError(f"{path} is not valid YAML: {one_line(error)}") from None
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ValueError(f"{path} must hold `option: value` lines")
    return values
