"""A training run small enough for tests: pictures in two folders, a model of a few thousand parameters."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
ENCODER = {
    "model_type": "dinov3_vit",
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 4,
    "num_attention_heads": 2,
    "num_register_tokens": 1,
    "out_indices": [1, 2, 3, 4],
}
SDT = {"backbone_config": ENCODER, "fusion_hidden_size": 16, "output_activation": "exp"}
DPT = {**SDT, "head_type": "dpt", "reassemble_hidden_sizes": [16] * 4}


def write_pairs(root: Path, count: int = 12, height: int = 40, width: int = 48, seed: int = 0) -> str:
    """A `pairs` data set of random planes whose brightness follows their depth; returns its specification."""
    rng = np.random.default_rng(seed)
    for name in ("rgb", "depth"):
        (root / name).mkdir(parents=True, exist_ok=True)
    y, x = np.mgrid[0:1:height * 1j, 0:1:width * 1j]
    for index in range(count):
        disparity = 0.1 + rng.uniform(0, 0.5) * y + rng.uniform(0, 0.5) * x
        image = 255 * disparity[..., None] * rng.uniform(0.5, 0.9, 3) + rng.uniform(0, 30, (height, width, 3))
        Image.fromarray(image.clip(0, 255).astype(np.uint8)).save(root / "rgb" / f"{index:03d}.png")
        np.save(root / "depth" / f"{index:03d}.npy", (1 / disparity).astype(np.float32))
    return f"pairs,root={root},rgb_dir=rgb,depth_dir=depth"


def command(output_dir: Path, dataset: str, *options: str, architecture: dict = SDT, processes: int = 1) -> list[str]:
    launcher = [sys.executable]
    if processes > 1:
        launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"]
    return [
        *launcher, str(ROOT / "training/train.py"), "--cpu", "--output_dir", str(output_dir), "--dataset", dataset,
        "--architecture", json.dumps(architecture), "--encoder", "full", "--image_size", "32x32", "--batch_size", "2",
        "--num_workers", "0", "--max_steps", "6", "--warmup_ratio", "0.2", "--encoder_learning_rate", "1e-3",
        "--logging_steps", "2", "--checkpoint_steps", "2", "--trackers", "none", *options,
    ]  # fmt: skip


def environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""}


def run(*arguments, status: int = 0, **options) -> str:
    """Runs `command(...)`; returns what it printed."""
    result = subprocess.run(
        command(*arguments, **options), env=environment(), capture_output=True, text=True, timeout=300
    )
    output = result.stdout + result.stderr
    assert result.returncode == status, output
    return output


def metrics(output_dir: Path) -> list[dict]:
    """`metrics.jsonl` without what depends on the clock."""
    clock = {"minutes", "images_per_second", "seconds_per_step", "data_share"}
    lines = (output_dir / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [{key: value for key, value in json.loads(line).items() if key not in clock} for line in lines]
