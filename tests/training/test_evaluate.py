import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import (
    BeitConfig,
    DepthAnythingConfig,
    DepthAnythingForDepthEstimation,
    Dinov2Config,
    DPTConfig,
    DPTForDepthEstimation,
    DPTImageProcessorPil,
    GLPNConfig,
    GLPNForDepthEstimation,
    GLPNImageProcessorPil,
    PromptDepthAnythingConfig,
    ZoeDepthConfig,
    ZoeDepthForDepthEstimation,
    ZoeDepthImageProcessorPil,
)

from anydepth_hf import AnyDepthConfig, AnyDepthForDepthEstimation, AnyDepthImageProcessor
from anydepth_hf.alignment_marigold import align
from anydepth_hf.metrics import evaluate_depth, image_free_prior
from training.evaluate import main
from training.evaluation.predictions import ModelPredictions, remove_zoe_padding
from training.evaluation.protocol import default_protocol

ROOT = Path(__file__).resolve().parents[2]
DINOV2 = {
    "hidden_size": 32,
    "num_hidden_layers": 4,
    "num_attention_heads": 2,
    "image_size": 56,
    "patch_size": 14,
    "out_indices": [1, 2, 3, 4],
}
NECK = {"neck_hidden_sizes": [8, 16, 16, 16], "fusion_hidden_size": 16}


def depth_anything(**options):
    backbone = Dinov2Config(**DINOV2, reshape_hidden_states=False)
    config = DepthAnythingConfig(
        backbone_config=backbone, reassemble_hidden_size=32, head_hidden_size=8, **NECK, **options
    )
    size = {"height": 56, "width": 56}
    processor = DPTImageProcessorPil(size=size, keep_aspect_ratio=True, ensure_multiple_of=14)
    return DepthAnythingForDepthEstimation(config), processor


def dpt():
    config = DPTConfig(
        hidden_size=32,
        num_hidden_layers=4,
        num_attention_heads=2,
        intermediate_size=64,
        backbone_out_indices=[0, 1, 2, 3],
        image_size=64,
        **NECK,
    )
    return DPTForDepthEstimation(config), DPTImageProcessorPil(size={"height": 64, "width": 64})


def glpn():
    config = GLPNConfig(
        depths=[1] * 4, hidden_sizes=[8, 8, 16, 16], num_attention_heads=[1, 1, 2, 2], decoder_hidden_size=8
    )
    return GLPNForDepthEstimation(config), GLPNImageProcessorPil()


def zoedepth():
    backbone = BeitConfig(
        image_size=64,
        patch_size=16,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=4,
        num_attention_heads=2,
        out_indices=[1, 2, 3, 4],
        reshape_hidden_states=False,
        use_relative_position_bias=True,
    )
    config = ZoeDepthConfig(
        backbone_config=backbone,
        backbone_hidden_size=32,
        bottleneck_features=16,
        num_attractors=[4, 2, 2, 1],
        bin_embedding_dim=8,
        bin_configurations=[{"n_bins": 8, "min_depth": 0.1, "max_depth": 10.0, "name": "nyu"}],
        num_relative_features=8,
        **NECK,
    )
    return ZoeDepthForDepthEstimation(config), ZoeDepthImageProcessorPil(size={"height": 64, "width": 64})


def anydepth(**options):
    config = AnyDepthConfig(backbone_config={"model_type": "dinov2", **DINOV2}, fusion_hidden_size=16, **options)
    return AnyDepthForDepthEstimation(config), AnyDepthImageProcessor(
        size={"shortest_edge": 56}, ensure_multiple_of=14
    )


@pytest.fixture(scope="session")
def saved(tmp_path_factory):
    """Saves a model with random weights and its processor; returns the folder."""

    def save(build, **options):
        torch.manual_seed(0)
        model, processor = build(**options)
        folder = tmp_path_factory.mktemp("model")
        model.save_pretrained(folder)
        processor.save_pretrained(folder)
        return str(folder)

    return save


@pytest.fixture
def data(tmp_path):
    """Options for a folder of pairs; image 3 has no ground truth at all, image 4 another size."""
    rng = np.random.default_rng(0)
    for folder in ("rgb", "depth"):
        (tmp_path / folder).mkdir()
    for index in range(7):
        height, width = (50, 60) if index == 4 else (40, 60)
        Image.fromarray(rng.integers(0, 256, (height, width, 3), np.uint8)).save(tmp_path / f"rgb/{index}.png")
        depth = rng.integers(500, 9000, (height, width)).astype(np.uint16) * (index != 3)
        Image.fromarray(depth).save(tmp_path / f"depth/{index}.png")
    return ["--rgb_dir", str(tmp_path / "rgb"), "--depth_dir", str(tmp_path / "depth"), "--depth_scale", "1000"]


