"""One model under every protocol, beside guesses that need no model, on held-out rendered scenes.

    python -m benchmarks.protocols                       the bundled model, the image-free prior and a constant
    python -m benchmarks.protocols --model DIR --images 60

Stores the summaries in benchmarks/results/protocols/ and fills the tables of the docs.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

from anydepth_hf import BUNDLED_CHECKPOINT
from anydepth_hf.atomic_write import atomic_write_text
from benchmarks import results_page
from training.data.decoding import DataError
from training.evaluate import evaluate
from training.evaluation.arguments import EvaluateArguments

RESULTS = Path(__file__).resolve().parent / "results/protocols"
SEED = 1000003
"""Of scenes that no training run has."""


def measure(name: str, model: str, images: int, size: str) -> dict:
    """The summary of one model, or of a guess, under every protocol that can measure it."""
    source = {"model": model} if name == "bundled" else {"predictions": name}
    dataset = {"name": "scenes", "num_samples": images, "image_size": size, "seed": SEED}
    with tempfile.TemporaryDirectory() as folder:
        arguments = EvaluateArguments(
            **source,
            dataset=json.dumps(dataset),
            title=f"held-out rendered scenes of {size} pixels",
            min_depth=0.1,
            max_depth=80,
            protocol=["all"],
            num_workers=0,
            worst=0,
            output_dir=folder,
        )
        evaluate(arguments)
        summary = json.loads((Path(folder) / "summary.json").read_text(encoding="utf-8"))
    if name == "bundled" and model == BUNDLED_CHECKPOINT:  # not a path of this machine
        summary = json.loads(json.dumps(summary).replace(json.dumps(model)[1:-1], "anydepth_hf/bundled"))
    return summary


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.protocols", description=__doc__.split("\n")[0])
    parser.add_argument("--model", default=BUNDLED_CHECKPOINT, help="folder or Hub id (default: the bundled model)")
    parser.add_argument("--images", type=int, default=24, help="rendered scenes")
    parser.add_argument("--size", default="192x256", help="HxW of the scenes")
    args = parser.parse_args(argv)
    try:
        for name in results_page.GUESSES:
            summary = measure(name, args.model, args.images, args.size)
            RESULTS.mkdir(parents=True, exist_ok=True)
            atomic_write_text(RESULTS / f"{name}.json", json.dumps(summary, indent=1) + "\n")
    except DataError as error:
        print(f"protocols: error: {error}", file=sys.stderr)
        return 2
    return results_page.main([])


if __name__ == "__main__":
    sys.exit(main())
