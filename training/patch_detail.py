"""A patch embedding that shows an untrained encoder what lies within a patch.

Neighbouring pixels are nearly equal: the mean colour of a patch has thousands of times the variance of its finest
details. Training from random filters therefore learns mean colours and hardly anything else (after 73,000 pictures,
directions beyond the tenth had 0.2 % of the tokens' variance). Filters that decorrelate patches, kept as they are, do
not have to be learned (fixed patch projections: Chen et al., arXiv:2104.02057; whitening: Jordan, arXiv:2404.00498).
"""

import math

import torch
from torch import nn

# Variance of the cosine transform of 16x16 patches in normalised colour: of the mean, and of frequency 1 (half a cycle
# a patch), from where it falls with the frequency squared; shares of the colour axes. Measured on rendered scenes.
MEAN_VARIANCE, DETAIL_VARIANCE = 640.0, 30.0
COLOR_AXES = ((1.0, 1.0, 1.0), (1.0, 0.0, -1.0), (1.0, -2.0, 1.0))
COLOR_SHARES = (1.0, 0.055, 0.028)
NOISE_VARIANCE = 0.1  # what varies less is not amplified further


def patch_statistics(patch_size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """
    Principal axes of natural patches by their known approximation: cosine transform times opponent colours.

    Returns:
        Orthonormal `basis` (3 * patch_size**2, 3, patch_size, patch_size) and the `variance` of patches along each.
    """
    places = torch.arange(patch_size)
    cosine = torch.cos(math.pi / patch_size * (places + 0.5) * places[:, None]) * (2 / patch_size) ** 0.5
    cosine[0] /= 2**0.5
    colors = nn.functional.normalize(torch.tensor(COLOR_AXES), dim=1)
    basis = torch.einsum("kc,ui,vj->kuvcij", colors, cosine, cosine).flatten(0, 2)
    frequency = places[:, None] ** 2 + places**2
    spectrum = DETAIL_VARIANCE / frequency.clamp(min=1)
    spectrum[0, 0] = MEAN_VARIANCE
    return basis, (torch.tensor(COLOR_SHARES)[:, None, None] * spectrum).flatten()


@torch.no_grad()
def add_patch_detail(embedding: nn.Conv2d, strength: float) -> None:
    """
    Adds decorrelating filters to a patch embedding and freezes it.

    Args:
        embedding: convolution whose stride is its kernel.
        strength: standard deviation of what is added to the tokens, as a share of theirs.

    Raises:
        ValueError: not the embedding of square patches of RGB images.
    """
    width, channels, patch_size, other = embedding.weight.shape
    if channels != 3 or patch_size != other or embedding.stride != embedding.kernel_size:
        raise ValueError(f"--patch_detail needs an embedding of square RGB patches, not {embedding}")
    basis, variance = patch_statistics(patch_size)
    kept = variance.argsort(descending=True, stable=True)[:width]
    gain = (variance[kept] + NOISE_VARIANCE).rsqrt()
    mixing = torch.linalg.qr(torch.randn(width, len(kept)))[0]  # orthonormal columns
    filters = (mixing * gain) @ basis[kept].flatten(1)

    def power(weights):
        return ((weights @ basis.flatten(1).T).square() @ variance).mean()

    before = embedding.weight.flatten(1).cpu()
    added = strength * (power(before) / power(filters)).sqrt() * filters
    embedding.weight.add_(added.view_as(embedding.weight).to(embedding.weight))
    embedding.requires_grad_(False)
