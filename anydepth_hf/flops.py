"""Counts of parameters and floating-point operations of depth-estimation models, taken on the meta device.

Convention: 2 FLOPs per multiply-add of convolutions, linear layers and attention products; a transposed convolution
once per *input* position; nothing for the rest (norms, activations, interpolation, sampling).
"""

import copy
from dataclasses import dataclass

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoModelForDepthEstimation, PreTrainedConfig, PreTrainedModel

DECODER_MODULES = ("neck", "head")  # what these models call the part behind the encoder


@dataclass(frozen=True)
class Counts:
    """Of one model and input size.

    Attributes:
        parameters, decoder_parameters: numbers of parameters.
        flops, decoder_flops: of one forward pass of a batch of one, as executed.
        official_decoder_flops: of the same decoder where the class token's half of the readout is computed for every
            patch, as the official SDT head does, and not once for an image.
    """

    parameters: int
    decoder_parameters: int
    flops: int
    decoder_flops: int
    official_decoder_flops: int


def decoder_modules(model: PreTrainedModel) -> list[nn.Module]:
    """The parts behind the encoder, in the order of their execution."""
    return [getattr(model, name) for name in DECODER_MODULES if hasattr(model, name)]


def count(config: PreTrainedConfig, height: int, width: int) -> Counts:
    """Builds the model of a configuration without memory for its weights, and counts.

    Args:
        config: of any `AutoModelForDepthEstimation` with a `head` (and a `neck`).
        height, width: input size in pixels.
    """
    with torch.device("meta"):
        model = AutoModelForDepthEstimation.from_config(copy.deepcopy(config)).eval()
        pixel_values = torch.empty(1, 3, height, width)
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        model(pixel_values=pixel_values)
    by_module = counter.get_flop_counts()
    root = type(model).__name__
    decoder = sum(sum(by_module.get(f"{root}.{name}", {}).values()) for name in DECODER_MODULES)
    # the counter looks on by hooks, and where somebody does the readout is computed in the official order
    shared = _shared_readout(model, height, width)
    return Counts(
        parameters=_parameters(model),
        decoder_parameters=sum(map(_parameters, decoder_modules(model))),
        flops=counter.get_total_flops() - shared,
        decoder_flops=decoder - shared,
        official_decoder_flops=decoder,
    )


def _parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _shared_readout(model: PreTrainedModel, height: int, width: int) -> int:
    """What computing `linear(cat(token, class token))` of SDT's readout for each token in full adds."""
    fusion = getattr(getattr(model, "head", None), "weighted_fusion", None)
    if fusion is None:
        return 0
    patch_size = model.config.patch_size
    tokens = (height // patch_size) * (width // patch_size)
    readouts = [readout[0] for readout in fusion.readout_projects]
    return sum(2 * (tokens - 1) * linear.out_features * (linear.in_features // 2) for linear in readouts)
