import json
from dataclasses import asdict
from pathlib import Path

import pytest

from anydepth_hf.benchmark import model_config
from anydepth_hf.flops import count
from benchmarks.results_page import main, read_results

ROOT = Path(__file__).resolve().parents[2]
PAGE = "# Title\n\n<!-- table {} -->\nold\n<!-- end table -->\n\nafter\n"


def fill(tmp_path, name, *options):
    readme = tmp_path / "README.md"
    readme.write_text(PAGE.format(name))
    code = main(["--page", str(readme), "--results", str(tmp_path / "results"), *options])
    return code, readme.read_text()


def store(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def test_published_numbers_are_labelled(tmp_path):
    code, text = fill(tmp_path, "published")
    assert code == 0
    assert (
        "| AnyDepth-L (DINOv3 ViT-L, SDT) | 369K filtered samples of five data sets | 6.0 / 96.8 | 8.6 / 92.6 |"
        in text
    )
    assert "not measured here" in text
    assert "old" not in text
    assert text.startswith("# Title\n")
    assert text.endswith("\n\nafter\n")


def test_measured_numbers_come_from_the_results(tmp_path):
    assert "Not measured yet." in fill(tmp_path, "measured")[1]
    metrics = {"abs_rel": 0.0712, "delta1": 0.955}
    result = {
        "protocol": "files: predicts disparity, scale and shift fitted in disparity.",
        "datasets": {"kitti": {"definition": {"title": "KITTI"}, "metrics": metrics}},
    }
    store(tmp_path / "results/accuracy/dinov3-small-sdt.json", result)
    store(tmp_path / "results/accuracy/mine.json", {**result, "datasets": {"own": {"metrics": metrics}}})
    text = fill(tmp_path, "measured")[1]
    assert "| Model | KITTI | own |" in text
    assert "| AnyDepth-S (DINOv3 ViT-S, SDT) | 7.1 / 95.5 | - |" in text
    assert "| mine | - | 7.1 / 95.5 |" in text
    assert "mine: files: predicts disparity, scale and shift fitted in disparity" in text


def test_decoders_stand_beside_each_other(tmp_path):
    """A line for each, by the means of its seeds, in the order of the paper's table; fine-tuned encoders apart."""
    result = {
        "decoder_parameters": 0.66e6,
        "decoder_gflops_518": 15.0,
        "frames": {"rooms": {"abs_rel": 0.2, "delta1": 0.7, "images": 9}},
        "settings": {"count": 1200, "held_out": 192, "steps": 300, "batch_size": 4, "size": [98, 126], "bf16": True},
    }
    runs = [("SDT, compact", 0, 0.25), ("SDT, compact", 1, 0.27), ("SDT of the paper", 0, 0.26)]
    for decoder, seed, error in runs:
        measured = {"decoder": decoder, "data": "pictures", "encoder": "frozen", "seed": seed}
        measured |= {"held_out": {"abs_rel": error, "delta1": 0.67}, **result}
        store(tmp_path / f"results/decoders/cpu/{decoder}.{seed}.json", measured)
    text = fill(tmp_path, "measured")[1]
    compact = "| frozen | pictures | SDT, compact | 0.66 | 15.0 | 2 | 0.2600 ± 0.0141 | 0.6700 | 0.200 |"
    assert compact in text and "rooms (9), AbsRel" in text
    assert text.index("SDT of the paper | 0.66 | 15.0 | 1 | 0.2600 | 0.6700") < text.index(compact)
    assert "1200 pictures of 98x126, 192 held out, 300 steps of 4, bfloat16;" in text


def test_efficiency_keeps_the_papers_figures_apart(tmp_path):
    counts = {"decoder_flops": 231.72e9, "official_decoder_flops": 233.85e9, "flops": 396.45e9}
    entry = {"model": "dinov3-large-sdt", "resolution": 256, "input_size": 256, **counts}
    store(
        tmp_path / "results/cost/a.json",
        {
            "environment": {"device": "X", "threads": 4, "runs": 9, "tf32_convolutions": None},
            "parameters": {"dinov3-large-sdt": {"parameters": 316513861, "decoder_parameters": 13384261}},
            "models": [{**entry, "decoder_ms": 1.5, "decoder_ms_std": 0.1, "model_ms": 3, "model_ms_std": 0.2}],
        },
    )
    text = fill(tmp_path, "efficiency")[1]
    assert "| 256x256 | dinov3-large-sdt | 231.72 | 233.85 | 234.17 | 396.45 |" in text
    assert "| 1.50 ± 0.10 | 3.00 ± 0.20 | 6.10 ± 0.33 | - |" in text
    assert "device X, threads 4, runs 9" in text
    assert "308.84 G" in text
    assert "| dinov3-large-sdt | 13.38 | 13.38 | 316.51 |" in fill(tmp_path, "parameters")[1]


@pytest.mark.parametrize("name", read_results(ROOT / "benchmarks" / "results" / "cost"))
def test_stored_counts_are_those_of_the_models(name):
    """A preset that changes is measured again."""
    for entry in read_results(ROOT / "benchmarks" / "results" / "cost")[name]["models"]:
        counts = count(model_config(entry["model"]), entry["input_size"], entry["input_size"])
        assert asdict(counts).items() <= entry.items()


def test_check_changes_nothing_and_says_so(tmp_path, capsys):
    code, text = fill(tmp_path, "published", "--check")
    assert code == 1
    assert text == PAGE.format("published")
    assert "run python -m benchmarks.results_page" in capsys.readouterr().err
    fill(tmp_path, "published")
    assert main(["--page", str(tmp_path / "README.md"), "--results", str(tmp_path), "--check"]) == 0


def test_mistakes_are_named(tmp_path, capsys):
    assert fill(tmp_path, "speed")[0] == 2
    assert "no table 'speed'; there are parameters" in capsys.readouterr().err
    (tmp_path / "README.md").write_text("nothing")
    assert main(["--page", str(tmp_path / "README.md")]) == 2
    assert "no block" in capsys.readouterr().err
