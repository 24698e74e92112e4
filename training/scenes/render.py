"""Renders collated scenes: visibility, shadows, shading, sensor; a few scenes at a time, to bound the memory."""

import torch

from .collate import build_scenes
from .kernels import get_kernels
from .layout import CAMERA, LIGHT, OBJECT, SHADOW_LIGHTS, TERRAIN
from .primitives import MISS
from .shading import scene_rows
from .shadows import trace_shadows
from .terrain import march, terrain_normal
from .textures import texture_atlas
from .visibility import TILE, PairTracer, Tiles, ray_directions, trace_camera, unpack

FAR = 100.0
# Pixels rendered at once and (object, tile) pairs intersected at once. On the CPU one scene at a time: its buffers
# stay in the cache, and a scene cannot depend on its neighbours by construction.
PIXELS_AT_ONCE = {"cpu": 1, "cuda": 3_000_000}
PAIRS_AT_ONCE = {"cpu": 128, "cuda": 32_768}


def _height_fields(scene):
    """Object ids, rows, height maps, half sizes and scenes of the height fields; None without any."""
    objects = scene["objects"]
    ids = (OBJECT.planes(objects, "kind") == TERRAIN).nonzero().squeeze(1)
    if not len(ids):
        return None
    row = objects[:, ids]
    maps = scene["heights"][OBJECT.planes(row, "extra")[0].long()]
    return ids, row, maps, OBJECT.planes(row, "half")[0].unsqueeze(-1), OBJECT.planes(row, "scene").long()


def _trace_terrain(scene, tiles, position, direction, best):
    """Marches the height fields of the scenes that have one and merges their hits into `best`."""
    fields = _height_fields(scene)
    if fields is None:
        return best
    ids, row, maps, half, owner = fields

    def of_scenes(values):
        """(3, tiles, n) -> (3, fields, tiles a scene * n)"""
        return values.view(3, tiles.scenes, -1)[:, owner]

    centre = OBJECT.planes(row, "centre").unsqueeze(-1)
    rays = of_scenes(direction)
    origin = of_scenes(position.contiguous())[..., :1] - centre
    depth = march(maps, half, origin, rays)
    packed = (depth.view(torch.int32).to(torch.int64) << 32) | ids.unsqueeze(-1)
    result = best.view(tiles.scenes, -1).clone()
    result[owner] = torch.minimum(result[owner], packed)
    return result.view_as(best)


def _terrain_normals(scene, tiles, point):
    """Normals (3, tiles, SAMPLES) of the height field below the points, 0 in scenes without; None without any."""
    fields = _height_fields(scene)
    if fields is None:
        return None
    _, _, maps, half, owner = fields
    x, y = (point[k].view(tiles.scenes, -1)[owner] for k in range(2))
    result = torch.zeros_like(point).view(3, tiles.scenes, -1)
    result[:, owner] = torch.stack(terrain_normal(maps, half, x, y))
    return result.view_as(point)


