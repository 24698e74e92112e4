import json
import time

import pytest
import torch

from anydepth_hf import AnyDepthConfig, AnyDepthForDepthEstimation
from anydepth_hf.benchmark import PEERS, decoder_call, input_size, latencies, model_config
from anydepth_hf.benchmark_report import PUBLISHED_EFFICIENCY
from anydepth_hf.cli import main
from anydepth_hf.flops import count
from anydepth_hf.presets import preset_config, preset_names
from tests.conftest import needs_compiler

TINY = {"model_type": "dinov2", "hidden_size": 32, "num_hidden_layers": 4, "num_attention_heads": 2, "image_size": 56,
        "patch_size": 14, "out_indices": [1, 2, 3, 4]}  # fmt: skip


def sdt_flops(channels: int, patches: int, width: int = 256) -> tuple[int, int]:
    """FLOPs of the official SDT head for `patches` x `patches` tokens, and what sharing the class token's half saves.

    Derived from the paper's description (section 3) and the published layer widths, multiply-adds times two.
    """
    tokens = patches**2
    linear = 4 * tokens * (2 * channels * channels + channels * width)
    convolutions = tokens * width * 9  # depthwise, of the spatial detail enhancer
    scale = 1
    for level in range(4):
        positions = tokens * scale**2
        convolutions += 2 * positions * width * 32  # DySample: offset and scope, 2 * 4 groups * 2 * 2
        scale *= 2
        convolutions += tokens * scale**2 * 9 * width * width  # after sampling
        if level % 2:
            convolutions += tokens * scale**2 * 9 * width * width  # refinement, after each two steps
    convolutions += tokens * scale**2 * (9 * width * 128 + 9 * 128 * 32 + 32)
    return 2 * (linear + convolutions), 2 * 4 * (tokens - 1) * channels * channels


def test_flops_of_the_paper_at_256():
    sdt = count(preset_config("dinov3-large-sdt"), 256, 256)
    official, shared = sdt_flops(1024, 16)
    assert round(official / 1e9, 2) == 233.85
    assert sdt.official_decoder_flops == official
    assert sdt.decoder_flops == official - shared
    dpt = count(preset_config("dinov3-large-dpt", num_output_channels=1), 256, 256)
    assert round(dpt.decoder_flops / 1e9, 2) == 308.84
    assert dpt.official_decoder_flops == dpt.decoder_flops
    # charging the two transposed convolutions once per output position is what gives the paper's number
    tokens, channels = 16 * 16, 1024
    per_input = 2 * tokens * channels * channels * (4**2 + 2**2)
    per_output = 2 * tokens * channels * channels * (4**2 * 4**2 + 2**2 * 2**2)
    assert (dpt.decoder_flops - per_input + per_output) / 1e9 == pytest.approx(444.14, abs=0.01)


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_attention_is_counted_whatever_computes_it(attention):
    config = preset_config("dinov3-small-sdt", attn_implementation=attention)
    encoder = count(config, 256, 256).flops - count(config, 256, 256).decoder_flops
    tokens, width = 16 * 16 + 5, 384
    layers = 12 * (2 * tokens * width * (4 * width + 8 * width) + 4 * tokens**2 * width)
    # patches and positions, not more than a thousandth
    assert encoder == pytest.approx(layers + 2 * 256 * width * 3 * 16**2, rel=1e-3)


@pytest.mark.parametrize(
    ("name", "millions"),
    [
        ("dinov3-small-sdt", 5.51), ("dinov3-base-sdt", 9.45), ("dinov3-large-sdt", 13.38),
        ("dinov3-small-dpt", 50.83), ("dinov3-base-dpt", 76.05), ("dinov3-large-dpt", 99.58),
    ],
)  # fmt: skip
def test_decoder_parameters_of_the_paper(name, millions):
    assert count(model_config(name), 64, 64).decoder_parameters / 1e6 == pytest.approx(millions, abs=0.0075)


@pytest.mark.parametrize(
    ("name", "millions"), [("depth-anything-v2-small", 24.8), ("depth-anything-v2-base", 97.5), ("dpt-large", 343.0)]
)
def test_peers_have_their_published_sizes(name, millions):
    config = PEERS[name]()
    size = input_size(config, 256)
    assert size == (252 if "anything" in name else 256)
    assert count(config, size, size).parameters / 1e6 == pytest.approx(millions, abs=0.05)


