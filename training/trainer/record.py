"""The run directory: what was run, with which versions, and what it measured."""

import json
from pathlib import Path

from anydepth_hf.atomic_write import atomic_write_json, atomic_write_text, remove_leftovers


def write_record(directory: Path, config: str, environment: dict) -> None:
    """`training_config.yaml` and `run.json`, which keeps the earlier starts of a resumed run."""
    directory.mkdir(parents=True, exist_ok=True)
    remove_leftovers(directory)
    atomic_write_text(directory / "training_config.yaml", config)
    path = directory / "run.json"
    try:
        starts = list(json.loads(path.read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError, TypeError):  # none yet, or damaged: no reason not to train
        starts = []
    atomic_write_json(path, [*starts, environment])


class MetricsFile:
    """`metrics.jsonl`: a JSON object per line, each with its `step`. A resumed run drops what it will write again."""

    def __init__(self, path: Path, resumed_step: int | None):
        self.path = path
        kept = []
        if resumed_step is not None and path.exists():
            kept = [line for line in path.read_text(encoding="utf-8").splitlines() if _step_of(line) <= resumed_step]
        atomic_write_text(path, "".join(line + "\n" for line in kept))

    def append(self, values: dict) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(values) + "\n")

    def read(self) -> list[dict]:
        return [json.loads(line) for line in self.path.read_text(encoding="utf-8").splitlines()]


def _step_of(line: str) -> float:
    try:
        return json.loads(line)["step"]
    except (ValueError, KeyError):  # the last line of a killed run may be cut
        return float("inf")
