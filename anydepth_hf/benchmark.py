"""`anydepth benchmark`: parameters, FLOPs, latency and memory of presets and their peers, at random weights."""

import argparse
import multiprocessing
import os
import re
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path

import torch
import transformers
from transformers import AutoModelForDepthEstimation, DepthAnythingConfig, Dinov2Config, DPTConfig, PreTrainedConfig

from .atomic_write import atomic_write_json
from .benchmark_report import PUBLISHED_EFFICIENCY, report
from .environment import describe_device
from .flops import count, decoder_modules
from .originals import preset_of_repository
from .presets import preset, preset_config, preset_names

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def _depth_anything(hidden_size: int, layers: int, out_indices: list[int], neck: list[int], fusion: int):
    backbone = Dinov2Config(  # type: ignore[call-arg]  # out_indices is a setter of the class
        hidden_size=hidden_size, num_hidden_layers=layers, num_attention_heads=hidden_size // 64, image_size=518,
        patch_size=14, out_indices=out_indices, apply_layernorm=True, reshape_hidden_states=False,
    )  # fmt: skip
    return DepthAnythingConfig(
        backbone_config=backbone, reassemble_hidden_size=hidden_size, neck_hidden_sizes=neck, fusion_hidden_size=fusion
    )


PEERS = {
    "depth-anything-v2-small": lambda: _depth_anything(384, 12, [3, 6, 9, 12], [48, 96, 192, 384], 64),
    "depth-anything-v2-base": lambda: _depth_anything(768, 12, [3, 6, 9, 12], [96, 192, 384, 768], 128),
    "depth-anything-v2-large": lambda: _depth_anything(1024, 24, [5, 12, 18, 24], [256, 512, 1024, 1024], 256),
    "dpt-large": lambda: DPTConfig(
        hidden_size=1024,
        num_hidden_layers=24,
        num_attention_heads=16,
        intermediate_size=4096,
        backbone_out_indices=[5, 11, 17, 23],
        neck_hidden_sizes=[256, 512, 1024, 1024],
    ),  # fmt: skip
}
"""Configurations, as on the Hub, of models in transformers."""


def model_config(name: str) -> PreTrainedConfig:
    """The configuration of a preset, of a peer, or in a folder or on the Hub.

    Raises:
        ValueError: none of these.
    """
    name = preset_of_repository(name) or name
    if name in preset_names():
        return preset_config(name)
    if name in PEERS:
        return PEERS[name]()
    names = ", ".join([*preset_names(), *PEERS])
    message = f"{name} is neither a model with a config.json nor one of {names}."
    if "/" not in name and not os.path.isdir(name):
        raise ValueError(message)
    try:
        return transformers.AutoConfig.from_pretrained(name)
    except (OSError, ValueError) as error:
        raise ValueError(message) from error


def input_size(config: PreTrainedConfig, resolution: int) -> int:
    """The multiple of the model's patch size that is nearest to a resolution."""
    patch_size = getattr(config, "patch_size", None) or config.backbone_config.patch_size
    return max(1, round(resolution / patch_size)) * patch_size


def build(config: PreTrainedConfig, device: torch.device, dtype: torch.dtype, channels_last: bool = False):
    """Builds the model of a configuration with random weights, in eval mode."""
    with torch.device(device):
        model = AutoModelForDepthEstimation.from_config(config).to(dtype).eval()
    return model.to(memory_format=torch.channels_last) if channels_last else model


@torch.inference_mode()
def decoder_call(model, pixel_values: torch.Tensor, prepare: Callable = lambda module: module):
    """A function that runs the decoder alone, each module `prepare`d, on the features of one forward pass."""
    calls = []

    def keep(module, args, kwargs):
        calls.append((module, args, kwargs))

    hooks = [module.register_forward_pre_hook(keep, with_kwargs=True) for module in decoder_modules(model)]
    try:
        model(pixel_values=pixel_values)
    finally:
        for hook in hooks:
            hook.remove()
    calls = [(prepare(module), args, kwargs) for module, args, kwargs in calls]
    return lambda: [module(*args, **kwargs) for module, args, kwargs in calls]


@torch.inference_mode()
def latencies(
    functions: dict, device: torch.device, runs: int, warmup: int
) -> dict[tuple[str, str], tuple[float, float]]:
    """Median and standard deviation in milliseconds; the functions take turns, so that drift hits all alike."""

    def wait():
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    times: dict = {name: [] for name in functions}
    for step in range(warmup + runs):
        for name, function in functions.items():
            wait()
            start = time.perf_counter()
            function()
            wait()
            if step >= warmup:
                times[name].append(1000 * (time.perf_counter() - start))
    return {name: (statistics.median(values), statistics.pstdev(values)) for name, values in times.items()}


