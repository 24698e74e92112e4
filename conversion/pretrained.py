"""Encoders from transformers directories and Hub repositories."""

import re
from pathlib import Path

import torch
from transformers import AutoConfig, AutoModel, AutoModelForDepthEstimation

from anydepth_hf.loading import require_complete
from anydepth_hf.programs import first_line
from anydepth_hf.quiet import quiet_transformers

from .formats.renaming import ConversionError, Part
from .formats.settings import Settings, encoder_config, field_types

# Whole depth models that hold an encoder as `backbone`, and encoders themselves.
DEPTH_MODELS = ("depth_anything", "anydepth")
ENCODERS = ("dinov3_vit", "dinov2")
# AnyDepth decides these itself.
IGNORED_FIELDS = ("apply_layernorm", "reshape_hidden_states")


def is_pretrained(name: str | Path) -> bool:
    """Whether this is a directory or looks like a Hub id, and is not a file."""
    path = Path(name)
    is_weights = path.suffix in (".bin", ".ckpt", ".pt", ".pth", ".safetensors")
    looks_like_id = not is_weights and re.fullmatch(r"[\w.-]+/[\w.-]+", str(name))
    return path.is_dir() or bool(looks_like_id and not path.exists())


def read_pretrained_encoder(name: str | Path, settings: Settings) -> Part:
    """
    Args:
        name: directory or Hub id of a DINOv3, DINOv2, Depth Anything V2 or AnyDepth model in transformers' format.

    Raises:
        ConversionError: nothing there, or another kind of model.
    """
    try:
        config = AutoConfig.from_pretrained(name)
    except Exception as error:  # OSError, ValueError, StrictDataclassError, KeyError ...
        reason = first_line(error).rstrip(".")
        raise ConversionError(f"{name} is no file and no model of transformers ({reason}).") from None
    if config.model_type not in (*DEPTH_MODELS, *ENCODERS):
        raise ConversionError(
            f"{name} is a model of type {config.model_type!r}, which AnyDepth cannot use as its encoder; "
            f"usable are {', '.join((*ENCODERS, *DEPTH_MODELS))}."
        )
    is_encoder = config.model_type not in DEPTH_MODELS
    auto_class = AutoModel if is_encoder else AutoModelForDepthEstimation
    try:
        with quiet_transformers():
            model, info = auto_class.from_pretrained(name, dtype=torch.float32, output_loading_info=True)
        missing = [key for key in info["missing_keys"] if is_encoder or key.startswith("backbone.")]
        require_complete({"missing_keys": missing, "mismatched_keys": info["mismatched_keys"]}, name)
    except Exception as error:  # OSError, SafetensorError, ModelError ... of whatever the directory holds
        reason = first_line(error).rstrip(".")
        raise ConversionError(f"The model in {name} cannot be loaded ({reason}).") from None
    encoder = model if is_encoder else model.backbone
    config, notes = encoder.config, []
    if config.model_type not in (*ENCODERS, "depth_anything_3", "vggt"):
        raise ConversionError(f"{name} has an encoder of type {config.model_type!r}, which AnyDepth cannot use.")
    state_dict = encoder.state_dict()
    read = {field: getattr(config, field) for field in field_types(type(config), exclude=IGNORED_FIELDS)}
    if config.model_type == "dinov2":
        read["use_mask_token"] = False
        if state_dict.pop("embeddings.mask_token", None) is not None:
            notes.append("Dropped mask_token, which only pretraining uses.")
    if len(config.out_indices) == 4:
        read["out_indices"] = list(config.out_indices)
    return Part(
        state_dict,
        backbone_config=encoder_config(type(config), settings, **read),
        fields={"apply_backbone_norm": config.model_type == "dinov2"},
        processor={} if config.model_type == "dinov3_vit" else {"size": {"shortest_edge": config.image_size}},
        notes=notes,
    )
