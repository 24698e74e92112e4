"""`anydepth export`: what it writes, what the files say, and what it refuses."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch

from anydepth_cli.main import main
from anydepth_hf import BUNDLED_CHECKPOINT, AnyDepthForDepthEstimation, AnyDepthImageProcessor
from anydepth_hf.atomic_write import temporary_name
from anydepth_hf.export import REPORT, export_model
from anydepth_hf.export_check import check_sizes
from anydepth_hf.export_formats import require_packages
from anydepth_hf.presets import preset_config, preset_names

pytestmark = pytest.mark.filterwarnings("ignore")
onnxruntime = pytest.importorskip("onnxruntime", reason="needs the extra export")
pytest.importorskip("onnxscript", reason="needs the extra export")


def load(folder):
    return AnyDepthForDepthEstimation.from_pretrained(folder).eval(), AnyDepthImageProcessor.from_pretrained(folder)


@pytest.fixture
def exported(exported_tiny_model):
    return exported_tiny_model


def session(path):
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


def test_names_are_those_of_the_hub_layout(exported):
    files = {str(path.relative_to(exported[1])) for path in exported[1].rglob("*") if path.is_file()}
    assert files == {
        *("onnx/model.onnx", "onnx/model_quantized.onnx"),
        *("config.json", "preprocessor_config.json", REPORT),
    }


def test_onnx_runtime_gives_what_pytorch_gives(exported):
    """At other sizes than the traced one, off the patch grid too."""
    model, _ = load(exported[0])
    run = session(exported[1] / "onnx" / "model.onnx")
    for size in ((1, 3, 64, 96), (3, 3, 112, 48), (1, 3, 79, 61)):
        pixel_values = torch.randn(size)
        with torch.no_grad():
            expected = model(pixel_values).predicted_depth.numpy()
        (actual,) = run.run(None, {"pixel_values": pixel_values.numpy()})
        assert actual.shape == expected.shape and expected.std() > 0
        assert np.abs(actual - expected).max() < 1e-4 * np.abs(expected).max()
    assert [run.get_inputs()[0].shape, run.get_outputs()[0].shape] == [
        ["batch", 3, "height", "width"],
        ["batch", "height", "width"],
    ]


def test_the_file_says_what_it_predicts(exported):
    metadata = session(exported[1] / "onnx" / "model.onnx").get_modelmeta().custom_metadata_map
    description = json.loads(metadata["anydepth"])
    assert description["output"]["prediction_type"] == "disparity" and description["output"]["unit"] is None
    assert "up to an unknown scale and shift" in description["output"]["meaning"]
    assert description["input"]["size"] == {"shortest_edge": 56} and description["input"]["patch_size"] == 16
    assert description["input"]["image_mean"] == [0.485, 0.456, 0.406]


def test_the_report_has_the_errors_of_every_file(exported):
    report = json.loads((exported[1] / REPORT).read_text())
    by_precision = {file["precision"]: file for file in report["files"]}
    sizes = [list(size) for size in check_sizes(16)]
    assert {error["size"][0] for error in by_precision["fp32"]["errors"]} == {1, 3}
    for precision, limit in (("fp32", 1e-4), ("int8", 0.5)):
        file = by_precision[precision]
        assert [error["size"] for error in file["errors"]] == sizes
        assert 0 < max(error["max_error"] for error in file["errors"]) < limit
        assert file["bytes"] == (exported[1] / file["file"]).stat().st_size
        assert file["versions"]["onnxruntime"] == onnxruntime.__version__
    assert by_precision["int8"]["bytes"] < by_precision["fp32"]["bytes"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--precision", "int8-static"], "give a folder of them with --calibration FOLDER"),
        (["--format", "executorch", "--precision", "int8"], "executorch is not written in int8, only in fp32"),
        (["--format", "onnx", "--precision", "int8-static", "--calibration", "nowhere"], "nowhere is no folder"),
        (["--size", "128", "192"], "--size does nothing without executorch; leave it out"),
        (["--calibration", "nowhere"], "--calibration does nothing without int8-static; leave it out"),
        (["--transformers-js", "--format", "torch"], "--transformers-js does nothing without onnx; leave it out"),
    ],
)
def test_what_cannot_be_is_refused_before_writing(options, message, save_tiny_model, tmp_path, capsys):
    if "int8-static" in options and "nowhere" in options:
        pytest.importorskip("nncf", reason="needs the extra openvino")
    output = tmp_path / "out"
    assert main(["export", "--model", str(save_tiny_model()), "--output", str(output), *options]) == 2
    assert message in capsys.readouterr().err and not output.exists()


@pytest.mark.parametrize(
    ("format", "precision", "package", "extra"),
    [("onnx", "int8-static", "nncf", "openvino"), ("openvino", "fp32", "openvino", "openvino"),
     ("onnx", "fp32", "onnxscript", "export"), ("executorch", "fp32", "executorch", "executorch")],
)  # fmt: skip
def test_a_missing_package_is_named_with_the_extra_that_has_it(format, precision, package, extra, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=rf"{package}: pip install 'anydepth-hf\[{extra}\]'"):
        require_packages(format, precision)


def test_files_that_exist_stay(exported, capsys):
    before = (exported[1] / "onnx" / "model.onnx").read_bytes()
    assert main(["export", "--model", str(exported[0]), "--output", str(exported[1])]) == 2
    assert "model.onnx exists; --overwrite replaces it" in capsys.readouterr().err
    assert (exported[1] / "onnx" / "model.onnx").read_bytes() == before


def test_a_file_is_no_output_folder(exported, tmp_path, capsys):
    (tmp_path / "file").write_text("mine")
    assert main(["export", "--model", str(exported[0]), "--output", str(tmp_path / "file")]) == 2
    assert f"{tmp_path / 'file'} is a file; --output names a folder" in capsys.readouterr().err
    assert (tmp_path / "file").read_text() == "mine"


def test_two_models_do_not_share_a_folder(exported, tmp_path, capsys):
    """The settings beside the files, and the report, are those of one model."""
    other = shutil.copytree(exported[0], tmp_path / "other")
    before = {path: path.read_bytes() for path in exported[1].rglob("*") if path.is_file()}
    arguments = ["export", "--model", str(other), "--output", str(exported[1]), "--precision", "fp16", "--overwrite"]
    assert main(arguments) == 2
    assert f"holds files of {exported[0].name} and its settings; give other a folder" in capsys.readouterr().err
    assert before == {path: path.read_bytes() for path in exported[1].rglob("*") if path.is_file()}


@pytest.mark.parametrize("text", ["{}", '{"sou', '{"source": null, "files": [1]}'])
def test_a_damaged_report_is_named(text, save_tiny_model, tmp_path, capsys):
    (tmp_path / REPORT).write_text(text)
    assert main(["export", "--model", str(save_tiny_model()), "--output", str(tmp_path)]) == 2
    assert f"{tmp_path / REPORT} is damaged; remove it, or give another --output" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == [REPORT]


def test_what_a_killed_export_left_is_removed(save_tiny_model, tmp_path, monkeypatch):
    model, processor = load(save_tiny_model())
    killed = subprocess.Popen([sys.executable, "-c", ""])
    killed.wait()
    left = temporary_name(tmp_path / "export")
    left = left.with_name(left.name.replace(str(os.getpid()), str(killed.pid)))
    (left / "onnx").mkdir(parents=True)
    monkeypatch.setattr("anydepth_hf.export_formats.Exporter.write", lambda self, *args: args[-1].write_bytes(b""))
    monkeypatch.setattr("anydepth_hf.export.open_file", lambda *args: lambda values: model(values).predicted_depth)
    export_model(model, processor, tmp_path)
    assert not left.exists() and (tmp_path / "onnx" / "model.onnx").is_file()


def test_models_that_cannot_be_exported(save_tiny_model, tmp_path):
    model, processor = load(save_tiny_model())
    with pytest.raises(ValueError, match="Linear is no AnyDepth model"):
        export_model(torch.nn.Linear(1, 1), processor, tmp_path / "out")
    with torch.no_grad():
        model.head.output_conv[-1].bias.fill_(1e6)
    with pytest.raises(ValueError, match="weights that float16 cannot hold"):
        export_model(model, processor, tmp_path / "out", precisions=["fp16"])
    assert not (tmp_path / "out").exists()


def test_a_file_that_differs_is_not_kept(save_tiny_model, tmp_path, monkeypatch):
    """A runtime that gives something else leaves no file behind."""
    model, processor = load(save_tiny_model())
    monkeypatch.setattr("anydepth_hf.export_formats.Exporter.write", lambda self, *args: args[-1].write_bytes(b""))
    wrong = lambda *args: lambda pixel_values: pixel_values[:, 0]  # noqa: E731
    monkeypatch.setattr("anydepth_hf.export.open_file", wrong)
    with pytest.raises(ValueError, match=r"onnx/model.onnx was not kept: it differs from the model by"):
        export_model(model, processor, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_folder_for_transformers_js(save_tiny_model, tmp_path, monkeypatch):
    """Its configuration is one that the library knows; a model's own is never written over."""
    model, processor = load(save_tiny_model())
    monkeypatch.setattr("anydepth_hf.export_formats.Exporter.write", lambda self, *args: args[-1].write_bytes(b""))
    monkeypatch.setattr("anydepth_hf.export.open_file", lambda *args: lambda values: model(values).predicted_depth)
    export_model(model, processor, tmp_path / "web", transformers_js=True)
    assert json.loads((tmp_path / "web" / "config.json").read_text())["model_type"] == "depth_anything"
    settings = json.loads((tmp_path / "web" / "preprocessor_config.json").read_text())
    assert settings["image_processor_type"] == "DPTImageProcessor" and settings["size"] == {"shortest_edge": 56}
    assert settings["image_mean"] == [0.485, 0.456, 0.406] and settings["ensure_multiple_of"] == 16
    model.config.save_pretrained(tmp_path / "model")
    before = (tmp_path / "model" / "config.json").read_bytes()
    with pytest.raises(ValueError, match="is another model's; --transformers-js needs a folder of its own"):
        export_model(model, processor, tmp_path / "model", transformers_js=True)
    assert (tmp_path / "model" / "config.json").read_bytes() == before


