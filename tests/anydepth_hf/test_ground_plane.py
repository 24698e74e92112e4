import numpy as np
import pytest
import torch

from anydepth_hf.ground_plane import fit_camera_height
from tests.anydepth_hf.rendered import CAMERA, plane

HEIGHT = 1.65


def street(pitch=0.0, roll=0.0):
    """Depth of a road below a camera that looks down by `pitch` degrees, and a wall at 30 m."""
    a, r = np.radians([pitch, roll])
    down = np.array([-np.sin(r) * np.cos(a), np.cos(r) * np.cos(a), np.sin(a)])
    road = np.nan_to_num(plane(-down, HEIGHT).astype(np.float64), nan=np.inf)
    return np.minimum(road, 30.0), road < 30


@pytest.mark.parametrize("kind", [np.asarray, torch.from_numpy])
@pytest.mark.parametrize("pitch, roll", [(0, 0), (8, 0), (-3, 5)])
def test_a_road_gives_scale_and_shift_of_a_disparity(pitch, roll, kind):
    depth, _ = street(pitch, roll)
    disparity = (1 / depth + 0.02) / 0.3
    alignment = fit_camera_height(kind(disparity), CAMERA, HEIGHT, pitch=pitch)
    assert (alignment.scale, alignment.shift) == pytest.approx((0.3, -0.02), rel=1e-3)
    np.testing.assert_allclose(alignment.apply(disparity), depth, rtol=1e-3)
    assert "camera's height above the ground, which is flat to" in str(alignment)


@pytest.mark.parametrize("prediction_type", ["disparity", "depth"])
def test_without_a_shift_the_pitch_need_not_be_known(prediction_type):
    depth, _ = street(pitch=12)
    prediction = 5 / depth if prediction_type == "disparity" else depth / 5
    alignment = fit_camera_height(prediction, CAMERA, HEIGHT, pitch=None, prediction_type=prediction_type)
    np.testing.assert_allclose(alignment.apply(prediction), depth, rtol=1e-4)
    assert alignment.scale_only


def test_obstacles_on_the_road_are_outliers():
    depth, _ = street()
    disparity = 4 / depth
    depth[90:, 20:50] *= 0.5
    disparity[90:, 20:50] *= 2
    alignment = fit_camera_height(disparity, CAMERA, HEIGHT)
    assert alignment.scale == pytest.approx(0.25, rel=1e-3)
    assert not alignment.inliers[90:, 20:50].any() and alignment.inliers[90:, 50:].all()


def test_a_mask_says_where_the_ground_is():
    depth, road = street()
    assert fit_camera_height(4 / depth, CAMERA, HEIGHT, ground=road).inliers[road].all()
    with pytest.raises(ValueError, match="no ground"):
        fit_camera_height(4 / depth[::-1].copy(), CAMERA, HEIGHT)
    with pytest.raises(ValueError, match="Only 0 ground pixels"):
        fit_camera_height(4 / depth, CAMERA, HEIGHT, ground=np.zeros_like(road))
    with pytest.raises(ValueError, match="positive number of metres"):
        fit_camera_height(4 / depth, CAMERA, 0)
