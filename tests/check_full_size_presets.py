"""
Takes every preset, at full size and with random weights, through a short life on the CPU.

    python tests/check_full_size_presets.py [PRESET ...]

Not part of the test suite: VGGT-1B needs about 15 GB of memory and disk and some minutes. Each preset is built,
predicts at 512 (patch 16) or 518 (patch 14) pixels, trains one step at 224 with the encoder frozen, is saved,
reloaded and compared, in a process of its own so that peak memory is the preset's.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time

import torch

from anydepth_hf import AnyDepthForDepthEstimation
from anydepth_hf.presets import preset_config, preset_names


def peak_memory() -> float:
    """Largest resident size of this process so far, in GiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def live(name: str) -> str:
    """One line about a preset. Raises AssertionError for what should not be."""
    torch.manual_seed(0)
    config = preset_config(name)
    model = AnyDepthForDepthEstimation(config).eval()
    side = 512 if config.patch_size == 16 else 518
    image = torch.randn(1, 3, side, side)
    start = time.perf_counter()
    with torch.inference_mode():
        prediction = model(image).predicted_depth
    seconds, memory = time.perf_counter() - start, peak_memory()
    assert prediction.shape == (1, side, side) and prediction.isfinite().all() and prediction.std() > 0

    encoder = {key: tensor.clone() for key, tensor in list(model.backbone.state_dict().items())[:20]}
    head = {key: tensor.clone() for key, tensor in model.head.state_dict().items()}
    model.train()
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=1e-4)
    loss = model(torch.randn(1, 3, 224, 224), labels=1 + 9 * torch.rand(1, 224, 224)).loss
    loss.backward()
    optimizer.step()
    assert loss.isfinite() and all(p.grad is None for p in model.backbone.parameters())
    assert all(torch.equal(model.backbone.state_dict()[key], tensor) for key, tensor in encoder.items())
    assert any(not torch.equal(model.head.state_dict()[key], tensor) for key, tensor in head.items())
    optimizer.zero_grad()
    del encoder, head

    small = torch.randn(1, 3, 112, 112)
    with torch.inference_mode():
        expected = model.eval()(small).predicted_depth
    parameters, decoder = model.num_parameters(), sum(p.numel() for p in model.head.parameters())
    with tempfile.TemporaryDirectory() as directory:
        model.save_pretrained(directory)
        del model, optimizer
        model, info = AnyDepthForDepthEstimation.from_pretrained(directory, output_loading_info=True)
        # loaded weights lie in the file's memory, at any address, and some processors round sums by it
        for parameter in model.parameters():
            parameter.data = parameter.data.clone()
        with torch.inference_mode():
            assert torch.equal(model(small).predicted_depth, expected) and not any(info.values()), info
    return (
        f"| {name} | {parameters / 1e6:.2f} | {decoder / 1e6:.2f} | {side} | {memory:.2f} | {seconds:.1f} "
        f"| {loss.item():.3f} | equal |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.strip().split("\n")[0])
    parser.add_argument("presets", nargs="*", metavar="PRESET", help="presets to check (default: all)")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    unknown = sorted(set(options.presets) - set(preset_names()))
    if unknown:
        sys.exit(f"unknown preset {unknown[0]!r}; choose from {', '.join(preset_names())}")
    if options.here:
        print(live(options.presets[0]), flush=True)
        return
    print("| preset | M parameters | of them decoder | input | peak GiB predicting | s | loss of a step | reloaded |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    failed = [
        name
        for name in options.presets or preset_names()
        if subprocess.run([sys.executable, __file__, "--here", name]).returncode
    ]
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
