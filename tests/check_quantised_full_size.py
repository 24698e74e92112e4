"""AnyDepth-S and the bundled model at their full size, quantised and offloaded: how far their maps are from the float
model's.

    python tests/check_quantised_full_size.py

Prints the relative error (norm of the difference by the norm of the map) of each and ends with status 1 where one is
more than 1 %. AnyDepth-S (`dinov3-small-sdt`) has random weights, seeded: only its sizes matter here. torchao's part
needs `pip install torchao`, in an environment of its own: transformers prints when it imports it.
"""

import sys
import tempfile
import warnings
from pathlib import Path

import torch
from torch import nn

from anydepth_hf import BUNDLED_CHECKPOINT, AnyDepthForDepthEstimation
from anydepth_hf.image_io import open_image
from anydepth_hf.image_processing_anydepth import AnyDepthImageProcessor
from anydepth_hf.presets import preset_config
from anydepth_hf.quiet import quiet_transformers

LIMIT = 0.01


def save_anydepth_s(folder: Path) -> Path:
    """The preset at full size with random weights whose map depends on the image."""
    torch.manual_seed(0)
    model = AnyDepthForDepthEstimation(preset_config("dinov3-small-sdt")).eval()
    nn.init.constant_(model.head.output_conv[-1].bias, 3.0)  # on the live side of the last ReLU
    model.save_pretrained(folder)
    AnyDepthImageProcessor(size={"shortest_edge": 448}, ensure_multiple_of=16).save_pretrained(folder)
    return folder


def error(got: torch.Tensor, expected: torch.Tensor) -> float:
    """Of the map; and of what in it depends on the image, whichever is larger."""
    plain = (got - expected).norm() / expected.norm()
    relief = (got - got.mean() - (expected - expected.mean())).norm() / (expected - expected.mean()).norm()
    return max(plain.item(), relief.item())


def dynamic(folder: Path, _: Path):
    warnings.simplefilter("ignore")  # it is deprecated, and what docs/adapters.md names beside torchao
    return torch.ao.quantization.quantize_dynamic(load(folder), {nn.Linear}, dtype=torch.qint8)


def torchao(folder: Path, _: Path):
    from torchao.quantization import Int8WeightOnlyConfig, quantize_

    model = load(folder)
    quantize_(model, Int8WeightOnlyConfig())
    return model


def on_disk(folder: Path, offloaded: Path):
    places = {"backbone": "disk", "head": "cpu"}
    return load(folder, device_map=places, offload_folder=offloaded, offload_buffers=True)


def load(folder: Path, **options) -> AnyDepthForDepthEstimation:
    return AnyDepthForDepthEstimation.from_pretrained(folder, **options).eval()


@quiet_transformers()
@torch.no_grad()
def main() -> int:
    worst = 0.0
    photo = open_image(f"{BUNDLED_CHECKPOINT}/coffee.jpg")
    with tempfile.TemporaryDirectory() as temporary:
        models = {"AnyDepth-S": save_anydepth_s(Path(temporary) / "s"), "bundled": Path(BUNDLED_CHECKPOINT)}
        for name, folder in models.items():
            pixel_values = AnyDepthImageProcessor.from_pretrained(folder)(photo, return_tensors="pt").pixel_values
            expected = load(folder)(pixel_values).predicted_depth
            print(f"{name}: {tuple(expected.shape)}, {expected.min():.3g} to {expected.max():.3g}", flush=True)
            for change in (dynamic, torchao, on_disk):
                try:
                    model = change(folder, Path(temporary) / f"{name}-offloaded")
                except ImportError as problem:
                    print(f"  {change.__name__}: not tried ({problem})", flush=True)
                    continue
                worst = max(worst, off := error(model(pixel_values).predicted_depth, expected))
                print(f"  {change.__name__}: {100 * off:.4f} %", flush=True)
    return int(worst > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
