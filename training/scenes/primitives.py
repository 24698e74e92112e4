"""Closed-form ray intersections of the primitives, in their own frames.

Every function takes the ray's origin `o` and direction `d` as tuples of three tensors that broadcast to
(pairs, samples), and `half` / `extra` as tuples of (pairs, 1) tensors. It returns the ray parameter of the nearest hit
in front of the origin, `inf` where there is none; directions need not have unit length, so for camera rays whose
component along the optical axis is 1 the parameter is the planar depth.
"""

import torch

from .layout import BOX, CYLINDER, ELLIPSOID, FOLIAGE, FRUSTUM, RECTANGLE

MISS = float("inf")
NEAREST = 1e-3


def _interval(near, far):
    """Entry of a convex solid, or a miss; a ray that starts inside misses."""
    return torch.where((near <= far) & (near > NEAREST), near, MISS)


def _safe(value):
    """Keeps a denominator off 0; values that matter absorb the addend."""
    return value + 1e-12


def intersect_box(o, d, half, extra=None):
    near = far = None
    for origin, direction, size in zip(o, d, half, strict=True):
        inverse = _safe(direction).reciprocal()
        middle, reach = -origin * inverse, size * inverse.abs()
        low, high = middle - reach, middle + reach
        near = low if near is None else torch.maximum(near, low)
        far = high if far is None else torch.minimum(far, high)
    return _interval(near, far)


def frustum_planes(half, extra):
    """Normals' z and the offsets of the four slanted sides `x * sign + z * slope <= offset` (and the same for y)."""
    hx, hy, hz = half
    shift = extra[2] * hx
    sides = []
    for axis, sign, size, ratio, move in (
        (0, 1, hx, extra[0], shift),
        (0, -1, hx, extra[0], -shift),
        (1, 1, hy, extra[1], None),
        (1, -1, hy, extra[1], None),
    ):
        top = size * ratio if move is None else size * ratio + move
        sides.append((axis, sign, (size - top) / (2 * hz), (size + top) / 2))
    return sides


def intersect_frustum(o, d, half, extra):
    inverse = _safe(d[2]).reciprocal()
    middle, reach = -o[2] * inverse, half[2] * inverse.abs()
    near, far = middle - reach, middle + reach
    for axis, sign, slope, offset in frustum_planes(half, extra):
        direction = _safe(d[axis] * sign + d[2] * slope)
        t = (offset - (o[axis] * sign + o[2] * slope)) / direction
        entering = direction < 0
        near = torch.where(entering, torch.maximum(near, t), near)
        far = torch.where(entering, far, torch.minimum(far, t))
    return _interval(near, far)


def _ellipsoid_roots(o, d, half):
    ox, oy, oz = (origin / size for origin, size in zip(o, half, strict=True))
    dx, dy, dz = (direction / size for direction, size in zip(d, half, strict=True))
    a = dx * dx + dy * dy + dz * dz
    b = ox * dx + oy * dy + oz * dz
    # |o x d|^2 form of the discriminant: b^2 - a c loses all digits for small far objects in float32.
    cx, cy, cz = oy * dz - oz * dy, oz * dx - ox * dz, ox * dy - oy * dx
    discriminant = a - (cx * cx + cy * cy + cz * cz)
    root = discriminant.clamp(min=0).sqrt()
    return discriminant >= 0, (-b - root) / a, (-b + root) / a


def intersect_ellipsoid(o, d, half, extra=None):
    hit, near, _ = _ellipsoid_roots(o, d, half)
    return torch.where(hit & (near > NEAREST), near, MISS)


def intersect_cylinder(o, d, half, extra):
    radius, _, hz = half
    slope = radius * (extra[0] - 1) / (2 * hz)  # radius(z) = middle + slope * z
    middle = radius * (1 + extra[0]) / 2
    r0, dr = middle + slope * o[2], slope * d[2]
    a = d[0] * d[0] + d[1] * d[1] - dr * dr
    b = o[0] * d[0] + o[1] * d[1] - r0 * dr
    c = o[0] * o[0] + o[1] * o[1] - r0 * r0
    discriminant = b * b - a * c
    root = discriminant.clamp(min=0).sqrt()
    a = _safe(a)
    side = None
    for t in ((-b - root) / a, (-b + root) / a):
        z = o[2] + t * d[2]
        on_side = (discriminant >= 0) & (z.abs() <= hz) & (r0 + t * dr >= 0) & (t > NEAREST)
        t = torch.where(on_side, t, MISS)
        side = t if side is None else torch.minimum(side, t)
    inverse = _safe(d[2]).reciprocal()
    cap = -o[2] * inverse - hz * inverse.abs()  # the cap that faces the ray
    x, y = o[0] + cap * d[0], o[1] + cap * d[1]
    limit = middle - slope * hz * torch.sign(d[2])
    on_cap = (x * x + y * y <= limit * limit) & (cap > NEAREST)
    return torch.minimum(side, torch.where(on_cap, cap, MISS))