def run(tmp_path, *arguments, out="out", code=0):
    arguments = [*map(str, arguments), "--output_dir", str(tmp_path / out), "--device", "cpu", "--num_workers", "0"]
    assert main(arguments) == code
    return json.loads((tmp_path / out / "results.json").read_text()) if code == 0 else None


def test_the_numbers_are_those_of_evaluate_depth_on_the_models_output(tmp_path, data, saved):
    folder = saved(anydepth)
    results = run(tmp_path, "--model", folder, *data, "--max_depth", "8", "--batch_size", "3")
    entry = results["datasets"]["own"]
    assert entry["images"] == 7
    assert entry["without_valid_pixels"] == ["3.png"]
    model = AnyDepthForDepthEstimation.from_pretrained(folder).eval()
    processor = AnyDepthImageProcessor.from_pretrained(folder)
    expected = []
    for index in (0, 1, 2, 4, 5, 6):
        depth = np.asarray(Image.open(tmp_path / f"depth/{index}.png")) / np.float32(1000)
        inputs = processor(Image.open(tmp_path / f"rgb/{index}.png"), return_tensors="pt")
        with torch.no_grad():
            prediction = model(**inputs).predicted_depth[0]
        expected.append(evaluate_depth(prediction, depth, (depth > 0) & (depth < 8), "disparity", None, 8))
    for name, value in entry["metrics"].items():
        assert value == pytest.approx(np.mean([metrics[name] for metrics in expected]), rel=1e-4)
    assert entry["records"][3]["protocols"] == {"lotus": None}
    assert entry["records"][4]["input_size"] == [56, 70]
    table = (tmp_path / "out/results.md").read_text()
    assert "protocol lotus v1 (Scale and shift by least squares against 1/depth" in table
    low, high = entry["interval"]["abs_rel"]
    assert low < entry["metrics"]["abs_rel"] < high
    assert f"| own data | 6 | {100 * entry['metrics']['abs_rel']:.2f} ({100 * low:.2f} to {100 * high:.2f}) |" in table
    page = (tmp_path / "out/worst.html").read_text()
    valid = [record for record in entry["records"] if record["protocols"]["lotus"]]
    worst = max(valid, key=lambda record: record["protocols"]["lotus"]["abs_rel"])
    assert page.index(f"{worst['name']}: AbsRel") == page.index(": AbsRel") - len(worst["name"])
    assert Image.open(tmp_path / "out/worst/own_00.jpg").size == (4 * 60, worst["size"][0])


@pytest.mark.parametrize(
    ("build", "options", "predicts", "protocol"),
    [
        (depth_anything, {}, "disparity", "lotus"),
        (depth_anything, {"depth_estimation_type": "metric", "max_depth": 20}, "metric_depth", "metric"),
        (dpt, {}, "disparity", "lotus"),
        (zoedepth, {}, "metric_depth", "metric"),
        (anydepth, {"prediction_type": "depth"}, "depth", "marigold"),
        (anydepth, {"prediction_type": "depth", "depth_estimation_type": "metric"}, "metric_depth", "metric"),
    ],
)
def test_models_are_measured_in_the_space_they_predict(tmp_path, data, saved, build, options, predicts, protocol):
    results = run(tmp_path, "--model", saved(build, **options), *data)
    assert results["predictions"]["predicts"] == predicts
    assert list(results["protocols"]) == [protocol]
    assert np.isfinite(list(results["datasets"]["own"]["metrics"].values())).all()


def test_the_padding_of_zoedepth_is_cut_off():
    image = torch.arange(40.0)[:, None] + 100 * torch.arange(60.0)
    top, left = int(3 * 20**0.5), int(3 * 30**0.5)
    padded = torch.nn.functional.pad(image[None, None], (left, left, top, top), mode="reflect")
    seen = torch.nn.functional.interpolate(padded, scale_factor=2, mode="bilinear")[:, 0]
    restored = remove_zoe_padding(seen, (40, 60))
    assert restored.shape == (1, 40, 60)
    torch.testing.assert_close(restored[0, 1:-1, 1:-1], image[1:-1, 1:-1], rtol=0, atol=0.6)


