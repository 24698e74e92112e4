import json
import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from anydepth_hf.camera import Intrinsics
from anydepth_hf.depth_map import DepthMap
from anydepth_hf.point_cloud import mesh, point_cloud
from anydepth_hf.point_cloud_files import encode_html
from tests.anydepth_hf.rendered import CAMERA, plane, room

plyfile = pytest.importorskip("plyfile", reason="needs plyfile, of the extra test")
pygltflib = pytest.importorskip("pygltflib", reason="needs pygltflib, of the extra test")
trimesh = pytest.importorskip("trimesh", reason="needs trimesh, of the extra test")

Y_UP = np.array([1, -1, -1])


def picture(size=(160, 120)):
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (*size[::-1], 3), dtype=np.uint8))


def wall_distances(points: np.ndarray) -> np.ndarray:
    """How far points in the camera's frame lie from the nearest wall of the rendered room, in metres."""
    walls = [(points[:, 0], -2.2), (points[:, 0], 1.8), (points[:, 1], -1.4), (points[:, 1], 1.6), (points[:, 2], 6)]
    return np.min([np.abs(values - place) for values, place in walls], axis=0)


@pytest.mark.parametrize("kind", [np.asarray, torch.from_numpy])
def test_every_pixel_of_a_room_is_a_point_on_its_walls_in_its_colour(kind):
    depth, wall = room()
    cloud = point_cloud(kind(depth), CAMERA, picture())
    assert len(cloud) == depth.size
    assert wall_distances(cloud.points).max() < 1e-5
    columns, rows = cloud.pixels.astype(int).T
    assert (cloud.colors == np.asarray(picture())[rows, columns]).all()
    np.testing.assert_allclose(cloud.points[:, 2], depth[rows, columns])


def test_a_ply_file_opens_in_plyfile_and_in_trimesh(tmp_path):
    cloud = replace(mesh(room()[0], CAMERA, picture()), info={"model": "a\nmodel"})
    path = cloud.save(tmp_path / "room.ply")
    file = plyfile.PlyData.read(path)
    assert "unit: metre" in file.comments and "model: a model" in file.comments
    assert any("y up" in line for line in file.comments)
    vertex = file["vertex"]
    np.testing.assert_array_equal(np.stack([vertex[name] for name in "xyz"], 1), cloud.points * np.float32(Y_UP))
    np.testing.assert_array_equal(np.stack([vertex[n] for n in ("nx", "ny", "nz")], 1), cloud.normals * Y_UP)
    np.testing.assert_array_equal(np.stack([vertex[n] for n in ("red", "green", "blue")], 1), cloud.colors)
    np.testing.assert_array_equal(np.stack(file["face"]["vertex_indices"]), cloud.triangles)
    loaded = trimesh.load(path, process=False)
    np.testing.assert_array_equal(loaded.visual.vertex_colors[:, :3], cloud.colors)
    # triangles turn their front to the camera at the origin
    centers = loaded.triangles_center
    assert (np.einsum("ij,ij->i", loaded.face_normals, -centers) > 0).all()
    assert (np.einsum("ij,ij->i", cloud.normals, -cloud.points) > 0).all()


@pytest.mark.parametrize("make", [point_cloud, mesh])
def test_a_glb_file_opens_in_pygltflib_and_in_trimesh(tmp_path, make):
    cloud = replace(make(room()[0], CAMERA, picture()), info={"model": "é <b>"})
    path = cloud.save(tmp_path / "room.glb")
    file = pygltflib.GLTF2().load(str(path))
    primitive = file.meshes[0].primitives[0]
    assert primitive.mode == (4 if cloud.triangles is not None else 0)
    blob = file.binary_blob()

    def read(index, dtype, width):
        accessor = file.accessors[index]
        view = file.bufferViews[accessor.bufferView]
        return np.frombuffer(blob, dtype, accessor.count * width, view.byteOffset).reshape(-1, width)

    np.testing.assert_array_equal(read(primitive.attributes.POSITION, "<f4", 3), cloud.points * np.float32(Y_UP))
    np.testing.assert_array_equal(read(primitive.attributes.NORMAL, "<f4", 3), cloud.normals * np.float32(Y_UP))
    linear = read(primitive.attributes.COLOR_0, "<u2", 4) / 65535
    srgb = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    np.testing.assert_array_equal((srgb[:, :3] * 255).round(), cloud.colors)
    assert file.accessors[primitive.attributes.POSITION].max == (cloud.points * Y_UP).max(0).tolist()
    loaded = trimesh.load(path, process=False)
    assert loaded.extents == pytest.approx(np.ptp(cloud.points, axis=0), rel=1e-5)
    if cloud.triangles is not None:
        np.testing.assert_array_equal(read(primitive.indices, "<u4", 1).reshape(-1, 3), cloud.triangles)
    assert path.stat().st_size % 4 == 0


def test_a_mesh_covers_the_room_once():
    depth, _ = room()
    surface = mesh(depth, CAMERA)
    height, width = depth.shape
    assert len(surface.triangles) == 2 * (height - 1) * (width - 1)
    corners = surface.points[surface.triangles]
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1) / 2
    # the back wall, seen as a rectangle of the picture: 4 x 3 m less nothing
    back = (corners[..., 2] > 5.999).all(axis=1)
    assert area[back].sum() == pytest.approx(4 * 3, rel=0.08)


