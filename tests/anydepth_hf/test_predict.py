import json
import os
import pickle
import resource
import shutil
import signal
import time

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image
from transformers import AutoConfig, AutoModelForDepthEstimation

import anydepth_hf
from anydepth_cli.main import main
from anydepth_hf import AnyDepthImageProcessor, read_depth
from anydepth_hf.alignment import Alignment
from anydepth_hf.calibration import Calibration
from anydepth_hf.camera import Intrinsics
from anydepth_hf.inputs import Source
from anydepth_hf.point_cloud import point_cloud
from anydepth_hf.predict_report import Report
from anydepth_hf.processes import Processes


@pytest.fixture
def model_dir(save_tiny_model):
    return save_tiny_model()


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    generator = np.random.default_rng(0)
    for name, size in (("a.png", (40, 60)), ("b.jpg", (40, 60)), ("c.png", (64, 32))):
        Image.fromarray(generator.integers(0, 255, (*size, 3), dtype=np.uint8)).save(folder / name)
    (folder / "notes.txt").write_text("no image")
    return folder


@pytest.fixture
def predict(model_dir, tmp_path):
    """Runs the command with the tiny model, and with the results in `out` unless told otherwise."""

    def run(*arguments, model=model_dir, out=tmp_path / "out"):
        return main(["predict", *map(str, arguments), "--model", str(model), "--output-dir", str(out)])

    return run


