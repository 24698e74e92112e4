"""The model a run trains: where its weights come from, which of them are trained, and at what learning rate."""

import json

import torch
from huggingface_hub.errors import GatedRepoError, StrictDataclassError
from torch import nn
from transformers import AutoConfig, PreTrainedConfig, PreTrainedModel

from anydepth_hf import AnyDepthConfig, AnyDepthForDepthEstimation, AnyDepthImageProcessor
from anydepth_hf.hub_files import explain
from anydepth_hf.loading import require_complete
from anydepth_hf.originals import encoder_source
from anydepth_hf.presets import preset_config
from anydepth_hf.programs import one_line
from anydepth_hf.pull import resolve
from training.trainer.arguments import TrainArguments


def build_model(arguments: TrainArguments) -> nn.Module:
    """
    The model in train mode, with what is to be trained requiring gradients.

    Returns:
        `AnyDepthForDepthEstimation`, or a `PeftModel` around it for `--encoder lora`.

    Raises:
        ValueError: weights that cannot be found or read, an unknown preset, or options that do not fit together.
    """
    if arguments.model is None:
        model = _with_new_head(arguments)
    else:
        model = _from_pretrained(AnyDepthForDepthEstimation, resolve(arguments.model))
        if arguments.far_plane is not None:
            model.config.max_depth = arguments.far_plane
    for name in ("relative_loss", "gradient_matching_weight"):
        if getattr(arguments, name) is not None:
            setattr(model.config, name, getattr(arguments, name))
    model.config.freeze_backbone = arguments.encoder == "frozen"
    model.requires_grad_(True)
    if arguments.gradient_checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    if arguments.encoder == "lora":
        model = _add_lora(model, arguments.lora_rank)
    return model.train()


def _with_new_head(arguments: TrainArguments) -> AnyDepthForDepthEstimation:
    far_plane = {} if arguments.far_plane is None else {"max_depth": arguments.far_plane}
    if arguments.preset:
        config = preset_config(arguments.preset, **far_plane)
        source = arguments.encoder_weights or encoder_source(arguments.preset)
    else:
        config = _config_of(arguments.architecture, far_plane)
        source = arguments.encoder_weights or "random"
        if source == "random" and arguments.encoder != "full":
            raise ValueError(
                "--architecture starts from random weights: train its encoder too, with --encoder full, or give "
                "--encoder_weights"
            )
    try:
        model = AnyDepthForDepthEstimation(config)
    except Exception as error:  # of nonsense sizes torch raises what happens to go wrong first
        raise ValueError(f"--architecture makes no model: {one_line(error)}") from None
    if source != "random":
        source = resolve(source)
        if _load_config(source).model_type == "anydepth":
            model.backbone = _from_pretrained(type(model), source, config=config, part="backbone.").backbone
        else:
            model.backbone = _from_pretrained(type(model.backbone), source, config=config.backbone_config)
    return model


def _config_of(architecture: str, far_plane: dict) -> AnyDepthConfig:
    try:
        values = json.loads(architecture)
        if not isinstance(values, dict):
            raise TypeError("it must be a JSON object")
        return AnyDepthConfig(**{**values, **far_plane})
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, StrictDataclassError) as error:
        raise ValueError(f"--architecture: {one_line(error)}") from None


def _load_config(source: str) -> PreTrainedConfig:
    try:
        return AutoConfig.from_pretrained(source)
    except Exception as error:  # OSError, ValueError, StrictDataclassError, KeyError ... of whatever it holds
        is_gated = isinstance(error.__cause__, GatedRepoError)
        reason = explain(error.__cause__, source, "main") if is_gated else error
        raise ValueError(f"cannot load {source!r}: {one_line(reason)}") from None


def _from_pretrained(model_class: type[PreTrainedModel], source: str, part: str = "", **kwargs) -> PreTrainedModel:
    """A model in float32, of which the weights whose names start with `part` must all come from `source`."""
    try:
        model, info = model_class.from_pretrained(
            source, dtype=torch.float32, output_loading_info=True, ignore_mismatched_sizes=True, **kwargs
        )
    except Exception as error:  # OSError, SafetensorError, UnpicklingError, StrictDataclassError ...
        raise ValueError(f"cannot load {source!r}: {one_line(error)}") from None
    absent = {
        "missing_keys": [name for name in info["missing_keys"] if name.startswith(part)],
        "mismatched_keys": [name for name in info["mismatched_keys"] if name[0].startswith(part)],
    }
    require_complete(absent, source)
    return model


def _add_lora(model: AnyDepthForDepthEstimation, rank: int) -> nn.Module:
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError:
        raise ValueError("--encoder lora needs peft: pip install 'anydepth-hf[lora]'") from None
    targets = [f"backbone.{name}" for name, part in model.backbone.named_modules() if isinstance(part, nn.Linear)]
    head = [parameter for parameter in model.head.parameters() if parameter.requires_grad]
    model = get_peft_model(model, LoraConfig(r=rank, lora_alpha=rank, target_modules=targets))
    for parameter in head:  # peft freezes all but its adapters
        parameter.requires_grad_(True)
    return model


def freeze_unreached(model: nn.Module) -> None:
    """
    Freezes parameters that the loss does not depend on (DINOv3's mask token, norms of unused levels).

    DDP waits for the gradient of every parameter that wants one. One backward pass of a tiny image, in eval mode so
    that no running statistic moves, shows which get none.
    """
    model.eval()
    side = 4 * model.config.patch_size
    model(pixel_values=torch.rand(1, 3, side, side), labels=1 + torch.rand(1, side, side)).loss.backward()
    for parameter in model.parameters():
        if parameter.grad is None:
            parameter.requires_grad_(False)
        parameter.grad = None
    model.train()


def parameter_groups(model: nn.Module, head_rate: float, encoder_rate: float) -> list[dict]:
    """Two groups of trained parameters, each with its base rate as `base_lr`, which the schedule scales."""
    encoder, head = [], []
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            (encoder if "backbone." in name else head).append(parameter)
    groups = [{"params": head, "base_lr": head_rate}, {"params": encoder, "base_lr": encoder_rate}]
    return [group for group in groups if group["params"]]


def build_processor(arguments: TrainArguments, config: AnyDepthConfig) -> AnyDepthImageProcessor:
    """The saved model's processor: that of the model it started from, else the short side of the training images."""
    if arguments.model:
        return AnyDepthImageProcessor.from_pretrained(resolve(arguments.model))
    short_sides = sorted(min(size) for size in arguments.sizes)
    return AnyDepthImageProcessor(
        size={"shortest_edge": short_sides[len(short_sides) // 2]},
        ensure_multiple_of=config.patch_size,
        prediction_type=config.prediction_type,
    )
