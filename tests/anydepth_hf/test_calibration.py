import json

import numpy as np
import pytest

from anydepth_hf.alignment import Alignment
from anydepth_hf.calibration import Calibration, Sample, fit_calibration
from tests.anydepth_hf.rendered import CAMERA, plane, room


def samples(scales=(0.02, 0.02, 0.02), points=(400, 400, 400)):
    """Pictures of three scenes with sparse known depths, such as a LiDAR's."""
    rng = np.random.default_rng(0)
    scenes = [room()[0], plane((0, -1, 0), 1.6), plane((0, -0.6, -0.8), 2.0)]
    result = []
    for index, (depth, scale, count) in enumerate(zip(scenes, scales, points, strict=True)):
        sparse = np.zeros(depth.size, np.float32)
        seen = rng.choice(np.flatnonzero(np.isfinite(depth) & (depth < 60)), count, replace=False)
        sparse[seen] = depth.ravel()[seen]
        disparity = np.nan_to_num((1 / depth + 0.01) / scale, nan=1.0)
        result.append(Sample(f"frame{index}.png", disparity, sparse.reshape(depth.shape)))
    return result


def test_one_scale_and_shift_for_several_pictures():
    calibration = fit_calibration(samples(), model="m", intrinsics=CAMERA)
    assert (calibration.alignment.scale, calibration.alignment.shift) == pytest.approx((0.02, -0.01), rel=1e-4)
    assert max(calibration.held_out_errors) < 1e-4
    depth = room()[0]
    np.testing.assert_allclose(calibration.apply((1 / depth + 0.01) / 0.02), depth, rtol=1e-4)


def test_what_is_lost_on_pictures_of_another_scale_is_measured_and_said():
    calibration = fit_calibration(samples(scales=(0.02, 0.02, 0.04)), method="ransac")
    assert calibration.held_out_errors[2] > 0.3
    assert "3 pictures: frame0.png, frame1.png, frame2.png" in str(calibration)
    assert "On a picture that it was not fitted on" in str(calibration)
    assert "On other pictures it may be far off" in str(fit_calibration(samples()[:1]))


def test_a_picture_with_many_points_counts_no_more_than_one_with_few():
    few = fit_calibration(samples((0.02, 0.02, 0.03), (400, 400, 400)))
    many = fit_calibration(samples((0.02, 0.02, 0.03), (400, 400, 2000)))
    assert many.alignment.scale == pytest.approx(few.alignment.scale, rel=0.02)


def test_a_file_beside_the_model_and_back(tmp_path):
    calibration = fit_calibration(samples(), model="model", intrinsics=CAMERA, size=256)
    assert calibration.save(tmp_path) == tmp_path / "calibration.json"
    assert Calibration.load(tmp_path) == Calibration.load(tmp_path / "calibration.json") == calibration
    assert json.loads((tmp_path / "calibration.json").read_text())["summary"] == str(calibration)
    other = Calibration(Alignment(1.0, 0.5))
    assert Calibration.load(other.save(tmp_path / "new" / "c.json")) == other


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": "other"}'])
def test_another_file_is_no_calibration(tmp_path, text):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(ValueError, match=r"a\.json is no calibration; `anydepth calibrate` makes one"):
        Calibration.load(tmp_path / "a.json")


def test_pictures_without_known_depth_are_named():
    with pytest.raises(ValueError, match="at least one picture"):
        fit_calibration([])
    with pytest.raises(ValueError, match="b.png: no depth is known"):
        fit_calibration([Sample("b.png", np.ones((2, 2)), np.zeros((2, 2)))])