def names(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_outputs_hold_the_models_prediction(predict, model_dir, folder, tmp_path, capsys):
    out = tmp_path / "out"
    assert predict(folder, "--npy", "--batch-size", 4) == 0
    assert "disparity of 3 images" in capsys.readouterr().out
    endings = (".npy", ".npy.json", ".png", "_color.png")
    assert names(out) == sorted(f"{stem}_disparity{ending}" for stem in "abc" for ending in endings)

    image = Image.open(folder / "a.png")
    processor = AnyDepthImageProcessor.from_pretrained(model_dir)
    with torch.no_grad():
        outputs = AutoModelForDepthEstimation.from_pretrained(model_dir)(**processor(image, return_tensors="pt"))
    expected = processor.post_process_depth_estimation(outputs, target_sizes=[(40, 60)])[0]["predicted_depth"].numpy()
    exact, rounded = read_depth(out / "a_disparity.npy"), read_depth(out / "a_disparity.png")
    np.testing.assert_allclose(exact.values, expected, atol=1e-5)
    np.testing.assert_allclose(rounded.values, exact.values, atol=rounded.step)
    assert (exact.kind, exact.unit, exact.model, exact.image) == ("disparity", None, model_dir.name, "a.png")
    with Image.open(out / "c_disparity_color.png") as color:
        assert (color.mode, color.size) == ("RGB", (32, 64))
    # the two-line way gives the same
    again = anydepth_hf.predict_depth(folder / "a.png", model=model_dir)
    np.testing.assert_allclose(again.values, exact.values, rtol=1e-6)


@pytest.mark.parametrize("image", [None, 3, torch.zeros(3, 40, 60)])
def test_what_is_no_image_is_named_by_its_type(model_dir, image):
    with pytest.raises(ValueError, match=f"uint8 RGB array, not of type {type(image).__name__}"):
        anydepth_hf.predict_depth(image, model_dir)


def test_batches_hold_pictures_of_one_size_and_change_nothing(model_dir, folder):
    for index in range(3):
        shutil.copy(folder / "b.jpg", folder / f"{index}.jpg")
    images = sorted(folder.glob("*.*g"))
    model, processor = anydepth_hf.load_model(model_dir)
    sizes = []
    model.register_forward_pre_hook(lambda _, __, kwargs: sizes.append(len(kwargs["pixel_values"])), with_kwargs=True)
    batched = anydepth_hf.predict_depth(images, (model, processor), batch_size=2)
    assert sorted(sizes) == [1, 1, 2, 2]
    for image, depth in zip(images, batched):
        alone = anydepth_hf.predict_depth(image, (model, processor))
        assert alone.image == depth.image == image.name
        np.testing.assert_allclose(depth.values, alone.values, atol=1e-5)


def test_every_format_is_written_and_read(predict, folder, tmp_path):
    pytest.importorskip("OpenEXR")
    formats = ["png", "exr", "tiff", "npz", "npy", "jpeg"]
    assert predict(folder / "a.png", "--format", *formats) == 0
    maps = [read_depth(tmp_path / "out" / f"a_disparity.{'jpg' if name == 'jpeg' else name}") for name in formats]
    for depth in maps:
        assert (depth.kind, depth.unit, depth.image) == ("disparity", None, "a.png")
        np.testing.assert_allclose(depth.values, maps[-2].values, atol=(depth.step or 0))
    assert Image.open(tmp_path / "out" / "a_disparity.jpg").size == (60, 40)


def test_a_calibration_makes_every_output_metric(predict, model_dir, folder, tmp_path, capsys):
    Calibration(Alignment(0.5, 0.25), size=56).save(tmp_path / "calibration.json")
    options = ["--calibration", tmp_path / "calibration.json", "--format"]
    assert predict(folder / "a.png", *options, "npy", "glb") == 1
    assert "focal length" in capsys.readouterr().err  # the picture has none
    assert predict(folder / "a.png", *options, "npy") == 0
    depth = read_depth(tmp_path / "out" / "a_depth.npy")
    disparity = anydepth_hf.predict_depth(folder / "a.png", model=model_dir)
    np.testing.assert_allclose(depth.values, 1 / (0.5 * disparity.values + 0.25), rtol=1e-4)
    assert (depth.kind, depth.unit, depth.alignment.scale) == ("depth", "m", 0.5)


def test_the_camera_is_the_one_given_else_that_of_the_exif_data_else_the_calibrations(predict, model_dir, tmp_path):
    exif = Image.Exif()
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.FocalLengthIn35mmFilm] = 28
    for name, size, tags in (("plain", (60, 40), b""), ("exif", (60, 40), exif), ("turned", (40, 60), b"")):
        Image.new("RGB", size).save(tmp_path / f"{name}.jpg", exif=tags)
    camera, mine = Intrinsics.from_fov(60, 120, 80), Intrinsics.from_fov(50, 120, 80)
    file = Calibration(Alignment(0.5, 0.25), intrinsics=camera).save(tmp_path / "calibration.json")
    sources = {"plain": camera.source, "exif": "EXIF of exif.jpg", "turned": None}
    for name, source in sources.items():
        picture = tmp_path / f"{name}.jpg"
        assert predict(picture, "--calibration", file, "--format", "npy") == 0
        maps = [
            read_depth(tmp_path / "out" / f"{name}_depth.npy"),
            anydepth_hf.predict_depth(picture, model_dir, calibration=file),
        ]
        for depth in maps:
            assert (depth.intrinsics and depth.intrinsics.source) == source
            assert depth.intrinsics is None or depth.intrinsics.fx == depth.intrinsics.fy
        if name == "turned":
            with pytest.raises(ValueError, match="picture of 120 x 80 pixels, and the map of 40 x 60"):
                anydepth_hf.predict_depth(picture, model_dir, calibration=file, intrinsics=mine)
        else:
            given = anydepth_hf.predict_depth(picture, model_dir, calibration=file, intrinsics=mine)
            assert given.intrinsics == mine.resized(60, 40)


def test_three_dimensional_files_of_an_unaligned_disparity_are_refused_with_the_way_out(predict, folder, capsys):
    assert predict(folder / "a.png", "--format", "ply") == 2
    error = capsys.readouterr().err
    assert "ply needs depth in metres" in error and "anydepth calibrate" in error


def test_pictures_may_have_a_legend_a_range_and_the_photograph_beside_them(predict, folder, tmp_path):
    options = ["--format", "color", "--range", "0", "9", "--legend", "--side-by-side", "--colormap", "viridis"]
    assert predict(folder / "a.png", *options) == 0
    with Image.open(tmp_path / "out" / "a_disparity_color.png") as picture:
        assert picture.width > 2 * 60 and picture.height > 40
        assert json.loads(picture.text["anydepth"])["limits"] == [0, 9]


