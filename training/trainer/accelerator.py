"""Accelerate's side of a run: devices, precision, trackers."""

import os

import torch
from accelerate import Accelerator
from accelerate.tracking import get_available_trackers
from accelerate.utils import DistributedDataParallelKwargs, ProjectConfiguration, TorchDynamoPlugin
from transformers.utils import logging

from training.trainer.arguments import TrainArguments


def build_accelerator(arguments: TrainArguments) -> Accelerator:
    """Raises ValueError for a precision, tracker or way of sharding that the machine or the options do not allow."""
    logging.disable_progress_bar()  # of saving and loading models, in the middle of ours
    logging.set_verbosity_error()  # no table of the new head's weights; `build_model` checks what was loaded
    if arguments.cpu:
        # without it torchrun's processes would not find each other on a machine without GPUs
        os.environ["ACCELERATE_USE_CPU"] = "1"
    trackers = [name for name in arguments.trackers if name != "none"]
    available = [tracker.value for tracker in get_available_trackers()]
    for name in trackers:
        if name not in available:
            raise ValueError(
                f"--trackers {name} is not installed (installed: {', '.join(available) or 'none'}): "
                f"pip install {name}, or --trackers none"
            )
    accelerator = Accelerator(
        cpu=arguments.cpu,
        mixed_precision=arguments.mixed_precision,
        gradient_accumulation_steps=arguments.gradient_accumulation_steps,
        log_with=trackers or None,
        project_config=ProjectConfiguration(arguments.output_dir, os.path.join(arguments.output_dir, "logs")),
        dynamo_plugin=TorchDynamoPlugin(backend="inductor") if arguments.compile else None,
        kwargs_handlers=[DistributedDataParallelKwargs(gradient_as_bucket_view=True)],
    )
    if is_sharded(accelerator) and (arguments.ema_decay or arguments.encoder == "lora"):
        raise ValueError("--ema_decay and --encoder lora keep whole weights: not with FSDP or DeepSpeed")
    if accelerator.state.deepspeed_plugin is not None:
        # accelerate reads it off a prepared DataLoader, which this project does not use
        accelerator.state.deepspeed_plugin.deepspeed_config["train_micro_batch_size_per_gpu"] = arguments.batch_size
    if accelerator.device.type == "cuda":
        torch.set_float32_matmul_precision("high")
        torch.backends.cudnn.benchmark = True
    return accelerator


def is_sharded(accelerator: Accelerator) -> bool:
    return accelerator.distributed_type.value in ("FSDP", "DEEPSPEED")


def start_trackers(accelerator: Accelerator, arguments: TrainArguments, resumed_step: int | None) -> None:
    config = {k: v if isinstance(v, int | float | str) else str(v) for k, v in vars(arguments).items()}
    options = {"tensorboard": {"purge_step": resumed_step + 1}} if resumed_step is not None else {}
    accelerator.init_trackers("anydepth", config, options)
