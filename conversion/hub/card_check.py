"""Whether a model card says enough, and the right things, to be published."""

import re
from pathlib import Path

import yaml
from huggingface_hub import ModelCard

from anydepth_hf.licenses import FROM_SCRATCH, WEIGHTS, license_problems
from anydepth_hf.programs import one_line

PLACEHOLDER = re.compile(r"\[?More Information Needed\]?|\bTODO\b|\bTBD\b|\{\{.*?\}\}", re.IGNORECASE)


def card_problems(path: Path, prediction_type: str) -> list[str]:
    """
    What is missing or wrong in the card at `path`, in half-sentences; empty for a card that may be published.

    Args:
        path: the `README.md`; `LICENSE` or `LICENSE.md` is looked for beside it.
        prediction_type: what the model predicts, `"disparity"` or `"depth"`: the card must have it as a tag.
    """
    try:
        text = path.read_text(encoding="utf-8")
        card = ModelCard(text, ignore_metadata_errors=False)
    except (ValueError, TypeError, yaml.YAMLError) as error:
        return [f"its metadata cannot be read ({one_line(error)})"]
    data = card.data
    problems = []
    for name, expected in (("pipeline_tag", "depth-estimation"), ("library_name", "transformers")):
        if data.get(name) != expected:
            problems.append(f"`{name}: {expected}` is missing from its metadata")
    if prediction_type not in (data.tags or []):
        problems.append(
            f"the tag `{prediction_type}`, which says what the model predicts, is missing from its metadata"
        )
    problems += card_license_problems(card, path.parent)
    if "pipeline(" not in card.text:
        problems.append("it does not show how to use the model with `pipeline(...)`")
    if placeholder := PLACEHOLDER.search(text):
        problems.append(f"it still has the placeholder {placeholder[0]!r}")
    return problems


def card_license_problems(card: ModelCard, directory: Path) -> list[str]:
    data = card.data
    identifier = data.license_name if data.license == "other" else data.license
    base_models = [data.base_model] if isinstance(data.base_model, str) else list(data.base_model or [])
    problems = []
    if not identifier:
        metadata = card.content.removesuffix(card.text).splitlines()
        # where training/train.py asks for it, else below the opening line
        line = next((number for number, text in enumerate(metadata, start=1) if "license:" in text), 2)
        problems.append(
            f"it states no licence: fill in `license:`, and with `license: other` also `license_name:`, in line {line}"
        )
    if not base_models and FROM_SCRATCH not in (data.tags or []):
        problems.append(
            "it names no `base_model` (the encoder's repository on the Hub); a model trained without one has the tag "
            f"`{FROM_SCRATCH}` instead"
        )
    if problems:
        return problems
    problems = license_problems(identifier, base_models)
    for name in base_models:
        terms = WEIGHTS.get(name)
        if terms and terms.needs_copy and not any((directory / file).is_file() for file in ("LICENSE", "LICENSE.md")):
            problems.append(
                f"a copy of the {terms.title} must lie beside it as LICENSE.md, because {name} is under it "
                f"(`hf download {name} LICENSE.md --local-dir {directory}`)"
            )
        if terms and terms.notice not in card.text:
            problems.append(f"it must show the words {terms.notice!r}, because {name} is under the {terms.title}")
    return problems