@pytest.mark.parametrize("mode", ["I;16", "RGBA"])
def test_the_photograph_beside_and_around_a_map_is_as_the_model_sees_it(predict, tmp_path, mode):
    ramp = np.linspace(0, 60000, 40 * 60).reshape(40, 60)
    if mode == "I;16":
        pixels = ramp.astype(np.uint16)
        seen = np.repeat((ramp / 257)[..., None], 3, axis=2)
    else:
        pixels = np.zeros((40, 60, 4), np.uint8)  # black, and transparent from left to right
        pixels[..., 3] = np.linspace(0, 255, 60)
        seen = np.repeat(255.0 - pixels[..., 3:], 3, axis=2)
    Image.fromarray(pixels).save(tmp_path / "deep.png")
    assert predict(tmp_path / "deep.png", "--format", "color", "jpeg", "--side-by-side") == 0
    for name, error in (("deep_disparity_color.png", 1), ("deep_disparity.jpg", 9)):
        with Image.open(tmp_path / "out" / name) as picture:
            assert np.abs(np.asarray(picture, float)[:, :60] - seen).max() <= error
    cloud = point_cloud(np.ones((40, 60)), Intrinsics.from_fov(60, 60, 40), tmp_path / "deep.png")
    assert np.abs(cloud.colors.reshape(40, 60, 3) - seen).max() <= 1


def test_existing_results_are_kept_unless_asked(predict, folder, tmp_path, capsys):
    predict(folder / "a.png")
    result = tmp_path / "out" / "a_disparity.png"
    result.write_bytes(b"mine")
    assert predict(folder / "a.png") == 0
    assert result.read_bytes() == b"mine"
    assert "--overwrite" in capsys.readouterr().out
    predict(folder / "a.png", "--overwrite")
    assert result.read_bytes() != b"mine"


def test_a_file_of_the_users_is_not_replaced_and_the_others_are_predicted(predict, folder, tmp_path, capsys):
    out = tmp_path / "out"
    out.mkdir()
    mine = out / "a_disparity.png"
    Image.new("RGB", (3, 3)).save(mine)
    content = mine.read_bytes()
    assert predict(folder) == 1
    assert "a_disparity.png exists and was not written by anydepth; --overwrite" in capsys.readouterr().err
    assert mine.read_bytes() == content
    assert names(out) == sorted(
        ["a_disparity.png"] + [f"{stem}_disparity{end}" for stem in "bc" for end in (".png", "_color.png")]
    )


def test_a_report_replaces_a_report_and_nothing_else(predict, folder, tmp_path, capsys):
    photo, report = folder / "b.jpg", tmp_path / "report.jsonl"
    content = photo.read_bytes()
    assert predict(folder / "a.png", "--report", photo) == 2
    assert "b.jpg exists and is no report; --overwrite replaces it" in capsys.readouterr().err
    assert photo.read_bytes() == content
    for _ in range(2):
        assert predict(folder / "a.png", "--report", report) == 0
    assert report.read_bytes() == b""  # the picture was there already


def test_a_split_without_a_data_set_is_a_mistake(predict, folder, tmp_path, capsys):
    assert predict(folder / "a.png", "--split", "train") == 2
    assert "--split and --column choose from a data set: name it by --dataset" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_run_that_was_interrupted_goes_on_where_it_was(predict, folder, tmp_path):
    out, report = tmp_path / "out", tmp_path / "report.jsonl"
    assert predict(folder) == 0
    (out / "b_disparity_color.png").unlink()
    leftover = out / ".writing-01234567-1-89abcdef.png"  # of another machine, an hour ago
    leftover.touch()
    os.utime(leftover, (time.time() - 3601,) * 2)
    (out / ".writing-now.png").touch()
    assert predict(folder, "--report", report) == 0
    lines = [json.loads(line) for line in report.read_text().splitlines()]
    assert [(line["input"], line["status"]) for line in lines] == [(str(folder / "b.jpg"), "written")]
    assert (out / "b_disparity_color.png").exists() and (out / ".writing-now.png").exists()
    assert not leftover.exists()


