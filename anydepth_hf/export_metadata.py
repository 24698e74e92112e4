"""What an exported file says about itself: what goes in, what comes out, and what the numbers mean. Needs no torch."""

import json
from typing import Any

from .depth_map import meaning

METADATA_KEY = "anydepth"
"""Name under which every exported file carries its description, a JSON object."""


def describe_model(config: Any, processor: Any) -> dict[str, Any]:
    """
    The description of a model's files.

    Args:
        config: an [`AnyDepthConfig`].
        processor: an [`AnyDepthImageProcessor`], whose constants are those of pre- and post-processing.

    Returns:
        A dictionary that JSON can hold: `input` (constants of preprocessing), `output` (what the map holds).
    """
    processing, unit = processor.to_dict(), None
    if config.depth_estimation_type == "metric":
        unit = "m" if config.prediction_type == "depth" else "1/m"
    names = ("do_resize", "do_rescale", "do_normalize", "rescale_factor", "image_mean", "image_std", "resample")
    size = {key: value for key, value in dict(processing["size"]).items() if value is not None}
    return {
        "schema": 1,
        "model_type": config.model_type,
        "input": {
            "name": "pixel_values",
            "layout": "batch, RGB, height, width; float32",
            **{name: processing[name] for name in names},
            "size": size,
            "ensure_multiple_of": processing["ensure_multiple_of"],
            "patch_size": config.patch_size,
        },
        "output": {
            "name": "predicted_depth",
            "layout": "batch, height, width; float32, at the input's size",
            "prediction_type": config.prediction_type,
            "depth_estimation_type": config.depth_estimation_type,
            "unit": unit,
            "meaning": meaning(config.prediction_type, unit),
            "resize_to_image": "bilinear, align_corners=False",
        },
    }


def encode(description: dict[str, Any]) -> str:
    """Serialises a description as the JSON that files carry."""
    return json.dumps(description, sort_keys=True)


def decode(text: str | None, source: str) -> dict[str, Any]:
    """
    Reads a description.

    Raises:
        ValueError: there is none, or it is of a version that is not known here.
    """
    description = json.loads(text) if text else None
    if not isinstance(description, dict) or description.get("schema") != 1:
        raise ValueError(f"{source} does not say what it predicts; write it with this version of `anydepth export`.")
    return description
