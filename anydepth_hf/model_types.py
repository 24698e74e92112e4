"""What depth-estimation models of the Hub predict: disparity, relative depth or metres."""

import functools
import json
from pathlib import Path

from transformers import PreTrainedConfig

PREDICTS = ("disparity", "depth", "metric_depth")

MODEL_TYPES = json.loads(Path(__file__).with_name("model_types.json").read_text(encoding="utf-8"))
"""By `model_type`, rules of which the first whose `where` fits the configuration says what the model predicts."""


def model_type_rule(config: PreTrainedConfig) -> dict:
    """The entry of `MODEL_TYPES` for a configuration; empty for a model type that the table lacks."""

    def value(path: str):
        return functools.reduce(lambda node, name: getattr(node, name, None), path.split("."), config)

    for rule in MODEL_TYPES.get(config.model_type, []):
        if all(value(path) == expected for path, expected in rule.get("where", {}).items()):
            return rule
    return {}


def prediction_kind(config: PreTrainedConfig, predicts: str | None = None) -> tuple[str, str | None]:
    """
    Kind and unit of the maps that a model's image processor returns, as [`DepthMap`] has them.

    Args:
        predicts: one of `PREDICTS`, where the table does not know or errs.

    Raises:
        ValueError: neither says it, or the model needs more than an image.
    """
    rule = model_type_rule(config)
    if "refused" in rule:
        raise ValueError(f"Models of type {config.model_type} cannot be used here: {rule['refused']}.")
    predicts = predicts or rule.get("post_processed") or rule.get("predicts")
    if predicts is None:
        raise ValueError(
            f"It is not known what models of type {config.model_type} predict; say it by --predicts "
            f"{', '.join(PREDICTS[:-1])} or {PREDICTS[-1]}."
        )
    if predicts == "disparity":
        return "disparity", "1/m" if getattr(config, "depth_estimation_type", None) == "metric" else None
    return "depth", "m" if predicts == "metric_depth" else None
