"""What a model card says about the weights that training began with: their repository and their licence."""

from pathlib import Path
from typing import Any

import yaml
from huggingface_hub import ModelCard

from anydepth_hf import BUNDLED_CHECKPOINT
from anydepth_hf.licenses import FROM_SCRATCH, WEIGHTS
from anydepth_hf.presets import preset
from anydepth_hf.pull import resolve
from training.trainer.arguments import TrainArguments

BUNDLED_ENCODER = "facebook/dinov2-small"  # what the bundled model's encoder is a tuned part of
INHERITED = ("base_model", "license", "license_name", "license_link")


def starting_point(arguments: TrainArguments) -> str:
    """Where the weights began, for people."""
    if arguments.model:
        return f"the model `{arguments.model}`"
    encoder = arguments.encoder_weights or arguments.preset or "random"
    return "random weights" if encoder == "random" else f"a new head and the encoder of `{encoder}`"


def provenance(arguments: TrainArguments) -> dict[str, Any]:
    """
    The metadata `base_model`, `license`, `license_name`, `license_link` and `tags` of the trained model, as far as
    they follow from where its weights began: a repository with a known licence, a directory with a model card, a
    preset's encoder, or random ones.
    """
    encoder = preset(arguments.preset)["encoder"]["id"] if arguments.preset else None
    source = arguments.model or arguments.encoder_weights or encoder or "random"
    if source == "random":
        return {"tags": [FROM_SCRATCH]}
    if source in WEIGHTS:
        return {"base_model": source, **WEIGHTS[source].metadata}
    directory = Path(resolve(source))
    if not directory.exists():
        return {"base_model": source}  # on the Hub
    if directory.resolve() == Path(BUNDLED_CHECKPOINT).resolve():
        return {"base_model": BUNDLED_ENCODER, **WEIGHTS[BUNDLED_ENCODER].metadata}
    if (directory / "README.md").is_file():
        return _of_card(directory / "README.md")
    return {"base_model": encoder, **WEIGHTS[encoder].metadata} if encoder else {}


def _of_card(path: Path) -> dict[str, Any]:
    try:
        data = ModelCard.load(path, ignore_metadata_errors=True).data
    except (ValueError, yaml.YAMLError):
        return {}  # whatever a card is like, the trained model is saved
    tags = [FROM_SCRATCH] if FROM_SCRATCH in (data.tags or []) else []
    return {"tags": tags, **{name: data.get(name) for name in INHERITED if data.get(name)}}


def missing_line(metadata: dict[str, Any]) -> str:
    """A comment for the card's metadata that says what of it the user has to fill in; empty if nothing."""
    wanted = ["license"] if FROM_SCRATCH in metadata.get("tags", []) else ["license", "base_model"]
    names = " and ".join(f"`{name}:`" for name in wanted if name not in metadata)
    reason = "what the weights that training began with, and the data, allow"
    return f"# Before publishing, fill in {names} here: {reason}.\n" if names else ""


def notices(metadata: dict[str, Any]) -> str:
    """Paragraphs that the licences of the base models demand in the card."""
    names = metadata.get("base_model", [])
    names = [names] if isinstance(names, str) else names
    return "".join(f"\n\n**{WEIGHTS[name].notice}.**" for name in names if name in WEIGHTS and WEIGHTS[name].notice)
