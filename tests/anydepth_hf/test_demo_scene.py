"""What the demo knows of a photograph, without its page."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from anydepth_hf import BUNDLED_CHECKPOINT, predict_depth, read_depth
from anydepth_hf.alignment import Alignment
from anydepth_hf.calibration import Calibration
from anydepth_hf.camera import Intrinsics
from anydepth_hf.demo_files import FORMATS, camera_of, missing, write_files, write_view
from anydepth_hf.demo_models import BUNDLED, Models
from anydepth_hf.demo_scene import SHOWN, Scene, predict_scene
from anydepth_hf.depth_map import DepthMap

SCALE, SHIFT = 0.5, 0.1


@pytest.fixture
def scene():
    """A slope whose disparity is 1 / depth up to scale and shift, in a photograph larger than what is shown."""
    depth = np.linspace(1, 4, 2 * SHOWN)[None].repeat(SHOWN, axis=0)
    disparity = ((1 / depth - SHIFT) / SCALE).astype(np.float32)
    photo = Image.new("RGB", (2 * SHOWN, SHOWN), "orange")
    return Scene("folder/slope.jpg", photo, DepthMap(disparity, "disparity", model="exact"))


def known(scene):
    """Two distances said at two points, as they are."""
    for x in (100, 1200):
        scene = scene.click(x, 300)
        column, _ = scene.clicked[-1]
        scene = scene.know(1 + 3 * column / (2 * SHOWN - 1))
    return scene


def test_two_points_make_metres_and_a_third_is_read(scene):
    assert scene.shown.size == (SHOWN, SHOWN // 2) and not scene.depth.is_metric
    assert "no metres yet" in scene.click(640, 10).reading()
    after = known(scene)
    assert after.depth.unit == "m" and not scene.depth.is_metric
    assert after.calibration.alignment.scale == pytest.approx(SCALE, rel=1e-3)
    read = after.click(639.5, 200)
    assert read.clicked[-1] == (1279.5, 400.5) and read.reading().startswith("**2.50 m** at column 1280")
    # two points of the middle row are as far apart as the camera says
    two = after.click(0, 319.5).click(1279, 319.5)
    camera = Intrinsics.from_fov(60, *scene.image.size)
    half = np.tan(np.radians(30)) * (1 - 1 / (2 * SHOWN))
    assert float(two.reading(camera).split("**")[3].split()[0]) == pytest.approx(np.hypot(3, 5 * half), rel=2e-3)
    assert after.forget().points == () and not after.forget().depth.is_metric


def test_one_distance_is_enough_for_depth_up_to_a_scale(scene):
    values = np.linspace(1, 4, 2 * SHOWN, dtype=np.float32)[None].repeat(SHOWN, axis=0)
    depth = replace(scene, prediction=DepthMap(values, "depth", model="exact"))
    after = depth.click(0, 300).know(0.5)
    assert after.depth.unit == "m" and after.depth.values.max() == pytest.approx(2, rel=1e-3)
    assert after.click(1279, 300).know(8).depth.values.max() == pytest.approx(8, rel=1e-3)  # two: and a shift


def test_marks_are_drawn_where_the_points_are(scene):
    marked = known(scene).marked()
    changed = np.abs(np.asarray(marked).astype(int) - np.asarray(scene.shown)).sum(axis=2) > 30
    assert changed[300, 85:115].any() and changed[300, 1185:1215].any() and not changed[:250].any()


def test_the_legend_says_what_the_colours_mean(scene):
    assert "<p>relative disparity, without unit; 2560 × 1280 pixels; exact</p>" in scene.legend("spectral")
    assert "<span>3.97 m</span></div><p>depth along the camera's axis;" in known(scene).legend("spectral")
    metric = replace(scene, prediction=replace(scene.prediction, unit="1/m"))
    assert "<span>far</span></div><p>disparity in 1/m;" in metric.legend("gray")


@pytest.mark.parametrize("metres", [None, 0, -1, float("nan"), float("inf")])
def test_a_distance_is_a_positive_number(scene, metres):
    with pytest.raises(ValueError, match="in metres, a number more than 0"):
        scene.click(5, 5).know(metres)


def test_points_that_say_nothing_are_refused(scene):
    with pytest.raises(ValueError, match="Click a point"):
        scene.know(1)
    with pytest.raises(ValueError, match="know depths at different distances"):
        scene.click(5, 5).know(1).click(5, 50).know(2)
    with pytest.raises(ValueError, match="nearer points would be the farther ones"):
        scene.click(5, 5).know(4).click(900, 5).know(1)


def test_another_model_keeps_the_distances_of_the_same_photograph(scene):
    first = known(scene)
    other = replace(scene, prediction=replace(scene.prediction, values=2 * scene.prediction.values + 1))
    assert other.like(first).depth.is_metric and not replace(other, path="folder/b.jpg").like(first).depth.is_metric
    assert np.allclose(other.like(first).depth.values, first.depth.values, rtol=1e-3)


def test_a_camera_is_a_focal_length_or_a_field_of_view(scene):
    assert camera_of(scene, None, "pixels") is None and camera_of(None, 50, "degrees") is None
    assert camera_of(scene, 90, "degrees").fx == pytest.approx(SHOWN)
    assert camera_of(scene, 700, "pixels").fx == 700
    exif = Intrinsics.from_focal(700.04, *scene.image.size, "EXIF of slope.jpg")
    assert camera_of(replace(scene, camera=exif), 700, "pixels").source == "EXIF of slope.jpg"
    with pytest.raises(ValueError, match="between 0 and 180"):
        camera_of(scene, 200, "degrees")


def test_every_format_is_written_and_says_what_it_holds(tmp_path):
    pytest.importorskip("OpenEXR", reason="needs the extra formats")
    path = tmp_path / "coffee.jpg"
    Image.open(f"{BUNDLED_CHECKPOINT}/coffee.jpg").resize((120, 80)).save(path)
    predictor, calibration = Models([BUNDLED]).predictor(BUNDLED)
    scene = predict_scene(str(path), predictor, calibration, None, 10_000)
    assert np.array_equal(scene.prediction.values, predict_depth(path).values)
    with pytest.raises(ValueError, match="3-D needs metres"):
        write_files(scene, None, ["png", "glb"], "spectral", tmp_path)
    with pytest.raises(ValueError, match="In the tab Metres"):
        write_files(scene, None, ["calibration"], "spectral", tmp_path)
    with pytest.raises(ValueError, match="at least one format"):
        write_files(scene, None, [], "spectral", tmp_path)
    scene = scene.click(60, 70).know(0.4).click(110, 5).know(0.6)
    camera = camera_of(scene, 50, "degrees")
    assert "in the tab *3-D*, type it" in missing(scene, None) and missing(scene, camera) == ""
    written = write_files(scene, camera, list(FORMATS), "turbo", tmp_path)
    assert len(written) == len(FORMATS) + 2 and all(path.is_file() for path in written)  # the meaning of npy, normals
    for ending in ("png", "exr", "tiff", "npz", "npy", "jpg"):
        depth = read_depth(tmp_path / f"coffee_depth.{ending}")
        assert (depth.kind, depth.unit, depth.model) == ("depth", "m", "bundled")
        valid = depth.valid & scene.depth.valid
        if ending != "jpg":
            assert np.allclose(depth.values[valid], scene.depth.values[valid], rtol=1e-5, atol=depth.step or 0)
    kept = Calibration.load(tmp_path / "coffee_calibration.json")
    assert kept.intrinsics.fov()[0] == pytest.approx(50) and kept.alignment.scale == scene.calibration.alignment.scale
    assert write_view(scene, camera, "points", tmp_path).suffix == ".glb"


def test_only_listed_models_can_be_chosen_by_strangers(tmp_path, save_tiny_model):
    models = Models(any_name=False)
    assert models.names == [BUNDLED]
    for name in ("dav2-base-sdt", str(tmp_path), "", None):
        with pytest.raises(ValueError, match="Choose one of the models bundled"):
            models.predictor(name)
    everything = Models()
    assert {BUNDLED, "dav2-base-sdt"} <= set(everything.names)
    (label,) = [label for label, name in everything.choices if name == "dav2-base-sdt"]
    assert label == "dav2-base-sdt: 96 M, disparity, CC BY-NC-SA 4.0, not for commercial use"
    with pytest.raises(ValueError, match="did you mean the preset dav2-base-sdt"):
        everything.predictor("dav2-base-std")
    folder = save_tiny_model()
    own = Models([str(folder)])
    assert own.choices == [(folder.name, str(folder))]
    assert own.predictor(str(folder), 84)[0].processor.size.shortest_edge == 84


def test_a_calibration_in_the_models_folder_makes_metres(tmp_path, save_tiny_model):
    folder = shutil.copytree(save_tiny_model(), tmp_path / "model")
    Calibration(Alignment(0.5, 0.1), intrinsics=Intrinsics.from_fov(60, 600, 400), size=84).save(folder)
    predictor, calibration = Models([str(folder)]).predictor(str(folder))
    assert predictor.processor.size.shortest_edge == 84
    scene = predict_scene(f"{BUNDLED_CHECKPOINT}/coffee.jpg", predictor, calibration, None, 10**6)
    assert scene.depth.is_metric and scene.camera.fov()[0] == pytest.approx(60) and scene.size == 84
    Image.open(scene.path).rotate(90, expand=True).save(tmp_path / "upright.png")  # not that camera's shape
    assert predict_scene(str(tmp_path / "upright.png"), predictor, calibration, None, 10**6).camera is None


def test_a_photograph_of_too_many_pixels_is_refused_before_it_is_decoded(tmp_path):
    Image.new("1", (4000, 4000)).save(tmp_path / "large.png")
    predictor, _ = Models([BUNDLED]).predictor(BUNDLED)
    with pytest.raises(ValueError, match=r"^large.png has 4000x4000 pixels, 16 million; at most 10 million"):
        predict_scene(str(tmp_path / "large.png"), predictor, None, None, 10_000_000)
