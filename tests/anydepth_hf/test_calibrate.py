import json

import numpy as np
import pytest
import torch
from PIL import Image

from anydepth_cli.main import main
from anydepth_hf.calibration import Calibration
from anydepth_hf.depth_files import write_depth
from anydepth_hf.depth_map import DepthMap
from anydepth_hf.loading import load_model
from anydepth_hf.prediction import predict_depth


@pytest.fixture
def scene(tmp_path, save_tiny_model):
    """A picture, the tiny model's disparity of it, and depth that this disparity is right for."""
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 90, 3), dtype=np.uint8))
    picture.save(tmp_path / "photo.png")
    model, processor = load_model(save_tiny_model(), "cpu", "float32")
    disparity = predict_depth(tmp_path / "photo.png", (model, processor)).values
    return tmp_path, disparity, (1 / (0.1 * disparity + 0.02)).astype(np.float32)


def calibrate(folder, model, *arguments):
    files = [folder / "photo.png", "--model", model, "--output", folder / "c.json", *arguments]
    return main(["calibrate", *map(str, files)])


def test_a_sparse_map_with_outliers(scene, save_tiny_model, capsys):
    folder, disparity, depth = scene
    rng = np.random.default_rng(0)
    sparse = np.where(rng.random(depth.shape) < 0.2, depth, 0)
    wrong = rng.random(depth.shape) < 0.3
    codes = (np.where(wrong, sparse * 3, sparse) * 256).round().astype(np.uint16)
    Image.fromarray(codes).save(folder / "lidar.png")
    assert calibrate(folder, save_tiny_model(), "--depth", folder / "lidar.png", "--encoding", "kitti") == 0
    calibration = Calibration.load(folder / "c.json")
    np.testing.assert_allclose(calibration.apply(disparity), depth, rtol=0.01)
    printed = capsys.readouterr().out
    assert "Fitted by RANSAC" in printed and "left out as outliers" in printed and "photo.png" in printed
    assert json.loads((folder / "c.json").read_text())["model"] == str(save_tiny_model())
    assert calibrate(folder, save_tiny_model(), "--depth", folder / "lidar.png", "--encoding", "kitti") == 2
    assert "exists; --overwrite replaces it" in capsys.readouterr().err


def test_two_measured_distances(scene, save_tiny_model, capsys):
    folder, disparity, depth = scene
    low, high = (np.unravel_index(index, depth.shape) for index in (depth.argmin(), depth.argmax()))
    points = [argument for y, x in (low, high) for argument in ("--point", x, y, depth[y, x])]
    assert calibrate(folder, save_tiny_model(), *points) == 0
    np.testing.assert_allclose(Calibration.load(folder / "c.json").apply(disparity), depth, rtol=1e-3)
    assert "exact by construction" in capsys.readouterr().out


def test_a_depth_file_of_another_size_and_a_model_folder(scene, save_tiny_model):
    folder, disparity, depth = scene
    values = torch.nn.functional.interpolate(torch.from_numpy(depth)[None, None], (120, 180), mode="nearest")[0, 0]
    write_depth(folder / "d.npz", DepthMap(values.numpy(), "depth", "m"))
    (folder / "model").mkdir()
    arguments = ["--depth", folder / "d.npz", "--method", "irls", "--output", folder / "model"]
    assert calibrate(folder, save_tiny_model(), *arguments) == 0
    assert Calibration.load(folder / "model").alignment.method == "irls"


def test_the_cameras_height(tmp_path, save_tiny_model, monkeypatch, capsys):
    Image.new("RGB", (160, 120)).save(tmp_path / "photo.png")
    rows = np.arange(120)[:, None] - 59.5
    disparity = np.broadcast_to(np.maximum(rows, 1) / 100 + 0.5, (120, 160)).astype(np.float32)
    depth = DepthMap(disparity, "disparity")
    monkeypatch.setattr("anydepth_hf.calibrate.predict_depth", lambda images, *_, **__: [depth for _ in images])
    assert calibrate(tmp_path, save_tiny_model(), "--camera-height", "1.5", "--focal", "100") == 0
    assert "the camera's height above the ground" in capsys.readouterr().out
    depth = Calibration.load(tmp_path / "c.json").apply(disparity)
    np.testing.assert_allclose(depth[70:, 0], 1.5 * 100 / rows[70:, 0], rtol=1e-3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "one of --depth, --point and --camera-height"),
        (["--depth", "a.png", "b.png"], "one map for each of the 1 images, got 2"),
        (["--depth", "missing.npz"], "missing.npz: No such file or directory"),
        (["--point", "1", "2", "3", "--point", "4", "5", "-1"], "--point: a distance is more than 0 metres, got -1"),
        (["--point", "1", "2", "3"], "needs 2 known points, got 1"),
        (["--point", "1", "2", "3", "--point", "500", "2", "3"], "(500, 2) lies outside the map of 90 x 60"),
        (["--camera-height", "2"], "photo.png has no focal length in its EXIF data: give --fov"),
        (["--point", "1", "2", "3", "--ground", "a.png"], "--ground goes with --camera-height only"),
        (["--point", "1", "2", "3", "--pitch", "0"], "--pitch goes with --camera-height only"),
        (["--point", "1", "2", "3", "--encoding", "kitti"], "--encoding goes with --depth only"),
        (["--camera-height", "2", "--focal", "90", "--method", "irls"], "--method does not go with --camera-height"),
        (["--camera-height", "2", "--focal", "wide"], "--focal: must be a number more than 0, got wide"),
        (["--point", "1", "2", "3", "--method", "ransaac"], "did you mean ransac?"),
    ],
)
def test_mistakes_get_one_sentence_and_write_nothing(scene, save_tiny_model, capsys, arguments, message):
    folder, _, _ = scene
    assert calibrate(folder, save_tiny_model(), *arguments) == 2
    error = capsys.readouterr().err
    assert message in error and len(error.splitlines()) == 1
    assert not (folder / "c.json").exists()


def test_a_map_that_shows_something_else_is_named(scene, save_tiny_model, capsys):
    folder, disparity, _ = scene
    write_depth(folder / "turned.npz", DepthMap(np.ones((90, 60), np.float32), "depth", "m"))
    write_depth(folder / "relative.npz", DepthMap(disparity, "disparity"))
    assert calibrate(folder, save_tiny_model(), "--depth", folder / "turned.npz") == 2
    assert "turned.npz is 60 x 90" in capsys.readouterr().err
    assert calibrate(folder, save_tiny_model(), "--depth", folder / "relative.npz") == 2
    assert "relative.npz: This disparity is known only up to" in capsys.readouterr().err
