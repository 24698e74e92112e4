import json

import pytest
import yaml
from huggingface_hub import parse_eval_result_entries

from conversion.hub.eval_results import main
from conversion.hub.model_directory import collect_files


@pytest.fixture
def results(tmp_path):
    metrics = {"abs_rel": 0.05678, "delta1": 0.96543, "rmse": 0.3}
    entry = {"title": "NYUv2", "images": 654, "without_valid_pixels": [], "metrics": metrics}
    path = tmp_path / "summary.json"
    path.write_text(json.dumps({"protocol": "DIR: lotus v1.", "limit": None, "datasets": {"nyuv2": entry}}))
    return path


def test_results_are_what_the_hub_reads_and_are_uploaded(tmp_path, results, save_tiny_model):
    import shutil

    model = tmp_path / "model"
    shutil.copytree(save_tiny_model(), model)
    for name in ("README.md", "reference.safetensors"):
        (model / name).write_bytes(b"")
    arguments = [str(model), str(results), "--dataset", "nyuv2=owner/nyu_depth_v2", "--url", "https://example.org/run"]
    assert main(arguments) == 0
    text = (model / ".eval_results/anydepth-hf.yaml").read_text()
    first, second = parse_eval_result_entries(yaml.safe_load(text))
    assert (first.dataset_id, first.task_id, first.value) == ("owner/nyu_depth_v2", "abs_rel", 0.0568)
    assert (second.task_id, second.value, second.notes) == ("delta1", 0.9654, "lotus v1, 654 images")
    assert first.source_url == "https://example.org/run"
    files, left_out = collect_files(model)
    assert ".eval_results/anydepth-hf.yaml" in files
    assert ".eval_results" not in left_out


def test_mistakes_get_one_sentence(tmp_path, results, capsys):
    model = tmp_path / "model"
    assert main([str(model), str(results), "--dataset", "nyuv2=owner/name"]) == 2
    assert "is no model directory" in capsys.readouterr().err
    model.mkdir()
    (model / "config.json").write_text("{}")
    assert main([str(model), str(results), "--dataset", "nyuv2"]) == 2
    assert "--dataset nyuv2: write SET=OWNER/NAME" in capsys.readouterr().err
    assert main([str(model), str(results), "--dataset", "kitti=owner/name"]) == 2
    assert "--dataset kitti: not measured in these results, which have nyuv2" in capsys.readouterr().err
    assert not (model / ".eval_results").exists()
