"""Materials of surfaces and models, and turned vessels, drawn at random."""

from dataclasses import replace

import numpy as np

from .patterns import color, tint
from .scene import Material, Mesh
from .shapes import lathe
from .textures import TextureBank


def surface(rng: np.random.Generator, bank: TextureBank, *kinds: str, metres: float | None = None) -> Material:
    """A surface with a procedural texture of one of `kinds`, now and then a bare colour."""
    gloss = rng.uniform(0, 0.5) if rng.random() < 0.4 else 0.0
    tone = tint(rng, (0, 0.15), (0.6, 1.0), 1.2)
    if rng.random() < 0.12:
        return Material(tint(rng, (0, 0.4), (0.3, 0.95), 2), gloss=gloss)
    texture, repeat = bank.pattern(rng, *kinds), metres or rng.uniform(0.6, 2.5)
    return Material(tone, texture, repeat, gloss=gloss, shininess=rng.uniform(10, 80))


def dressed(rng: np.random.Generator, bank: TextureBank, mesh: Mesh, strength: float = 0.35) -> tuple[Material, ...]:
    """The materials of a model, some in another colour, plain ones with a pattern."""
    materials = []
    hue = 0.65 + 0.7 * color(rng, (0, 0.5), (0.5, 1.0)) if rng.random() < 0.4 else np.ones(3)
    for *_, material in mesh.parts:
        tone = np.clip(np.array(material.color) * hue, 0, 1)
        if material.texture is None and material.alpha > 0.9 and rng.random() < strength:
            kinds = ("wood", "fabric", "plaster", "metal", "stone", "planks", "carpet")
            tone = np.clip(tone * 1.3 + 0.05, 0, 1)
            material = replace(material, texture=bank.pattern(rng, *kinds), metres=rng.uniform(0.2, 1.5))
        materials.append(replace(material, color=tuple(tone), gloss=min(material.gloss, 0.6)))
    return tuple(materials)


def vessel(rng: np.random.Generator) -> Mesh:
    """A turned vessel: bottle, cup, vase, tin or bowl, of height 1 and width about 1."""
    kind = rng.integers(5)
    if kind == 0:  # bottle
        neck, shoulder = rng.uniform(0.1, 0.2), rng.uniform(0.5, 0.75)
        profile = [(0, 0), (0.45, 0), (0.5, 0.04), (0.5, shoulder), (neck, shoulder + 0.18), (neck, 1), (0, 1)]
    elif kind == 1:  # cup or bowl, open
        low = rng.uniform(0.25, 0.5)
        profile = [(0, 0), (low, 0), (0.48, 0.6), (0.5, 1), (0.46, 1), (0.44, 0.6), (low * 0.8, 0.08), (0, 0.06)]
    elif kind == 2:  # tin
        profile = [(0, 0), (0.5, 0), (0.5, 1), (0, 1)]
    else:  # vase
        radii = rng.uniform(0.2, 0.5, 5)
        profile = [(0, 0), *zip(radii, np.linspace(0, 1, 5)), (radii[-1] * 0.9, 1), (0, 0.9 if kind == 3 else 0.2)]
    return lathe(profile, 20)