def test_hugging_face_data_sets(tmp_path, saved):
    datasets = pytest.importorskip("datasets")
    rng = np.random.default_rng(0)
    rows = {
        "image": [Image.fromarray(rng.integers(0, 256, (40, 60, 3), np.uint8)) for _ in range(3)],
        "depth": [Image.fromarray(rng.integers(500, 9000, (40, 60)).astype(np.uint16)) for _ in range(3)],
    }
    datasets.Dataset.from_dict(rows).save_to_disk(tmp_path / "disk")
    spec = json.dumps({"name": "hub", "path": str(tmp_path / "disk"), "depth_scale": 1000})
    results = run(tmp_path, "--model", saved(dpt), "--dataset", spec)
    assert [row["name"] for row in results["datasets"]["own"]["records"]] == ["000000", "000001", "000002"]
    assert results["datasets"]["own"]["metrics"]["abs_rel"] > 0
    for number, spec in enumerate(
        (f"hub,path={tmp_path / 'disk'},depth_scale=1000", tmp_path / "disk")
    ):  # as training
        again = run(
            tmp_path, "--model", saved(dpt), "--dataset", spec, "--depth_scale", "1000", out=f"as-training-{number}"
        )
        assert again["datasets"]["own"]["metrics"] == results["datasets"]["own"]["metrics"]


def test_table_of_model_types_covers_transformers():
    from transformers.models.auto.modeling_auto import MODEL_FOR_DEPTH_ESTIMATION_MAPPING_NAMES

    from anydepth_hf.model_types import MODEL_TYPES, model_type_rule

    assert set(MODEL_FOR_DEPTH_ESTIMATION_MAPPING_NAMES) | {"anydepth"} == set(MODEL_TYPES)
    dinov2_dpt = DPTConfig(backbone_config=Dinov2Config(**DINOV2), is_hybrid=False)
    assert model_type_rule(dinov2_dpt)["predicts"] == "metric_depth"
    assert [default_protocol(kind) for kind in ("disparity", "depth", "metric_depth")] == [
        "lotus",
        "marigold",
        "metric",
    ]


def test_processing_size_and_flip(tmp_path, data, saved):
    folder = saved(depth_anything)
    image = np.random.default_rng(1).integers(0, 256, (40, 60, 3), np.uint8)
    plain = ModelPredictions(folder, processing_size=70)
    (straight,) = plain.predict([plain.prepare(image, "")], [(40, 60)])
    assert straight.shape == (70, 112)  # 70 x 105, to the nearest multiple of 14
    (mirrored,) = plain.predict([plain.prepare(image, "").flip(-1)], [(40, 60)])
    both = ModelPredictions(folder, processing_size=70, flip=True)
    (average,) = both.predict([both.prepare(image, "")], [(40, 60)])
    torch.testing.assert_close(average, (straight + mirrored.flip(-1)) / 2)
    squashed = ModelPredictions(saved(dpt), processing_size=(96, 64))
    assert squashed.prepare(image, "").shape == (3, 96, 64)
    results = run(tmp_path, "--model", folder, *data, "--processing_size", "70", "--flip")
    assert {tuple(row["input_size"]) for row in results["datasets"]["own"]["records"]} == {(70, 112), (70, 84)}
    assert "shorter side 70, with flip" in (tmp_path / "out/results.md").read_text()


def test_predictions_made_elsewhere(tmp_path, data):
    files = tmp_path / "files"
    files.mkdir()
    truth, maps = {}, {}
    for index in range(7):
        depth = np.asarray(Image.open(tmp_path / f"depth/{index}.png")) / np.float32(1000)
        truth[index] = depth
        maps[index] = (3 / np.maximum(depth, 0.1) + 0.5).astype(np.float32)
        if index % 2:
            np.save(files / f"{index}.npy", maps[index][..., None])
        else:
            Image.fromarray((maps[index] * 1000).round().astype(np.uint16)).save(files / f"{index}.png")
    options = ["--predictions", files, *data]
    results = run(tmp_path, *options, "--predicts", "disparity", "--prediction_scale", "1000")
    rows = results["datasets"]["own"]["records"]
    assert rows[1]["protocols"]["lotus"] == evaluate_depth(maps[1], truth[1], truth[1] > 0, "disparity")
    assert rows[0]["protocols"]["lotus"]["abs_rel"] < 0.01
    # depth is inverted for a fit in disparity
    for index in range(7):
        np.save(files / f"{index}.npy", align(maps[1 if index == 3 else index], truth[1 if index == 3 else index]))
    depth = run(tmp_path, *options, "--predicts", "depth", "--protocol", "lotus", out="second")
    assert depth["datasets"]["own"]["metrics"]["abs_rel"] < 1e-4


