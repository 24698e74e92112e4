import json

import numpy as np
import pytest
from PIL import Image

from anydepth_cli.main import main
from anydepth_hf import predict_depth, read_depth
from anydepth_hf.alignment import Alignment
from anydepth_hf.calibration import Calibration
from anydepth_hf.depth_map import DepthMap
from anydepth_hf.inputs import find_sources
from anydepth_hf.outputs_3d import ShapeOptions, ShapeWriter
from anydepth_hf.point_cloud import mesh, point_cloud
from anydepth_hf.prediction import Predictor
from tests.anydepth_hf.rendered import CAMERA, plane, room

SCALE, SHIFT = 0.03, -0.02
SCENES = {"room": room()[0], "plane": plane(np.array([0.1, -0.7, -0.7]) / np.sqrt(0.99), 2.0)}


@pytest.fixture(params=SCENES)
def scene(request, tmp_path, monkeypatch):
    """A picture of a rendered scene, for which the model predicts the exact disparity up to a scale and a shift."""
    depth = SCENES[request.param].astype(np.float64)
    disparity = np.nan_to_num((1 / depth - SHIFT) / SCALE, nan=-SHIFT / SCALE).astype(np.float32)
    Image.new("RGB", (160, 120), "orange").save(tmp_path / "photo.png")
    monkeypatch.setattr(
        Predictor, "forward", lambda self, pixels, sizes, own: [{"values": disparity.copy()}] * len(sizes)
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path, depth


@pytest.fixture
def run(save_tiny_model):
    def run(command, *arguments):
        return main([command, *map(str, arguments), "--model", str(save_tiny_model())])

    return run


INTRINSICS = ("--intrinsics", CAMERA.fx, CAMERA.fy, CAMERA.cx, CAMERA.cy)


def test_a_rendered_scene_comes_back_in_metres_from_every_file(scene, run):
    plyfile = pytest.importorskip("plyfile", reason="needs plyfile, of the extra test")
    _, depth = scene
    # sparse readings, a third of them wrong
    rng = np.random.default_rng(0)
    sparse = np.where(rng.random(depth.shape) < 0.1, np.nan_to_num(depth), 0)
    sparse[rng.random(depth.shape) < 0.3] *= 2.5
    Image.fromarray((sparse * 256).clip(0, 65535).round().astype(np.uint16)).save("lidar.png")
    assert run("calibrate", "photo.png", "--depth", "lidar.png", "--encoding", "kitti", *INTRINSICS) == 0
    formats = ("png", "exr", "tiff", "npz", "npy", "ply", "colmap")
    assert run("predict", "photo.png", "--calibration", "calibration.json", "--format", *formats, "--points") == 0
    seen = np.isfinite(depth) & (depth < 60)
    for ending in ("png", "exr", "tiff", "npz", "npy"):
        result = read_depth(f"photo_depth.{ending}")
        assert (result.kind, result.unit) == ("depth", "m") and result.valid[seen].all()
        assert np.abs(result.values / depth - 1)[seen].max() < 1e-3, ending
        points = point_cloud(result, edge_threshold=None, max_depth=60)
        columns, rows = points.pixels.astype(int).T
        exact = depth[rows, columns, None] * np.stack(
            [(columns - CAMERA.cx) / CAMERA.fx, (rows - CAMERA.cy) / CAMERA.fy, np.ones(len(rows))], axis=1
        )
        assert len(points) >= 0.98 * seen.sum()
        assert (np.linalg.norm(points.points - exact, axis=1) < 1e-3 * np.linalg.norm(exact, axis=1)).all()
    vertex = plyfile.PlyData.read("photo_depth.ply")["vertex"]
    pixels = CAMERA.matrix() @ [vertex["x"], -vertex["y"], -vertex["z"]]
    columns, rows = np.rint(pixels[:2] / pixels[2]).astype(int)
    near = -vertex["z"] < 60
    assert np.abs(-vertex["z"] / depth[rows, columns] - 1)[near].max() < 1e-3


def calibrated(scale=SCALE, shift=SHIFT):
    return Calibration(Alignment(scale, shift)).save("calibration.json")


def test_shapes_normals_and_their_options(scene, run):
    folder, depth = scene
    calibrated()
    formats = ("glb", "html", "normals")
    options = ("--calibration", "calibration.json", "--max-depth", 30, *INTRINSICS)
    assert run("predict", "photo.png", "--format", *formats, *options) == 0
    names = ("photo_depth.glb", "photo_depth.html", "photo_normals.npz", "photo_normals.png")
    assert all((folder / name).is_file() for name in names)
    with np.load("photo_normals.npz") as file:
        normals = file["normals"]
        assert "z forward" in json.loads(file["anydepth"].item())["normals"]
    assert normals.shape == (120, 160, 3)
    assert np.asarray(Image.open("photo_normals.png")).shape == (120, 160, 3)
    assert [source.stem for source in find_sources([folder])] == ["photo"]
    # a second run keeps them, and --overwrite replaces them: the files are known to be ours
    before = [(folder / name).stat().st_mtime_ns for name in names]
    assert run("predict", "photo.png", "--format", *formats, *options) == 0
    assert [(folder / name).stat().st_mtime_ns for name in names] == before
    (folder / "photo_depth.html").unlink()
    assert run("predict", "photo.png", "--format", *formats, *options) == 0
    assert (folder / "photo_depth.html").is_file()


def test_sky_and_what_is_too_far_have_no_normals():
    depth = room()[0]
    sky = np.zeros(depth.shape, bool)
    sky[:20] = True
    metric = DepthMap(depth, "depth", "m", intrinsics=CAMERA, sky=sky)
    normals = ShapeWriter(metric, Image.new("RGB", (160, 120)), ShapeOptions(max_depth=4.0)).normals
    left_out = sky | (depth > 4)
    assert np.isnan(normals[left_out]).all() and np.isfinite(normals[~left_out]).mean() > 0.99


def test_colmap_models_of_every_picture_have_their_folder(scene, run):
    folder, _ = scene
    calibrated()
    assert run("predict", "photo.png", "--format", "colmap", "--calibration", "calibration.json", "--fov", 60) == 0
    files = sorted(path.name for path in (folder / "photo_colmap").iterdir())
    assert files == ["cameras.txt", "images.txt", "points3D.txt"]
    assert "photo.png" in (folder / "photo_colmap" / "images.txt").read_text()


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (("--format", "ply"), 2, "ply needs depth in metres, but"),
        (("--format", "normals"), 2, "normals needs depth in metres, but"),
        (("--rerun", "x.rrd"), 2, "rerun needs depth in metres, but"),
        (("--format", "ply", "--calibration", "calibration.json"), 1, "give a field of view (`--fov DEGREES`"),
        (("--format", "ply", "--calibration", "calibration.json", "--focal", "x"), 2, "--focal: must be"),
        (
            ("--format", "ply", "--calibration", "calibration.json", "--fov", "60", "--voxel-size", "0.1"),
            2,
            "--voxel-size needs --points",
        ),
        (("--format", "ply", "--calibration", "calibration.json", "--fov", "180"), 2, "--fov: must be a number"),
    ],
)
def test_what_is_missing_is_named_and_nothing_is_written(scene, run, capsys, arguments, status, message):
    folder, _ = scene
    calibrated()
    assert run("predict", "photo.png", *arguments) == status
    assert message in capsys.readouterr().err
    assert sorted(path.name for path in folder.iterdir()) == ["calibration.json", "photo.png"]


