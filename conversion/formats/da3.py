"""Depth Anything 3 checkpoints (ByteDance-Seed/Depth-Anything-3, `model.safetensors` with the Hub's `config.json`)."""

import json
import re
from functools import partial
from pathlib import Path

from anydepth_hf.configuration_anydepth import BACKBONE_PRESETS
from anydepth_hf.configuration_depth_anything_3 import DepthAnything3Config
from anydepth_hf.presets import preset

from .dinov2 import DINOV2, read_sizes
from .dpt import DEPTH_ANYTHING, convert_dpt_state_dict, read_dpt_sizes
from .renaming import CheckpointFormat, ConversionError, Part, StateDict
from .settings import Settings, encoder_config

# `model_name` in the Hub's config.json (a retrained `-1.1` has its predecessor's architecture) and our preset.
PRESETS = {
    "da3-small": "da3-small",
    "da3-base": "da3-base",
    "da3-large": "da3-large",
    "da3-giant": "da3-giant",
    "da3mono-large": "da3-mono-large",
    "da3metric-large": "da3-metric-large",
}
ANYVIEW_OUT_LAYERS = {12: (5, 7, 9, 11), 24: (11, 15, 19, 23), 40: (19, 27, 33, 39)}
PROCESSOR = {"size": {"longest_edge": 504}}  # the official default
# Official heads: depth = exp(x), up to a scale.
DEPTH_FIELDS = {"num_output_channels": 1, "output_activation": "exp", "prediction_type": "depth", "min_depth": 0.0}


def use_preset(checkpoint: str | Path, state_dict: StateDict, settings: Settings) -> list[str]:
    """
    Takes the levels from the preset that a `config.json` beside the checkpoint names, unless they are set.

    Returns:
        Notes for the user.

    Raises:
        ConversionError: a nested checkpoint, a `config.json` that cannot be read, or one of another model.
    """
    path = Path(checkpoint).with_name("config.json")
    name = ""
    if path.is_file():
        try:
            name = str(json.loads(path.read_text(encoding="utf-8")).get("model_name", ""))
        except (ValueError, AttributeError) as error:
            raise ConversionError(f"{path} is no configuration of Depth Anything 3 ({error}).") from None
    if "nested" in name or any(".da3_metric." in key or key.startswith("da3_metric.") for key in state_dict):
        raise ConversionError(
            f"{checkpoint} is a nested model, a giant any-view and a metric one that only work together; convert "
            "depth-anything/DA3-GIANT-1.1 or depth-anything/DA3METRIC-LARGE instead."
        )
    if not name:
        return []
    known = PRESETS.get(re.sub(r"-\d+\.\d+$", "", name.lower()))
    if known is None:
        return [f"{path} names {name!r}, which is not known here: levels are those usual for the encoder's depth."]
    expected = BACKBONE_PRESETS[known]
    width = next((t.shape[-1] for key, t in state_dict.items() if key.endswith("backbone.pretrained.cls_token")), None)
    if width is not None and width != expected["hidden_size"]:
        raise ConversionError(
            f"{path} says {name}, whose encoder is {expected['hidden_size']} wide, but that of {checkpoint} is "
            f"{width} wide; put the config.json of the same model beside it, or remove it."
        )
    if not {"out_layers", "out_indices"} & settings.backbone.keys():
        settings.backbone["out_indices"] = expected["out_indices"]
    return [preset("da3-metric-large-dpt")["note"]] if known == "da3-metric-large" else []


def read_anyview(state_dict: StateDict, settings: Settings) -> Part:
    normed = {name: tensor for name, tensor in state_dict.items() if name.endswith(".attn.q_norm.weight")}
    if not normed:
        raise KeyError("blocks.0.attn.q_norm.weight")
    # q/k norm, rotary positions and the alternation begin at the same block in every model
    alt_start = min(int(name.split(".")[1]) for name in normed)
    fields = {"alt_start": alt_start, "cat_token": True, **read_sizes(state_dict)}
    config = encoder_config(DepthAnything3Config, settings, ANYVIEW_OUT_LAYERS, **fields)
    return Part(DINOV2.convert(state_dict), backbone_config=config, processor=PROCESSOR)


def read_mono(state_dict: StateDict, settings: Settings) -> Part:
    config = encoder_config(DepthAnything3Config, settings, alt_start=None, cat_token=False, **read_sizes(state_dict))
    return Part(DINOV2.convert(state_dict), backbone_config=config, processor=PROCESSOR)


def read_head(state_dict: StateDict, settings: Settings, branch: str = "", mark: str = "", **fields) -> Part:
    """A head without its other branch, if it has one: the tensors whose names hold `mark`."""
    depth = {name: tensor for name, tensor in state_dict.items() if not mark or mark not in name}
    num_dropped = len(state_dict) - len(depth)
    converted = convert_dpt_state_dict(depth)
    sizes = read_dpt_sizes(converted)
    fields |= {"predict_confidence": sizes["num_output_channels"] == 2, "head_input_norm": "norm.weight" in converted}
    notes = [f"Dropped the {num_dropped} tensors of the head's {branch} branch."] if num_dropped else []
    return Part(converted, fields={**sizes, **DEPTH_FIELDS, **fields}, notes=notes)


HEAD_KEYS = ("scratch.layer1_rn.weight", "projects.0.weight", "scratch.output_conv2.2.weight")
ENCODERS = (
    CheckpointFormat(
        "Depth Anything 3 any-view encoder",
        "da3",
        ("cls_token", "pos_embed", "camera_token", "patch_embed.proj.weight", "blocks.0.attn.qkv.weight"),
        read_anyview,
        DINOV2,
        absent=("register_tokens",),
    ),
    CheckpointFormat(
        "Depth Anything 3 monocular encoder",
        "da3",
        ("cls_token", "pos_embed", "patch_embed.proj.weight", "blocks.0.attn.qkv.weight"),
        read_mono,
        DINOV2,
        absent=("register_tokens", "camera_token", "mask_token"),
    ),
)
HEADS = (
    CheckpointFormat(
        "Dual-DPT head",
        "da3",
        (*HEAD_KEYS, "norm.weight", "scratch.output_conv1_aux.0.0.weight"),
        partial(read_head, branch="ray", mark="_aux.", head_type="dual_dpt"),
        DEPTH_ANYTHING,
        head_type="dual_dpt",
    ),
    CheckpointFormat(
        "DPT head of Depth Anything 3 (monocular)",
        "da3",
        (*HEAD_KEYS, "scratch.sky_output_conv2.0.weight"),
        partial(read_head, branch="sky", mark="scratch.sky_output", head_type="dpt", dpt_style="depth_anything"),
        DEPTH_ANYTHING,
        absent=("norm.weight",),
        head_type="dpt",
    ),
)
