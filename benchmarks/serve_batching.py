"""Requests a second that `anydepth serve` answers with batches and without, with several clients at once.

    python -m benchmarks.serve_batching --output benchmarks/results/serve_batching/cpu.json

Two servers run on this machine at once, one with `--max-batch 1`; the same clients ask them in turn, some seconds
each, so that what else the machine does meets both. Each model is one of `--models`; `tiny` is a ViT of four layers
with random weights, of which hardly anything but the serving itself costs time.
"""

import argparse
import io
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import torch
from PIL import Image

from anydepth_hf import BUNDLED_CHECKPOINT, AnyDepthConfig, AnyDepthForDepthEstimation, AnyDepthImageProcessor
from anydepth_hf.atomic_write import atomic_write_json
from anydepth_hf.environment import describe_environment

ROOT = Path(__file__).resolve().parents[1]


def save_tiny(folder: Path):
    """A model of a few thousand parameters that sees 56 pixels."""
    backbone = {"model_type": "dinov2", "hidden_size": 32, "num_hidden_layers": 4, "num_attention_heads": 2}
    backbone |= {"out_indices": [1, 2, 3, 4], "image_size": 56, "patch_size": 14, "use_mask_token": False}
    torch.manual_seed(0)
    config = AnyDepthConfig(backbone_config=backbone, fusion_hidden_size=16, dysample_groups=4)
    AnyDepthForDepthEstimation(config).save_pretrained(folder)
    AnyDepthImageProcessor(size={"shortest_edge": 56}, ensure_multiple_of=14).save_pretrained(folder)


class Server:
    """A server process on a free port."""

    def __init__(self, model: str, *options):
        command = [sys.executable, "-m", "anydepth_hf.cli", "serve", "--port", "0", "--model", model]
        self.process = subprocess.Popen(
            [*command, *map(str, options)],
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )
        address = re.search(r"http://\S+", self.process.stdout.readline())
        if address is None:  # it has said why
            self.process.wait()
            sys.exit(f"serve_batching: no server for {model}.")
        self.url = address[0]

    def health(self) -> dict:
        with urllib.request.urlopen(f"{self.url}/health") as response:
            return json.load(response)

    def processor_seconds(self) -> float:
        times = psutil.Process(self.process.pid).cpu_times()
        return times.user + times.system

    def stop(self):
        self.process.terminate()
        self.process.wait()


def measure(server: Server, photo: bytes, clients: int, seconds: float) -> dict:
    """Requests a second, seconds a request in waiting and in the server's processor time, and pictures in a batch."""
    latencies, before, worked = [], server.health(), server.processor_seconds()
    start = time.perf_counter()

    def client():
        while time.perf_counter() < start + seconds:
            asked = time.perf_counter()
            request = urllib.request.Request(f"{server.url}/predict", photo, {"Content-Type": "image/jpeg"})
            with urllib.request.urlopen(request) as response:
                response.read()
            latencies.append(time.perf_counter() - asked)

    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(lambda _: client(), range(clients)))
    elapsed, after = time.perf_counter() - start, server.health()
    return {
        "requests_a_second": len(latencies) / elapsed,
        "median_seconds": statistics.median(latencies),
        "processor_seconds": (server.processor_seconds() - worked) / len(latencies),
        "pictures_in_a_batch": (after["pictures"] - before["pictures"]) / (after["batches"] - before["batches"]),
    }


def compare(model: str, photo: bytes, args: argparse.Namespace) -> dict:
    """Both servers in turn; medians of the rounds, and how many times better batches are in each."""
    size = ["--size", args.size] if args.size else []
    options = {
        "alone": ("--max-batch", 1, *size),
        "together": ("--max-batch", args.max_batch, "--max-wait-ms", args.max_wait_ms, *size),
    }
    servers, rounds = {}, {name: [] for name in options}
    try:
        for name in options:
            servers[name] = Server(model, *options[name])
        for index in range(args.rounds + 1):
            for name, server in servers.items():
                figures = measure(server, photo, args.clients, args.seconds)
                if index:  # the first warms up
                    rounds[name].append(figures)
                    print(f"{model} {name}: {figures}", flush=True)
    finally:
        for server in servers.values():
            server.stop()
    medians = {
        name: {key: statistics.median(row[key] for row in rows) for key in rows[0]} for name, rows in rounds.items()
    }
    pairs = list(zip(rounds["alone"], rounds["together"]))
    ratios = {
        "requests_a_second": [together["requests_a_second"] / alone["requests_a_second"] for alone, together in pairs],
        "processor_seconds": [alone["processor_seconds"] / together["processor_seconds"] for alone, together in pairs],
    }
    return {**medians, "ratio": {key: statistics.median(row) for key, row in ratios.items()}, "ratios": ratios}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=["bundled", "tiny"], help="bundled, tiny, or any --model")
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--max-batch", type=int, default=8)
    parser.add_argument("--max-wait-ms", type=float, default=5)
    parser.add_argument("--size", type=int, help="shortest side that the models see")
    parser.add_argument("--photo", type=int, nargs=2, default=[240, 160], help="width and height of what is sent")
    parser.add_argument("--output", type=Path, help="JSON file for the figures")
    args = parser.parse_args()
    buffer = io.BytesIO()
    Image.open(f"{BUNDLED_CHECKPOINT}/coffee.jpg").resize(args.photo).save(buffer, "JPEG", quality=90)
    options = {key: value for key, value in vars(args).items() if key not in ("output", "models")}
    results = {"options": options, "processors": os.cpu_count(), "environment": describe_environment(), "models": {}}
    with tempfile.TemporaryDirectory() as folder:
        save_tiny(Path(folder))
        for name in args.models:
            model = {"bundled": BUNDLED_CHECKPOINT, "tiny": folder}.get(name, name)
            results["models"][name] = compare(model, buffer.getvalue(), args)
    print(json.dumps(results, indent=1))
    if args.output:
        atomic_write_json(args.output, results)


if __name__ == "__main__":
    main()
