import numpy as np
import pytest

from anydepth_hf.point_cloud import point_cloud
from anydepth_hf.point_cloud_files import save_colmap
from tests.anydepth_hf.rendered import CAMERA, plane, room


def rows(path):
    return [line.split(" ") for line in path.read_text().splitlines() if not line.startswith("#")]


@pytest.mark.parametrize("depth", [room()[0], plane((0, -0.6, -0.8), 2.0)], ids=["room", "plane"])
def test_points_project_to_where_the_model_says_they_are_seen(tmp_path, depth):
    cloud = point_cloud(depth, CAMERA, max_points=300)
    folder = save_colmap("a b.jpg", cloud, tmp_path / "out" / "sparse")
    cameras = {row[0]: row[1:] for row in rows(folder / "cameras.txt")}
    points = {row[0]: np.array(row[1:4], float) for row in rows(folder / "points3D.txt")}
    tracks = {row[0]: row[8:] for row in rows(folder / "points3D.txt")}
    head, body = rows(folder / "images.txt")
    assert len(points) == len(cloud)
    number, *pose, camera = head[:9]
    assert [float(value) for value in pose] == [1, 0, 0, 0, 0, 0, 0]
    assert " ".join(head[9:]) == "a b.jpg"
    assert cameras[camera][:3] == ["PINHOLE", "160", "120"]
    fx, fy, cx, cy = map(float, cameras[camera][3:])
    for index, (x, y, point) in enumerate(zip(body[::3], body[1::3], body[2::3], strict=True)):
        a, b, c = points[point]
        assert (fx * a / c + cx, fy * b / c + cy) == pytest.approx((float(x), float(y)), abs=1e-3)
        assert tracks[point] == [number, str(index)]


def test_a_name_with_a_line_break_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no name"):
        save_colmap("a\n.jpg", point_cloud(room()[0], CAMERA, max_points=50), tmp_path / "b")
