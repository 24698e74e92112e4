"""The run directory: what was run, with which versions, and what it measured."""

import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import torch

PACKAGES = ("torch", "transformers", "accelerate", "numpy", "safetensors", "datasets", "peft")
REPOSITORY = Path(__file__).resolve().parents[2]


def describe_environment() -> dict:
    """Versions, hardware, command line and the state of the git checkout."""
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else platform.processor() or platform.machine()
    return {"versions": versions, "device": device, "command": sys.argv, "git": _git_state()}


def _git_state() -> dict | None:
    """Commit and files that differ from it; None outside a checkout."""

    def git(*command: str) -> str:
        return subprocess.run(
            ["git", "-C", str(REPOSITORY), *command], capture_output=True, text=True, check=True
        ).stdout

    try:
        changed = git("status", "--porcelain", "--untracked-files=no").splitlines()
        return {"commit": git("rev-parse", "HEAD").strip(), "changed": [line[3:] for line in changed]}
    except (OSError, subprocess.CalledProcessError):
        return None


def write_atomically(path: Path, text: str) -> None:
    temporary = path.with_name(f"writing-{path.name}")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)


def write_record(directory: Path, config: str, environment: dict) -> None:
    """`training_config.yaml` and `run.json`, which keeps the earlier starts of a resumed run."""
    directory.mkdir(parents=True, exist_ok=True)
    write_atomically(directory / "training_config.yaml", config)
    path = directory / "run.json"
    starts = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    write_atomically(path, json.dumps([*starts, environment], indent=1) + "\n")


class MetricsFile:
    """`metrics.jsonl`: a JSON object per line, each with its `step`. A resumed run drops what it will write again."""

    def __init__(self, path: Path, resumed_step: int | None):
        self.path = path
        kept = []
        if resumed_step is not None and path.exists():
            kept = [line for line in path.read_text(encoding="utf-8").splitlines() if _step_of(line) <= resumed_step]
        write_atomically(path, "".join(line + "\n" for line in kept))

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