def test_between_a_near_and_a_far_surface_there_are_no_triangles_at_any_stride():
    depth = np.full((60, 80), 5.0, np.float32)
    depth[20:40, 30:50] = 2.0
    camera = Intrinsics.from_fov(60, 80, 60)
    for max_points in (None, 1500, 400):
        surface = mesh(depth, camera, max_points=max_points)
        z = surface.points[surface.triangles][..., 2]
        assert (z.max(axis=1) - z.min(axis=1)).max() == 0
        assert set(np.unique(z)) == {2.0, 5.0}
        assert max_points is None or len(surface) <= max_points
    bridged = mesh(depth, camera, edge_threshold=None)
    assert len(bridged.triangles) == 2 * 59 * 79


def test_subsampling_by_count_and_by_voxel():
    depth, _ = room()
    cloud = point_cloud(depth, CAMERA, max_points=1000)
    assert 300 < len(cloud) <= 1000
    assert wall_distances(cloud.points).max() < 1e-5
    voxels = point_cloud(depth, CAMERA, picture(), voxel_size=0.25)
    cells = np.floor(point_cloud(depth, CAMERA).points / 0.25)
    assert len(voxels) == len(np.unique(cells, axis=0))
    np.testing.assert_allclose(np.linalg.norm(voxels.normals, axis=1), 1, rtol=1e-5)


def test_masks_and_the_limit_of_depth_are_kept():
    depth, _ = room()
    valid = np.zeros(depth.shape, bool)
    valid[10:50, 20:90] = True
    cloud = point_cloud(depth, CAMERA, valid=valid, max_depth=5.0)
    columns, rows = cloud.pixels.astype(int).T
    assert valid[rows, columns].all() and cloud.points[:, 2].max() <= 5
    assert len(cloud) == (valid & (depth <= 5)).sum()


def test_a_depth_map_brings_its_mask_camera_and_meaning():
    depth, _ = room()
    valid = depth < 4
    read = DepthMap(depth, "depth", "m", valid, intrinsics=CAMERA, model="a model")
    cloud = point_cloud(read)
    assert len(cloud) == valid.sum()
    assert cloud.info["model"] == "a model" and "a rendering" in cloud.info["focal length"]
    metric = DepthMap(1 / depth, "disparity", "1/m", valid, intrinsics=CAMERA)
    np.testing.assert_allclose(point_cloud(metric).points, cloud.points, rtol=1e-5)


@pytest.mark.parametrize("kind", ["disparity", "depth"])
@pytest.mark.parametrize("make", [point_cloud, mesh])
def test_a_map_without_a_unit_is_never_unprojected_and_the_refusal_says_how_to_align(make, kind):
    with pytest.raises(
        ValueError, match="up to a scale and a shift.*`anydepth calibrate`, `anydepth_hf.alignment.fit`"
    ):
        make(DepthMap(room()[0], kind, intrinsics=CAMERA))


def test_the_page_holds_the_scene_and_nothing_from_elsewhere(tmp_path):
    cloud = replace(mesh(plane((0, -0.6, -0.8), 1.5), CAMERA, picture()), info={"model": "</script><b>&"})
    page = cloud.save(tmp_path / "scene.html").read_text()
    assert "http" not in page.replace("http-equiv", "")
    assert "{{" not in page and "</script><b>" not in page
    script = page.split('<script id="meta" type="application/json">')[1].split("</script>")[0]
    assert "model: </script><b>&" in json.loads(script)["info"]
    assert page.count("</script>") == 6


@pytest.mark.parametrize(
    "arguments, options, message",
    [
        ((np.ones((8, 8)),), {}, "needs the camera's focal length"),
        ((np.ones((8, 8, 1)), CAMERA), {}, "must be a map"),
        ((np.zeros((120, 160)), CAMERA), {}, "No pixel is left"),
        ((np.ones((120, 160)), CAMERA), {"valid": np.ones((2, 2), bool)}, "valid must have"),
        ((np.ones((120, 160)), CAMERA), {"max_points": 0}, "at least 1"),
        ((np.ones((120, 160)), CAMERA), {"voxel_size": 0}, "positive"),
    ],
)
def test_mistakes_get_one_sentence(arguments, options, message):
    with pytest.raises(ValueError, match=message):
        point_cloud(*arguments, **options)


@pytest.mark.parametrize(("most", "message"), [(0, "at least 1"), (1, "needs more points than max_points=1")])
def test_a_surface_of_too_few_points_is_refused(most, message):
    with pytest.raises(ValueError, match=message):
        mesh(room()[0], CAMERA, max_points=most)


def test_a_file_of_another_kind_is_refused_and_nothing_is_left_behind(tmp_path):
    with pytest.raises(ValueError, match=r"x\.obj: a point cloud is written as \.ply, \.glb, \.html"):
        point_cloud(room()[0], CAMERA).save(tmp_path / "x.obj")
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node, to read JavaScript")
def test_the_script_of_the_page_is_valid(tmp_path):
    page = encode_html(mesh(room()[0], CAMERA, picture())).decode()
    script = page.rsplit("<script>", 1)[1].split("</script>")[0]
    (tmp_path / "page.js").write_text(script)
    result = subprocess.run(["node", "--check", tmp_path / "page.js"], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
