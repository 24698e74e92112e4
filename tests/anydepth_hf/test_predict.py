import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoModelForDepthEstimation

from anydepth_hf import AnyDepthConfig, AnyDepthForDepthEstimation, AnyDepthImageProcessor
from anydepth_hf.cli import main


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory):
    torch.manual_seed(0)
    backbone = {
        "model_type": "dinov3_vit", "hidden_size": 32, "num_hidden_layers": 4, "num_attention_heads": 2,
        "intermediate_size": 64, "out_indices": [1, 2, 3, 4],
    }  # fmt: skip
    path = tmp_path_factory.mktemp("model")
    config = AnyDepthConfig(backbone_config=backbone, fusion_hidden_size=8, output_activation="linear")
    AnyDepthForDepthEstimation(config).save_pretrained(path)
    AnyDepthImageProcessor(size={"shortest_edge": 32}).save_pretrained(path)
    return path


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    generator = np.random.default_rng(0)
    for name, size in (("a.png", (40, 60)), ("b.jpg", (40, 60)), ("c.png", (64, 32))):
        Image.fromarray(generator.integers(0, 255, (*size, 3), dtype=np.uint8)).save(folder / name)
    (folder / "notes.txt").write_text("no image")
    return folder


def predict(*arguments):
    return main(["predict", *map(str, arguments)])


def test_outputs_hold_the_models_prediction(model_dir, folder, tmp_path, capsys):
    out = tmp_path / "out"
    assert predict(folder, "--model", model_dir, "--output-dir", out, "--npy", "--batch-size", 4) == 0
    assert "disparity of 3 images" in capsys.readouterr().out
    names = [f"{stem}_disparity{ending}" for stem in "abc" for ending in (".npy", ".png", "_color.png")]
    assert sorted(path.name for path in out.iterdir()) == sorted(names)

    image = Image.open(folder / "a.png")
    processor = AnyDepthImageProcessor.from_pretrained(model_dir)
    with torch.no_grad():
        outputs = AutoModelForDepthEstimation.from_pretrained(model_dir)(**processor(image, return_tensors="pt"))
    expected = processor.post_process_depth_estimation(outputs, target_sizes=[(40, 60)])[0]["predicted_depth"].numpy()
    values = np.load(out / "a_disparity.npy")
    np.testing.assert_allclose(values, expected, atol=1e-5)
    with Image.open(out / "a_disparity.png") as picture:
        coding = json.loads(picture.text["anydepth"])
        decoded = np.asarray(picture) * coding["scale"] + coding["offset"]
    assert coding["kind"] == "disparity"
    np.testing.assert_allclose(decoded, values, atol=coding["scale"])
    with Image.open(out / "c_disparity_color.png") as color:
        assert (color.mode, color.size) == ("RGB", (32, 64))


def test_existing_results_are_kept_unless_asked(model_dir, folder, tmp_path, capsys):
    arguments = [folder / "a.png", "--model", model_dir, "--output-dir", tmp_path]
    predict(*arguments)
    result = tmp_path / "a_disparity.png"
    result.write_bytes(b"mine")
    assert predict(*arguments) == 0
    assert result.read_bytes() == b"mine"
    assert "--overwrite" in capsys.readouterr().out
    predict(*arguments, "--overwrite")
    assert result.read_bytes() != b"mine"


def test_a_broken_file_is_named_and_the_others_are_predicted(model_dir, folder, tmp_path, capsys):
    data = (folder / "b.jpg").read_bytes()
    (folder / "b.jpg").write_bytes(data[: len(data) // 2])
    assert predict(folder, "--model", model_dir, "--output-dir", tmp_path / "out") == 1
    assert f"skipped {folder / 'b.jpg'}" in capsys.readouterr().err
    assert len(list((tmp_path / "out").iterdir())) == 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing.png"], "missing.png does not exist"),
        (["EMPTY"], "holds no image"),
        (["PHOTO", "--model", "EMPTY"], "Cannot load a depth-estimation model from"),
        (["PHOTO", "--batch-size", "0"], "--batch-size: must be a whole number at least 1, got 0"),
        (["PHOTO", "TWIN"], "would write the same files"),
    ],
)
def test_mistakes_get_one_sentence(model_dir, folder, tmp_path, capsys, arguments, message):
    (tmp_path / "empty").mkdir()
    (tmp_path / "twin").mkdir()
    shutil.copy(folder / "a.png", tmp_path / "twin" / "a.png")
    words = {"EMPTY": tmp_path / "empty", "PHOTO": folder / "a.png", "TWIN": tmp_path / "twin" / "a.png"}
    options = ["--output-dir", tmp_path / "out"] + ([] if "--model" in arguments else ["--model", model_dir])
    assert predict(*[words.get(word, word) for word in arguments], *options) == 2
    error = capsys.readouterr().err.strip()
    assert message in error and "Traceback" not in error and len(error.splitlines()) == 1
