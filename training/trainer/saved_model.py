"""A trained model as a complete directory (weights, processor, card), and its upload."""

import copy
from collections.abc import Callable
from pathlib import Path

from accelerate import Accelerator
from accelerate.utils import gather_object
from huggingface_hub import HfApi, ModelCardData
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, HTTPError, LocalTokenNotFoundError
from huggingface_hub.utils import validate_repo_id
from safetensors import SafetensorError
from torch import nn

from anydepth_hf import AnyDepthConfig, AnyDepthForDepthEstimation, AnyDepthImageProcessor
from anydepth_hf.atomic_write import LEFTOVERS, publish_directory, publish_files, remove_directory, temporary_directory
from anydepth_hf.programs import one_line
from training.trainer.accelerator import is_sharded
from training.trainer.arguments import TrainArguments
from training.trainer.provenance import missing_line, notices, provenance, starting_point
from training.trainer.schedule import Clock

MEANING = {
    ("disparity", "relative"): "**disparity** (1 / depth), known up to a scale and a shift: large is near",
    ("disparity", "metric"): "**disparity** in 1 / metre: large is near",
    ("depth", "relative"): "**depth**, known up to a scale and a shift: large is far",
    ("depth", "metric"): "**depth** in metres: large is far",
}


def model_card(
    config: AnyDepthConfig,
    arguments: TrainArguments,
    clock: Clock,
    accelerator: Accelerator,
    device: str,
    validation: dict | None,
) -> str:
    """
    The README.md of a trained model.

    Args:
        device: its name, for people.
        validation: the last validation's metrics, if there was one.
    """
    location = arguments.hub_model_id or arguments.output_dir
    data = f"{', '.join(f'`{item}`' for item in arguments.dataset)} at {', '.join(arguments.image_size)}"
    weights = f"exponential moving average, decay {arguments.ema_decay}" if arguments.ema_decay else "of the last step"
    if validation:
        held_out = ", ".join(f"`{item}`" for item in arguments.validation_dataset)
        results = (
            f"On held-out {held_out}, during training: AbsRel {validation['val/abs_rel']:.4f}, delta1 "
            f"{validation['val/delta1']:.4f}."
        )
        if prior := validation.get("val/abs_rel_of_prior"):
            results += f" An image-free prior (lower is nearer, aligned in the same way) has AbsRel {prior:.4f} there."
        results += " Figures on the evaluation sets come from `training/evaluate.py`."
    else:
        results = "It was not validated during training."
    origin = provenance(arguments)
    card_data = ModelCardData(
        library_name="transformers",
        pipeline_tag="depth-estimation",
        **{**origin, "tags": ["anydepth", config.prediction_type, *origin.get("tags", [])]},
    )
    return f"""---
{missing_line(origin)}{card_data.to_yaml()}
---

# {_repository_name(arguments)}

Monocular depth estimation with AnyDepth (arXiv:2601.02760). `predicted_depth` is
{MEANING[config.prediction_type, config.depth_estimation_type]}.{notices(origin)}

```python
import anydepth_hf  # noqa: F401
from transformers import pipeline

predicted = pipeline("depth-estimation", model="{location}")("picture.jpg")["predicted_depth"]
```

## Training

- From {starting_point(arguments)}; encoder: {arguments.encoder}. Data: {data}.
- {clock.step} steps in {clock.minutes:.0f} minutes on {device}.
- Processes: {accelerator.num_processes}; batch of each: {arguments.batch_size}; accumulation steps: \
{arguments.gradient_accumulation_steps}; precision: {accelerator.mixed_precision}.
- AdamW, learning rate {arguments.learning_rate}, {arguments.schedule} decay, seed {arguments.seed}.
- Weights: {weights}.
- {results}

`training_config.yaml` starts the same training; `run.json` has versions and the state of the code.
"""


def save_model(
    model: nn.Module,
    prepared: nn.Module,
    processor: AnyDepthImageProcessor,
    card: str,
    directory: Path,
    accelerator: Accelerator,
) -> bool:
    """
    Writes a complete model into `directory`; files get their final names only when all are written.

    Every process calls this; the main one writes. False, with nothing left behind, if it could not (disk full).

    Args:
        model: unwrapped. prepared: as `accelerator.prepare` returned it, which gathers sharded weights.
    """
    state_dict = accelerator.get_state_dict(prepared) if is_sharded(accelerator) else None
    failed = False
    if accelerator.is_main_process:
        try:
            with temporary_directory(directory) as temporary:
                if not isinstance(model, AnyDepthForDepthEstimation):  # LoRA: the adapters are merged into a copy
                    model = copy.deepcopy(model).merge_and_unload()
                model.save_pretrained(temporary, state_dict=state_dict)
                processor.save_pretrained(temporary)
                (temporary / "README.md").write_text(card, encoding="utf-8")
                publish_files(temporary, directory, last="config.json")
        except (OSError, SafetensorError) as exception:
            failed = True
            accelerator.print(f"Could not write the model to {directory}: {exception}.")
    return not any(gather_object([failed]))


def save_best(directory: Path, step: int, accelerator: Accelerator, save: Callable[[Path], bool]) -> None:
    """`save(path)`, then `directory/best-step-X` replaces the best model before it. Every process calls this."""
    with temporary_directory(directory) as temporary:
        if save(temporary) and accelerator.is_main_process:
            best = directory / f"best-step-{step:08d}"
            publish_directory(temporary, best, replace=True)  # one of the same step: written before an interruption
            for path in directory.glob("best-step-*"):
                if path != best:
                    remove_directory(path)
    accelerator.wait_for_everyone()


def _repository_name(arguments: TrainArguments) -> str:
    return arguments.hub_model_id or Path(arguments.output_dir).resolve().name


def check_hub(arguments: TrainArguments) -> str:
    """The repository to upload to, USER/NAME, which the card shows; ValueError where the upload would fail."""
    name = _repository_name(arguments)
    try:
        validate_repo_id(name)
        user = HfApi().whoami()["name"]
    except HFValidationError as error:
        raise ValueError(f"--push_to_hub needs another --hub_model_id or --output_dir: {one_line(error)}") from None
    except (HfHubHTTPError, HTTPError, LocalTokenNotFoundError) as error:
        raise ValueError(f"--push_to_hub needs a login: `hf auth login`, or HF_TOKEN ({one_line(error)})") from None
    return name if "/" in name else f"{user}/{name}"


def push_to_hub(arguments: TrainArguments) -> bool:
    """Uploads the model and the run's record, not its checkpoints, and says where; or says what to do instead."""
    api, directory = HfApi(), Path(arguments.output_dir)
    try:
        private = arguments.hub_private_repo or None  # None: as the owner's organization has it
        repository = api.create_repo(_repository_name(arguments), private=private, exist_ok=True)
        commit = api.upload_folder(
            repo_id=repository.repo_id,
            folder_path=directory,
            ignore_patterns=["checkpoints/*", "best-step-*", "logs/*", LEFTOVERS, f"{LEFTOVERS}/*"],
            commit_message="Trained with training/train.py",
        )
    except (HfHubHTTPError, HTTPError) as error:
        print(f"The upload failed ({one_line(error)}). `hf upload REPOSITORY {directory}` tries again.")
        return False
    print(f"Uploaded: {commit}")
    return True