def test_ground_truth_beside_listed_images_is_no_prediction(tmp_path, capsys):
    rng = np.random.default_rng(0)
    lines = []
    for index in range(2):
        image, depth = tmp_path / f"images/{index}.png", tmp_path / f"images/{index}.npy"
        image.parent.mkdir(exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (20, 30, 3), np.uint8)).save(image)
        np.save(depth, rng.random((20, 30)).astype(np.float32) + 1)
        lines.append(f"{image} {depth}\n")
    (tmp_path / "list.txt").write_text("".join(lines))
    below = (tmp_path / "files").joinpath(*tmp_path.parts[1:], "images")
    below.mkdir(parents=True)
    spec = json.dumps({"name": "pairs", "list": str(tmp_path / "list.txt")})
    options = ["--predictions", tmp_path / "files", "--predicts", "metric_depth", "--dataset", spec]
    assert f"{below / '0.npy'}: no prediction for" in mistake(capsys, tmp_path, *options)
    for index in range(2):
        np.save(below / f"{index}.npy", 2 * np.load(tmp_path / f"images/{index}.npy"))
    results = run(tmp_path, *options)
    assert results["datasets"]["own"]["metrics"]["abs_rel"] == pytest.approx(1)
    half = run(tmp_path, *options, "--depth_scale", "0.5", out="half")
    assert half["datasets"]["own"]["metrics"]["abs_rel"] == pytest.approx(0, abs=1e-6)


def test_the_row_prior_needs_no_model(tmp_path, data):
    ground = np.tile((np.linspace(0.1, 1, 40) ** -1 * 1000).astype(np.uint16)[:, None], (1, 60))  # disparity is a ramp
    for index in range(7):
        Image.fromarray(ground[np.linspace(0, 39, 50 if index == 4 else 40).astype(int)]).save(
            tmp_path / f"depth/{index}.png"
        )
    results = run(tmp_path, "--predictions", "image-free-prior", *data)
    assert results["datasets"]["own"]["records"][0]["protocols"]["lotus"]["abs_rel"] < 0.002
    assert "image-free prior" in (tmp_path / "out/results.md").read_text()


def test_a_folder_of_frames_needs_one_option(tmp_path, capsys):
    frames = tmp_path / "kitchen"
    (frames / "a").mkdir(parents=True)
    depth = np.full((20, 30), 2000, np.uint16)
    depth[10:] = 1000
    depth[0, 0] = 0
    for name, picture in (("one", "one.rgb.jpg"), ("a/two.5", "a/two.5.rgb.png")):
        Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(frames / picture)
        Image.fromarray(depth).save(frames / f"{name}.depth.png")
    results = run(tmp_path, "--predictions", "image-free-prior", "--frames", frames)
    entry = results["datasets"]["own"]
    assert entry["title"] == "kitchen"
    assert [(row["name"], row["valid_pixels"]) for row in entry["records"]] == [
        ("a/two.5.rgb.png", 599),
        ("one.rgb.jpg", 599),
    ]
    expected = evaluate_depth(image_free_prior(20, 30), depth / np.float32(1000), depth > 0, "disparity")
    assert entry["records"][1]["protocols"]["lotus"] == pytest.approx(expected)
    other = run(
        tmp_path, "--predictions", "image-free-prior", "--frames", frames, "--depth_scale", "500", out="double"
    )
    assert other["datasets"]["own"]["metrics"]["rmse"] == pytest.approx(2 * expected["rmse"], rel=1e-5)
    (frames / "three.rgb.jpg").write_bytes(b"")
    arguments = ["--predictions", "image-free-prior", "--frames", frames]
    assert "three.rgb.jpg: no three.depth.* beside it" in mistake(capsys, tmp_path, *arguments, out="no")
    assert "expected frames as NAME.rgb.jpg" in mistake(capsys, tmp_path, *arguments[:-1], tmp_path / "out", out="no")


def mistake(capsys, tmp_path, *arguments, out="out"):
    run(tmp_path, *arguments, out=out, code=2)
    message = capsys.readouterr().err.strip().splitlines()[-1]
    assert message.startswith("evaluate.py: ")
    return message


