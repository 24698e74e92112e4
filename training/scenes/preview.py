"""Writes a contact sheet of scenes or pictures: each image beside its disparity (near red, far blue, sky black).

python -m training.scenes.preview --output sheet.png --count 24 --kind street --height 192 --width 640
python -m training.scenes.preview --output sheet.jpg --count 12 --height 240 --width 320 --pictures runs/pictures
"""

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import numpy as np
from PIL import Image

from anydepth_hf.atomic_write import atomic_write
from anydepth_hf.option_schema import AT_LEAST_0, AT_LEAST_1, checked
from anydepth_hf.programs import run_program
from anydepth_hf.visualization import colorize, value_range
from training.scenes import KIND_NAMES, render_batch
from training.scenes.picture_files import list_pictures, read_picture


@dataclass
class PreviewArguments:
    output: str = field(metadata={"help": "PNG or JPEG file to write"})
    count: Annotated[int, AT_LEAST_1] = field(default=24, metadata={"help": "scenes"})
    columns: Annotated[int, AT_LEAST_1] = field(default=4, metadata={"help": "scenes in a row of the sheet"})
    height: Annotated[int, AT_LEAST_1] = 192
    width: Annotated[int, AT_LEAST_1] = 256
    kind: str | None = field(default=None, metadata={"help": f"{', '.join(KIND_NAMES)}; default: a mixture"})
    seed: Annotated[int, AT_LEAST_0] = field(default=0, metadata={"help": "seed of the first scene"})
    device: str = "cpu"
    pictures: str | None = field(
        default=None, metadata={"help": "folder of rendered pictures: shows some of the given size instead of scenes"}
    )
    images_only: bool = field(default=False, metadata={"help": "leave the disparity out"})

    def __post_init__(self):
        checked(self)
        output = Path(self.output)
        if output.suffix.lower() not in (".png", ".jpg", ".jpeg"):
            raise ValueError(f"--output {output}: name a .png or .jpg file")
        if not output.parent.is_dir():
            raise ValueError(f"--output {output}: the folder {output.parent} does not exist")


def color_disparity(depth: np.ndarray) -> np.ndarray:
    """Disparity 1 / depth between its 2nd and 98th percentile as uint8 (height, width, 3); depth 0 is black."""
    seen = depth > 0
    disparity = np.where(seen, 1 / np.where(seen, depth, 1), 0)
    return np.asarray(colorize(disparity, valid=seen, limits=value_range(disparity, seen, robust=0.02)))


def rendered(arguments: PreviewArguments) -> list[tuple[np.ndarray, np.ndarray]]:
    """Images (height, width, 3) and depths (height, width) of scenes, or of pictures spread over a folder."""
    if arguments.pictures:
        files = list_pictures(arguments.pictures).get((arguments.height, arguments.width), [])
        if len(files) < arguments.count:
            raise ValueError(f"{arguments.pictures} has {len(files)} of {arguments.height}x{arguments.width}")
        chosen = np.linspace(0, len(files) - 1, arguments.count).astype(int)
        return [read_picture(files[index]) for index in chosen]
    seeds = range(arguments.seed, arguments.seed + arguments.count)
    scenes = render_batch(list(seeds), arguments.height, arguments.width, arguments.device, arguments.kind)
    images, depths = scenes["image"].permute(0, 2, 3, 1).cpu().numpy(), scenes["depth"].cpu().numpy()
    return list(zip(images, depths))


def contact_sheet(arguments: PreviewArguments) -> Image.Image:
    cells = [
        image if arguments.images_only else np.hstack([image, color_disparity(depth)])
        for image, depth in rendered(arguments)
    ]
    columns = min(arguments.columns, len(cells))
    cells += [np.zeros_like(cells[0])] * (-len(cells) % columns)
    rows = [np.hstack(cells[k : k + columns]) for k in range(0, len(cells), columns)]
    return Image.fromarray(np.vstack(rows))


def write_sheet(arguments: PreviewArguments) -> None:
    """Draws and writes the sheet."""
    sheet = contact_sheet(arguments)
    with atomic_write(arguments.output) as temporary:
        sheet.save(temporary, quality=80)
    print(f"{arguments.count} scenes with their disparity: {arguments.output}")


def main(argv: list[str] | None = None) -> int:
    """Writes the sheet; 0, or 2 after a mistake."""
    return run_program("preview.py", PreviewArguments, write_sheet, argv, __doc__)


if __name__ == "__main__":
    sys.exit(main())
