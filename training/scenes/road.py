"""The ground of streets, painted by position: asphalt, lines, pavements, verges, a crossing, rails; all antialiased.

The road's middle is x = curvature * y^2 / 2, so curved streets need no geometry.
"""

import torch

from .layout import ENVIRONMENT


def _inside(distance, footprint):
    """Coverage of `distance > 0`, softened over the pixel's footprint (metres)."""
    return (distance / footprint + 0.5).clamp(0, 1)


def road_color(point, ground, grain, footprint, environment):
    """Albedo (3, ...) at world points of the ground plane.

    Args: ground: the albedo beside the road; grain: its noise in 0 .. 1; footprint: metres a pixel covers.
    """
    env = {name: ENVIRONMENT.planes(environment, name) for name in ENVIRONMENT.slices if name.startswith("road")}
    along = point[1]
    across = point[0] - env["road_curvature"] * along * along / 2
    width, pavement = env["road_half_width"], env["road_pavement"]
    speckle = 0.8 + 0.4 * grain
    # The crossing road: the same bands along the other axis.
    cross = env["road_cross"]
    side = torch.where(cross[1] > 0, (along - cross[0]).abs() - cross[1], 999.0)
    edge = torch.minimum(across.abs() - width, side)
    on_pavement = _inside(pavement - edge, footprint) * (pavement > 0)
    on_road = _inside(-edge, footprint) * (width > 0)
    slabs = torch.minimum(_line(across, 0.6, 0.02, footprint), _line(along, 0.6, 0.02, footprint))
    color = torch.lerp(ground, env["road_paving"] * speckle * (0.7 + 0.3 * slabs), on_pavement)
    kerb = _inside(0.12 - (edge - 0.06).abs(), footprint) * (pavement > 0)
    color = torch.lerp(color, env["road_paving"] * 1.25 * speckle, kerb)
    color = torch.lerp(color, env["road_asphalt"] * speckle, on_road)
    paint = torch.zeros_like(across)
    dashed = (torch.remainder(along, env["road_dash"].clamp(min=0.1)) < env["road_dash"] * 0.4).to(across.dtype)
    for lane in range(4):
        place, is_dashed = env["road_lanes"][lane], env["road_dashed"][lane]
        line = _inside(env["road_line_width"] / 2 - (across - place).abs(), footprint)
        paint = torch.maximum(paint, line * torch.where(is_dashed > 0, dashed, 1.0) * (place > -900))
    # Paint is worn, stops at the crossing, and has zebra stripes before it.
    near_cross = side - 1.0
    zebra = (torch.remainder(across, 1.0) < 0.5).to(across.dtype) * _inside(1.5 - (near_cross - 2).abs(), footprint)
    paint = torch.maximum(paint * _inside(near_cross, footprint), zebra * (cross[1] > 0))
    color = torch.lerp(color, env["road_line"] * (0.75 + 0.35 * grain), paint * on_road * (0.55 + 0.45 * grain))
    rails = env["road_rails"]
    bed = _inside(1.6 - (across - rails).abs(), footprint) * (rails != 0)
    sleepers = (torch.remainder(along, 0.65) < 0.25).to(across.dtype) * _inside(
        1.25 - (across - rails).abs(), footprint
    )
    gauge = _inside(0.05 - ((across - rails).abs() - 0.72).abs(), footprint) * (rails != 0)
    stones = env["road_paving"] * (0.35 + 0.5 * grain) * (1 - 0.4 * sleepers)
    color = torch.lerp(torch.lerp(color, stones, bed), torch.full_like(color, 0.32), gauge)
    return color


def _line(position, pitch, width, footprint):
    """0 on the joints of a periodic pattern, 1 between them, fading where they are finer than a pixel."""
    inside = torch.remainder(position, pitch)
    joint = _inside(width / 2 - torch.minimum(inside, pitch - inside), footprint) * (width / footprint).clamp(max=1)
    return 1 - joint
