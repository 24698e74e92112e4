"""The Hub's rules for the metadata of a model card, as far as our cards touch them."""

import re

import yaml

LICENSES = {"apache-2.0", "mit", "cc-by-nc-4.0", "cc-by-nc-sa-4.0", "cc-by-sa-4.0", "cc-by-4.0", "other"}
PIPELINE_TAGS = {"depth-estimation", "image-feature-extraction", "image-classification"}


def card_errors(content: str) -> list[str]:
    """What the Hub refuses in a model card's metadata (https://huggingface.co/docs/hub/model-cards), in sentences."""
    match = re.match(r"---\n(.*?)\n---\n", content, re.DOTALL)
    if match is None:
        return ["the card has no metadata block"]
    try:
        data = yaml.safe_load(match[1])
    except yaml.YAMLError as error:
        return [f"invalid YAML: {error}"]
    errors = []
    if data.get("license", "other") not in LICENSES:
        errors.append(f'"license" must be one of {sorted(LICENSES)}')
    if data.get("license") == "other" and not re.fullmatch(r"[a-z0-9\-.]+", str(data.get("license_name"))):
        errors.append('"license_name" is required for other licenses and must match /^[a-z0-9-.]+$/')
    if "license_link" in data and not re.fullmatch(r"LICENSE(\.md)?|https://\S+", data["license_link"]):
        errors.append('"license_link" must be LICENSE, LICENSE.md or a URL')
    if data.get("pipeline_tag", "depth-estimation") not in PIPELINE_TAGS:
        errors.append('"pipeline_tag" is unknown')
    base_models = data.get("base_model", [])
    for name in [base_models] if isinstance(base_models, str) else base_models:
        if not re.fullmatch(r"[\w.-]+/[\w.-]+", name):
            errors.append(f'"base_model": {name} is not a repository')
    for name in ("tags", "datasets", "metrics"):
        if not all(isinstance(value, str) and value for value in data.get(name, [])):
            errors.append(f'"{name}" must be a list of strings')
    for name in data.get("datasets", []):
        if not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", name):
            errors.append(f'"datasets": {name} is not a data set')
    for index in data.get("model-index", []):
        if not index.get("name"):
            errors.append('"model-index[].name" is required')
        for result in index.get("results", []):
            if not {"type"} <= set(result.get("task", {})) or not {"type", "name"} <= set(result.get("dataset", {})):
                errors.append('"model-index[].results[]" needs task.type, dataset.type and dataset.name')
            for metric in result.get("metrics", [{}]):
                if not isinstance(metric.get("value"), int | float) or not metric.get("type"):
                    errors.append('"model-index[].results[].metrics[]" needs a type and a numeric value')
    return errors
