"""Depth against closed forms in float64, written independently of the renderer's frames and tiles."""

import math

import numpy as np
import pytest

from training.scenes.collate import collate
from training.scenes.palette import anything
from training.scenes.render import render_scenes
from training.scenes.scene import Frame, Scene, random_axes
from training.scenes.scene_sensor import draw_sensor

HEIGHT, WIDTH, FOCAL = 70, 90, 60.0
POSITION, YAW, PITCH, ROLL = (0.4, -1.0, 1.5), 0.3, -0.2, 0.1


def new_scene():
    scene = Scene(3, HEIGHT, WIDTH)
    scene.look(POSITION, YAW, PITCH, ROLL, FOCAL, (0.45, 0.55))
    scene.lamp((0.0, 0.0, 4.0), (3.0, 3.0, 3.0))
    return scene


def render(scene):
    draw_sensor(scene)
    result = render_scenes(collate([scene.tables()]), HEIGHT, WIDTH)
    return result["depth"][0].double().numpy(), result["sky"][0].numpy()


def rotation(axis, angle):
    """Rodrigues' formula."""
    x, y, z = axis
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + math.sin(angle) * cross + (1 - math.cos(angle)) * cross @ cross


def rays():
    """World directions (height, width, 3) through the pixel centres with unit component along the optical axis: the
    camera that looks along +y is turned about its own axis (roll), then up (pitch), then about the vertical (yaw)."""
    x = (np.arange(WIDTH) + 0.5 - 0.45 * WIDTH) / FOCAL
    y = (np.arange(HEIGHT) + 0.5 - 0.55 * HEIGHT) / FOCAL
    x, y = np.meshgrid(x, y)
    level = np.stack([x, np.ones_like(x), -y], -1)
    turn = rotation((0, 0, 1), YAW) @ rotation((1, 0, 0), PITCH) @ rotation((0, 1, 0), ROLL)
    return level @ turn.T


def check(depth, expected, tolerance=2e-4):
    """Equal but for pixels on a silhouette, where float32 and float64 may decide differently."""
    hit = np.isfinite(expected)
    assert 0.02 < hit.mean(), "the test must see the object"
    wrong = (depth > 0) != hit
    assert wrong.mean() < 2e-3
    both = hit & ~wrong
    np.testing.assert_allclose(depth[both], expected[both], rtol=tolerance)


def first_hit(near, far):
    """The ray parameter where an interval that starts in front of the camera is entered."""
    with np.errstate(invalid="ignore"):
        return np.where((near <= far) & (near > 0), near, np.inf)


def test_plane_through_a_turned_camera():
    scene = new_scene()
    scene.floor(Frame(), 0, 0, 0, 500, 500, anything(scene))
    depth, sky = render(scene)
    expected = -POSITION[2] / rays()[..., 2]
    expected = np.where((expected > 0) & (expected <= 100), expected, np.inf)
    check(depth, expected)
    assert (sky == (depth == 0)).all() and sky.any()


def test_ellipsoid():
    scene, radii, centre = new_scene(), np.array([1.0, 0.5, 0.8]), np.array([-0.8, 3.0, 1.0])
    scene.ellipsoid(Frame(), *centre, *radii, anything(scene))
    depth, _ = render(scene)
    o, d = (POSITION - centre) / radii, rays() / radii
    a, b, c = (d * d).sum(-1), (d * o).sum(-1), (o * o).sum() - 1
    with np.errstate(invalid="ignore"):
        root = (-b - np.sqrt(b * b - a * c)) / a
    check(depth, np.where(np.isnan(root), np.inf, root))


@pytest.mark.parametrize("ratios", [None, (0.3, 0.7, 0.2)])
def test_convex_solids_from_their_corners(ratios):
    """Box and frustum as the half-spaces of the hull of their eight corners."""
    from scipy.spatial import ConvexHull

    scene = new_scene()
    frame, half = Frame(-0.9, 3.0, 0.2, 0.7), (1.1, 0.5, 0.6)
    if ratios is None:
        scene.box(frame, 0, 0, 0, *half, anything(scene))
        top = (half[0], half[1], 0.0)
    else:
        scene.frustum(frame, 0, 0, 0, *half, anything(scene), top_x=ratios[0], top_y=ratios[1], shift=ratios[2])
        top = (half[0] * ratios[0], half[1] * ratios[1], half[0] * ratios[2])
    corners = [(sx * half[0], sy * half[1], 0.0) for sx in (-1, 1) for sy in (-1, 1)]
    corners += [(sx * top[0] + top[2], sy * top[1], 2 * half[2]) for sx in (-1, 1) for sy in (-1, 1)]
    corners = np.array(corners) @ rotation((0, 0, 1), 0.7).T + (-0.9, 3.0, 0.2)
    depth, _ = render(scene)
    near, far = np.full((HEIGHT, WIDTH), -np.inf), np.full((HEIGHT, WIDTH), np.inf)
    for *normal, offset in ConvexHull(corners).equations:
        slope, distance = rays() @ normal, -(np.dot(normal, POSITION) + offset)
        t = distance / slope
        near, far = np.where(slope < 0, np.maximum(near, t), near), np.where(slope > 0, np.minimum(far, t), far)
    check(depth, first_hit(near, far))