def test_mistakes_get_one_sentence(tmp_path, data, saved, capsys):
    folder = saved(depth_anything)
    assert "give either --model or --predictions" in mistake(capsys, tmp_path, *data)
    assert "give one of --sets, --frames" in mistake(capsys, tmp_path, "--model", folder)
    assert "expected nyuv2/nyu_labeled_extracted.tar" in mistake(
        capsys, tmp_path, "--model", folder, "--sets", "nyuv2", "--data_dir", tmp_path
    )
    refused = mistake(capsys, tmp_path, "--model", folder, *data, "--protocol", "marigold")
    assert (
        "--protocol marigold: the protocol marigold measures depth or metric depth, and the predictions are" in refused
    )
    assert "Unknown protocol 'magic': choose from all" in mistake(
        capsys, tmp_path, "--model", folder, *data, "--protocol", "magic"
    )
    assert "--processing_size big" in mistake(capsys, tmp_path, "--model", folder, *data, "--processing_size", "big")
    assert "cannot be loaded for depth estimation" in mistake(capsys, tmp_path, "--model", tmp_path / "no", *data)
    prompt = tmp_path / "prompt"
    PromptDepthAnythingConfig().save_pretrained(prompt)
    assert "needs a prompt depth map" in mistake(capsys, tmp_path, "--model", prompt, *data)
    (tmp_path / "files").mkdir()
    options = ["--predictions", tmp_path / "files", *data]
    assert "--predicts disparity, depth, metric_depth or log_depth" in mistake(capsys, tmp_path, *options)
    assert "no prediction for 0.png" in mistake(capsys, tmp_path, *options, "--predicts", "depth")
    for option in (["--flip"], ["--dtype", "bfloat16"], ["--processing_size", "56"], ["--revision", "v1"]):
        assert f"{option[0]} is for --model" in mistake(capsys, tmp_path, *options, *option)
    np.save(tmp_path / "files/0.npy", np.full((40, 60), np.nan, np.float32))
    assert "0.png: the prediction is NaN" in mistake(capsys, tmp_path, *options, "--predicts", "depth")
    inverted = ["--predicts", "depth", "--protocol", "lotus"]
    assert "0.png: the prediction is NaN" in mistake(capsys, tmp_path, *options, *inverted)
    np.save(tmp_path / "files/0.npy", np.zeros((0, 60), np.float32))
    assert "files/0.npy: expected a map of shape (height, width), got (0, 60)" in mistake(
        capsys, tmp_path, *options, "--predicts", "depth"
    )
    kitti = ["--predictions", "constant", "--sets", "kitti", "--data_dir", tmp_path, "--depth_scale", "2"]
    assert "--depth_scale, --min_depth, " in mistake(capsys, tmp_path, *kitti)
    run(tmp_path, "--model", folder, *data, "--limit", "1")
    assert "results.json exists" in mistake(capsys, tmp_path, "--model", folder, *data)


def test_every_protocol_of_one_run_and_a_comparison_of_two(tmp_path, data, capsys):
    rng = np.random.default_rng(0)
    for name, noise in (("better", 0.05), ("worse", 0.2)):
        (tmp_path / name).mkdir()
        for index in range(7):
            depth = np.asarray(Image.open(tmp_path / f"depth/{index}.png")) / np.float32(1000)
            disparity = 1 / np.maximum(depth, 0.1) * np.exp(rng.normal(0, noise, depth.shape)) + 0.2
            np.save(tmp_path / name / f"{index}.npy", disparity.astype(np.float32))
    options = [*data, "--predicts", "disparity", "--protocol", "all", "--intrinsics", "50", "50", "30", "20"]
    run(tmp_path, "--predictions", tmp_path / "worse", *options, out="first")
    results = run(tmp_path, "--predictions", tmp_path / "better", *options, "--compare", tmp_path / "first")
    entry = results["datasets"]["own"]
    assert list(entry["protocols"])[0] == "lotus"
    assert entry["metrics"] == entry["protocols"]["lotus"]["metrics"]
    assert entry["protocols"]["video-depth-anything"]["clips"] == 1
    assert entry["protocols"]["ibims-planarity"]["metrics"] is None  # noise has no planes
    # a shift makes disparity that is inverted as it is wrong, and a fit of scale and shift does not mind it
    assert entry["protocols"]["monodepth2"]["metrics"]["abs_rel"] > 3 * entry["metrics"]["abs_rel"]
    assert results["not_measured"]["zoedepth"].startswith("the protocol zoedepth measures metric depth")
    pair = results["compared_with"]["datasets"]["own"]["lotus"]["abs_rel"]
    assert pair["images"] == 6
    assert pair["wins"] == [6, 0]
    assert pair["interval"][1] < 0
    report = (tmp_path / "out/results.md").read_text()
    assert "| monodepth2 v1 | scale in depth, median |" in report
    assert "| own | lotus | AbsRel % ↓ | -" in report
    assert "| edges |" in report
    arguments = ["--predictions", "image-free-prior", *data, "--compare", tmp_path / "results.json"]
    datasets = {"own": {"records": [{"name": "0.png"}]}}
    for content in ({}, {"datasets": {}}, {"datasets": datasets, "protocol": "", "protocols": {}}):
        (tmp_path / "results.json").write_text(json.dumps(content))
        assert "this is no results.json of training.evaluate" in mistake(capsys, tmp_path, *arguments, out="no")


