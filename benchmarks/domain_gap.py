"""
How well a linear classifier on pretrained features tells rendered pictures from photographs: 0.5 is not at all.

    python -m benchmarks.domain_gap --photographs DIR --rendered runs/pictures/240x320

Each image is cut to 4:3 and 168x224. Its features are the means and standard deviations of the patch tokens of every
level. Logistic regression with weight decay, five folds; prints the mean accuracy on what was held out, with as many
images of one kind as of the other.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch.nn import functional as F

import anydepth_hf
from anydepth_hf import AnyDepthForDepthEstimation
from anydepth_hf.image_io import open_image
from training.data.picture_batches import read_sample
from training.data.transforms import normalize

SIZE = (224, 168)
FOLDS = 5


def read(path: Path) -> torch.Tensor:
    """Normalised (1, 3, 168, 224)."""
    rendered = path.suffix == ".safetensors"
    image = Image.fromarray(read_sample(path).image) if rendered else open_image(path).convert("RGB")
    pixels = np.asarray(ImageOps.fit(image, SIZE, Image.BILINEAR), np.float32) / 255
    return normalize(torch.from_numpy(pixels).permute(2, 0, 1)[None])


@torch.inference_mode()
def features(model: AnyDepthForDepthEstimation, paths: list[Path]) -> torch.Tensor:
    """(images, features)."""
    rows = []
    for path in paths:
        levels = model.backbone(read(path)).feature_maps
        rows.append(torch.cat([statistic for x in levels for statistic in (x.mean((2, 3)), x.std((2, 3)))], dim=1))
    return torch.cat(rows)


def accuracy(values: torch.Tensor, labels: torch.Tensor, weight_decay: float = 1e-2) -> float:
    """Mean accuracy on the held-out fold of logistic regression."""
    order = torch.randperm(len(values), generator=torch.Generator().manual_seed(0))
    results = []
    for fold in order.chunk(FOLDS):
        train = order[~torch.isin(order, fold)]
        mean, std = values[train].mean(0), values[train].std(0) + 1e-6
        weights = torch.zeros(values.shape[1] + 1, requires_grad=True)
        optimizer = torch.optim.LBFGS([weights], max_iter=100)

        def loss(rows=train, mean=mean, std=std, weights=weights, optimizer=optimizer):
            optimizer.zero_grad()
            logits = (values[rows] - mean) / std @ weights[:-1] + weights[-1]
            total = F.binary_cross_entropy_with_logits(logits, labels[rows]) + weight_decay * weights.square().sum()
            total.backward()
            return total

        optimizer.step(loss)
        logits = ((values[fold] - mean) / std) @ weights[:-1].detach() + weights[-1].detach()
        results.append(((logits > 0) == (labels[fold] > 0.5)).float().mean().item())
    return float(np.mean(results))


def main():
    parser = argparse.ArgumentParser(description=__doc__.strip().split("\n")[0])
    parser.add_argument(
        "--encoder", default=anydepth_hf.BUNDLED_CHECKPOINT, help="AnyDepth model whose encoder is used"
    )
    parser.add_argument("--photographs", type=Path, required=True)
    parser.add_argument("--rendered", type=Path, required=True, nargs="+", help="folders, each compared on its own")
    parser.add_argument("--count", type=int, default=200, help="images of each kind")
    arguments = parser.parse_args()
    model = AnyDepthForDepthEstimation.from_pretrained(arguments.encoder).eval()
    photographs = sorted(arguments.photographs.glob("*.jpg"))[: arguments.count]
    if not photographs:
        parser.error(f"--photographs {arguments.photographs}: there is no .jpg file")
    real = features(model, photographs)
    for folder in arguments.rendered:
        files = sorted([*folder.glob("*.safetensors"), *folder.glob("*.jpg")])
        if not files:
            parser.error(f"--rendered {folder}: there is no .safetensors or .jpg file")
        chosen = np.linspace(0, len(files) - 1, min(len(real), len(files))).astype(int)
        drawn = features(model, [files[index] for index in chosen])
        count = min(len(real), len(drawn))
        labels = torch.cat([torch.zeros(count), torch.ones(count)])
        print(f"{folder}: {accuracy(torch.cat([real[:count], drawn[:count]]), labels):.3f} ({count} of each)")


if __name__ == "__main__":
    main()
