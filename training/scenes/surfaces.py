"""What is known about the surface that each sample hit, gathered from the object and material tables."""

import torch

from .layout import OBJECT, TERRAIN
from .primitives import local_normal
from .vectors import dot, normalize, to_local, to_world


def surfaces(objects, materials, direction, point, depth, ids, field_normal):
    """Everything about the surface that each sample hit; vectors (3, tiles, SAMPLES)."""
    row = objects[:, ids.flatten()].view(-1, *ids.shape)
    material = materials[:, OBJECT.planes(row, "material").long().flatten()].view(-1, *ids.shape)
    axes, centre = OBJECT.planes(row, "axes"), OBJECT.planes(row, "centre")
    local = to_local(axes, [point[k] - centre[k] for k in range(3)])
    kind = OBJECT.planes(row, "kind")
    normal = torch.stack(
        local_normal(kind, local, tuple(OBJECT.planes(row, "half")), tuple(OBJECT.planes(row, "extra")))
    )
    if field_normal is not None:
        normal = torch.where(kind == TERRAIN, field_normal, normal)
    normal = normalize(normal)
    world = to_world(axes, normal)
    side = torch.where(dot(world, direction) > 0, -1.0, 1.0)
    world = world * side
    return {
        "point": point, "lifted": point + world * (2e-3 + 1e-3 * depth), "local": torch.stack(local),
        "local_normal": normal, "normal": world, "side": side, "axes": axes, "kind": kind, "material": material,
        "depth": depth, "uv_offset": OBJECT.planes(row, "uv_offset"), "tint": OBJECT.planes(row, "tint"),
    }  # fmt: skip
