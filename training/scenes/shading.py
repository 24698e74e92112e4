"""Linear radiance at every sample: material, lights with shadows, sky, mirrors and fog.

Vectors are component first, (3, tiles, SAMPLES); scene rows are gathered to (columns, tiles, 1).
"""

import torch

from .layout import ELLIPSOID, ENVIRONMENT, FOLIAGE, LIGHT, LIGHTS, MATERIAL
from .road import road_color
from .texture_noise import TEXTURE_SIZE
from .texture_patterns import SLOPE_SCALE
from .vectors import dot, normalize, to_world


def sky_color(direction, environment, atlas):
    """Radiance of the sky along unit directions: a gradient and clouds; the caller adds the sun's glow."""
    env = {name: ENVIRONMENT.planes(environment, name) for name in ENVIRONMENT.slices}
    up = direction[2]
    mix = up.clamp(min=0).sqrt()
    color = torch.lerp(env["horizon"].expand(3, *up.shape), env["zenith"].expand(3, *up.shape), mix)
    reach = 1 / (up.clamp(min=0) + 0.12)
    u = direction[0] * reach * env["cloud_scale"] + env["cloud_offset"][0]
    v = direction[1] * reach * env["cloud_scale"] + env["cloud_offset"][1]
    texture = torch.zeros_like(u, dtype=torch.int32) + atlas.names["soft"][0]
    texels = torch.ones_like(u)
    noise = (
        atlas.sample(texture, u, v, texels)[..., 0] + 0.35 * atlas.sample(texture + 1, 4 * u, 4 * v, texels)[..., 0]
    )
    cover = ((noise - 1.15 + env["clouds"]) * 2.5).clamp(0, 1) * (up * 8).clamp(0, 1)
    return torch.lerp(color, env["cloud_color"] * (0.75 + 0.4 * noise), cover)


def surface_uv(local, normal, row):
    """Texture coordinates in metres, on the plane across the dominant normal axis, and whether that is x or z."""
    ax, ay, az = (component.abs() for component in normal)
    on_x = (ax >= ay) & (ax >= az)
    on_z = (az > ax) & (az > ay)
    u = torch.where(on_x, local[1], local[0])
    v = torch.where(on_z, -local[1], -local[2])
    return u, v, on_x, on_z


def material_color(surface, environment, atlas, footprint):
    """Albedo (3, ...), bump-mapped normal, and the fraction of the surface that mirrors, from the texture atlas."""
    row, local, normal = surface["material"], surface["local"], surface["local_normal"]
    m = {name: MATERIAL.planes(row, name) for name in MATERIAL.slices}
    u, v, on_x, on_z = surface_uv(local, normal, row)
    cosine, sine = torch.cos(m["uv_rotation"]), torch.sin(m["uv_rotation"])
    inverse = 1 / m["uv_scale"].clamp(min=1e-3)
    offset = surface["uv_offset"]
    tu, tv = (u * cosine - v * sine) * inverse + offset[0], (u * sine + v * cosine) * inverse + offset[1]
    texel = sample = atlas.sample(m["texture"].to(torch.int32), tu, tv, footprint * inverse * TEXTURE_SIZE)
    mix_b, mix_c = texel[..., 0], texel[..., 1]
    color = torch.lerp(torch.lerp(m["color_a"], m["color_b"], mix_b), m["color_c"], mix_c)
    soiled = 1 / m["dirt_scale"].clamp(min=0.05)
    stain = atlas.sample(
        torch.full_like(u, atlas.names["soft"][1]).to(torch.int32),
        (u + local[2] * 0.31) * soiled + offset[1], (v + local[0] * 0.17) * soiled + offset[0],
        footprint * soiled * TEXTURE_SIZE,
    )  # fmt: skip
    color = color * (1 + m["dirt"] * (2 * stain[..., 0] - 1.1) - 0.6 * m["dirt"] * stain[..., 1]) * surface["tint"]
    road = m["is_road"] > 0
    color = torch.where(road, road_color(surface["point"], color, mix_b, footprint, environment), color)
    # Bump: the height's slope along u and v tilts the normal against the two local axes of the chart.
    slope = (sample[..., 2:] - 0.5) * (m["bump"] * (TEXTURE_SIZE / 64 / SLOPE_SCALE)).unsqueeze(-1)
    du = slope[..., 0] * cosine + slope[..., 1] * sine
    dv = slope[..., 1] * cosine - slope[..., 0] * sine
    bumped = torch.stack([
        normal[0] - torch.where(on_x, 0.0, du),
        normal[1] - torch.where(on_x, du, torch.where(on_z, -dv, 0.0)),
        normal[2] + torch.where(on_z, 0.0, dv),
    ])  # fmt: skip
    mirror = m["mirror"] * torch.where(m["mirror_by_mix"] > 0, mix_b * (1 - mix_c), 1.0)
    return color.clamp(0, 1), normalize(bumped), mirror, m