@pytest.mark.parametrize("top", [1.0, 0.4, 0.0])
def test_cylinder_and_cone_by_bisection(top):
    """The first sign change of the solid's own inequality along finely sampled rays."""
    scene, place, radius, hz = new_scene(), np.array([-0.9, 3.0, 0.3]), 0.7, 0.9
    scene.cylinder(Frame(*place), 0, 0, 0, radius, hz, anything(scene), top=top)
    depth, _ = render(scene)
    d = rays()

    def inside(t):
        p = POSITION + t[..., None] * d - place
        share = p[..., 2] / (2 * hz)
        return (np.hypot(p[..., 0], p[..., 1]) < radius * (1 + (top - 1) * share)) & (share > 0) & (share < 1)

    expected = np.full((HEIGHT, WIDTH), np.inf)
    for t in np.arange(1.0, 8.0, 0.004):
        expected = np.where(np.isinf(expected) & inside(np.full((HEIGHT, WIDTH), t)), t, expected)
    hit = np.isfinite(expected)
    assert ((depth > 0) != hit).mean() < 0.01
    # Where a ray only grazes the solid the samples may step over the first contact.
    assert (np.abs(depth - expected)[hit & (depth > 0)] < 0.0045).mean() > 0.99


def test_tilted_box_and_occlusion():
    """Of two solids the nearer one is seen, and a random rotation is honoured (box as a cube's six half-spaces)."""
    scene = new_scene()
    axes, half = np.array(random_axes(scene.rng)).reshape(3, 3), np.array([0.5, 0.3, 0.7])
    centre = np.array([-0.7, 3.0, 1.2])
    scene.add(0, centre, half, anything(scene), axes=tuple(axes.ravel()))
    scene.wall(Frame(0, 6.0), 0, 0, -20, 50, 40, anything(scene))
    depth, _ = render(scene)
    o, d = axes @ (POSITION - centre), rays() @ axes.T
    a, b = (-half - o) / d, (half - o) / d
    box = first_hit(np.minimum(a, b).max(-1), np.maximum(a, b).min(-1))
    wall = (6.0 - POSITION[1]) / rays()[..., 1]
    check(depth, np.minimum(box, np.where(wall > 0, wall, np.inf)))


def test_fence_has_holes():
    scene = new_scene()
    scene.wall(Frame(0, 4.0), 0, 0, 0, 4.0, 1.0, anything(scene), pitch=(0.8, 0.5), solid=(0.25, 0.2))
    depth, _ = render(scene)
    t = (4.0 - POSITION[1]) / rays()[..., 1]
    p = POSITION + t[..., None] * rays()
    bar = (((p[..., 0] + 4) % 0.8) < 0.2) | ((p[..., 2] % 0.5) < 0.1)
    check(depth, np.where(bar & (np.abs(p[..., 0]) < 4) & (p[..., 2] > 0) & (p[..., 2] < 2), t, np.inf))


def test_height_field_that_is_a_tilted_plane():
    scene, half = new_scene(), 50.0
    place = np.linspace(-half, half, 65)
    scene.terrain(0.1 * place[None, :] + 0.05 * place[:, None] - 1.0, half, anything(scene))
    depth, _ = render(scene)
    d = rays()
    gap = POSITION[2] - (0.1 * POSITION[0] + 0.05 * POSITION[1] - 1.0)
    t = -gap / (d[..., 2] - 0.1 * d[..., 0] - 0.05 * d[..., 1])
    p = np.array(POSITION) + t[..., None] * d
    within = (t > 0) & (np.abs(p[..., :2]).max(-1) < half)
    check(depth, np.where(within, t, np.inf), tolerance=2e-3)


def test_leaves_are_on_their_ellipsoid_and_holes_show_what_is_behind():
    scene, centre = new_scene(), np.array([-0.8, 3.0, 1.2])
    scene.foliage(Frame(), *centre, 0.9, 0.9, 0.9, anything(scene), holes=0.5, leaf=0.7)
    depth, _ = render(scene)
    p = POSITION + depth[..., None] * rays() - centre
    seen = depth > 0
    np.testing.assert_allclose(np.linalg.norm(p[seen], axis=-1), 0.9, rtol=1e-3)
    o, d = POSITION - centre, rays()
    disc = np.linalg.norm(np.cross(o, d), axis=-1) < 0.9 * np.linalg.norm(d, axis=-1)
    assert 0.55 < seen[disc].mean() < 0.95 and not seen[~disc].any()


def test_depth_is_independent_of_the_image_size():
    """The same camera at twice the resolution sees, between four pixels, what one pixel saw."""
    scene = new_scene()
    scene.floor(Frame(), 0, 0, 0, 500, 500, anything(scene))
    small, _ = render(scene)
    scene.height, scene.width = 2 * HEIGHT, 2 * WIDTH
    scene.look(POSITION, YAW, PITCH, ROLL, 2 * FOCAL, (0.45, 0.55))
    large = render_scenes(collate([scene.tables()]), 2 * HEIGHT, 2 * WIDTH)["depth"][0].double().numpy()
    inverse = np.where(large > 0, 1 / np.where(large > 0, large, 1), 0)
    mean = (inverse[::2, ::2] + inverse[1::2, ::2] + inverse[::2, 1::2] + inverse[1::2, 1::2]) / 4
    ground = (small > 0) & (small < 50)
    np.testing.assert_allclose(
        mean[ground], 1 / small[ground], rtol=1e-3
    )  # disparity is affine in the pixel on a plane
