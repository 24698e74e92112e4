import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import nn
from transformers.image_utils import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD

from anydepth_hf import BUNDLED_CHECKPOINT
from tests.training.tiny_run import run, write_pairs
from training.patch_detail import add_patch_detail, patch_statistics

EMBEDDING = "backbone.embeddings.patch_embeddings"


@pytest.fixture(scope="module")
def photograph():
    """Normalised pixels (1, 3, 128, 192) of the photograph that comes with the package."""
    with Image.open(f"{BUNDLED_CHECKPOINT}/coffee.jpg") as image:
        pixels = np.asarray(image.convert("RGB").resize((192, 128), Image.Resampling.BICUBIC)) / 255
    pixels = (pixels - IMAGENET_DEFAULT_MEAN) / IMAGENET_DEFAULT_STD
    return torch.tensor(pixels, dtype=torch.float32).permute(2, 0, 1)[None]


@pytest.mark.parametrize("patch_size", [8, 14, 16])
def test_the_axes_are_orthonormal(patch_size):
    basis, variance = patch_statistics(patch_size)
    basis = basis.flatten(1)
    torch.testing.assert_close(basis @ basis.T, torch.eye(3 * patch_size**2), rtol=0, atol=1e-5)
    torch.testing.assert_close(basis[0], torch.full_like(basis[0], (3 * patch_size**2) ** -0.5))  # the mean grey
    assert variance.argmax() == 0 and (variance > 0).all()


def test_the_statistics_are_those_of_a_photograph(photograph):
    basis, variance = patch_statistics(16)
    patches = nn.functional.unfold(photograph, 16, stride=16)[0].T
    measured = (patches @ basis.flatten(1).T).var(0)
    grey = slice(0, 256)  # the other colour axes depend on the picture
    slope = np.polyfit(variance[grey].log(), measured[grey].log(), 1)[0]
    assert 0.6 < slope < 1.4


@pytest.mark.parametrize("width", [64, 256, 1024])
def test_details_reach_the_tokens(photograph, width):
    torch.manual_seed(0)
    embedding = nn.Conv2d(3, width, 16, stride=16)
    nn.init.normal_(embedding.weight, std=0.02)
    before = embedding(photograph)
    weight = embedding.weight.clone()
    add_patch_detail(embedding, 0.5)
    added = embedding(photograph) - before
    assert 0.2 < added.std() / before.std() < 0.8
    assert not embedding.weight.requires_grad and not embedding.bias.requires_grad

    def share_of_details(weights):
        basis, variance = patch_statistics(16)
        power = (weights.flatten(1) @ basis.flatten(1).T).square().sum(0) * variance
        return 1 - power[variance.topk(10).indices].sum() / power.sum()

    assert share_of_details(embedding.weight - weight) > 0.75 > 0.2 > share_of_details(weight)


def test_only_patches_of_pictures():
    for embedding in (nn.Conv2d(3, 8, 7, stride=4), nn.Conv2d(1, 8, 16, stride=16)):
        with pytest.raises(ValueError, match="square RGB patches"):
            add_patch_detail(embedding, 0.5)


def test_a_run_leaves_them_as_they_are(tmp_path):
    data = write_pairs(tmp_path / "data", 4)
    run(tmp_path / "run", data, "--patch_detail", "0.5", "--max_steps", "2")
    run(tmp_path / "more", data, "--patch_detail", "0.5", "--max_steps", "4")
    first, second = (load_file(tmp_path / name / "model.safetensors") for name in ("run", "more"))
    assert torch.equal(first[f"{EMBEDDING}.weight"], second[f"{EMBEDDING}.weight"])
    assert not torch.equal(first["head.output_conv.0.weight"], second["head.output_conv.0.weight"])
