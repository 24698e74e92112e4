"""A picture's map from an ONNX file, where PyTorch is not installed."""

import numpy as np
import pytest
import torch
from PIL import Image

from anydepth_cli.main import main
from anydepth_cli.predict import is_onnx
from anydepth_hf import BUNDLED_CHECKPOINT, AnyDepthForDepthEstimation, AnyDepthImageProcessor, read_depth

PHOTO = f"{BUNDLED_CHECKPOINT}/coffee.jpg"
WITHOUT_TORCH = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "transformers", "safetensors", "huggingface_hub"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Absent())
import importlib.util
find_spec = importlib.util.find_spec
importlib.util.find_spec = lambda name, package=None: None if name == "torch" else find_spec(name, package)
"""


def expected_map(folder, image):
    """What the model in PyTorch makes of a picture, and the pixels that it sees."""
    model = AnyDepthForDepthEstimation.from_pretrained(folder).eval()
    processor = AnyDepthImageProcessor.from_pretrained(folder)
    pixel_values = processor(image, return_tensors="pt").pixel_values
    with torch.no_grad():
        outputs = model(pixel_values)
    (result,) = processor.post_process_depth_estimation(outputs, target_sizes=[image.size[::-1]])
    return pixel_values.numpy(), result["predicted_depth"].numpy()


def test_same_pixels_and_same_map(exported_tiny_model):
    from anydepth_hf.onnx_predictor import OnnxPredictor

    predictor = OnnxPredictor(exported_tiny_model[1])
    image = Image.open(PHOTO)
    pixel_values, expected = expected_map(exported_tiny_model[0], image)
    assert np.array_equal(predictor.preprocess(image), pixel_values)
    depth = predictor(PHOTO)
    assert depth.kind == "disparity" and depth.unit is None and depth.shape == expected.shape
    assert np.abs(depth.values - expected).max() < 1e-3 * np.abs(expected).max() and expected.std() > 0


def test_the_command_needs_no_pytorch(exported_tiny_model, run_process, tmp_path):
    """`anydepth predict` in a process in which PyTorch and transformers cannot be imported."""
    root = str(__import__("pathlib").Path(__file__).resolve().parents[2])
    arguments = ["predict", PHOTO, "--model", str(exported_tiny_model[1]), "--output-dir", str(tmp_path / "out")]
    code = f"{WITHOUT_TORCH}\nsys.path.insert(0, {root!r})\nfrom anydepth_cli.main import main\n"
    code += f"status = main({arguments + ['--format', 'npz', 'color']!r})\n"
    code += "import anydepth_hf\ntry:\n    anydepth_hf.SDTHead\nexcept ImportError as error:\n    print(error)\n"
    code += "sys.exit(status or ('torch' in sys.modules))"
    done = run_process("-c", code)
    assert done.returncode == 0, done.stderr
    assert "anydepth_hf.SDTHead needs PyTorch" in done.stdout
    depth = read_depth(tmp_path / "out" / "coffee_disparity.npz")
    _, expected = expected_map(exported_tiny_model[0], Image.open(PHOTO))
    assert np.abs(depth.values - expected).max() < 1e-3 * np.abs(expected).max()
    assert (tmp_path / "out" / "coffee_disparity_color.png").is_file()


def test_what_the_runtime_notes_about_a_file_is_not_shown(exported_tiny_model, tmp_path, capfd):
    onnx = pytest.importorskip("onnx")
    path = tmp_path / "model.onnx"
    graph = onnx.load(exported_tiny_model[1] / "onnx" / "model.onnx")
    graph.graph.initializer.append(onnx.numpy_helper.from_array(np.zeros(2, np.float32), "unused"))
    onnx.save(graph, path)
    assert main(["predict", PHOTO, "--model", str(path), "--format", "npz", "--output-dir", str(tmp_path)]) == 0
    assert capfd.readouterr().err == ""


def test_other_files_are_explained(exported_tiny_model, tmp_path):
    import onnx

    from anydepth_hf.onnx_predictor import OnnxPredictor

    with pytest.raises(ValueError, match="model.onnx does not exist; `anydepth export --format onnx` writes it"):
        OnnxPredictor(tmp_path)
    (tmp_path / "no.onnx").write_bytes(b"nothing")
    with pytest.raises(ValueError, match="no.onnx is no ONNX file that can be run"):
        OnnxPredictor(tmp_path / "no.onnx")
    model = onnx.load(exported_tiny_model[1] / "onnx" / "model.onnx")
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "silent.onnx")
    with pytest.raises(ValueError, match="silent.onnx does not say what it predicts"):
        OnnxPredictor(tmp_path / "silent.onnx")


def test_which_models_are_onnx_files(exported_tiny_model):
    assert is_onnx(str(exported_tiny_model[1])) and is_onnx("model.onnx")
    assert not is_onnx(str(exported_tiny_model[0])) and not is_onnx("owner/name") and not is_onnx(None)


@pytest.mark.parametrize(
    "option",
    [["--device", "cuda"], ["--dtype", "bfloat16"], ["--fov", "60"], ["--focal", "500"], ["--report", "report.jsonl"]],
)
def test_options_that_only_the_model_serves_are_refused(option, exported_tiny_model, tmp_path, capsys):
    arguments = ["predict", PHOTO, "--model", str(exported_tiny_model[1]), "--output-dir", str(tmp_path / "out")]
    assert main([*arguments, *option]) == 2
    assert f"{option[0]} does not go with an ONNX file" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_kept_results_are_not_called_written(exported_tiny_model, tmp_path, capsys):
    arguments = ["predict", PHOTO, "--model", str(exported_tiny_model[1]), "--output-dir", str(tmp_path)]
    arguments += ["--format", "npy", "--device", "cpu"]
    assert main(arguments) == 0 and "Wrote disparity of 1 image" in capsys.readouterr().out
    assert main(arguments) == 0
    output = capsys.readouterr().out
    assert "Kept the results" in output and "Wrote" not in output