def test_a_published_cell_is_run_again_beside_its_figures(tmp_path, capsys, monkeypatch):
    from dataclasses import replace

    from training.evaluation import datasets

    monkeypatch.setattr(
        datasets, "load_set", lambda name, load=datasets.load_set: replace(load(name), images=6)
    )  # of 654, which are not here
    folder = tmp_path / "nyuv2/nyu_labeled_extracted/test/kitchen_0004"
    folder.mkdir(parents=True)
    depth = np.tile(np.linspace(1000, 4000, 640).astype(np.uint16), (480, 1))
    for index in range(6):
        Image.fromarray(np.zeros((480, 640, 3), np.uint8)).save(folder / f"rgb_000{index}.png")
        Image.fromarray(depth).save(folder / f"depth_000{index}.png")
        prediction = tmp_path / f"maps/test/kitchen_0004/rgb_000{index}.npy"
        prediction.parent.mkdir(parents=True, exist_ok=True)
        np.save(prediction, (depth / 1000 * (1 + 0.1 * (np.arange(480)[:, None] % 2))).astype(np.float32))
    arguments = ["--predictions", tmp_path / "maps", "--predicts", "depth", "--data_dir", tmp_path]
    results = run(tmp_path, "--reproduce", "marigold/nyuv2", *arguments)
    measured = results["reproduced"]["measures"]["abs_rel"]
    assert list(results["protocols"]) == ["marigold"]
    assert measured["published"] == 5.5
    assert measured["measured"] == pytest.approx(100 * results["datasets"]["nyuv2"]["metrics"]["abs_rel"])
    assert measured["difference"] == pytest.approx(measured["measured"] - 5.5)
    assert "| AbsRel % ↓ | 5.5 |" in (tmp_path / "out/results.md").read_text()
    assert main(["--reproduce", "list"]) == 0
    listed = capsys.readouterr().out
    assert "dav2-base-sdt/kitti: abs_rel 10.7 %, delta1 89.6 % (protocol lotus, https://arxiv.org/abs/2601.02760, Table 3)" in listed  # fmt: skip  # noqa: E501
    assert "of marigold there are marigold/nyuv2" in mistake(
        capsys, tmp_path, "--reproduce", "marigold/scannet", *arguments, out="no"
    )
    needs = mistake(capsys, tmp_path, "--reproduce", "marigold/nyuv2", "--data_dir", tmp_path, out="no")
    assert "marigold/nyuv2 needs --predictions DIR --predicts depth" in needs


def test_a_clip_is_measured_in_its_own_protocols_crop(tmp_path, monkeypatch):
    from dataclasses import replace

    from training.evaluation import datasets

    monkeypatch.setattr(
        datasets, "load_set", lambda name, load=datasets.load_set: replace(load(name), images=2)
    )  # of 652, which are not here
    rng = np.random.default_rng(0)
    drive = "2011_09_26_drive_0002_sync"
    for index in range(2):
        image = tmp_path / f"kitti/2011_09_26/{drive}/image_02/data/{index:010d}.png"
        depth = tmp_path / f"kitti/{drive}/proj_depth/groundtruth/image_02/{index:010d}.png"
        values = 256 * np.linspace(60, 5, 375)[:, None] * np.ones(1242) + 100 * rng.random((375, 1242))
        for path, array in ((image, np.zeros((375, 1242, 3), np.uint8)), (depth, values.astype(np.uint16))):
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(array).save(path)
    options = ["--predictions", "image-free-prior", "--sets", "kitti", "--data_dir", tmp_path, "--worst", "0"]
    alone = run(tmp_path, *options, "--protocol", "video-depth-anything", out="alone")
    # monodepth2, the first one here, does not crop
    both = run(tmp_path, *options, "--protocol", "monodepth2", "video-depth-anything")
    clips = [results["datasets"]["kitti"]["clips"]["video-depth-anything"] for results in (alone, both)]
    assert clips[0][0]["images"] == 2
    assert clips[0] == clips[1]


