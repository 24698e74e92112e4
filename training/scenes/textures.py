"""An atlas of tileable procedural textures with mip levels, and its lookup.

A texture holds no colours but how to mix a material's three: channel 0 mixes B into A, channel 1 mixes C over both;
channels 2 and 3 are the height's slope along u and v, for bump mapping. Stored as bytes, one row a texel.
"""

from functools import lru_cache

import torch
import torch.nn.functional as F

from .texture_noise import TEXTURE_SIZE
from .texture_patterns import make_textures

LEVELS = 8  # 256 .. 2 texels


class TextureAtlas:
    """`sample` looks any texture up; `names` maps a family ("bricks") to the ids of its variants."""

    def __init__(self, device):
        self.names, textures = make_textures()
        self.count = len(textures)
        level, rows = textures, []
        for _ in range(LEVELS):
            rows.append((level * 255).round().to(torch.uint8).permute(0, 2, 3, 1).reshape(-1, 4))
            level = F.avg_pool2d(level, 2)
        self.table = torch.cat(rows).to(device)
        foliage = textures[self.names["foliage"][0], 1]
        # Hole fractions are exact when the mask is ranked to a uniform distribution first.
        ranks = foliage.flatten().argsort().argsort().to(torch.float32) / foliage.numel()
        self.foliage_mask = ranks.view(TEXTURE_SIZE, TEXTURE_SIZE).to(device)

    def sample(self, texture, u, v, texels):
        """Bilinear lookup in the mip level whose texel is nearest to the pixel's footprint.

        Args: texture int32 ids, u / v in tiles (repeating), texels: footprint in level-0 texels; all of one shape.
        Returns: float32 (*shape, 4) in 0 .. 1.
        """
        level = texels.clamp(1, 2 ** (LEVELS - 1)).log2().round().to(torch.int32)
        size = TEXTURE_SIZE >> level
        base = (self.count * 4 * (TEXTURE_SIZE**2 - size * size)) // 3 + texture * size * size
        x, y = u * size - 0.5, v * size - 0.5
        x0, y0 = x.floor(), y.floor()
        fx, fy = (x - x0).unsqueeze(-1), (y - y0).unsqueeze(-1)
        mask = size - 1
        x0, y0 = x0.to(torch.int32), y0.to(torch.int32)
        left, right = x0 & mask, (x0 + 1) & mask
        top, bottom = base + (y0 & mask) * size, base + ((y0 + 1) & mask) * size
        taps = [self._rows(row + column) for row in (top, bottom) for column in (left, right)]
        upper, lower = torch.lerp(taps[0], taps[1], fx), torch.lerp(taps[2], taps[3], fx)
        return torch.lerp(upper, lower, fy) * (1 / 255)

    def _rows(self, index):
        return self.table.index_select(0, index.flatten()).to(torch.float32).view(*index.shape, 4)


@lru_cache(maxsize=4)
def texture_atlas(device):
    """The atlas on `device` (a string or torch.device), made once a process (about a second)."""
    return TextureAtlas(torch.device(device))