def test_two_lines_of_python(scene, save_tiny_model):
    folder, depth = scene
    calibrated()
    predicted = predict_depth("photo.png", save_tiny_model(), calibration="calibration.json", intrinsics=CAMERA)
    mesh(predicted, image="photo.png", max_depth=60).save("photo.glb")
    assert (folder / "photo.glb").stat().st_size > 100_000
    seen = np.isfinite(depth) & (depth < 60)
    np.testing.assert_allclose(predicted.values[seen], depth[seen], rtol=1e-3)


def test_a_recording_for_rerun(scene, run):
    pytest.importorskip("rerun", reason="needs rerun-sdk, of the extra rerun")
    calibrated()
    options = ("--calibration", "calibration.json", "--fov", 60, "--rerun", "all.rrd")
    assert run("predict", "photo.png", "--format", "exr", *options) == 0
    assert b"photo.png" in (scene[0] / "all.rrd").read_bytes()


def test_the_focal_length_is_estimated_where_walls_tell_it(scene, run, capsys):
    calibrated()
    options = ("--calibration", "calibration.json", "--focal", "estimate", "--format", "exr")
    assert run("predict", "photo.png", *options) == 1  # these cameras look along the walls, or see one plane
    assert "Give a field of view instead" in capsys.readouterr().err