@pytest.mark.long
@pytest.mark.parametrize(
    ("format", "package", "precisions"),
    [
        ("onnx", "onnxruntime", ["fp16"]),
        ("onnx", "nncf", ["int8-static"]),
        ("torch", "torch", ["fp32"]),
        ("openvino", "nncf", ["fp32", "fp16", "int8", "int8-static"]),
        ("executorch", "executorch", ["fp32"]),
    ],
)
def test_the_other_formats(format, package, precisions, save_tiny_model, tmp_path):
    """Each file is compared with the model before it is kept; the errors are those of its precision."""
    pytest.importorskip(package, reason=f"{package} is not installed")
    model, processor = load(save_tiny_model())
    image = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    calibration = [image, image[:, ::-1].copy()]
    results = export_model(model, processor, tmp_path, [format], precisions, calibration=calibration)
    limits = {"fp32": 1e-4, "fp16": 1e-2, "int8": 0.1, "int8-static": 0.3}
    for result in results:
        assert max(error["max_error"] for error in result["errors"]) < limits[result["precision"]]
        assert (tmp_path / result["file"]).is_file()


SMALL_ENCODER = {"hidden_size": 48, "num_hidden_layers": 4, "num_attention_heads": 3, "out_indices": [1, 2, 3, 4]}
SMALL_FIELDS = {
    "dinov3_vit": {"intermediate_size": 96},
    "dinov2": {"image_size": 56},
    "depth_anything_3": {"image_size": 56, "alt_start": 2},
    "vggt": {"image_size": 56, "num_patch_encoder_layers": 2},
}


