"""One model under every protocol, beside guesses that need no model, on held-out rendered scenes.

    python -m benchmarks.protocols                       the bundled model, the image-free prior and a constant
    python -m benchmarks.protocols --model DIR --images 60

Stores the summaries in benchmarks/results/protocols/ and fills the tables of the docs.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from anydepth_hf import BUNDLED_CHECKPOINT
from anydepth_hf.atomic_write import atomic_write_text
from benchmarks import results_page

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks/results/protocols"
SEED = 1000003
"""Of scenes that no training run has."""


def measure(name: str, model: str, images: int, size: str) -> dict:
    """The summary of one model, or of a guess, under every protocol that can measure it."""
    source = ["--model", model] if name == "bundled" else ["--predictions", name]
    dataset = {"name": "scenes", "num_samples": images, "image_size": size, "seed": SEED}
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "training.evaluate", *source, "--dataset", json.dumps(dataset)]
        command += ["--title", f"held-out rendered scenes of {size} pixels", "--min_depth", "0.1", "--max_depth", "80"]
        command += ["--protocol", "all", "--num_workers", "0", "--worst", "0", "--output_dir", folder]
        subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        summary = json.loads((Path(folder) / "summary.json").read_text(encoding="utf-8"))
    if name == "bundled" and model == BUNDLED_CHECKPOINT:  # not a path of this machine
        summary = json.loads(json.dumps(summary).replace(json.dumps(model)[1:-1], "anydepth_hf/bundled"))
    return summary


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.protocols", description=__doc__.split("\n")[0])
    parser.add_argument("--model", default=BUNDLED_CHECKPOINT, help="folder or Hub id (default: the bundled model)")
    parser.add_argument("--images", type=int, default=40, help="rendered scenes")
    parser.add_argument("--size", default="192x256", help="HxW of the scenes")
    args = parser.parse_args(argv)
    for name in results_page.GUESSES:
        try:
            summary = measure(name, args.model, args.images, args.size)
        except subprocess.CalledProcessError as error:  # which has said why
            return error.returncode
        RESULTS.mkdir(parents=True, exist_ok=True)
        atomic_write_text(RESULTS / f"{name}.json", json.dumps(summary, indent=1) + "\n")
    return results_page.main([])


if __name__ == "__main__":
    sys.exit(main())
