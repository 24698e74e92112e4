"""
Draws a strip of six photographs, CC0 or in the public domain, that two packages bring along, above their disparity.

    pip install matplotlib && pip install --no-deps scikit-image
    python examples/strip.py --output docs/images/strip.jpg
"""

import argparse
import importlib.util
from pathlib import Path

from PIL import Image, ImageOps

import anydepth_hf
from anydepth_hf.image_io import open_image
from anydepth_hf.visualization import colorize

PHOTOGRAPHS = (
    ("skimage", "data/astronaut.png"),
    ("skimage", "data/chelsea.png"),
    ("skimage", "data/coffee.png"),
    ("skimage", "data/rocket.jpg"),
    ("skimage", "data/camera.png"),
    ("matplotlib", "mpl-data/sample_data/grace_hopper.jpg"),
)
HEIGHT, WIDTH, GAP = 200, 220, 4


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[1])
    parser.add_argument("--model", default=anydepth_hf.BUNDLED_CHECKPOINT)
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    model = anydepth_hf.load_model(arguments.model)
    sheet = Image.new("RGB", (len(PHOTOGRAPHS) * (WIDTH + GAP) - GAP, 2 * HEIGHT + GAP), "white")
    for index, (package, name) in enumerate(PHOTOGRAPHS):
        # found without importing, which would ask for the packages it needs
        path = Path(importlib.util.find_spec(package).origin).parent / name
        depth = anydepth_hf.predict_depth(path, model)
        for row, picture in enumerate((open_image(path).convert("RGB"), colorize(depth.values, depth.kind))):
            cell = ImageOps.fit(picture, (WIDTH, HEIGHT), Image.Resampling.LANCZOS)
            sheet.paste(cell, (index * (WIDTH + GAP), row * (HEIGHT + GAP)))
    sheet.save(arguments.output, quality=85)


if __name__ == "__main__":
    main()