def test_a_process_that_starts_late_predicts_its_own_part_all_the_same(predict, folder, tmp_path, monkeypatch):
    shutil.copy(folder / "a.png", folder / "d.png")
    said = []

    class Launched(Processes):
        def gather(self, value):
            value = pickle.dumps(value)  # as it goes from one process to another
            if self.rank == 0:
                said.append(value)
            return [pickle.loads(part) for part in ([said.pop(0), value] if self.rank else [value])]

    monkeypatch.setattr("anydepth_hf.predict.Processes", Launched)
    monkeypatch.setattr(Launched, "__enter__", lambda self: self)
    monkeypatch.setattr(Launched, "__exit__", lambda *_: None)
    monkeypatch.setenv("WORLD_SIZE", "2")
    for rank in "01":
        monkeypatch.setenv("RANK", rank)
        assert predict(folder, "--format", "color") == 0
    assert names(tmp_path / "out") == [f"{stem}_disparity_color.png" for stem in "abcd"]


def test_a_report_of_a_data_set_goes_from_one_process_to_another():
    report = Report(None, Processes())
    report.succeeded(Source("set[0]", "000000", data=lambda: b""), {})
    assert pickle.loads(pickle.dumps(report.written)) == [Source("set[0]", "000000")]


def test_results_beside_the_photographs_are_not_predicted_again(predict, folder):
    counts = []
    for _ in range(3):
        assert predict(folder, out=folder) == 0
        counts.append(len(names(folder)))
    assert counts == [4 + 6] * 3


def test_folders_in_folders_keep_their_names(predict, folder, tmp_path):
    (folder / "deep" / "deeper").mkdir(parents=True)
    shutil.copy(folder / "a.png", folder / "deep" / "deeper" / "a.png")
    shutil.copy(folder / "a.png", folder / "a.webp")
    assert predict(folder, "--format", "color") == 0
    expected = ["a_png", "a_webp", "b", "c", "deep/deeper/a"]
    assert names(tmp_path / "out") == [f"{stem}_disparity_color.png" for stem in expected]