def peak_memory(config: PreTrainedConfig, size: int, batch_size: int, device: torch.device, dtype: torch.dtype) -> int:
    """Bytes at the peak of one prediction: allocated on a GPU; on a CPU, resident in a process of its own."""
    if device.type == "cuda":
        return _predict_once(config, size, batch_size, device, dtype)
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        return pool.apply(_predict_once, (config, size, batch_size, device, dtype))


@torch.inference_mode()
def _predict_once(config, size, batch_size, device, dtype) -> int:
    model = build(config, device, dtype)
    pixel_values = torch.randn(batch_size, 3, size, size, device=device, dtype=dtype)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    model(pixel_values=pixel_values)
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    status = Path("/proc/self/status")
    if status.exists():  # unlike getrusage, this does not start at the parent's peak
        return 1024 * int(re.search(r"VmHWM:\s+(\d+)", status.read_text())[1])
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def run(args: argparse.Namespace) -> int:
    """The command: measures, prints the tables, writes the JSON file."""
    if args.json and os.path.exists(args.json):
        raise ValueError(f"{args.json} exists: give another name for --json.")
    args.device = args.device or ("cuda" if torch.cuda.is_available() else "cpu")
    if args.device == "cuda" and not torch.cuda.is_available():
        raise ValueError("--device cuda: PyTorch sees no CUDA device.")
    if args.compile and args.runs and not args.warmup:
        raise ValueError("--compile needs --warmup of at least 1, or the compilation would be timed.")
    if args.threads:
        torch.set_num_threads(args.threads)
    wanted = {"presets": preset_names(), "peers": PEERS}
    names = [name for given in args.models or PUBLISHED_EFFICIENCY for name in wanted.get(given, [given])]
    names = list(dict.fromkeys(names))
    results = {"environment": environment(args), "parameters": parameters(names), "models": measure(names, args)}
    print(report(results))
    if args.json:
        atomic_write_json(args.json, results)
    return 0


def parameters(names: list[str]) -> dict[str, dict[str, int]]:
    """Of the models, and of all presets for which the paper gives the decoder's."""
    listed = [name for name in preset_names() if "decoder_parameters_millions" in (preset(name)["published"] or {})]
    entries = {}
    for name in dict.fromkeys([*listed, *names]):
        config = model_config(name)
        size = input_size(config, 64)
        counts = count(config, size, size)
        entries[name] = {"parameters": counts.parameters, "decoder_parameters": counts.decoder_parameters}
    return entries


def measure(names: list[str], args: argparse.Namespace) -> list[dict]:
    """One entry for each model and resolution: counts, and what of latency and memory was asked for."""
    device, dtype = torch.device(args.device), DTYPES[args.dtype]
    configs = {name: model_config(name) for name in names}
    entries = []
    for name, config in configs.items():
        for resolution in args.resolutions:
            size = input_size(config, resolution)
            entry = {"model": name, "resolution": resolution, "input_size": size}
            entry |= asdict(count(config, size, size))
            if args.memory:
                entry["peak_memory"] = peak_memory(config, size, args.batch_size, device, dtype)
            entries.append(entry)
    if args.runs:
        prepare = partial(torch.compile, mode=args.compile, dynamic=False, disable=not args.compile)
        models = {name: build(config, device, dtype, args.channels_last) for name, config in configs.items()}
        for resolution in args.resolutions:
            at = {entry["model"]: entry for entry in entries if entry["resolution"] == resolution}
            functions: dict[tuple[str, str], Callable] = {}
            for name, model in models.items():
                size = at[name]["input_size"]
                pixel_values = torch.randn(args.batch_size, 3, size, size, device=device, dtype=dtype)
                if args.channels_last:
                    pixel_values = pixel_values.contiguous(memory_format=torch.channels_last)
                functions[name, "decoder"] = decoder_call(model, pixel_values, prepare)
                functions[name, "model"] = partial(prepare(model), pixel_values=pixel_values)
            for (name, part), (median, deviation) in latencies(functions, device, args.runs, args.warmup).items():
                at[name] |= {f"{part}_ms": median, f"{part}_ms_std": deviation}
    return entries


def environment(args: argparse.Namespace) -> dict:
    """Describes the machine and the settings under which figures were measured."""
    return {
        **describe_device(args.device),
        "threads": torch.get_num_threads(),
        "dtype": args.dtype,
        "memory_format": "channels last" if args.channels_last else None,
        "compile": args.compile,
        "batch_size": args.batch_size,
        "runs": args.runs,
        "warmup": args.warmup,
    }
