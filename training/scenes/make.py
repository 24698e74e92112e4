"""Renders pictures of furnished rooms, streets and yards with exact depth into a folder that training reads.

    python training/scenes/make.py --output runs/pictures --worlds 0:2000 --photographs DIR

A world is a function of the seed and its number, so that several processes can share the work by ranges of worlds, and
a range that was interrupted goes on where it stopped. Files are `HEIGHTxWIDTH/SEED-WORLD-VIEW.safetensors`: "image"
uint8 (3, h, w) and "depth" float16 (h, w), planar metres, 0 where the sky is.
"""

import argparse
import os
import re
import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[2])
os.environ.setdefault("LP_NUM_THREADS", "0")  # Mesa's software renderer: several processes instead of threads

import numpy as np  # noqa: E402
from safetensors.numpy import save_file  # noqa: E402
from tqdm import tqdm  # noqa: E402

from anydepth_hf.atomic_write import atomic_write  # noqa: E402
from training.scenes.pictures import KINDS, SHARES, Picture, Pictures  # noqa: E402

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


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="make.py", description="Renders pictures with exact depth for training.")
    parser.add_argument("--output", required=True, help="folder to write into, which may hold pictures already")
    parser.add_argument("--worlds", default="0:1000", help="FIRST:END; a room gives up to six pictures, a street five")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--shares", type=float, nargs="+", default=SHARES, help=f"of {', '.join(KINDS)}")
    parser.add_argument(
        "--furniture",
        default="/usr/share/sweethome3d/furniture",
        help="folder with *.sh3f libraries (Debian: sweethome3d-furniture)",
    )
    parser.add_argument("--photographs", help="folder with JPEG files for posters and surfaces (default: patterns)")
    arguments = parser.parse_args(argv)
    span = re.fullmatch(r"(\d+):(\d+)", arguments.worlds)
    if not span or int(span[1]) >= int(span[2]):
        return fail(f"--worlds {arguments.worlds}: write FIRST:END, such as 0:1000")
    if len(arguments.shares) != len(KINDS) or min(arguments.shares) < 0 or not sum(arguments.shares):
        return fail(f"--shares needs {len(KINDS)} numbers from 0 on, for {', '.join(KINDS)}, not all of them 0")
    output = Path(arguments.output)
    photographs = Path(arguments.photographs) if arguments.photographs else None
    if photographs and not photographs.is_dir():
        return fail(f"--photographs {photographs} is no folder")
    try:
        pictures = Pictures(Path(arguments.furniture), photographs, output / ".meshes", tuple(arguments.shares))
    except (FileNotFoundError, ImportError, RuntimeError) as error:
        return fail(error)
    done = output / DONE
    done.mkdir(parents=True, exist_ok=True)
    for world in tqdm(range(int(span[1]), int(span[2])), unit="world"):
        mark = done / f"{arguments.seed}-{world}"
        if not mark.exists():
            for picture in pictures.of_world(arguments.seed, world):
                write(picture, output)
            mark.touch()
    return 0


def fail(reason) -> int:
    print(f"make.py: {reason}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
