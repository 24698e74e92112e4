"""Renders pictures of furnished rooms, streets and yards with exact depth into a folder that training reads.

    python -m training.scenes.make --output runs/pictures --worlds 0:2000 --photographs DIR

A world is a function of the seed and its number, so that several processes can share the work by ranges of worlds, and
a range that was interrupted goes on where it stopped. Files are `HEIGHTxWIDTH/SEED-WORLD-VIEW.safetensors`: "image"
uint8 (3, h, w) and "depth" float16 (h, w), planar metres, 0 where the sky is.
"""

import os
import re
import sys
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file
from tqdm import tqdm

from anydepth_cli.mistakes import Mistakes
from anydepth_cli.parser import Parser
from anydepth_hf.atomic_write import atomic_write
from training.scenes.pictures import KINDS, SHARES, Picture, Pictures

DONE = "worlds"
"""Folder of empty files, one for each world that is finished."""


def write(picture: Picture, folder: Path) -> None:
    """One file, whole or absent."""
    height, width = picture.depth.shape
    folder = folder / f"{height}x{width}"
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{picture.name}.safetensors"
    image = np.ascontiguousarray(picture.image.transpose(2, 0, 1))
    with atomic_write(file) as temporary:
        save_file({"image": image, "depth": picture.depth.astype(np.float16)}, temporary)


def build_parser() -> Parser:
    """The options."""
    parser = Parser(prog="make.py", description="Renders pictures with exact depth for training.")
    parser.add_argument("--output", required=True, type=Path, help="folder to write into, which may hold pictures")
    parser.add_argument("--worlds", default="0:1000", help="FIRST:END; a room gives up to six pictures, a street five")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--shares", type=float, nargs="+", default=SHARES, help=f"of {', '.join(KINDS)}")
    parser.add_argument(
        "--furniture",
        type=Path,
        default=Path("/usr/share/sweethome3d/furniture"),
        help="folder with *.sh3f libraries (Debian: sweethome3d-furniture)",
    )
    parser.add_argument(
        "--photographs", type=Path, help="folder with JPEG files for posters and surfaces (default: patterns)"
    )
    return parser


def make(output: Path, worlds: str, seed: int, shares: list[float], furniture: Path, photographs: Path | None) -> None:
    """
    Renders a range of worlds.

    Raises:
        ValueError: an option that cannot be. FileNotFoundError, ImportError, RuntimeError: see `Pictures`.
    """
    span = re.fullmatch(r"(\d+):(\d+)", worlds)
    if not span or int(span[1]) >= int(span[2]):
        raise ValueError(f"--worlds {worlds}: write FIRST:END, such as 0:1000")
    if len(shares) != len(KINDS) or min(shares) < 0 or not sum(shares):
        raise ValueError(f"--shares needs {len(KINDS)} numbers from 0 on, for {', '.join(KINDS)}, not all of them 0")
    if photographs and not photographs.is_dir():
        raise ValueError(f"--photographs {photographs} is no folder")
    os.environ.setdefault("LP_NUM_THREADS", "0")  # Mesa's software renderer: several processes instead of threads
    pictures = Pictures(furniture, photographs, output / ".meshes", tuple(shares))
    (output / DONE).mkdir(parents=True, exist_ok=True)
    for world in tqdm(range(int(span[1]), int(span[2])), unit="world"):
        mark = output / DONE / f"{seed}-{world}"
        if not mark.exists():
            for picture in pictures.of_world(seed, world):
                write(picture, output)
            mark.touch()


def main(argv: list[str] | None = None) -> int:
    """Renders; 0, or 2 after a mistake."""
    with Mistakes("make.py") as ending:
        make(**vars(build_parser().parse_args(argv)))
    return ending.status


if __name__ == "__main__":
    sys.exit(main())
