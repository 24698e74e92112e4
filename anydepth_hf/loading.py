"""Models and their image processors by name, with each mistake as one sentence."""

import os

import torch
from transformers import AutoImageProcessor, AutoModelForDepthEstimation, PreTrainedModel

from anydepth_cli.sentences import first_line

from .bundled_checkpoint import BUNDLED_CHECKPOINT
from .pull import resolve


class ModelError(ValueError):
    """A model that cannot be used; the message is one sentence that names it."""


def require_complete(loading_info: dict, name: str | os.PathLike):
    """
    Refuses a model of which weights are missing: `from_pretrained` fills them with random numbers and only warns.

    Args:
        loading_info: what `from_pretrained(..., output_loading_info=True)` returns beside the model.
        name: what the error calls the model.

    Raises:
        ModelError: weights are missing or of another shape.
    """
    # encoders have mask tokens for their own training only: no prediction depends on them
    absent = sorted(key for key in loading_info["missing_keys"] if not key.endswith("mask_token"))
    absent += sorted(str(key[0] if isinstance(key, tuple) else key) for key in loading_info["mismatched_keys"])
    if absent:
        raise ModelError(
            f"{os.fspath(name)} lacks {len(absent)} of its weights, {absent[0]} for one, and would predict noise; "
            "get or convert the checkpoint again."
        )


def load_model(
    name: str | os.PathLike | None = None,
    device: str | torch.device | None = None,
    dtype: str | torch.dtype = "float32",
    trust_remote_code: bool = False,
) -> tuple[PreTrainedModel, AutoImageProcessor]:
    """
    Loads a depth-estimation model, complete and in eval mode, and its image processor.

    Args:
        name: directory, Hub id, or a preset, whose published weights are downloaded on first use ([`pull`]); by
            default the small model that comes with the package.
        device: `"cpu"`, `"cuda"`, `"cuda:1"`, `"mps"`; by default the best that there is.
        dtype: of the weights, e.g. `"bfloat16"`.
        trust_remote_code: run the model code of the Hub repository.

    Raises:
        ModelError: there is no such model, device or dtype, or the checkpoint is damaged or lacks weights.
        PullError, ValueError: see [`resolve`].
    """
    name = BUNDLED_CHECKPOINT if name is None else os.fspath(name)
    device = find_device(device)
    weights_dtype = getattr(torch, dtype, None) if isinstance(dtype, str) else dtype
    if not isinstance(weights_dtype, torch.dtype):
        raise ModelError(f"There is no dtype {dtype}; take float32, bfloat16 or float16.")
    options, source = {"trust_remote_code": trust_remote_code}, resolve(name)
    try:
        processor = AutoImageProcessor.from_pretrained(source, **options)
        model, info = AutoModelForDepthEstimation.from_pretrained(
            source, dtype=weights_dtype, output_loading_info=True, **options
        )
    except Exception as error:  # OSError, SafetensorError, StrictDataclassError, KeyError, UnpicklingError ...
        raise ModelError(f"Cannot load a depth-estimation model from {name}: {first_line(error)}") from error
    require_complete(info, name)
    return model.to(device).eval(), processor


def find_device(name: str | torch.device | None = None) -> torch.device:
    """
    The device of a name; by default the best that there is.

    Raises:
        ModelError: PyTorch knows no such device or cannot use it.
    """
    if name is None:
        return torch.accelerator.current_accelerator() if torch.accelerator.is_available() else torch.device("cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
        return device
    except Exception as error:  # RuntimeError, AssertionError of a build without CUDA ...
        raise ModelError(f"The device {name} cannot be used here: {first_line(error)}") from error
