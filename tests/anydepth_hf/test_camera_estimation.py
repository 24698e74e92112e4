import numpy as np
import pytest

from anydepth_hf.camera import Intrinsics
from anydepth_hf.camera_estimation import estimate_from_camera_height, estimate_from_right_angles
from tests.anydepth_hf.rendered import plane

CAMERA = Intrinsics.from_fov(65, 160, 120)


def box(pitch, yaw):
    """Depth inside a box of 4 x 3 x 6 m, for a camera that is turned."""
    a, b = np.radians([pitch, yaw])
    turn = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]]) @ np.array(
        [[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]]
    )
    walls = [((1, 0, 0), 2.2), ((-1, 0, 0), 1.8), ((0, 1, 0), 1.4), ((0, -1, 0), 1.6), ((0, 0, -1), 6.0)]
    return np.min([np.nan_to_num(plane(turn @ n, d, CAMERA), nan=np.inf) for n, d in walls], axis=0)


@pytest.mark.parametrize("noise", [0, 0.002])
def test_right_angles_of_a_room_tell_the_focal_length(noise):
    depth = box(20, 30) * (1 + noise * np.random.default_rng(0).normal(size=(120, 160)))
    camera = estimate_from_right_angles(depth)
    assert camera.fx == pytest.approx(CAMERA.fx, rel=0.03 if noise else 0.005)
    assert "estimated" in camera.source


def test_a_level_view_along_the_walls_tells_nothing_and_that_is_said():
    with pytest.raises(ValueError, match="Give a field of view instead"):
        estimate_from_right_angles(box(0, 0))
    with pytest.raises(ValueError, match="Only 0 pixels"):
        estimate_from_right_angles(np.zeros((20, 20)))


@pytest.mark.parametrize("pitch", [0, 10])
def test_the_height_above_the_ground_tells_the_focal_length(pitch):
    depth = box(pitch, 0)
    assert estimate_from_camera_height(depth, 1.6).fx == pytest.approx(CAMERA.fx, rel=1e-3)
    with pytest.raises(ValueError, match="No focal length"):
        estimate_from_camera_height(depth, 1e6)
