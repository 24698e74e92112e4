import json

import pytest
import torch

from benchmarks import gpu, results_page


def test_a_part_that_runs_out_of_time_does_not_lose_the_rest(tmp_path, capsys):
    (tmp_path / "models-1-eager.json").write_text("from before")
    assert gpu.run_all(["models-1-eager", "training-small"], tmp_path, "cpu", True, minutes=0.1, part_seconds=0.2) == 2
    results = {path.stem: json.loads(path.read_text()) for path in tmp_path.glob("*.json")}
    assert results["models-1-eager"]["error"] == "stopped after 0 s"
    assert results["training-small"]["environment"]["torch"] == torch.__version__
    assert "models-1-eager: stopped" in capsys.readouterr().out


@pytest.mark.parametrize("part", ["heads-float32", "models-1-eager"])
def test_parts_run_on_the_cpu_at_sizes_that_say_nothing(part):
    result = gpu.run_part(part, torch.device("cpu"), smoke=True)
    assert result["smoke"] is True
    assert all(record["ms"] > 0 for record in result["records"])
    if part == "heads-float32":
        fast, layers, dpt = result["records"]
        assert [fast["head"], layers["head"], dpt["head"]] == [
            "SDT, inference path",
            "SDT, layers",
            "DPT of the paper",
        ]
        assert fast["max_difference_from_layers"] < 1e-4


def test_the_page_shows_what_was_measured_and_what_was_not(tmp_path):
    assert "no GPU was at hand" in results_page.gpu(tmp_path)
    (tmp_path / "gpu").mkdir()
    common = {"smoke": False, "environment": {"device": "Card"}}
    record = {"head": "SDT, layers", "size": 256, "dtype": "bfloat16", "ms": 1.5, "ms_std": 0.1, "peak_mib": 12.0,
              "paper_ms": 6.1}  # fmt: skip
    for name, result in {
        "heads-bfloat16": common | {"part": "heads-bfloat16", "records": [record]},
        "training-large": common | {"part": "training-large", "error": "stopped after 150 s"},
        "models-1-eager": common | {"part": "models-1-eager", "smoke": True, "records": [{"ms": 1.0}]},
    }.items():
        (tmp_path / f"gpu/{name}.json").write_text(json.dumps(result))
    page = results_page.gpu(tmp_path)
    assert "| SDT, layers | 256 | bfloat16 | 1.5 | 0.1 | 12 | 6.1 | - |" in page
    assert "Not measured: training-large: stopped after 150 s." in page
    assert "Whole models" not in page  # a smoke run measures nothing


def test_without_a_gpu_the_command_says_so(capsys):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    assert gpu.main([]) == 2
    assert "PyTorch sees no CUDA device; --smoke runs on the CPU" in capsys.readouterr().err
    assert gpu.main(["--smoke"]) == 2
    assert "--smoke needs --output" in capsys.readouterr().err
