"""One model under every protocol, beside guesses that need no model, on held-out rendered pictures.

    python -m training.scenes.make --output runs/held-out --seed 1000003 --worlds 0:16
    python -m benchmarks.protocols runs/held-out             the bundled model, the image-free prior and a constant

Stores the summaries in benchmarks/results/protocols/ and fills the tables of the docs.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from anydepth_hf import BUNDLED_CHECKPOINT
from anydepth_hf.atomic_write import atomic_write_json
from benchmarks import results_page

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks/results/protocols"


def measure(name: str, model: str, pictures: Path) -> dict:
    """The summary of one model, or of a guess, under every protocol that can measure it."""
    source = ["--model", model] if name == "bundled" else ["--predictions", name]
    dataset = {"name": "pictures", "root": str(pictures)}
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "training.evaluate", *source, "--dataset", json.dumps(dataset)]
        command += ["--title", "held-out rendered pictures", "--min_depth", "0.1", "--max_depth", "80"]
        command += ["--protocol", "all", "--num_workers", "0", "--worst", "0", "--output_dir", folder]
        subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        summary = json.loads((Path(folder) / "summary.json").read_text(encoding="utf-8"))
    text = json.dumps(summary)  # without paths of this machine
    for path, shown in ((BUNDLED_CHECKPOINT, "anydepth_hf/bundled"), (str(pictures), pictures.name)):
        text = text.replace(json.dumps(path)[1:-1], shown)
    return json.loads(text)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.protocols", description=__doc__.split("\n")[0])
    parser.add_argument("--model", default=BUNDLED_CHECKPOINT, help="folder or Hub id (default: the bundled model)")
    parser.add_argument("pictures", type=Path, help="folder that training.scenes.make filled, with a seed of its own")
    args = parser.parse_args(argv)
    for name in results_page.GUESSES:
        try:
            summary = measure(name, args.model, args.pictures)
        except subprocess.CalledProcessError as error:  # which has said why
            return error.returncode
        RESULTS.mkdir(parents=True, exist_ok=True)
        atomic_write_json(RESULTS / f"{name}.json", summary)
    return results_page.main([])


if __name__ == "__main__":
    sys.exit(main())
