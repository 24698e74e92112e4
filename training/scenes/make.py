"""Renders pictures of furnished rooms, streets and yards with exact depth into a folder that training reads.

    python -m training.scenes.make --output runs/pictures --worlds 0:2000 --photographs DIR

A world is a function of the seed and its number, so that several processes can share the work by ranges of worlds, and
a range that was interrupted goes on where it stopped. `picture_files.py` says what a file holds.
"""

import math
import os
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from anydepth_hf.atomic_write import atomic_write
from anydepth_hf.programs import run_program
from anydepth_hf.visualization import colorize, value_range
from training.scenes.picture_files import list_pictures, read_picture, write_picture
from training.scenes.pictures import KINDS, SHARES, Pictures

DONE = "worlds"
"""Folder of empty files, one for each world that is finished."""


@dataclass
class MakeArguments:
    output: str = field(metadata={"help": "folder to write into, which may hold pictures already"})
    worlds: str = field(default="0:1000", metadata={"help": "FIRST:END; a room or a street gives up to six pictures"})
    seed: int = 0
    shares: list[float] = field(default_factory=lambda: list(SHARES), metadata={"help": f"of {', '.join(KINDS)}"})
    scale: float = field(default=1.0, metadata={"help": "of the pictures' sides: 1.2 makes 288x384 of 240x320"})
    furniture: str = field(
        default="/usr/share/sweethome3d/furniture",
        metadata={"help": "folder with *.sh3f libraries (Debian: sweethome3d-furniture)"},
    )
    photographs: str | None = field(
        default=None, metadata={"help": "folder with JPEG files for posters and surfaces (default: patterns)"}
    )
    sheet: str | None = field(
        default=None, metadata={"help": "PNG or JPEG to write at the end: a dozen of the pictures and their disparity"}
    )

    def __post_init__(self):
        span = re.fullmatch(r"(\d+):(\d+)", self.worlds)
        if not span or int(span[1]) >= int(span[2]):
            raise ValueError(f"--worlds {self.worlds}: write FIRST:END, such as 0:1000")
        self.range = range(int(span[1]), int(span[2]))
        if self.seed < 0:
            raise ValueError(f"--seed {self.seed}: give a number from 0 on")
        if len(self.shares) != len(KINDS) or min(self.shares) < 0 or not 0 < sum(self.shares) < math.inf:
            raise ValueError(
                f"--shares needs {len(KINDS)} numbers from 0 on, for {', '.join(KINDS)}, not all of them 0"
            )
        if not 0.25 <= self.scale <= 8:
            raise ValueError(f"--scale {self.scale}: give a number from 0.25 to 8")
        if self.photographs and not Path(self.photographs).is_dir():
            raise ValueError(f"--photographs {self.photographs} is no folder")
        if self.sheet and Path(self.sheet).suffix.lower() not in (".png", ".jpg", ".jpeg"):
            raise ValueError(f"--sheet {self.sheet}: name a .png or .jpg file")
        if self.sheet and Path(self.sheet).exists():
            raise ValueError(f"--sheet {self.sheet} exists: delete it, or name another file")


def make(arguments: MakeArguments) -> None:
    """Renders a range of worlds. Raises what `Pictures` does."""
    os.environ.setdefault("LP_NUM_THREADS", "0")  # Mesa's software renderer: several processes instead of threads
    output = Path(arguments.output)
    photographs = Path(arguments.photographs) if arguments.photographs else None
    pictures = Pictures(
        Path(arguments.furniture), photographs, output / ".meshes", tuple(arguments.shares), arguments.scale
    )
    (output / DONE).mkdir(parents=True, exist_ok=True)
    finished = set(os.listdir(output / DONE))
    worlds = [world for world in arguments.range if f"{arguments.seed}-{world}" not in finished]
    if len(worlds) < len(arguments.range):
        before = len(arguments.range) - len(worlds)
        print(f"{before} of {len(arguments.range)} worlds were finished before, whatever their shares and scale.")
    for world in tqdm(worlds, unit="world"):
        for picture in pictures.of_world(arguments.seed, world):
            write_picture(output, picture.name, picture.image, picture.depth)
        (output / DONE / f"{arguments.seed}-{world}").touch()
    if arguments.sheet:
        write_sheet(output, Path(arguments.sheet))


def write_sheet(root: Path, path: Path, count: int = 12, columns: int = 3) -> None:
    """
    Writes a contact sheet: `count` pictures of a folder's most frequent size, spread over it, each beside its
    disparity (near red, far blue, sky black), as PNG or JPEG.

    Raises:
        ValueError: there are no pictures.
    """
    files = max(list_pictures(root).values(), key=len, default=[])
    if not files:
        raise ValueError(f"{root}: no pictures for the sheet")
    chosen = np.unique(np.linspace(0, len(files) - 1, count).astype(int))
    cells = []
    for index in chosen:
        image, depth = read_picture(files[index])
        seen = depth > 0
        disparity = np.where(seen, 1 / np.where(seen, depth, 1), 0)
        colors = colorize(disparity, valid=seen, limits=value_range(disparity, seen, robust=0.02))
        cells.append(np.hstack([image, np.asarray(colors)]))
    columns = min(columns, len(cells))
    cells += [np.zeros_like(cells[0])] * (-len(cells) % columns)
    rows = [np.hstack(cells[start : start + columns]) for start in range(0, len(cells), columns)]
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as temporary:
        Image.fromarray(np.vstack(rows)).save(temporary, quality=80)


def main(argv: list[str] | None = None) -> int:
    """Renders; 0, or 2 after a mistake."""
    return run_program("make.py", MakeArguments, make, argv, __doc__.split("\n")[0])


if __name__ == "__main__":
    sys.exit(main())
