import numpy as np
import pytest
import torch

from anydepth_hf.camera import Intrinsics
from anydepth_hf.geometry import flying_pixels, normals_to_rgb, project, surface_normals, unproject
from tests.anydepth_hf.rendered import CAMERA, plane, room

KINDS = pytest.mark.parametrize("kind", [np.asarray, torch.from_numpy])


@KINDS
def test_points_of_a_rendered_plane_lie_on_it(kind):
    normal, distance = np.array([0.2, -0.9, -0.4]) / np.linalg.norm([0.2, -0.9, -0.4]), 1.6
    points = unproject(kind(plane(normal, distance)), CAMERA)
    assert type(points) is type(kind(np.zeros(1)))
    points = np.asarray(points)
    seen = np.isfinite(points).all(-1)
    assert 0.3 < seen.mean() < 1
    close = seen & (points[..., 2] < 100)  # farther, float32 ends
    np.testing.assert_allclose(points[close] @ normal, -distance, rtol=1e-5)
    normals = np.asarray(surface_normals(kind(points)))
    both = np.isfinite(normals).all(-1)
    assert both.sum() > 0.95 * seen.sum()
    assert (normals[both] @ normal).min() > 0.9999


def test_projecting_points_gives_their_pixels_back():
    depth = room()[0]
    pixels = project(unproject(depth, CAMERA), CAMERA)
    rows, columns = np.mgrid[: depth.shape[0], : depth.shape[1]]
    np.testing.assert_allclose(pixels, np.stack([columns, rows], -1), atol=1e-3)
    assert np.isnan(project(np.array([0.0, 0.0, -1.0]), CAMERA)).all()


def test_intrinsics_of_another_size_of_the_picture_are_scaled_and_of_another_shape_refused():
    depth = room()[0]
    twice = CAMERA.resized(2 * CAMERA.width, 2 * CAMERA.height)
    np.testing.assert_allclose(unproject(depth, twice), unproject(depth, CAMERA), rtol=1e-6)
    with pytest.raises(ValueError, match="another shape"):
        unproject(depth, Intrinsics.from_fov(60, 100, 100))


def test_unknown_depth_is_no_point():
    depth = np.full((4, 5), 2.0)
    depth[0, :4] = [0, -1, np.nan, np.inf]
    points = unproject(depth, Intrinsics.from_fov(60, 5, 4))
    assert np.isnan(points[0, :4]).all() and np.isfinite(points[1:]).all()
    assert np.isnan(surface_normals(points)[0, 0]).all()


@KINDS
def test_a_room_has_normals_of_its_walls_and_no_flying_pixels(kind):
    depth, wall = room()
    assert not np.asarray(flying_pixels(kind(depth))).any()
    normals = np.asarray(surface_normals(unproject(kind(depth), CAMERA)))
    for index, normal in enumerate(([1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, -1])):
        inside = wall == index
        assert np.mean(normals[inside] @ normal > 0.999) > 0.9


@KINDS
@pytest.mark.parametrize("smear", [1, 3, 5])
def test_pixels_smeared_over_an_edge_fly_and_both_surfaces_stay(kind, smear):
    row = np.concatenate([np.full(40, 1 / 2), np.linspace(1 / 2, 1 / 4, smear + 2)[1:-1], np.full(40, 1 / 4)])
    depth = np.tile(1 / row, (30, 1))
    flying = np.asarray(flying_pixels(kind(depth)))
    # of a long ramp the end that touches the near surface is within the threshold of the slope there
    assert flying[:, 40 + smear // 5 : 40 + smear].all()
    assert not flying[:, :38].any() and not flying[:, 40 + smear + 2 :].any()


def test_a_floor_to_the_horizon_stays_whole():
    # near the horizon depth changes by tens of per cent from row to row
    floor = plane(np.array([0, -1.0, 0]), 1.6)
    seen = np.isfinite(floor)
    assert (floor[:-1] / floor[1:])[seen[:-1] & seen[1:]].max() > 1.3
    assert not flying_pixels(floor).any()


def test_unknown_neighbours_make_nothing_fly():
    depth = np.full((20, 20), 3.0)
    depth[5:9, 5:9] = np.nan
    assert not flying_pixels(depth).any()
    with pytest.raises(ValueError, match="positive"):
        flying_pixels(depth, threshold=0)


def test_colours_of_normals_are_the_usual_ones():
    normals = np.array([[[1.0, 0, 0], [0, -1.0, 0], [0, 0, -1.0], [np.nan] * 3]])
    assert normals_to_rgb(normals)[0].tolist() == [[255, 128, 128], [128, 255, 128], [128, 128, 255], [0, 0, 0]]
