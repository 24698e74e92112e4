"""Times `anydepth predict` on a folder of photographs, beside another checkout of this repository.

    git worktree add --detach ../before 2d2519e
    python -m benchmarks.predict_folder --baseline ../before --output benchmarks/results/predict_folder.json

Both write a 16-bit map and a colour picture of each photograph, with the weights of this checkout. They run in turn,
in processes of their own; what a process needs before its second photograph (imports, loading) is not counted. The
results are compared afterwards.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from anydepth_hf.atomic_write import atomic_write_json

ROOT = Path(__file__).resolve().parents[1]
RUNNER = """
import json, sys, time
from anydepth_hf.cli import main
folder, out, model, *options = sys.argv[1:]
times = []
for name in ("first", "rest"):
    wall, processor = time.perf_counter(), time.process_time()
    assert main(["predict", f"{folder}/{name}", "--output-dir", f"{out}/{name}", "--model", model, *options]) == 0
    times.append((time.perf_counter() - wall, time.process_time() - processor))
print("TIMES", json.dumps(times))
"""


def make_photographs(folder: Path, count: int, size: tuple[int, int]):
    """Crops of the photograph that comes with the package, mirrored and with noise, so that no two are the same."""
    random = np.random.default_rng(0)
    photo = Image.open(ROOT / "anydepth_hf/bundled/coffee.jpg")
    for index in range(count):
        left, top = random.integers(0, 60), random.integers(0, 40)
        picture = photo.crop((left, top, left + 540, top + 360)).resize(size, Image.Resampling.BICUBIC)
        picture = ImageOps.mirror(picture) if index % 2 else picture
        noisy = np.asarray(picture) + random.normal(0, 3, (*size[::-1], 3))
        name = "first" if index == 0 else "rest"
        (folder / name).mkdir(exist_ok=True)
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(folder / name / f"{index:03d}.jpg", quality=92)


def run(checkout: Path, folder: Path, out: Path, options: list[str]) -> list[tuple[float, float]]:
    """Wall and processor seconds of the first photograph and of the others."""
    command = [sys.executable, "-c", RUNNER, str(folder), str(out), str(ROOT / "anydepth_hf/bundled"), *options]
    environment = {**os.environ, "PYTHONPATH": str(checkout), "HF_HUB_OFFLINE": "1"}
    process = subprocess.run(command, env=environment, cwd=checkout, capture_output=True, text=True)
    if process.returncode:
        sys.exit(f"{checkout}: {process.stderr}")
    return json.loads(process.stdout.split("TIMES ")[1])


def decoded(path: Path) -> tuple[np.ndarray, float]:
    """Values and step of a 16-bit map."""
    with Image.open(path) as picture:
        coding = json.loads(picture.text["anydepth"])
        return np.asarray(picture) * coding["scale"] + coding["offset"], coding["scale"]


def differences(before: Path, after: Path) -> dict[str, float]:
    """Largest differences of two folders of results: maps in steps of 16 bits, colours in levels of 255."""
    steps, levels = 0.0, 0
    for path in sorted(after.glob("*_disparity.png")):
        (old, step), (new, _) = decoded(before / path.name), decoded(path)
        steps = max(steps, float(np.abs(new - old).max() / step))
        name = path.name.replace(".png", "_color.png")
        old, new = (np.asarray(Image.open(folder / name)).astype(int) for folder in (before, after))
        levels = max(levels, int(np.abs(new - old).max()))
    return {"map_steps_of_65535": steps, "color_levels_of_255": levels}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--baseline", type=Path, required=True, help="checkout to compare with")
    parser.add_argument("--images", type=int, default=25)
    parser.add_argument("--width", type=int, default=1200)
    parser.add_argument("--height", type=int, default=875)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--options", nargs=argparse.REMAINDER, default=[], help="of `predict`, given to both")
    parser.add_argument("--output", type=Path, help="JSON file for the figures")
    args = parser.parse_args()
    if args.images < 3:
        parser.error("--images must be at least 3: the first photograph is not counted")
    checkouts = {"baseline": args.baseline.resolve(), "current": ROOT}
    times = {name: [] for name in checkouts}
    with tempfile.TemporaryDirectory() as folder:
        photographs = Path(folder) / "photographs"
        photographs.mkdir()
        make_photographs(photographs, args.images, (args.width, args.height))
        for index in range(args.rounds):
            for name, checkout in checkouts.items():
                first, rest = run(checkout, photographs, Path(folder) / f"{name}{index}", args.options)
                # one call costs the same before its photographs in both
                per_image = [(b - a) / (args.images - 2) for a, b in zip(first, rest)]
                times[name].append(per_image)
                print(f"{name}: {per_image[0]:.3f} s a photograph, {per_image[1]:.3f} s of processor", flush=True)
        equal = differences(Path(folder) / "baseline0/rest", Path(folder) / "current0/rest")
    results = {
        "images": args.images,
        "size": [args.width, args.height],
        "processors": os.cpu_count(),
        "options": args.options,
        "seconds_a_photograph": {name: statistics.median(wall for wall, _ in rows) for name, rows in times.items()},
        "processor_seconds_a_photograph": {
            name: statistics.median(cpu for _, cpu in rows) for name, rows in times.items()
        },
        "all_rounds": times,
        "largest_difference": equal,
    }
    for name in ("seconds_a_photograph", "processor_seconds_a_photograph"):
        results[name]["ratio"] = results[name]["baseline"] / results[name]["current"]
    print(json.dumps(results, indent=1))
    if args.output:
        atomic_write_json(args.output, results)


if __name__ == "__main__":
    main()