def intersect_rectangle(o, d, half, extra):
    t = -o[2] / _safe(d[2])
    x, y = o[0] + t * d[0], o[1] + t * d[1]
    inside = (x.abs() <= half[0]) & (y.abs() <= half[1]) & (t > NEAREST)
    across, along = (x + half[0]) / extra[0].clamp(min=1e-3), (y + half[1]) / extra[1].clamp(min=1e-3)
    solid = (across - across.floor() < extra[2]) | (along - along.floor() < extra[3]) | (extra[0] <= 0)
    return torch.where(inside & solid, t, MISS)


def make_foliage(mask):
    """Foliage looks its holes up in `mask` (size, size), uniform in 0 .. 1; behind one, the far side may be met."""
    size = mask.shape[0]
    flat = mask.flatten()

    def intersect_foliage(o, d, half, extra):
        hit, near, far = _ellipsoid_roots(o, d, half)
        result = None
        for t in (near, far):
            x, y, z = (origin + t * direction for origin, direction in zip(o, d, strict=True))
            scale = size / extra[1]
            # The mask is projected along the axis that the shell faces most, which stretches leaves least.
            ax, ay, az = x.abs() * half[1] * half[2], y.abs() * half[0] * half[2], z.abs() * half[0] * half[1]
            on_x, on_z = (ax >= ay) & (ax >= az), (az > ax) & (az > ay)
            column = ((torch.where(on_x, y, x) + extra[2]) * scale).floor().to(torch.int32) & (size - 1)
            row = ((torch.where(on_z, y, z) + extra[3]) * scale).floor().to(torch.int32) & (size - 1)
            index = row * size + column
            leaf = flat.index_select(0, index.flatten()).view(index.shape)
            solid = torch.where(hit & (t > NEAREST) & (leaf > extra[0]), t, MISS)
            result = solid if result is None else torch.minimum(result, solid)
        return result

    return intersect_foliage


def intersections(foliage_mask):
    """The function of every closed-form kind."""
    return {
        BOX: intersect_box,
        FRUSTUM: intersect_frustum,
        ELLIPSOID: intersect_ellipsoid,
        CYLINDER: intersect_cylinder,
        RECTANGLE: intersect_rectangle,
        FOLIAGE: make_foliage(foliage_mask),
    }


def local_normal(kind, p, half, extra):
    """Outward normal (not normalised) in the object's frame at the surface points `p`; all tensors (samples...)."""
    zero = torch.zeros_like(p[0])
    x, y, z = p
    hx, hy, hz = half
    # Polyhedra: the side whose plane the point is nearest to. A box is a frustum that does not shrink.
    is_box = kind == BOX
    ratio_x, ratio_y = torch.where(is_box, 1.0, extra[0]), torch.where(is_box, 1.0, extra[1])
    shift = torch.where(is_box, 0.0, extra[2])
    best, nx, ny, nz = z.abs() - hz, zero, zero, torch.sign(z)
    for axis, sign, slope, offset in frustum_planes(half, (ratio_x, ratio_y, shift)):
        distance = (p[axis] * sign + z * slope - offset) * torch.rsqrt(1 + slope * slope)
        nearer = distance > best
        best = torch.where(nearer, distance, best)
        nx = torch.where(nearer, float(sign) if axis == 0 else 0.0, nx)
        ny = torch.where(nearer, float(sign) if axis == 1 else 0.0, ny)
        nz = torch.where(nearer, slope, nz)
    # Round solids.
    is_round = (kind == ELLIPSOID) | (kind == FOLIAGE)
    nx = torch.where(is_round, x / (hx * hx), nx)
    ny = torch.where(is_round, y / (hy * hy), ny)
    nz = torch.where(is_round, z / (hz * hz), nz)
    # Cylinders: a cap, or the side with its slope.
    is_cylinder = kind == CYLINDER
    slope = hx * (extra[0] - 1) / (2 * hz)
    radius = (x * x + y * y).sqrt()
    on_cap = (hz - z.abs()).abs() < (hx * (1 + extra[0]) / 2 + slope * z - radius).abs()
    nx = torch.where(is_cylinder, torch.where(on_cap, zero, x), nx)
    ny = torch.where(is_cylinder, torch.where(on_cap, zero, y), ny)
    nz = torch.where(is_cylinder, torch.where(on_cap, torch.sign(z), -slope * radius), nz)
    # Rectangles are two-sided: the caller turns normals towards the eye.
    flat = kind == RECTANGLE
    return torch.where(flat, zero, nx), torch.where(flat, zero, ny), torch.where(flat, torch.ones_like(nz), nz)