def test_the_compact_head_costs_less_than_the_peers():
    for row, peer in (("dinov3-small-sdt-compact", "depth-anything-v2-small"),
                      ("dinov3-base-sdt-compact", "depth-anything-v2-base")):  # fmt: skip
        compact, anything = count(model_config(row), 512, 512), count(model_config(peer), 518, 518)
        assert compact.decoder_parameters < 1e6 and compact.decoder_flops < anything.decoder_flops
        assert compact.flops < anything.flops


def test_runs_are_interleaved_and_timed_by_the_median():
    order = []
    pauses = {"slow": iter([0.05, 0, 0.004, 0.004, 0.004]), "fast": iter([0] * 5)}

    def function(name):
        order.append(name)
        time.sleep(next(pauses[name]))

    times = latencies({n: lambda n=n: function(n) for n in pauses}, torch.device("cpu"), runs=4, warmup=1)
    assert order == ["slow", "fast"] * 5
    assert times["slow"][0] >= 4  # the first run is warm-up, one of the others does not move the median


def test_the_decoder_runs_alone_on_the_models_features():
    config = AnyDepthConfig(backbone_config=TINY, fusion_hidden_size=16)
    model = AnyDepthForDepthEstimation(config).eval()
    pixel_values = torch.randn(1, 3, 56, 56)
    with torch.inference_mode():
        (features,) = decoder_call(model, pixel_values)()
        prediction = model(pixel_values=pixel_values).predicted_depth
        torch.testing.assert_close(
            model.to_prediction(model.restore_size(features, pixel_values, (56, 56)))[:, 0], prediction
        )


def test_the_command_measures_a_local_model(tmp_path, capsys):
    AnyDepthConfig(backbone_config=TINY, fusion_hidden_size=16).save_pretrained(tmp_path / "tiny")
    model, out = str(tmp_path / "tiny"), str(tmp_path / "out.json")
    arguments = ["benchmark", "--models", model, "--resolutions", "64", "--runs", "2", "--device", "cpu"]
    assert main([*arguments, "--memory", "--json", out]) == 0
    printed = capsys.readouterr().out
    assert "| 70x70 | " + model in printed  # the nearest multiple of 14 to 64
    assert "| dinov3-large-dpt | 99.58 | 99.58 | 402.71 |" in printed
    results = json.loads((tmp_path / "out.json").read_text())
    (entry,) = results["models"]
    assert entry["input_size"] == 70
    assert 0 < entry["decoder_ms"]
    assert 100 * 2**20 < entry["peak_memory"] < 4 * 2**30
    assert results["environment"]["dtype"] == "float32"
    assert main([*arguments, "--json", out]) == 2
    assert "out.json exists" in capsys.readouterr().err
    assert main(["benchmark", "--models", "no-such-model"]) == 2
    assert "no-such-model is neither a model" in capsys.readouterr().err


@pytest.mark.long
@needs_compiler
def test_the_command_times_compiled_models(tmp_path, capsys):
    AnyDepthConfig(backbone_config=TINY, fusion_hidden_size=16).save_pretrained(tmp_path / "tiny")
    model, out = str(tmp_path / "tiny"), str(tmp_path / "out.json")
    arguments = ["benchmark", "--models", model, "--resolutions", "28", "--runs", "1", "--device", "cpu"]
    torch._dynamo.utils.counters.clear()
    assert main([*arguments, "--warmup", "1", "--compile", "default", "--channels-last", "--json", out]) == 0
    # the model and its decoder, each one graph
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 2
    assert not torch._dynamo.utils.counters["graph_break"]
    assert "memory format channels last, compile default" in capsys.readouterr().out
    assert json.loads((tmp_path / "out.json").read_text())["models"][0]["decoder_ms"] > 0
    assert main([*arguments, "--warmup", "0", "--compile", "default"]) == 2
    assert "--compile needs --warmup" in capsys.readouterr().err


def test_published_efficiency_is_that_of_rows():
    assert set(PUBLISHED_EFFICIENCY) <= set(preset_names())
