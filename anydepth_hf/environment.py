"""What a result was made with: versions, device, command line and the state of the code, described in one place."""

import importlib.metadata
import platform
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import torch

PACKAGES = ("anydepth-hf", "torch", "transformers", "accelerate", "numpy", "safetensors", "datasets", "peft")


def package_versions(packages: Iterable[str] = PACKAGES) -> dict[str, str]:
    """Versions of Python and of those of the packages that are installed."""
    versions = {"python": platform.python_version()}
    for package in packages:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def device_name(device: torch.device | str | None = None) -> str:
    """Name of a device for a person; by default of the GPU where there is one, else of the CPU."""
    if device is None:
        device = "cuda" if torch.cuda.is_available() else "cpu"
    device = torch.device(device)
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{platform.processor() or platform.machine()} CPU" if device.type == "cpu" else str(device)


def describe_device(device: torch.device | str) -> dict[str, str | bool | None]:
    """What the time of a call depends on besides the model: device, TF32, versions."""
    cuda, versions = torch.device(device).type == "cuda", package_versions()
    return {
        "device": device_name(device),
        "tf32_convolutions": torch.backends.cudnn.allow_tf32 if cuda else None,
        "cuda": torch.version.cuda if cuda else None,
        **{name: versions[name] for name in ("torch", "transformers")},
    }


def git_state() -> dict | None:
    """Commit of this code's checkout and the files that differ from it; `None` outside a checkout."""

    def git(*command: str) -> str:
        folder = str(Path(__file__).resolve().parent)
        return subprocess.run(["git", "-C", folder, *command], capture_output=True, text=True, check=True).stdout

    try:
        if not git("ls-files", "--error-unmatch", Path(__file__).name):  # a checkout of something else around us
            return None
        changed = git("status", "--porcelain", "--untracked-files=no").splitlines()
        return {"commit": git("rev-parse", "HEAD").strip(), "changed": [line[3:] for line in changed]}
    except (OSError, subprocess.CalledProcessError):
        return None


def describe_environment() -> dict:
    """Versions, device, command line and the state of the git checkout."""
    return {"versions": package_versions(), "device": device_name(), "command": sys.argv, "git": git_state()}