def _render(scene, height, width, far, compiled):
    """One chunk of scenes already on the device."""
    device = scene["objects"].device
    atlas, kernels = texture_atlas(str(device)), get_kernels(str(device), compiled)
    tiles = Tiles(scene["cameras"].shape[0], -(-height // TILE), -(-width // TILE), device)
    cameras = scene["cameras"].T.contiguous()
    environment, lights, camera = (scene_rows(scene[name], tiles) for name in ("environments", "lights", "cameras"))
    focal, position = CAMERA.planes(camera, "focal")[0], CAMERA.planes(camera, "position")
    tracer = PairTracer(kernels, scene["objects"], PAIRS_AT_ONCE[device.type])

    direction = ray_directions(cameras, tiles)
    best = trace_camera(tracer, cameras, tiles)
    best = _trace_terrain(scene, tiles, position.expand(3, -1, 1), direction, best)
    depth, ids = unpack(best)
    hit = depth < MISS
    finite = torch.where(hit, depth, 1.0)
    point = position + direction * finite
    surface = kernels.surfaces(
        scene["objects"], scene["materials"], direction, point, finite, ids, _terrain_normals(scene, tiles, point)
    )
    planes = torch.cat([surface["point"], hit.to(finite.dtype).unsqueeze(0), surface["normal"], finite.unsqueeze(0)])
    planes = tiles.to_image(planes, tiles.rows * TILE, tiles.columns * TILE)[:, :, 0].contiguous()
    occlusion = kernels.ambient_occlusion(planes, CAMERA.planes(scene["cameras"].T, "focal")[0].view(-1, 1, 1))
    occlusion = tiles.from_image(occlusion)
    hidden = torch.stack([
        trace_shadows(tracer, scene["lights"].T[k * LIGHT.size : (k + 1) * LIGHT.size], tiles, surface["lifted"], hit)
        for k in range(SHADOW_LIGHTS)
    ])  # fmt: skip
    hidden = tiles.to_image(hidden, tiles.rows * TILE, tiles.columns * TILE).mean(2)
    shadows = [tiles.from_image(plane) for plane in kernels.soften(hidden, planes).unbind(1)]
    color = kernels.radiance(surface, hit, direction, lights, shadows, environment, occlusion, atlas, focal)

    samples = tiles.to_image(color, height, width).contiguous()
    depth = tiles.to_image(depth.unsqueeze(0), height, width)[:, 0, 0]
    image = kernels.develop(samples[:, :, 0], samples[:, :, 1], depth < MISS, scene["sensors"].T.contiguous())
    sky = ~(depth <= far)
    return {"image": image, "depth": torch.where(sky, 0.0, depth), "sky": sky}


def render_scenes(scenes, height, width, far=FAR, compiled=False):
    """Renders collated scenes (`collate`), whatever their number, on the device that holds them.

    Returns: dict of "image" uint8 (scenes, 3, height, width), "depth" float32 (scenes, height, width), planar metres,
    0 where "sky", bool, is set: no surface within `far` metres. `compiled`: fuse the arithmetic with `torch.compile`.
    """
    device = scenes["objects"].device
    step = max(1, PIXELS_AT_ONCE[device.type] // (height * width))
    parts = []
    with torch.no_grad():
        for start in range(0, scenes["cameras"].shape[0], step):
            parts.append(_render(_slice(scenes, start, start + step), height, width, far, compiled))
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def _slice(scenes, start, stop):
    """The scenes start .. stop - 1 of a collated batch, their objects and materials renumbered."""
    part = {name: scenes[name][start:stop] for name in ("cameras", "environments", "lights", "sensors")}
    object_ends, material_ends = scenes["object_ends"], scenes["material_ends"]
    stop = min(stop, len(object_ends) - 1)
    objects = scenes["objects"][object_ends[start] : object_ends[stop]].T.clone()
    objects[OBJECT.slices["scene"]] -= start
    objects[OBJECT.slices["material"]] -= material_ends[start]
    part["objects"] = objects
    part["materials"] = scenes["materials"][material_ends[start] : material_ends[stop]].T.contiguous()
    part["heights"] = scenes["heights"]
    return part


def render_batch(seeds, height, width, device, kind=None, far=FAR):
    """Builds and renders one scene a seed.

    Args:
        seeds: list of int or integer tensor; a scene depends on its own seed (and size and kind) only.
        height, width: pixels.
        device: of the result, where the rendering runs too.
        kind: one of `training.scenes.KIND_NAMES` for every scene, or None to draw it from the seed.
        far: metres; surfaces farther than this count as sky.

    Returns: as `render_scenes`.
    """
    scenes = build_scenes([int(seed) for seed in seeds], height, width, kind)
    return render_scenes(to_device(scenes, device), height, width, far)


def to_device(scenes, device):
    """Moves the tables of collated scenes; the offsets stay lists."""
    return {
        name: value.to(device, non_blocking=True) if isinstance(value, torch.Tensor) else value
        for name, value in scenes.items()
    }
