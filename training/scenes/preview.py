"""Writes a contact sheet of scenes: each image beside its disparity (near red, far blue, sky black).

python training/scenes/preview.py --output sheet.png --count 24 --kind street --height 192 --width 640
"""

import os
import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image
from transformers import HfArgumentParser

from anydepth_hf.visualization import colorize, value_range
from training.scenes import KIND_NAMES, render_batch


@dataclass
class PreviewArguments:
    output: str = field(metadata={"help": "PNG or JPEG file to write"})
    count: int = field(default=24, metadata={"help": "scenes"})
    columns: int = field(default=4, metadata={"help": "scenes in a row of the sheet"})
    height: int = 192
    width: int = 256
    kind: str | None = field(default=None, metadata={"help": f"{', '.join(KIND_NAMES)}; default: a mixture"})
    seed: int = field(default=0, metadata={"help": "seed of the first scene"})
    device: str = "cpu"
    images_only: bool = field(default=False, metadata={"help": "leave the disparity out"})


def color_disparity(depth: np.ndarray) -> np.ndarray:
    """Disparity 1 / depth between its 2nd and 98th percentile as uint8 (height, width, 3); depth 0 is black."""
    seen = depth > 0
    disparity = np.where(seen, 1 / np.where(seen, depth, 1), 0)
    return np.asarray(colorize(disparity, valid=seen, limits=value_range(disparity, seen, robust=0.02)))


def contact_sheet(arguments: PreviewArguments) -> Image.Image:
    seeds = range(arguments.seed, arguments.seed + arguments.count)
    scenes = render_batch(list(seeds), arguments.height, arguments.width, arguments.device, arguments.kind)
    cells = []
    for image, depth in zip(scenes["image"].cpu(), scenes["depth"].cpu()):
        picture = image.permute(1, 2, 0).numpy()
        cells.append(picture if arguments.images_only else np.hstack([picture, color_disparity(depth.numpy())]))
    columns = min(arguments.columns, len(cells))
    cells += [np.zeros_like(cells[0])] * (-len(cells) % columns)
    rows = [np.hstack(cells[k : k + columns]) for k in range(0, len(cells), columns)]
    return Image.fromarray(np.vstack(rows))


def main():
    (arguments,) = HfArgumentParser(PreviewArguments).parse_args_into_dataclasses()
    if arguments.count < 1 or arguments.columns < 1:
        sys.exit("--count and --columns must be at least 1")
    output = Path(arguments.output)
    if output.suffix.lower() not in (".png", ".jpg", ".jpeg"):
        sys.exit(f"--output {output}: name a .png or .jpg file")
    if not output.parent.is_dir():
        sys.exit(f"--output {output}: the folder {output.parent} does not exist")
    try:
        sheet = contact_sheet(arguments)
    except ValueError as error:
        sys.exit(str(error))
    unfinished = output.with_name(f".{output.stem}.part{output.suffix}")
    sheet.save(unfinished, quality=80)
    os.replace(unfinished, output)
    print(f"{arguments.count} scenes with their disparity: {output}")


if __name__ == "__main__":
    main()
