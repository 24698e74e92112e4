"""From linear radiance to a photograph: optics, exposure, noise, tone curve and sharpening, each drawn per scene."""

import torch
import torch.nn.functional as F

from .layout import SENSOR


def gaussian_noise(seed, height, width, channels):
    """About standard normal, (scenes, channels, height, width), from integers alone, whatever the batch.

    One PCG hash (O'Neill 2014, RXS-M-XS) a value; the sum of its four bytes, centred and scaled.
    """
    index = torch.arange(channels * height * width, device=seed.device).view(1, channels, height, width)
    x = (index * 747796405 + seed.view(-1, 1, 1, 1) * 2891336453) & 0xFFFFFFFF
    x = (((x >> ((x >> 28) + 4)) ^ x) * 277803737) & 0xFFFFFFFF
    x = (x >> 22) ^ x
    total = (x & 255) + ((x >> 8) & 255) + ((x >> 16) & 255) + ((x >> 24) & 255)
    return (total.to(torch.float32) - 510.0) * (1 / 147.8)  # four uniform bytes have a deviation of 147.8


def _filter(image, weight, dim):
    """3-tap filter with side weights (scenes,), edges replicated."""
    pad = (1, 1, 0, 0) if dim == 3 else (0, 0, 1, 1)
    padded = F.pad(image, pad, mode="replicate")
    count = image.shape[dim]
    weight = weight.view(-1, 1, 1, 1)
    sides = padded.narrow(dim, 0, count) + padded.narrow(dim, 2, count)
    return image * (1 - 2 * weight) + sides * weight


def merge_samples(centres, corners):
    """Half the centre sample, half its four corners: a tent filter over the pixel. (scenes, 3, height, width) each."""
    padded = F.pad(corners, (0, 1, 0, 1), mode="replicate")
    around = padded[..., :-1, :-1] + padded[..., 1:, :-1] + padded[..., :-1, 1:] + padded[..., 1:, 1:]
    return 0.5 * centres + 0.125 * around


def exposure_gain(image, weight):
    """Gain that brings the geometric mean of the weighted pixels to middle grey. Integer sums: exact in any order."""
    luminance = (image * image.new_tensor([0.2126, 0.7152, 0.0722]).view(1, 3, 1, 1)).sum(1)
    steps = ((luminance.clamp(1e-4, 1e4).log2() * 256).round() * weight.round()).to(torch.int64)
    count = weight.round().to(torch.int64).sum((1, 2)).clamp(min=1)
    return torch.exp2(-(steps.sum((1, 2)) // count).to(torch.float32) / 256) * 0.18


def develop(centres, corners, surface, sensor):
    """Linear radiance of the samples, (scenes, 3, height, width) each, -> uint8 image.

    `surface` bool (scenes, height, width): pixels that the exposure meter trusts; `sensor` is (SENSOR.size, scenes).
    """
    image = merge_samples(centres, corners)
    s = {name: SENSOR.planes(sensor, name) for name in SENSOR.slices}
    height, width = image.shape[-2:]

    def column(values):
        return values.view(-1, 1, 1, 1)

    image = image.clamp(0, 1e3)
    gain = exposure_gain(image, 1 + 7 * surface.to(torch.float32)) * torch.exp2(s["exposure"])
    image = image * column(gain)
    image = image.clamp(max=4.0)
    image = _filter(_filter(image, s["blur"][0], 3), s["blur"][1], 2)
    y = torch.linspace(-1, 1, height, device=image.device).view(1, 1, -1, 1)
    x = torch.linspace(-1, 1, width, device=image.device).view(1, 1, 1, -1)
    image = image * (1 - column(s["vignette"]) * (x * x + y * y) / 2)
    image = image * s["white_balance"].T.reshape(-1, 3, 1, 1)
    noise = gaussian_noise(s["seed"].to(torch.int64), height, width, 3)
    noise = noise + column(s["chroma_blur"]) * (noise.mean(1, keepdim=True) * 1.7 - noise)
    image = image + noise * (column(s["shot_noise"]) ** 2 * image + column(s["read_noise"]) ** 2).sqrt()
    # A soft shoulder keeps highlights from clipping hard, as cameras do; then gamma and an S-shaped contrast.
    image = image.clamp(min=0)
    image = torch.where(image > 0.7, 0.7 + 0.3 * (1 - torch.exp(-(image - 0.7) / 0.3)), image)
    image = image ** column(1 / s["gamma"])
    smooth = image * image * (3 - 2 * image)
    image = torch.lerp(image, smooth, column(s["contrast"]))
    grey = image.mean(1, keepdim=True)
    image = grey + (image - grey) * column(s["saturation"])
    image = column(s["black"]) + image * (1 - column(s["black"]))
    softened = _filter(_filter(image, torch.full_like(s["sharpen"], 0.25), 3), torch.full_like(s["sharpen"], 0.25), 2)
    image = image + column(s["sharpen"]) * (image - softened)
    return (image.clamp(0, 1) * 255).round().to(torch.uint8)
