"""Loader speed: images per second beside a plain one-process loop, and where the time goes.

    python -m benchmarks.loader hypersim,root=/data/hypersim --num-workers 8

Files are read once before timing, so the numbers are those of decoding and arithmetic, not of a disk.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator

import numpy as np
import psutil
import torch
from torch.nn import functional as F
from torch.utils.data import default_collate

from anydepth_hf.image_processing_anydepth import resize_image
from training.data.decoding import DataError, read_rgb
from training.data.loader import build_train_loader
from training.data.readers import DepthSample
from training.data.sources import PairDataset, open_dataset
from training.data.transforms import TrainTransform, normalize, resize_nearest, rotate
from training.data.worker_memory import keep_freed_memory
from training.filtering.scores import ScoreOptions, score_depth


def plain_transform(sample: DepthSample, size: int, rng: np.random.Generator) -> dict:
    """The usual order of the public training codes: all of the image in floating point, resize, rotate, crop last."""
    image = torch.from_numpy(sample.image).permute(2, 0, 1).float()[None] / 255
    depth = torch.from_numpy(np.where(sample.valid, sample.depth, 0))[None, None].float()
    scale = size / min(image.shape[-2:])
    target = [max(size, round(side * scale)) for side in image.shape[-2:]]
    image = F.interpolate(image, size=target, mode="bicubic", antialias=True).clamp(0, 1)
    depth = F.interpolate(depth, size=target, mode="nearest-exact")
    if rng.random() < 0.5:
        image, depth = image.flip(-1), depth.flip(-1)
    if rng.random() < 0.5:
        angle = np.deg2rad(rng.uniform(-2.5, 2.5))
        ratio = target[0] / target[1]
        matrix = torch.tensor(
            [[np.cos(angle), -np.sin(angle) * ratio, 0], [np.sin(angle) / ratio, np.cos(angle), 0]],
            dtype=torch.float32,
        )
        grid = F.affine_grid(matrix[None], [1, 1, *target], align_corners=False)
        image = F.grid_sample(image, grid, mode="bilinear", align_corners=False)
        depth = F.grid_sample(depth, grid, mode="nearest", align_corners=False)
    top, left = (int(rng.integers(side - size + 1)) for side in target)
    image = normalize(image[0, :, top : top + size, left : left + size])
    return {"pixel_values": image, "labels": depth[0, 0, top : top + size, left : left + size], "name": sample.name}


def plain_loop(dataset, size: int, batch_size: int, samples: int) -> Iterator[dict]:
    """Batches of a loop in this process: read, transform, stack."""
    rng = np.random.default_rng(0)
    order = rng.permutation(len(dataset))
    for start in range(0, samples, batch_size):
        indices = [order[index % len(dataset)] for index in range(start, start + batch_size)]
        yield default_collate([plain_transform(dataset[index], size, rng) for index in indices])


def loader_batches(dataset, arguments: argparse.Namespace, num_workers: int) -> Iterator[dict]:
    """Batches of the training loader, without end."""
    loader = build_train_loader(
        dataset, TrainTransform(size=arguments.size), batch_size=arguments.batch_size, num_workers=num_workers
    )
    while True:
        yield from loader


def processor_time() -> float:
    """Seconds that this process and its workers have computed."""
    process = psutil.Process()
    times = [each.cpu_times() for each in (process, *process.children(recursive=True))]
    return sum(each.user + each.system for each in times)


def speed(batches: Iterator[dict], batch_size: int, samples: int, warm_up: int) -> tuple[float, float]:
    """Images per second, and milliseconds of processor time per image in all processes.

    The first `warm_up` batches are not counted: they start workers and fill their queues.
    """
    for _ in range(warm_up):
        next(batches)
    count = max(1, samples // batch_size)
    start, start_of_work = time.perf_counter(), processor_time()
    for _ in range(count):
        next(batches)
    images, seconds, work = count * batch_size, time.perf_counter() - start, processor_time() - start_of_work
    return images / seconds, 1000 * work / images


def milliseconds(function: Callable, repeats: int) -> float:
    """Mean processor time of a call, after one that is not counted."""
    function()
    start = time.process_time()
    for _ in range(repeats):
        function()
    return 1000 * (time.process_time() - start) / repeats


def breakdown(dataset: PairDataset, size: int, batch_size: int) -> dict[str, float]:
    """Milliseconds of each part of one sample's way, in one thread with a worker's treatment of memory."""
    keep_freed_memory()
    parts: dict[str, list[float]] = {}
    for index in range(min(len(dataset), 16)):
        rgb, _ = dataset.paths(index)
        sample = dataset[index]
        side = min(sample.depth.shape)
        image, depth = (np.ascontiguousarray(array[:side, :side]) for array in (sample.image, sample.depth))
        square = torch.from_numpy(image).permute(2, 0, 1)
        pixels = resize_image(square, (size, size)).float()
        labels = torch.from_numpy(np.ascontiguousarray(resize_nearest(depth, (size, size))))
        whole = TrainTransform(size=size, rotation_probability=0.5)
        rng = np.random.default_rng(0)
        results = [whole(sample, rng)["pixel_values"]] * batch_size
        stack = torch.stack(results)
        timed = {
            "decode image": lambda rgb=rgb: read_rgb(rgb),
            "decode depth": lambda index=index: dataset.read_depth(index),
            "transform, all": lambda sample=sample, whole=whole, rng=rng: whole(sample, rng),
            "  resize the window": lambda square=square: resize_image(square, (size, size)),
            "  resize its depth": lambda depth=depth: resize_nearest(depth, (size, size)),
            "  rotate (half of the samples)": lambda a=pixels, b=labels: rotate(a, b, 2.0),
            "stack the pixels": lambda a=results, b=stack: torch.stack(a, out=b),
            "(filter.py: both scores)": lambda a=sample: score_depth(a.depth, a.valid, ScoreOptions()),
        }
        for name, function in timed.items():
            share = {"  rotate (half of the samples)": 0.5, "stack the pixels": 1 / batch_size}.get(name, 1.0)
            parts.setdefault(name, []).append(share * milliseconds(function, 5))
    return {name: float(np.mean(times)) for name, times in parts.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", nargs="+", help="name,option=value,... as in training; several are mixed")
    parser.add_argument("--size", type=int, default=768)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--samples", type=int, default=240, help="images timed in each row")
    parser.add_argument("--num-workers", type=int, default=os.cpu_count())
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    try:
        dataset = open_dataset(arguments.dataset)
        for index in range(min(len(dataset), arguments.samples)):
            sample = dataset[index]
    except DataError as error:
        sys.exit(f"loader.py: {error}")
    height, width = sample.depth.shape
    names = " ".join(arguments.dataset)
    print(f"{names}: {height}x{width} to {arguments.size}x{arguments.size}, {os.cpu_count()} cores\n")
    warm_up = max(2, 4 * arguments.num_workers)
    rows = {"plain loop, 1 process": plain_loop(dataset, arguments.size, arguments.batch_size, 10**9)}
    for workers in sorted({0, 1, arguments.num_workers}):
        rows[f"this loader, {workers} workers"] = loader_batches(dataset, arguments, workers)
    print(f"{'':24s} {'images/s':>9s} {'x plain':>8s} {'ms of processor time an image':>30s}")
    plain = None
    for name, batches in rows.items():
        waits = 2 if name.endswith((" 0 workers", " process")) else warm_up
        images_per_second, work = speed(batches, arguments.batch_size, arguments.samples, waits)
        batches.close()
        plain = plain or images_per_second
        print(f"{name:24s} {images_per_second:9.1f} {images_per_second / plain:8.2f} {work:30.1f}")
    if isinstance(dataset, PairDataset):
        print("\nmilliseconds of processor time an image, of this loader's parts, the files read before:")
        for name, value in breakdown(dataset, arguments.size, arguments.batch_size).items():
            print(f"  {name:34s} {value:6.2f}")


if __name__ == "__main__":
    main()
