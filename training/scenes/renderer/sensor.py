"""From linear light to what a camera stores: exposure, white balance, tone curve, blur, noise, JPEG."""

import io

import numpy as np
from PIL import Image, ImageFilter

from anydepth_hf.image_io import open_image


def develop(rng: np.random.Generator, light: np.ndarray, depth: np.ndarray) -> np.ndarray:
    """
    Args:
        light: linear RGB float32 (h, w, 3). depth: float32 (h, w), metres, 0 in the sky.

    Returns:
        uint8 (h, w, 3).
    """
    bright = np.quantile(light.mean(axis=2), rng.uniform(0.65, 0.98))
    values = light * (rng.uniform(0.3, 0.85) / max(bright, 1e-4))
    values = values * np.clip(1 + rng.normal(0, 0.06, 3), 0.8, 1.25)
    if rng.random() < 0.3:  # the lens darkens the corners
        y, x = np.meshgrid(*(np.linspace(-1, 1, side) for side in depth.shape), indexing="ij")
        values = values * (1 - rng.uniform(0, 0.4) * (x * x + y * y) / 2)[..., None]
    if rng.random() < 0.3:  # veiling glare
        values = values * 0.95 + rng.uniform(0, 0.06) * values.mean(axis=(0, 1))
    noise = rng.uniform(0, 0.02) * (rng.random() < 0.8)
    values = values + rng.standard_normal(values.shape, np.float32) * noise * np.sqrt(np.maximum(values, 0.003))
    knee = rng.uniform(0.6, 1.0)  # highlights roll off
    values = np.maximum(values, 0)
    rolled = 1 - (1 - knee) * np.exp(-np.maximum(values - knee, 0) / max(1 - knee, 1e-3))
    values = np.where(values > knee, rolled, values)
    values = np.clip(values, 0, 1) ** (1 / rng.uniform(1.9, 2.5))
    contrast = rng.uniform(0, 0.6)  # an S curve
    values = values + contrast * (values * values * (3 - 2 * values) - values)
    image = Image.fromarray((np.clip(values, 0, 1) * 255 + 0.5).astype(np.uint8))
    if rng.random() < 0.12:
        image = out_of_focus(rng, image, depth)
    if rng.random() < 0.35:
        image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.2, 0.9)))
    if rng.random() < 0.25:
        image = image.filter(ImageFilter.UnsharpMask(rng.uniform(0.5, 2), int(rng.integers(30, 130)), 1))
    if rng.random() < 0.6:
        file = io.BytesIO()
        image.save(file, "JPEG", quality=int(rng.integers(40, 96)))
        image = open_image(file.getvalue()).convert("RGB")
    return np.asarray(image)


def out_of_focus(rng: np.random.Generator, image: Image.Image, depth: np.ndarray) -> Image.Image:
    """Blurs what is far from a focused depth, by three layers of blur."""
    seen = depth[depth > 0]
    if not len(seen):
        return image
    focus = np.quantile(seen, rng.uniform(0.05, 0.6))
    circle = np.abs(1 / np.where(depth > 0, depth, 1e3) - 1 / focus) * focus * rng.uniform(1, 5)
    result = np.asarray(image, np.float32)
    for radius in (0.8, 1.8, 3.5):
        blurred = np.asarray(image.filter(ImageFilter.GaussianBlur(radius)), np.float32)
        weight = np.clip((circle - radius * 0.5) / (radius * 0.5), 0, 1)[..., None]
        result = result + weight * (blurred - result)
    return Image.fromarray(result.round().astype(np.uint8))
