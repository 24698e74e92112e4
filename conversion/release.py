"""Puts the named presets on the Hub: converts, checks, writes cards, uploads. See docs/release.md.

    python -m conversion.release --weights WEIGHTS --output OUT              prepares and checks; uploads nothing
    python -m conversion.release --weights WEIGHTS --output OUT --push --create --tag v1.0

A preset that is prepared already is not prepared again, and one that the Hub has already is not uploaded again, so an
interrupted release is gone on with by the same command.
"""

import argparse
import shutil
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import HfApi
from huggingface_hub.errors import HTTPError

from anydepth_hf import AnyDepthConfig
from anydepth_hf.atomic_write import atomic_directory, remove_directory
from anydepth_hf.licenses import WEIGHTS
from anydepth_hf.presets import preset, preset_names
from anydepth_hf.programs import Mistakes, Parser
from conversion.convert import convert
from conversion.formats.renaming import ConversionError
from conversion.formats.settings import Settings
from conversion.hub.model_card import OWNER, preset_card, stored_results, write
from conversion.hub.model_directory import UPLOADED, UploadError, add_reference, check, collect_files, matches
from conversion.hub.release_list import check_architecture, release
from conversion.push_to_hub import explain, push
from conversion.reading import holds_encoder


@dataclass(frozen=True)
class Inputs:
    """
    The files of a preset below the weights folder.

    Args:
        encoder: the encoder's checkpoint; `None` for a model that holds its encoder: a trained one, or the authors'
            file where it is more than a decoder.
        head: the authors' decoder, or the configuration that `training/train.py` wrote; `None` for an official model.
        license: the licence text that must go along.
    """

    encoder: Path | None
    head: Path | None
    license: Path | None

    @property
    def missing(self) -> list[Path]:
        return [path for path in (self.encoder, self.head, self.license) if path is not None and not path.exists()]


def find_inputs(name: str, weights: Path) -> Inputs:
    """Where a preset's files lie: `<last part of the encoder's id>/`, the decoder by name, or `trained/<preset>/`."""
    item, encoder = release(name), preset(name)["encoder"]
    folder = weights / encoder["id"].split("/")[1]
    text = folder / "LICENSE.md" if WEIGHTS[encoder["id"]].needs_copy else None
    if item.origin == "trained":
        return Inputs(None, weights / "trained" / name / "config.json", text)
    head, is_whole = weights / item.decoder if item.decoder else None, False
    if head is not None and head.is_file():
        with suppress(ConversionError):  # which is said when it is converted
            is_whole = holds_encoder(head)
    return Inputs(None if is_whole else folder / encoder["file"], head, text)


def prepare(name: str, weights: Path, output: Path, owner: str = OWNER, settings: list[str] | None = None) -> Path:
    """
    Makes and returns the directory of a preset below `output`, complete with reference output, licence and card.

    Raises:
        ValueError, ConversionError, UploadError: with what is wrong, in a sentence.
    """
    inputs, directory = find_inputs(name, weights), output / name
    if inputs.missing:
        raise UploadError(f"{', '.join(map(str, inputs.missing))} is missing.")
    is_new = not (directory / "config.json").is_file()
    if is_new:
        with atomic_directory(directory) as built:
            build(name, inputs, built, settings or [])
            check_architecture(name, AnyDepthConfig.from_pretrained(built))
    else:
        check_settings(directory, settings or [])
    try:
        add_reference(directory)
    except UploadError:
        if is_new:  # it would be taken for the preset the next time
            remove_directory(directory)
        raise
    if inputs.license is not None:
        shutil.copyfile(inputs.license, directory / "LICENSE.md")
    write(preset_card(name, owner, directory, stored_results(name)), directory / "README.md")
    return directory


