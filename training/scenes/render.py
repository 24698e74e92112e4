"""Renders collated scenes: visibility, shadows, shading, sensor; a few scenes at a time so that memory stays bounded."""

import torch

from .ambient import ambient_occlusion
from .collate import build_scenes
from .layout import CAMERA, ENVIRONMENT, LIGHT, OBJECT, TERRAIN
from .primitives import MISS, intersections, local_normal
from .sensor import develop, merge_samples
from .shading import dot, normalize, scene_rows, shade, sky_color, surface_rows, with_fog
from .terrain import march, terrain_normal
from .textures import texture_atlas
from .visibility import SAMPLES, PairTracer, Tiles, ray_directions, to_local, trace_camera, trace_shadows, unpack

FAR = 100.0
# Pixels rendered at once and (object, tile) pairs intersected at once. On the CPU one scene at a time: its buffers stay in
# the cache, and a scene cannot depend on its neighbours by construction.
PIXELS_AT_ONCE = {"cpu": 1, "cuda": 3_000_000}
PAIRS_AT_ONCE = {"cpu": 128, "cuda": 32_768}


def _trace_terrain(scene, tiles, position, direction, best):
    """Marches the height fields of the scenes that have one and merges their hits into `best`."""
    objects = scene["objects"]
    ids = (OBJECT.planes(objects, "kind") == TERRAIN).nonzero().squeeze(1)
    if not len(ids):
        return best
    row = objects[:, ids]
    maps = scene["heights"][OBJECT.planes(row, "extra")[0].long()]
    half = OBJECT.planes(row, "half")[0].unsqueeze(-1)
    owner = OBJECT.planes(row, "scene").long()

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


def _fill_terrain_normals(scene, tiles, row, local, normal):
    """Replaces the normals of samples on height fields."""
    objects = scene["objects"]
    ids = (OBJECT.planes(objects, "kind") == TERRAIN).nonzero().squeeze(1)
    if not len(ids):
        return normal
    fields = objects[:, ids]
    maps = scene["heights"][OBJECT.planes(fields, "extra")[0].long()]
    half = OBJECT.planes(fields, "half")[0].unsqueeze(-1)
    owner = OBJECT.planes(fields, "scene").long()
    x, y = (local[k].view(tiles.scenes, -1)[owner] for k in range(2))
    on_terrain = (OBJECT.planes(row, "kind") == TERRAIN).view(tiles.scenes, -1)[owner]
    result = torch.stack(normal).view(3, tiles.scenes, -1)
    found = torch.stack(terrain_normal(maps, half, x, y))
    result[:, owner] = torch.where(on_terrain, found, result[:, owner])
    return tuple(result.view(3, -1, SAMPLES))


def _surfaces(scene, tiles, position, direction, depth, ids):
    """Everything known about the surface that each sample hit."""
    row, material = surface_rows(scene["objects"], scene["materials"], ids)
    finite = torch.where(depth < MISS, depth, 1.0)
    point = position + direction * finite
    axes, centre = OBJECT.planes(row, "axes"), OBJECT.planes(row, "centre")
    local = to_local(axes, [point[k] - centre[k] for k in range(3)])
    kind = OBJECT.planes(row, "kind")
    normal = local_normal(kind, local, tuple(OBJECT.planes(row, "half")), tuple(OBJECT.planes(row, "extra")))
    normal = normalize(torch.stack(_fill_terrain_normals(scene, tiles, row, local, normal)))
    world = torch.stack([sum(axes[3 * r + k] * normal[r] for r in range(3)) for k in range(3)])
    side = torch.where(dot(world, direction) > 0, -1.0, 1.0)
    return {
        "point": point, "local": local, "local_normal": normal, "normal": world * side, "side": side, "axes": axes,
        "kind": kind, "material": material, "depth": finite, "uv_offset": OBJECT.planes(row, "uv_offset"),
        "tint": OBJECT.planes(row, "tint"),
    }  # fmt: skip


def _render(scene, height, width, far):
    """One chunk of scenes already on the device."""
    device = scene["objects"].device
    atlas = texture_atlas(str(device))
    tiles = Tiles(scene["cameras"].shape[0], -(-height // 16), -(-width // 16), device)
    cameras = scene["cameras"].T.contiguous()
    environment, lights = scene_rows(scene["environments"], tiles), scene_rows(scene["lights"], tiles)
    camera = scene_rows(scene["cameras"], tiles)
    tracer = PairTracer(intersections(atlas), scene["objects"], PAIRS_AT_ONCE[device.type])

    direction = ray_directions(cameras, tiles)
    position = CAMERA.planes(camera, "position")
    best = trace_camera(tracer, cameras, tiles)
    best = _trace_terrain(scene, tiles, position.expand(3, -1, 1), direction, best)
    depth, ids = unpack(best)
    hit = depth < MISS
    surface = _surfaces(scene, tiles, position, direction, depth, ids)
    view = normalize(direction)

    lifted = surface["point"] + surface["normal"] * (2e-3 + 1e-3 * surface["depth"])
    shadows = [
        trace_shadows(tracer, scene["lights"].T[k * LIGHT.size : (k + 1) * LIGHT.size], tiles, lifted, hit)
        for k in range(2)
    ]
    occlusion = ambient_occlusion(tiles, surface, hit, CAMERA.planes(camera, "focal")[0])
    occlusion = 1 - (1 - occlusion) * ENVIRONMENT.planes(environment, "occlusion")
    color = shade(surface, lights, shadows, environment, view, occlusion, atlas, CAMERA.planes(camera, "focal")[0])
    sky = sky_color(view, environment, atlas) + _sun_glow(view, lights, environment)
    distance = surface["depth"] * torch.rsqrt(1 / dot(direction, direction))
    color = torch.where(hit, with_fog(color, distance, environment), sky)

    samples = tiles.to_image(color, height, width)
    depth = tiles.to_image(depth.unsqueeze(0), height, width)[:, 0, 0]
    surface_seen = depth < MISS
    image = develop(merge_samples(samples[:, :, 0], samples[:, :, 1]), surface_seen, scene["sensors"].T)
    sky = ~(depth <= far)
    return {"image": image, "depth": torch.where(sky, 0.0, depth), "sky": sky}


def _sun_glow(view, lights, environment):
    kind, vector, color = (LIGHT.planes(lights[: LIGHT.size], name) for name in ("kind", "vector", "color"))
    near = dot(view, vector).clamp(min=0) * (kind == 1)
    glow = ENVIRONMENT.planes(environment, "glow")
    return color * glow * (near**8 * 0.15 + near**64 * 0.5 + near**1500 * 20)


def render_scenes(scenes, height, width, far=FAR):
    """Renders collated scenes (`collate`), whatever their number, on the device that holds them.

    Returns: dict of "image" uint8 (scenes, 3, height, width), "depth" float32 (scenes, height, width), planar metres, 0
    where "sky", bool, is set: no surface within `far` metres.
    """
    device = scenes["objects"].device
    step = max(1, PIXELS_AT_ONCE[device.type] // (height * width))
    parts = []
    with torch.inference_mode():
        for start in range(0, scenes["cameras"].shape[0], step):
            parts.append(_render(_slice(scenes, start, start + step), height, width, far))
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