def lit(surface, lights, shadows, environment, albedo, normal, view, m, occlusion):
    """Reflected light of ambient and lamps."""
    env = {name: ENVIRONMENT.planes(environment, name) for name in ("ambient_up", "ambient_down")}
    ambient = torch.lerp(env["ambient_down"], env["ambient_up"], 0.5 + 0.5 * normal[2])
    diffuse, shine = ambient * occlusion, 0.0
    for index in range(LIGHTS):
        light = lights[index * LIGHT.size : (index + 1) * LIGHT.size]
        kind, vector, color = (LIGHT.planes(light, name) for name in ("kind", "vector", "color"))
        offset = torch.where(kind == 2, vector - surface["point"], vector.expand_as(surface["point"]))
        squared = dot(offset, offset)
        toward = offset * torch.rsqrt(squared.clamp(min=1e-12))
        strength = torch.where(kind == 2, 1 / (squared + 0.3), 1.0) * (kind > 0)
        if index < len(shadows):
            strength = strength * (1 - shadows[index])
        cosine = dot(normal, toward)
        wrapped = torch.lerp(cosine.clamp(min=0), cosine.abs() * 0.5 + 0.35 + 0.15 * cosine, m["translucency"])
        diffuse = diffuse + color * (strength * wrapped)
        half = normalize(toward - view)
        lobe = dot(normal, half).clamp(min=0) ** m["gloss"] * (m["gloss"] + 8) / 25
        shine = shine + color * (strength * (cosine > 0) * lobe * m["specular"] * 0.3)
    return albedo * diffuse + shine + albedo * m["emission"]


def mirrored(view, normal, mirror, environment, atlas):
    """What a glossy surface adds: Schlick's Fresnel times the sky (outdoors) or a dim, uneven room (indoors)."""
    facing = -dot(view, normal)
    reflected = view + 2 * facing * normal
    fresnel = mirror * (0.12 + 0.88 * (1 - facing.clamp(0, 1)) ** 5)
    sky = sky_color(normalize(reflected), environment, atlas)
    below = (reflected[2] < 0.02).to(sky.dtype)
    ground = ENVIRONMENT.planes(environment, "ambient_down") * 0.5
    outside = torch.lerp(sky, ground.expand_as(sky), below)
    level = ENVIRONMENT.planes(environment, "reflection")
    room = level * (0.35 + 0.65 * (torch.sin(7 * reflected[0]) * torch.sin(6 * reflected[1]) * 0.5 + 0.5))
    return fresnel * torch.where(level > 0, room, outside), fresnel.clamp(0, 0.9)


def room_occlusion(point, environment):
    """Corners of a room are darker: light lost to each of the six planes nearby."""
    room = ENVIRONMENT.planes(environment, "room")
    result = 1.0
    for axis in range(3):
        low, high = room[2 * axis], room[2 * axis + 1]
        distance = torch.minimum((point[axis] - low).abs(), (high - point[axis]).abs())
        shade = 1 - 0.35 * torch.exp(-distance / 0.35)
        result = result * torch.where(high > low, shade, 1.0)
    # A point on a wall is at distance 0 from it, which is no corner: undo that one factor.
    return (result / (1 - 0.35)).clamp(max=1.0)


def shade(surface, lights, shadows, environment, view, occlusion, atlas, focal):
    """Radiance (3, tiles, SAMPLES) of the samples that hit a surface. `view` are unit ray directions."""
    cosine = dot(surface["normal"], view).abs().clamp(min=0.12)
    footprint = surface["depth"] / focal * torch.rsqrt(cosine)
    albedo, local_bumped, mirror, m = material_color(surface, environment, atlas, footprint)
    axes = surface["axes"]
    normal = normalize(to_world(axes, local_bumped) * surface["side"])
    # Leaves scatter: a cluster of them has no single normal.
    leafy = (surface["kind"] == FOLIAGE) | (surface["kind"] == ELLIPSOID) & (m["translucency"] > 0)
    occlusion = (
        occlusion * torch.where(leafy, 0.55 + 0.45 * normal[2], 1.0) * room_occlusion(surface["point"], environment)
    )
    color = lit(surface, lights, shadows, environment, albedo, normal, view, m, occlusion)
    gleam, kept = mirrored(view, normal, mirror, environment, atlas)
    return color * (1 - kept) + gleam


def with_fog(color, depth, environment):
    """Exponential haze over the distance; `depth` inf leaves the sky."""
    density, fog = ENVIRONMENT.planes(environment, "fog_density"), ENVIRONMENT.planes(environment, "fog_color")
    clear = torch.exp(-density * depth.clamp(max=2000.0))
    return torch.lerp(fog.expand_as(color), color, clear)


def scene_rows(table, tiles):
    """Scene table (scenes, columns) -> (columns, tiles, 1)."""
    return table.T[:, tiles.scene].unsqueeze(-1)


def sun_glow(view, lights, environment):
    """The bright sky around the sun, and the sun."""
    kind, vector, color = (LIGHT.planes(lights[: LIGHT.size], name) for name in ("kind", "vector", "color"))
    near = dot(view, vector).clamp(min=0) * (kind == 1)
    glow = ENVIRONMENT.planes(environment, "glow")
    return color * glow * (near**8 * 0.15 + near**64 * 0.5 + near**1500 * 20)


def radiance(surface, hit, direction, lights, shadows, environment, occlusion, atlas, focal):
    """Radiance (3, tiles, SAMPLES) along rays of `direction`, whose component along the optical axis is 1."""
    view = normalize(direction)
    occlusion = 1 - (1 - occlusion) * ENVIRONMENT.planes(environment, "occlusion")
    color = shade(surface, lights, shadows, environment, view, occlusion, atlas, focal)
    distance = surface["depth"] * dot(direction, direction).sqrt()
    sky = sky_color(view, environment, atlas) + sun_glow(view, lights, environment)
    return torch.where(hit, with_fog(color, distance, environment), sky)