def test_one_bad_image_never_ends_a_folder(predict, folder, tmp_path, capsys):
    data = (folder / "b.jpg").read_bytes()
    (folder / "b.jpg").write_bytes(data[: len(data) // 2])
    Image.new("RGB", (30000, 1)).save(folder / "strip.png")
    Image.new("RGB", (1860, 60)).save(folder / "banner.png")
    shutil.copy(folder / "a.png", folder / ("x" * 243 + ".png"))
    (folder / "empty.heic").touch()
    assert predict(folder, "--report", tmp_path / "report.jsonl", "--size", 400) == 1
    error = capsys.readouterr().err
    assert "5 of 7 images failed" in error and "Traceback" not in error
    assert "b.jpg is a damaged image" in error
    assert "strip.png has 30000x1 pixels; one side may be at most 32 times the other" in error
    assert "banner.png would be 12400x400 pixels for the model, 19375 patches; at most 16384" in error
    assert "xxx_disparity.png: File name too long" in error
    assert "empty.heic is no image" in error
    assert names(tmp_path / "out") == [f"{stem}_disparity{end}" for stem in "ac" for end in (".png", "_color.png")]
    lines = [json.loads(line) for line in (tmp_path / "report.jsonl").read_text().splitlines()]
    assert sorted(line["status"] for line in lines) == ["failed"] * 5 + ["written"] * 2


def test_a_prediction_that_is_not_finite_is_a_failure(predict, model_dir, folder, tmp_path, capsys):
    model = AutoModelForDepthEstimation.from_pretrained(model_dir)
    model.head.output_conv[-1].bias.data.fill_(float("nan"))
    model.save_pretrained(tmp_path / "broken")
    shutil.copy(model_dir / "preprocessor_config.json", tmp_path / "broken")
    assert predict(folder, model=tmp_path / "broken") == 1
    assert "the model's prediction for" in capsys.readouterr().err
    assert names(tmp_path / "out") == []


def test_a_full_disk_names_the_file_and_the_cause(predict, folder, tmp_path, capsys):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    previous = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
        status = predict(folder / "a.png", "--format", "npy")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, previous)
    assert status == 1
    assert f"{tmp_path / 'out' / 'a_disparity.npy'}: File too large" in capsys.readouterr().err
    assert names(tmp_path / "out") == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing.png"], "missing.png does not exist"),
        (["EMPTY"], "holds no image"),
        (["PHOTO", "--model", "EMPTY"], "Cannot load a depth-estimation model from"),
        (["PHOTO", "--model", "dinov3-smal-sdt"], "did you mean the preset dinov3-small-sdt?"),
        (["PHOTO", "--device", "cuda:77"], "The device cuda:77 cannot be used here"),
        (["PHOTO", "TWIN"], "would write the same files"),
        (["PHOTO", "--format", "pngg"], "--format: unknown value pngg; did you mean png?"),
        (["PHOTO", "--calibration", "PHOTO"], "is no calibration"),
        (["PHOTO", "--list", "PHOTO"], "is no text file in UTF-8"),
        (["PHOTO", "--range", "3", "0"], "A range of colours goes from LOW to HIGH, not from 3.0 to 0.0"),
        (["--rerun", "PHOTO"], "--rerun: the name of a recording ends with .rrd, unlike"),
    ],
)
def test_mistakes_get_one_sentence(model_dir, folder, tmp_path, capsys, arguments, message):
    (tmp_path / "empty").mkdir()
    (tmp_path / "twin").mkdir()
    shutil.copy(folder / "a.png", tmp_path / "twin" / "a.png")
    words = {"EMPTY": tmp_path / "empty", "PHOTO": folder / "a.png", "TWIN": tmp_path / "twin" / "a.png"}
    options = ["--output-dir", tmp_path / "out"] + ([] if "--model" in arguments else ["--model", model_dir])
    assert main(["predict", *(str(words.get(word, word)) for word in [*arguments, *options])]) == 2
    error = capsys.readouterr().err.strip()
    assert message in error and "Traceback" not in error and len(error.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_tiles_sharpen_a_large_picture_and_leave_a_small_one(predict, model_dir, tmp_path):
    y, x = np.mgrid[:300, :420]
    pixels = ((x // 10 + y // 10) % 2 * 200 + 20).astype(np.uint8)
    for name, picture in (("large", pixels), ("small", pixels[:50, :80])):
        Image.fromarray(picture).save(tmp_path / f"{name}.png")
        files = [tmp_path / f"{name}.png", "--format", "npy"]
        assert predict(*files) == predict(*files, "--tiles", "--batch-size", "4", out=tmp_path / "tiles") == 0
        plain, tiled = (read_depth(tmp_path / out / f"{name}_disparity.npy").values for out in ("out", "tiles"))
        assert plain.shape == tiled.shape == picture.shape
        assert np.array_equal(plain, tiled) == (name == "small")
    alone = anydepth_hf.predict_depth(tmp_path / "large.png", model_dir, tiles=3)
    tiled = read_depth(tmp_path / "tiles" / "large_disparity.npy").values
    np.testing.assert_allclose(alone.values, tiled, rtol=1e-4)


def test_confidence_leaves_the_model_with_the_map(predict, model_dir, folder, tmp_path):
    pytest.importorskip("OpenEXR")
    config = AutoConfig.from_pretrained(model_dir, predict_confidence=True)
    torch.manual_seed(0)
    model = AutoModelForDepthEstimation.from_config(config)
    torch.nn.init.constant_(model.head.output_conv[-1].bias, 3.0)
    model.save_pretrained(tmp_path / "confident")
    shutil.copy(model_dir / "preprocessor_config.json", tmp_path / "confident")
    assert predict(folder / "a.png", "--format", "npz", "exr", "tiff", model=tmp_path / "confident") == 0
    maps = [read_depth(tmp_path / "out" / f"a_disparity.{suffix}") for suffix in ("npz", "exr", "tiff")]
    for depth in maps:
        assert depth.confidence.shape == (40, 60) and depth.confidence.min() >= 1 and depth.sky is None
        np.testing.assert_array_equal(depth.confidence, maps[0].confidence)
    assert np.ptp(maps[0].confidence) > 0


def test_sky_leaves_the_model_as_a_mask(model_dir, folder):
    model, processor = anydepth_hf.load_model(model_dir)
    forward = model.forward

    def with_sky(pixel_values):
        outputs = forward(pixel_values)
        sky = torch.zeros_like(outputs.predicted_depth)
        sky[:, : sky.shape[1] // 2] = 1
        return type(outputs)(predicted_depth=outputs.predicted_depth) | {"sky": sky}

    model.forward = with_sky
    depth = anydepth_hf.predict_depth(folder / "a.png", (model, processor))
    assert depth.sky[:19].all() and not depth.sky[21:].any()
