"""Column layouts of the packed float32 tables that carry a scene from its builder (numpy) to the renderer (torch)."""

import numpy as np


class Layout:
    """Names the columns of a table: `Layout(centre=3, yaw=1).slices["centre"] == slice(0, 3)`."""

    def __init__(self, **widths):
        self.slices, start = {}, 0
        for name, width in widths.items():
            self.slices[name] = slice(start, start + width)
            start += width
        self.size = start

    def pack(self, values):
        """One float32 row from a dict of numbers or sequences; names left out are 0, unknown names raise KeyError."""
        row = np.zeros(self.size, dtype=np.float32)
        for name, value in values.items():
            row[self.slices[name]] = value
        return row

    def planes(self, table, name):
        """Columns of a (size, ...) tensor: (width, ...), or (...) for one column."""
        columns = self.slices[name]
        return table[columns.start] if columns.stop - columns.start == 1 else table[columns]


# Primitive kinds. Each lives in its own frame (`axes`: rows are the local axes in world coordinates; z is up).
BOX = 0  # |x| <= hx, |y| <= hy, |z| <= hz
FRUSTUM = 1  # box whose top shrinks to extra[0] * hx, extra[1] * hy and moves by extra[2] * hx along x
ELLIPSOID = 2  # radii = half
CYLINDER = 3  # radius hx at the bottom, extra[0] * hx at the top, caps at |z| = hz; a ratio of 0 is a cone
RECTANGLE = 4  # z = 0 plane with periodic holes: pitch extra[0:2], solid fraction extra[2:4] (pitch 0: no holes)
FOLIAGE = 5  # ellipsoid shell with holes: extra[0] their share, extra[1] metres a mask tile, extra[2:4] its place
TERRAIN = 6  # height field over |x| <= hx, |y| <= hy; at most one a scene
KINDS = 7

OBJECT = Layout(kind=1, centre=3, axes=9, half=3, extra=4, material=1, casts_shadow=1, uv_offset=2, tint=1, scene=1)
MATERIAL = Layout(
    texture=1,
    uv_scale=1,  # metres covered by one texture tile
    uv_rotation=1,
    color_a=3,
    color_b=3,
    color_c=3,
    specular=1,
    gloss=1,  # Blinn-Phong exponent
    mirror=1,  # weight of the environment's reflection
    mirror_by_mix=1,  # 1: only where the texture's first mix is on (panes of a facade)
    bump=1,
    dirt=1,
    dirt_scale=1,
    emission=1,
    translucency=1,
    is_road=1,  # 1: color comes from the scene's road layout
)
LIGHTS = 4
SHADOW_LIGHTS = 2  # the first ones cast shadows
# kind 0: off; 1: a sun, `vector` points to it, radius is its angle's tangent; 2: a lamp, `vector` is its place.
LIGHT = Layout(kind=1, vector=3, color=3, radius=1)
CAMERA = Layout(position=3, axes=9, focal=2, center=2)  # axes rows: right, down, forward; pixels
ENVIRONMENT = Layout(
    zenith=3,
    horizon=3,
    clouds=1,
    cloud_color=3,
    cloud_scale=1,
    cloud_offset=2,
    glow=1,
    ambient_up=3,
    ambient_down=3,
    fog_density=1,
    fog_color=3,
    occlusion=1,
    reflection=1,  # brightness of what mirrors see indoors; 0: they see the sky
    room=6,  # x0 x1 y0 y1 z0 z1 of a room for its corners' darkening; all 0: none
    road_curvature=1,
    road_half_width=1,
    road_pavement=1,
    road_lanes=4,  # lateral places of the lines; -999: unused
    road_dashed=4,
    road_line_width=1,
    road_dash=1,
    road_cross=2,  # y and half width of a crossing road; half width 0: none
    road_asphalt=3,
    road_paving=3,
    road_line=3,
    road_rails=1,  # lateral place of a railway track; 0: none
)
SENSOR = Layout(
    exposure=1,  # stops around the metered exposure
    gamma=1,
    contrast=1,
    saturation=1,
    white_balance=3,
    vignette=1,
    shot_noise=1,
    read_noise=1,
    blur=2,  # 3-tap kernel side weights, horizontal and vertical, 0 .. 0.33
    sharpen=1,
    black=1,
    chroma_blur=1,
    seed=1,
)