def environment():
    return {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}


def numbers(value, path=""):
    """Everything that is not text in nested results, by its place."""
    if isinstance(value, dict):
        return {k: v for name, part in value.items() for k, v in numbers(part, f"{path}/{name}").items()}
    if isinstance(value, list):
        return {k: v for name, part in enumerate(value) for k, v in numbers(part, f"{path}/{name}").items()}
    return {} if value is None or isinstance(value, str) else {path: value}


def test_two_processes_give_the_numbers_of_one(tmp_path, data, saved):
    folder = saved(anydepth)
    options = ["--model", folder, *data, "--batch_size", "2"]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as torchrun does
    try:
        first = run(tmp_path, *options, out="one")
    finally:
        torch.set_num_threads(threads)
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    options += ["--output_dir", str(tmp_path / "two"), "--device", "cpu", "--num_workers", "1"]
    command = [*launcher, "training/evaluate.py", *options]
    subprocess.run(command, cwd=ROOT, env=environment(), check=True, capture_output=True)
    second = json.loads((tmp_path / "two/results.json").read_text())
    assert len(first["datasets"]["own"]["records"]) == 7
    # to rounding: on some CPUs the order of summation follows where tensors lie in memory
    assert numbers(first["datasets"]) == pytest.approx(numbers(second["datasets"]), rel=1e-4, abs=1e-6)
    for results in (first, second):
        del results["datasets"]
    assert first == second


def test_a_killed_run_goes_on(tmp_path, saved):
    rng = np.random.default_rng(0)
    for index in range(60):
        for folder in ("rgb", "depth"):
            (tmp_path / folder).mkdir(exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (80, 120, 3), np.uint8)).save(tmp_path / f"rgb/{index:03d}.png")
        Image.fromarray(rng.integers(500, 9000, (80, 120)).astype(np.uint16)).save(tmp_path / f"depth/{index:03d}.png")
    data = ["--rgb_dir", tmp_path / "rgb", "--depth_dir", tmp_path / "depth", "--depth_scale", "1000", "--worst", "0"]
    folder = saved(depth_anything)
    whole = run(tmp_path, "--model", folder, *data, out="whole")
    options = ["--model", folder, *data, "--device", "cpu", "--num_workers", "0", "--output_dir", tmp_path / "out"]
    process = subprocess.Popen(
        [sys.executable, "training/evaluate.py", *map(str, options)],
        cwd=ROOT,
        env=environment(),
        stderr=subprocess.DEVNULL,
    )

    def finished():
        files = (tmp_path / "out").glob("cache/*/*.jsonl")  # the last line of a killed run's may be torn
        lines = [line for path in files for line in path.read_text().split("\n")[:-1]]
        return sorted(json.loads(line)["index"] for line in lines)

    while len(finished()) < 3 and process.poll() is None:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = finished()
    assert 3 <= len(done) < 60
    assert not (tmp_path / "out/results.json").exists()
    resumed = run(tmp_path, "--model", folder, *data)
    assert finished() == list(range(60))  # nothing that was finished has been computed again
    assert resumed["datasets"]["own"]["metrics"] == pytest.approx(whole["datasets"]["own"]["metrics"], rel=1e-6)
    assert [row["index"] for row in resumed["datasets"]["own"]["records"]] == list(range(60))


def test_files_that_have_changed_are_evaluated_again_and_only_those(tmp_path, data, capsys):
    def metrics():
        return run(tmp_path, "--predictions", "image-free-prior", *data, "--overwrite")["datasets"]["own"]

    def computed():
        return sum(len(path.read_text().splitlines()) for path in (tmp_path / "out").glob("cache/*/*.jsonl"))

    first = metrics()
    assert metrics() == first and computed() == 7
    depth = np.asarray(Image.open(tmp_path / "depth/0.png"))
    Image.fromarray(depth[::-1].copy()).save(tmp_path / "depth/0.png")
    changed = metrics()
    assert (
        changed["records"][0]["protocols"] != first["records"][0]["protocols"]
        and changed["records"][1:] == first["records"][1:]
    )
    assert computed() == 8
    assert metrics() == changed and computed() == 8


