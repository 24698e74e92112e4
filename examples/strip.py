"""
Draws a strip of six photographs, CC0 or in the public domain, that two packages bring along, above their disparity.

    pip install matplotlib && pip install --no-deps scikit-image
    python examples/strip.py --output docs/images/strip.jpg
"""

import argparse
import importlib.util
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from transformers import AutoImageProcessor, AutoModelForDepthEstimation

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


def crop(image: Image.Image) -> Image.Image:
    """The largest part of the shape of a cell, from the middle, in its size."""
    scale = max(WIDTH / image.width, HEIGHT / image.height)
    width, height = round(WIDTH / scale), round(HEIGHT / scale)
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return image.crop((left, top, left + width, top + height)).resize((WIDTH, HEIGHT), Image.LANCZOS)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[1])
    parser.add_argument("--model", default=anydepth_hf.BUNDLED_CHECKPOINT)
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    processor = AutoImageProcessor.from_pretrained(arguments.model)
    model = AutoModelForDepthEstimation.from_pretrained(arguments.model)
    sheet = np.full((2 * HEIGHT + GAP, len(PHOTOGRAPHS) * (WIDTH + GAP) - GAP, 3), 255, np.uint8)
    for index, (package, name) in enumerate(PHOTOGRAPHS):
        # found without importing, which would ask for the packages it needs
        folder = Path(importlib.util.find_spec(package).origin).parent
        image = open_image(folder / name).convert("RGB")
        with torch.inference_mode():
            outputs = model(**processor(image, return_tensors="pt"))
        (result,) = processor.post_process_depth_estimation(outputs, target_sizes=[image.size[::-1]])
        colored = colorize(result["predicted_depth"].numpy(), prediction_type="disparity")
        columns = slice(index * (WIDTH + GAP), index * (WIDTH + GAP) + WIDTH)
        sheet[:HEIGHT, columns] = np.asarray(crop(image))
        sheet[HEIGHT + GAP :, columns] = np.asarray(crop(Image.fromarray(np.asarray(colored))))
    Image.fromarray(sheet).save(arguments.output, quality=85)


if __name__ == "__main__":
    main()