@pytest.mark.long
@pytest.mark.parametrize("name", preset_names())
def test_presets_at_reduced_size(name, tmp_path):
    """`export_model` itself compares five sizes, batch 1 and 3, squares and not, odd grids, sides off the grid."""
    full = preset_config(name)
    fields = {"output_activation": "linear", "fusion_hidden_size": 16}
    if full.reassemble_hidden_sizes:
        fields["reassemble_hidden_sizes"] = [8, 12, 16, 16]
    if full.num_output_channels > 1:
        fields["num_output_channels"] = 8
    if full.head_type == "dual_dpt":
        fields["predict_confidence"] = True
    if full.upsample_hidden_sizes:
        fields |= {"upsample_hidden_sizes": [16, 16, 8, 8], "output_hidden_sizes": [8, 8]}
    encoder = {**SMALL_ENCODER, **SMALL_FIELDS[full.backbone_config.model_type]}
    if getattr(full.backbone_config, "alt_start", 0) is None:
        encoder["alt_start"] = None
    torch.manual_seed(0)
    model = AnyDepthForDepthEstimation(preset_config(name, backbone_config=encoder, **fields)).eval()
    processor = AnyDepthImageProcessor(size={"shortest_edge": 56}, ensure_multiple_of=model.config.patch_size)
    (result,) = export_model(model, processor, tmp_path / "out")
    assert len(result["errors"]) >= 5 and max(error["max_error"] for error in result["errors"]) < 1e-3
    with torch.no_grad():
        assert model(torch.randn(1, 3, 56, 56)).predicted_depth.std() > 1e-4
    outputs = [output.name for output in session(tmp_path / "out" / result["file"]).get_outputs()]
    assert outputs == ["predicted_depth", "confidence"][: 1 + model.config.predict_confidence]


@pytest.mark.long
@pytest.mark.parametrize("name", ["bundled", "dinov3-small-sdt-compact", "dinov3-small-sdt"])
def test_full_size(name, tmp_path):
    """The model that comes with the package, and two presets with random weights, at the sizes of `export_model`."""
    if name == "bundled":
        model, processor = load(BUNDLED_CHECKPOINT)
    else:
        torch.manual_seed(0)
        model = AnyDepthForDepthEstimation(preset_config(name, output_activation="linear")).eval()
        processor = AnyDepthImageProcessor(ensure_multiple_of=model.config.patch_size)
    (result,) = export_model(model, processor, tmp_path / "out")
    assert len(result["errors"]) >= 5 and max(error["max_error"] for error in result["errors"]) < 1e-3
    assert {error["size"][0] for error in result["errors"]} == {1, 3}
