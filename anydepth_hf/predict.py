"""`anydepth predict`: disparity or depth maps of images and folders."""

import argparse
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import PngImagePlugin
from tqdm import tqdm
from transformers import AutoImageProcessor, AutoModelForDepthEstimation
from transformers.utils import logging

from . import BUNDLED_CHECKPOINT
from .image_io import open_image
from .visualization import colorize, encode_16bit

BUNDLED_PHOTO = Path(BUNDLED_CHECKPOINT) / "coffee.jpg"
IMAGE_SUFFIXES = {".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"}


def find_images(inputs: list[Path]) -> list[Path]:
    images = []
    for path in inputs:
        if path.is_dir():
            found = sorted(p for p in path.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES and p.is_file())
            if not found:
                raise ValueError(f"{path} holds no image; expected {', '.join(sorted(IMAGE_SUFFIXES))} files.")
            images += found
        elif path.is_file():
            images.append(path)
        else:
            raise ValueError(f"{path} does not exist; give an image file or a folder of images.")
    return images


def output_paths(images: list[Path], output_dir: Path, kind: str, npy: bool) -> dict[Path, list[Path]]:
    """Files that each image's result goes to: 16-bit picture, colour picture and, on request, array."""
    endings = [f"_{kind}.png", f"_{kind}_color.png"] + [f"_{kind}.npy"] * npy
    outputs, owners = {}, {}
    for image in images:
        other = owners.setdefault(image.stem, image)
        if other.resolve() != image.resolve():
            raise ValueError(f"{other} and {image} would write the same files; predict them into separate folders.")
        outputs[image] = [output_dir / (image.stem + ending) for ending in endings]
    return outputs


def load_model(name: str, device: str | None, dtype: str, trust_remote_code: bool = False):
    """Model in eval mode on `device`, and its image processor. Raises OSError with one sentence when there is none."""
    options = {"trust_remote_code": trust_remote_code}
    try:
        processor = AutoImageProcessor.from_pretrained(name, **options)
        model = AutoModelForDepthEstimation.from_pretrained(name, dtype=getattr(torch, dtype), **options)
    except OSError as error:
        raise OSError(f"Cannot load a depth-estimation model from {name}: {str(error).splitlines()[0]}") from error
    if device is None:
        device = torch.accelerator.current_accelerator().type if torch.accelerator.is_available() else "cpu"
    return model.to(device).eval(), processor


def predict(images: list[Path], model, processor, batch_size: int) -> Iterator[tuple[Path, np.ndarray | Exception]]:
    """Yields each image's path with its float32 map at the image's own size, or with the error that its file gave.

    Images of a batch that the processor brings to different sizes run separately: padding would change their depth.
    """
    for start in range(0, len(images), batch_size):
        groups: dict[tuple, list] = {}
        for path in images[start : start + batch_size]:
            try:
                image = open_image(path)
                pixel_values = processor(image, return_tensors="pt").pixel_values
            except (OSError, ValueError, ImportError) as error:
                yield path, error
                continue
            groups.setdefault(tuple(pixel_values.shape), []).append((path, image.size[::-1], pixel_values))
        for group in groups.values():
            paths, sizes, pixel_values = zip(*group)
            batch = torch.cat(pixel_values).to(model.device, model.dtype)
            with torch.inference_mode():
                outputs = model(batch)
            results = processor.post_process_depth_estimation(outputs, target_sizes=sizes)
            for path, result in zip(paths, results):
                yield path, result["predicted_depth"].float().cpu().numpy()


def write_results(values: np.ndarray, kind: str, model_name: str, paths: list[Path]):
    """Writes the 16-bit picture (its scale in a text chunk), the colour picture and the array, each atomically."""
    picture, coding = encode_16bit(values)
    text = PngImagePlugin.PngInfo()
    note = f"{kind} = scale * pixel + offset"
    text.add_text("anydepth", json.dumps({"kind": kind, "model": model_name, "meaning": note, **coding}))
    for path in paths:
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        if path.suffix == ".npy":
            with open(temporary, "wb") as file:
                np.save(file, values)
        elif path.name.endswith("_color.png"):
            colorize(values, kind).save(temporary, format="PNG")
        else:
            picture.save(temporary, format="PNG", pnginfo=text)
        os.replace(temporary, path)


def run(args: argparse.Namespace) -> int:
    """Predicts, writes and reports. Returns the exit status: 1 when an image could not be read."""
    images = list(dict.fromkeys(find_images(args.inputs or [BUNDLED_PHOTO])))
    logging.disable_progress_bar()
    name = args.model or BUNDLED_CHECKPOINT
    model, processor = load_model(name, args.device, args.dtype, args.trust_remote_code)
    if args.size is not None:
        processor.size = type(processor.size)(shortest_edge=args.size)
    kind = getattr(model.config, "prediction_type", "prediction")
    args.output_dir.mkdir(parents=True, exist_ok=True)
    outputs = output_paths(images, args.output_dir, kind, args.npy)
    todo = [image for image in images if args.overwrite or not all(path.exists() for path in outputs[image])]
    if len(todo) < len(images):
        print(f"Kept the results of {len(images) - len(todo)} images that exist; --overwrite replaces them.")
    failed = 0
    results = predict(todo, model, processor, args.batch_size)
    for image, values in tqdm(results, total=len(todo), unit="image", disable=len(todo) < 2):
        if isinstance(values, Exception):
            failed += 1
            print(f"anydepth: skipped {image}: it is no readable image ({values})", file=sys.stderr)
            continue
        write_results(values, kind, str(name), outputs[image])
    if failed < len(todo):
        names = ", ".join(str(path) for path in outputs[todo[0]]) if len(todo) == 1 else str(args.output_dir)
        print(f"Wrote {kind} of {len(todo) - failed} image{'s' * (len(todo) - failed > 1)} to {names}")
    return int(failed > 0)