def check_settings(directory: Path, settings: list[str]) -> None:
    """Raises UploadError for a prepared model that is not what the settings ask for, which count when it is made."""
    config, wanted = AnyDepthConfig.from_pretrained(directory), Settings(settings)
    encoder = config.backbone_config
    for part, fields in ((config, wanted.model), (encoder, wanted.backbone_fields(type(encoder)))):
        for field, value in fields.items():
            if getattr(part, field) != value:
                raise UploadError(
                    f"{directory} was prepared with {field}={getattr(part, field)}; delete it, so that --set counts."
                )


def build(name: str, inputs: Inputs, directory: Path, settings: list[str]) -> None:
    """The weights, configuration and processor of a preset."""
    item = release(name)
    if item.origin == "trained":
        for path in inputs.head.parent.iterdir():
            if matches(path.name, UPLOADED) and path.is_file():
                shutil.copyfile(path, directory / path.name)
    elif item.origin == "authors":
        print(convert("anydepth", inputs.head, directory, settings, encoder=inputs.encoder))
    else:
        print(convert(preset(name)["encoder"]["source"], inputs.encoder, directory, settings))


def main(argv: list[str] | None = None) -> int:
    """Releases; 0, 1 where a preset failed or none was found, 2 after a mistake."""
    with Mistakes("release.py") as ending:
        return run(parse_arguments(argv))
    return ending.status


def run(arguments: argparse.Namespace) -> int:
    """Prepares, and with `--push` uploads, each preset and prints what became of it. Returns the exit status."""
    api, done, failed, lines = HfApi(), 0, False, []
    for name in arguments.presets or preset_names():
        missing = find_inputs(name, arguments.weights).missing
        if missing and not arguments.presets:
            lines.append(f"{name}: left out, no {', '.join(map(str, missing))}")
            continue
        repo_id = f"{arguments.owner}/{release(name).repo}"
        try:
            directory = prepare(name, arguments.weights, arguments.output, arguments.owner, arguments.settings)
            if arguments.push:
                options = {"create": arguments.create, "private": arguments.private, "tag": arguments.tag}
                lines.append(f"{name}: {repo_id} at {push(directory, repo_id, api=api, **options)[:8]}")
            else:
                lines.append(f"{name}: ready in {directory}, {check(directory, collect_files(directory)[0])}")
            done += 1
        except (HTTPError, OSError, RuntimeError, ValueError) as error:
            failed, lines = True, [*lines, f"{name}: FAILED. {explain(error, repo_id, api.endpoint)}"]
    print("\n".join(lines))
    return 1 if failed or not done else 0


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    parser = Parser(prog="python -m conversion.release", description=__doc__.split("\n")[0])
    parser.add_argument("--weights", type=Path, required=True, help="folder of the original files (docs/release.md)")
    parser.add_argument("--output", type=Path, required=True, help="folder for one directory per preset")
    parser.add_argument(
        "--presets", nargs="+", choices=preset_names(), metavar="PRESET", help="default: all whose files are there"
    )
    parser.add_argument("--owner", default=OWNER, help="of the repositories (default: %(default)s)")
    parser.add_argument(
        "--set", dest="settings", action="append", metavar="KEY=VALUE", help="for the converter; one preset"
    )
    parser.add_argument("--push", action="store_true", help="upload; without it everything but that is done")
    parser.add_argument("--create", action="store_true", help="make repositories that do not exist")
    parser.add_argument("--private", action="store_true", help="with --create: make them private")
    parser.add_argument("--tag", help="name for this version, such as v1.0")
    arguments = parser.parse_args(argv)
    if arguments.settings and len(arguments.presets or []) != 1:
        parser.error("--set goes with a single preset: --presets PRESET")
    if arguments.settings and release(arguments.presets[0]).origin == "trained":
        parser.error(f"--set is for what is converted; {arguments.presets[0]} is copied as training/train.py left it")
    for option, wanted in (("create", "push"), ("tag", "push"), ("private", "create")):
        if getattr(arguments, option) and not getattr(arguments, wanted):
            parser.error(f"--{option} goes with --{wanted}")
    return arguments


if __name__ == "__main__":
    sys.exit(main())
