"""A training run small enough for tests: pictures in two folders, a model of a few thousand parameters."""

import functools
import json
import multiprocessing
import os
import socket
import sys
import tempfile
from multiprocessing import forkserver
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
# without batch norm and without DINOv3's random rescaling of positions
DPT = {
    "backbone_config": {**ENCODER, "pos_embed_rescale": None},
    "head_type": "dpt",
    "fusion_hidden_size": 16,
    "reassemble_hidden_sizes": [16] * 4,
    "output_activation": "exp",
}


def write_pairs(root: Path, count: int = 12, height: int = 40, width: int = 48, seed: int = 0) -> str:
    """A `pairs` data set of random planes whose brightness follows their depth; returns its specification."""
    rng = np.random.default_rng(seed)
    for name in ("rgb", "depth"):
        (root / name).mkdir(parents=True, exist_ok=True)
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    for index in range(count):
        disparity = 0.1 + rng.uniform(0, 0.5) * y + rng.uniform(0, 0.5) * x
        image = 255 * disparity[..., None] * rng.uniform(0.5, 0.9, 3) + rng.uniform(0, 30, (height, width, 3))
        Image.fromarray(image.clip(0, 255).astype(np.uint8)).save(root / "rgb" / f"{index:03d}.png")
        np.save(root / "depth" / f"{index:03d}.npy", (1 / disparity).astype(np.float32))
    return f"pairs,root={root},rgb_dir=rgb,depth_dir=depth"


def options_of(output_dir: Path, dataset: str, *options: str, architecture: dict | None = SDT) -> list[str]:
    """Command line of a six-step run; later options win."""
    model = [] if architecture is None else ["--architecture", json.dumps(architecture), "--encoder", "full"]
    return [
        "--cpu", "--output_dir", str(output_dir), "--dataset", dataset, *model, "--image_size", "32x32",
        "--batch_size", "2", "--num_workers", "0", "--max_steps", "6", "--warmup_ratio", "0.2",
        "--encoder_learning_rate", "1e-3", "--mixed_precision", "no", "--logging_steps", "2", "--checkpoint_steps",
        "2", "--trackers", "none", *options,
    ]  # fmt: skip


class Run:
    """`training/train.py` in one process, or in several that find each other as under torchrun."""

    def __init__(self, *arguments, processes: int = 1, prepare=None, **keywords):
        self.logs = [Path(tempfile.mkstemp(suffix=".log")[1]) for _ in range(processes)]
        argv = options_of(*arguments, **keywords)
        port = _free_port() if processes > 1 else 0
        self.processes = []
        for rank, log in enumerate(self.logs):
            variables = {}
            if processes > 1:
                variables = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": processes, "RANK": rank}
                variables |= {"LOCAL_RANK": rank, "LOCAL_WORLD_SIZE": processes}
            process = _server().Process(target=_train, args=(argv, variables, log, prepare))
            process.start()
            self.processes.append(process)

    @property
    def running(self) -> bool:
        return all(process.is_alive() for process in self.processes)

    def send(self, number: int) -> None:
        for process in self.processes:
            os.kill(process.pid, number)

    def wait(self, seconds: float = 120) -> tuple[list[int], str]:
        """Exit status of each process (negative: the signal that killed it), and everything printed."""
        for process in self.processes:
            process.join(seconds)
            if process.is_alive():
                process.kill()
        output = "".join(log.read_text(encoding="utf-8") for log in self.logs)
        for log in self.logs:
            log.unlink()
        return [process.exitcode for process in self.processes], output


def run(*arguments, status: int = 0, **keywords) -> str:
    """Runs to the end, checks the exit status of each process and returns what they printed."""
    statuses, output = Run(*arguments, **keywords).wait()
    assert set(statuses) == {status}, f"{statuses}\n{output}"
    return output


@functools.cache
def _server():
    """Processes forked from one that has imported everything already: a run starts in milliseconds."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["training.trainer.loop", "peft"])
    before = dict(os.environ)
    os.environ.update(OMP_NUM_THREADS="1", HF_HUB_OFFLINE="1", CUDA_VISIBLE_DEVICES="", PYTHONPATH=str(ROOT))
    try:
        forkserver.ensure_running()
    finally:
        os.environ.clear()
        os.environ.update(before)
    return context


def _train(argv: list[str], variables: dict, log: Path, prepare) -> None:
    os.environ.update({name: str(value) for name, value in variables.items()})
    descriptor = os.open(log, os.O_WRONLY | os.O_APPEND)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    from training.train import main

    if prepare is not None:
        prepare()
    sys.argv = ["train.py", *argv]
    sys.exit(main())


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def metrics(output_dir: Path) -> list[dict]:
    """`metrics.jsonl` without what depends on the time it took."""
    clock = {"minutes", "images_per_second", "seconds_per_step", "data_share"}
    lines = (output_dir / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [{key: value for key, value in json.loads(line).items() if key not in clock} for line in lines]
