"""What a picture shows: meshes with materials, where they stand, the light and the camera."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

FLOATS = 8
"""Per vertex: position (3), normal (3), texture coordinates (2)."""


@dataclass(frozen=True)
class Material:
    """How a surface looks.

    Attributes:
        color: linear RGB in [0, 1], multiplied with the texture.
        texture: a key of the `TextureBank`, or None.
        metres: side of one repeat of the texture where it is projected along the axes of the mesh (three planes, by
            the normal); None takes the mesh's own texture coordinates.
        alpha: below 1 a surface is blended; below 0.6 it is glass, and what lies behind keeps its depth.
        gloss: strength of highlights, 0 to 1. shininess: exponent of the highlight.
        emission: linear RGB added to the light that is reflected.
    """

    color: tuple[float, float, float] = (0.8, 0.8, 0.8)
    texture: str | None = None
    metres: float | None = None
    alpha: float = 1.0
    gloss: float = 0.0
    shininess: float = 30.0
    emission: tuple[float, float, float] = (0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Mesh:
    """Triangles, three vertices each, grouped by material.

    Attributes:
        vertices: float32 (3 * triangles, `FLOATS`), metres, y up.
        parts: (first vertex, number of vertices, material) in the order of `vertices`.
        key: name by which the renderer knows it again; without one it knows the object.
    """

    vertices: np.ndarray
    parts: tuple[tuple[int, int, Material], ...]
    key: str = ""


@dataclass
class Instance:
    """A mesh in the world. `transform` float32 (4, 4), column vectors; `parts` as the mesh's, in other materials."""

    mesh: Mesh
    transform: np.ndarray
    parts: tuple[tuple[int, int, Material], ...]
    casts_shadow: bool = True


@dataclass
class Light:
    """A lamp at `position`, which casts soft shadows, aimed at `target` within `angle` (radians, whole cone)."""

    position: np.ndarray
    target: np.ndarray
    color: tuple[float, float, float]
    angle: float = 2.4
    falloff: float = 0.0  # 1: inverse square from one metre on; 0: as strong everywhere
    softness: float = 1.5  # texels of the shadow map
    span: float = 0.0  # of a sun: half side of the square that its parallel rays cover, metres


@dataclass
class Camera:
    """A pinhole camera. `eye`, `target` metres; `fov` horizontal, radians; `roll` radians."""

    eye: np.ndarray
    target: np.ndarray
    fov: float
    roll: float = 0.0


@dataclass
class Scene:
    """All that one picture shows."""

    instances: list[Instance] = field(default_factory=list)
    light: Light | None = None
    fill: tuple = (0.0, 2.0, 0.0, 0.0)  # position and strength of a lamp without shadows
    sky_light: tuple[float, float, float] = (0.5, 0.5, 0.5)
    ground_light: tuple[float, float, float] = (0.25, 0.25, 0.25)
    camera: Camera | None = None
    sky: str | None = None  # texture of the sky dome
    haze: float = 0.0  # per metre
    haze_color: tuple[float, float, float] = (0.7, 0.75, 0.8)

    def add(
        self,
        mesh: Mesh,
        transform: np.ndarray,
        materials: Material | Sequence[Material] | None = None,
        casts_shadow: bool = True,
    ) -> None:
        """Places a mesh, with its own materials, one for all of its parts, or one for each."""
        parts = mesh.parts
        if materials is not None:
            each = [materials] * len(parts) if isinstance(materials, Material) else materials
            parts = tuple((first, count, own) for (first, count, _), own in zip(parts, each, strict=True))
        self.instances.append(Instance(mesh, transform, parts, casts_shadow))
