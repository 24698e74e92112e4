"""Builds a model from converted tensors, writes it, and checks what was written."""

import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors import safe_open

from anydepth_hf import AnyDepthConfig, AnyDepthForDepthEstimation
from anydepth_hf.atomic_write import recover_directory, replaced_name
from anydepth_hf.loading import require_complete
from anydepth_hf.programs import one_line
from anydepth_hf.quiet import quiet_transformers

from .formats.renaming import ConversionError, Part, StateDict, describe_keys

# Buffers that a model sets up itself where a checkpoint has none.
OPTIONAL = (".num_batches_tracked", ".init_pos")
# What a training run leaves and no conversion can make again.
IRREPLACEABLE = ("checkpoints", "best-step-*", "metrics.jsonl", "run.json", "training_config.yaml")


def check_output(output: Path, overwrite: bool, inputs: Sequence[Path]) -> None:
    """Raises ConversionError where `output` may not be written, or not replaced."""
    if recover_directory(output):
        print(
            f"{output} is back from {replaced_name(output)}, where a killed conversion had left it.", file=sys.stderr
        )
    if not output.exists() or (output.is_dir() and not any(output.iterdir())):
        return
    if not overwrite:
        raise ConversionError(f"{output} exists and is not empty; choose another --output, or pass --overwrite.")
    if not (output / "config.json").is_file():
        raise ConversionError(f"{output} holds no model, so --overwrite does not replace it; choose another --output.")
    if kept := sorted(name for name in IRREPLACEABLE if any(output.glob(name))):
        raise ConversionError(
            f"{output} is a training run (it holds {', '.join(kept)}), which --overwrite does not replace; choose "
            "another --output."
        )
    for path in inputs:
        if path.resolve().is_relative_to(output.resolve()):
            raise ConversionError(f"{path} lies in {output}, which would be replaced; choose another --output.")


def collect_tensors(config: AnyDepthConfig, encoder: Part, head: Part | None) -> StateDict:
    """All tensors under the model's names, in float32; ConversionError where they do not fit."""
    try:
        with torch.device("meta"):
            expected = AnyDepthForDepthEstimation(config).state_dict()
    except Exception as error:  # of nonsense sizes torch raises what happens to go wrong first
        raise ConversionError(f"The configuration makes no model ({one_line(error).removesuffix('.')}).") from None
    collected, missing, unexpected, misshaped = {}, [], [], []
    for prefix, part in (("backbone.", encoder), ("head.", head)):
        if part is None:
            continue
        for name, tensor in part.state_dict.items():
            original, wanted = part.original_name(name), expected.get(prefix + name)
            if wanted is None:
                unexpected.append(original)
            elif tensor.shape != wanted.shape:
                misshaped.append(f"{original} is {tuple(tensor.shape)} instead of {tuple(wanted.shape)}")
            elif tensor.is_floating_point():
                # float32 first: torch cannot ask 8-bit floats, and a larger type may overflow
                collected[prefix + name] = tensor.float()
                if not collected[prefix + name].isfinite().all():
                    raise ConversionError(f"{original} holds values that are not finite.")
            elif wanted.is_floating_point():
                kinds = [str(each.dtype).removeprefix("torch.") for each in (tensor, wanted)]
                raise ConversionError(f"{original} is {kinds[0]} instead of {kinds[1]}; is the checkpoint quantized?")
            else:
                collected[prefix + name] = tensor
        missing += [
            part.original_name(name.removeprefix(prefix))
            for name in expected
            if name.startswith(prefix)
            and name.removeprefix(prefix) not in part.state_dict
            and not name.endswith(OPTIONAL)
        ]
    problems = [
        f"{len(names)} {kind} ({describe_keys(names)})"
        for kind, names in (("missing", missing), ("unexpected", unexpected), ("mis-shaped", misshaped))
        if names
    ]
    if problems:
        raise ConversionError(f"The checkpoint does not fit the model it should be: {'; '.join(problems)}.")
    return collected


def build_model(config: AnyDepthConfig, tensors: StateDict) -> AnyDepthForDepthEstimation:
    """The model with these tensors, not copied; a head that is not among them is initialised, always alike."""
    with quiet_transformers(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return AnyDepthForDepthEstimation.from_pretrained(None, config=config, state_dict=tensors)


def check_weights(directory: Path, model: AnyDepthForDepthEstimation) -> None:
    """Raises ConversionError where a weight in `directory` is not, to the bit, that of the model."""
    weights = model.state_dict()
    for path in sorted(directory.glob("*.safetensors")):
        with safe_open(path, "pt") as file:
            for name in file.keys():
                if not torch.equal(file.get_tensor(name), weights[name]):
                    raise ConversionError(f"{path.name} holds other values of {name} than the converted model.")


def check_written(directory: Path, expected: torch.Tensor) -> None:
    """Raises ConversionError where the model in `directory` gives another output than the one in memory gave."""
    with quiet_transformers():
        reloaded, info = AnyDepthForDepthEstimation.from_pretrained(directory, output_loading_info=True)
    require_complete(info, directory)
    # to rounding: on some CPUs the order of summation follows where the weights lie in memory
    if not torch.allclose(run(reloaded), expected, rtol=1e-4, atol=1e-5 * expected.abs().max().item()):
        raise ConversionError("The model that was written gives other outputs than the converted one.")


@torch.no_grad()
def run(model: AnyDepthForDepthEstimation) -> torch.Tensor:
    """The head's output, before any activation could hide a difference, for noise that is no square."""
    patch_size = model.config.patch_size
    generator = torch.Generator().manual_seed(0)
    pixel_values = torch.randn(1, 3, 4 * patch_size, 6 * patch_size, generator=generator)
    levels = model.eval().backbone(pixel_values)
    return model.head(levels.feature_maps, levels.cls_tokens)