def test_a_model_that_lacks_weights_is_not_measured(tmp_path, data, saved, capsys):
    folder = tmp_path / "half"
    shutil.copytree(saved(anydepth), folder)
    weights = load_file(folder / "model.safetensors")
    save_file(dict(sorted(weights.items())[::2]), folder / "model.safetensors", {"format": "pt"})
    assert "of its weights" in mistake(capsys, tmp_path, "--model", folder, *data)
    for content in (b"", b"version https://git-lfs.github.com/spec/v1\n", b"<html></html>" * 9):
        (folder / "model.safetensors").write_bytes(content)
        assert "half: cannot be loaded" in mistake(capsys, tmp_path, "--model", folder, *data)


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--prediction_scale", "0", "--prediction_scale must be a number more than 0, not 0"),
        ("--max_depth", "nan", "--max_depth must be a number more than 0, not nan"),
        ("--limit", "0", "--limit must be a whole number at least 1, not 0"),
        ("--num-workers", "-1", "--num_workers must be a whole number at least 0, not -1"),
        ("--processing_size", "0", "--processing_size 0: write a shorter side"),
        ("--processing_size", "96x0", "--processing_size 96x0: write a shorter side, or HEIGHTxWIDTH"),
        ("--predicts", "depth", "--predicts depth: image-free-prior is a guess at disparity"),
        ("--protocol", "ibims-planarity", "--protocol ibims-planarity: the protocol ibims-planarity needs the camera"),
        ("--limitt", "1", "unknown option --limitt; did you mean --limit?"),
        ("--device", "cuda", "--device cuda: PyTorch sees no CUDA device"),
    ],
)
def test_options_out_of_range(tmp_path, data, capsys, option, value, message):
    if option == "--device" and torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    arguments = ["--predictions", "image-free-prior", *data, "--output_dir", str(tmp_path / "out"), option, value]
    assert main(arguments) == 2
    error = capsys.readouterr().err.strip().splitlines()
    assert len(error) == 1 and error[0].startswith(f"evaluate.py: {message}")


@pytest.mark.parametrize(
    ("option", "values", "message"),
    [
        ("--valid_box", ["-5", "40", "0", "60"], "--valid_box takes pixels, or fractions of the sides, from 0 on"),
        (
            "--valid_box",
            ["0.", "1.e999", "0.", "1."],
            "--valid_box takes pixels, or fractions of the sides, from 0 on",
        ),
        ("--valid_box", ["0.", "1.", "0."], "--valid_box takes 4 numbers"),
        ("--intrinsics", ["0", "80", "30", "20"], "--intrinsics FX FY CX CY: the focal lengths"),
    ],
)
def test_numbers_that_no_picture_has(tmp_path, data, capsys, option, values, message):
    assert message in mistake(capsys, tmp_path, "--predictions", "image-free-prior", *data, option, *values)


def test_what_a_model_or_its_image_processor_cannot_take(tmp_path, data, saved, capsys):
    folder = saved(dpt)
    # of pictures that are not square
    assert f"{folder}: the model fails on inputs of 96x144 pixels (" in mistake(
        capsys, tmp_path, "--model", folder, *data, "--processing_size", "96"
    )
    folder = saved(glpn)
    assert f"{folder}: its image processor has no size" in mistake(
        capsys, tmp_path, "--model", folder, *data, "--processing_size", "96"
    )
    for name, height in (("rgb", (1, 500, 3)), ("depth", (1, 500))):
        Image.fromarray(np.full(height, 255, np.uint8 if name == "rgb" else np.uint16)).save(tmp_path / name / "0.png")
    arguments = ["--model", saved(depth_anything), *data, "--output_dir", tmp_path / "out", "--device", "cpu"]
    assert main([*map(str, arguments), "--num_workers", "1"]) == 2
    assert "evaluate.py: 0.png: the model's image processor fails (Size must" in capsys.readouterr().err


def test_a_crop_of_negative_size(tmp_path, data, capsys):
    arguments = ["--predictions", "image-free-prior", *data, "--output_dir", str(tmp_path / "out")]
    assert main([*arguments, "--crop", "-5", "-5"]) == 2
    assert "--crop must be a list, each a whole number at least 1, not [-5, -5]" in capsys.readouterr().err
