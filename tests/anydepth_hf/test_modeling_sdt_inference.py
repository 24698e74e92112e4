import copy
import io
import threading
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from anydepth_hf import SDTHead, modeling_sdt, modeling_sdt_inference, winograd_anydepth
from anydepth_hf.presets import preset_config

REFERENCE = Path(__file__).parents[1] / "reference"
KINDS = ("feature_maps", "cls_tokens")


@pytest.fixture
def calls(monkeypatch):
    """A list that grows by one whenever the inference path runs."""
    calls = []

    def infer(head, features):
        calls.append(features.shape)
        return modeling_sdt_inference.infer(head, features)

    monkeypatch.setattr(modeling_sdt, "infer", infer)
    return calls


@pytest.fixture
def many_strips(monkeypatch):
    """Small strips and blocks, and Winograd's algorithm for every width, so that small maps take all paths."""
    monkeypatch.setattr(modeling_sdt_inference, "STRIP_VALUES", 1024)
    monkeypatch.setattr(winograd_anydepth, "TILES_PER_THREAD", 5)
    monkeypatch.setattr(winograd_anydepth, "MIN_CHANNELS", 1)


def random_head(seed=0, **kwargs):
    """A head with activations of order one, offsets of a few pixels and non-trivial batch norms."""
    torch.manual_seed(seed)
    head = SDTHead(16, **{"fusion_channels": 16, **kwargs}).eval()
    with torch.no_grad():
        for name, parameter in head.named_parameters():
            if name.endswith("offset.weight") or name.endswith("scope.weight"):
                parameter.normal_(std=0.3)
            elif parameter.ndim == 4 and parameter.shape[-1] == 3:
                nn.init.kaiming_normal_(parameter)
        for module in head.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_()
                module.running_var.uniform_(0.5, 2)
                nn.init.normal_(module.weight)
                nn.init.normal_(module.bias)
    return head


def random_levels(batch_size=1, height=3, width=4, channels=16):
    generator = torch.Generator().manual_seed(1)
    maps = [torch.randn(batch_size, channels, height, width, generator=generator) for _ in range(4)]
    return maps, [torch.randn(batch_size, channels, generator=generator) for _ in range(4)]


@torch.no_grad()
def both(head, levels):
    fast = head(*levels)
    head.fast_inference = False
    slow = head(*levels)
    del head.fast_inference
    return fast, slow


def official(name):
    """The official head, its inputs and its output on the reference file `name`."""
    with safe_open(REFERENCE / f"{name}.safetensors", "pt") as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}
    head = SDTHead(40, 24, use_cls_token=name == "sdt_cls").eval()
    head.load_state_dict({key[6:]: value for key, value in tensors.items() if key.startswith("state.")})
    levels = [[value for key, value in sorted(tensors.items()) if key.startswith(f"input.{kind}.")] for kind in KINDS]
    return head, levels, tensors["output"]


@pytest.mark.parametrize("min_channels", [1, 64])
@pytest.mark.parametrize("name", ["sdt_cls", "sdt_nocls"])
def test_official_output(name, min_channels, calls, monkeypatch):
    monkeypatch.setattr(winograd_anydepth, "MIN_CHANNELS", min_channels)
    head, levels, expected = official(name)
    with torch.inference_mode():
        output = head(*levels)
    assert len(calls) == 1
    torch.testing.assert_close(output, expected, rtol=0, atol=5e-6)


@pytest.mark.parametrize("size", [(1, 1), (1, 5), (6, 1), (3, 4), (5, 3), (7, 9)])
@pytest.mark.parametrize(
    "kwargs",
    [
        {},
        {"use_cls_token": False, "dysample_scope": False},
        {"upsample_channels": [16, 8, 12, 4], "output_channels": [6, 5], "n_output_channels": 3},
        {"upsample_channels": [16, 12, 8]},
        {"dysample_groups": 2, "input_norm": True},
    ],
)
def test_same_as_the_layers(size, kwargs, calls, many_strips):
    fast, slow = both(random_head(**kwargs), random_levels(2, *size))
    assert len(calls) == 1
    assert fast.shape == slow.shape and fast.dtype == slow.dtype and slow.std() > 0.01
    torch.testing.assert_close(fast, slow, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("size", [(1, 1), (5, 7), (16, 12)])
def test_widths_of_the_compact_presets(size, calls):
    """As released: Winograd's algorithm where it pays, and strips that end inside the map."""
    config = preset_config("dinov3-small-sdt-compact")
    widths = {"upsample_channels": config.upsample_hidden_sizes, "output_channels": config.output_hidden_sizes}
    head = random_head(
        fusion_channels=config.fusion_hidden_size, use_cls_token=config.use_cls_token, input_norm=True, **widths
    )
    fast, slow = both(head, random_levels(2, *size))
    assert len(calls) == 1 and slow.std() > 0.01
    torch.testing.assert_close(fast, slow, rtol=0, atol=1e-5)


def test_official_widths_are_as_near_to_float64_as_single_precision_allows(calls):
    head = random_head(fusion_channels=256)
    maps, tokens = random_levels(1, 4, 5)
    fast, slow = both(head, (maps, tokens))
    with torch.no_grad():
        exact = head.double()([level.double() for level in maps], [token.double() for token in tokens])
    assert len(calls) == 1  # float64 runs through the layers
    for output in (fast, slow):
        assert (output - exact).norm() < 1e-5 * exact.norm()
        assert (output - exact).abs().max() < 3e-5 * exact.abs().max()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_non_finite_features_give_nan_where_the_layers_do(value):
    head, (maps, tokens) = random_head(), random_levels(1, 8, 8)
    maps[0][0, 0, 0, 0] = value
    fast, slow = both(head, (maps, tokens))
    assert 0 < slow.isnan().sum() < slow.numel()
    assert torch.equal(fast.isnan(), slow.isnan())


def test_layers_run_where_the_inference_path_does_not_apply(calls):
    levels = random_levels()
    head = random_head()
    assert head(*levels).requires_grad
    with torch.no_grad():
        head.train()(*levels)
        head.eval().refinement_1[1].train()(torch.ones(2, 16, 4, 4))
        head(*levels)
        head.eval().double()([level.double() for level in levels[0]], [token.double() for token in levels[1]])
        head.float().fast_inference = False
        head(*levels)
        head.fast_inference = True
        with FlopCounterMode(display=False) as counter:
            head(*levels)
        torch.jit.trace(head, levels, check_trace=False)
        torch.export.export(head, levels)
    assert calls == []
    assert counter.get_total_flops() > 2 * (2 * 9 * 16 * 16) * (48 * 64)  # two of the convolutions at full size
    with torch.no_grad():
        head(*levels)
    assert len(calls) == 1


def test_changed_layers_are_called(calls):
    levels = random_levels()

    class Adapter(nn.Conv2d):
        def forward(self, features):
            return super().forward(features) + 1

    seen = []
    head = random_head()
    head.refinement_2[2].register_forward_hook(lambda module, args, output: seen.append(output))
    hooked, _ = both(head, levels)
    assert len(seen) == 2
    for name, replacement in (
        ("refinement_2.2", nn.GELU()),
        ("refinement_2.1", nn.Identity()),
        ("output_conv.0", Adapter(16, 8, 3, padding=1)),
        ("output_conv.0", nn.Conv2d(16, 8, 3, padding=1, padding_mode="reflect")),
        ("output_conv.0", nn.Conv2d(16, 8, 5, padding=2)),
        ("upsample_1.dysample1.0.offset", nn.utils.parametrizations.weight_norm(nn.Conv2d(16, 32, 1))),
    ):
        head = random_head()
        head.set_submodule(name, replacement)
        fast, slow = both(head, levels)
        assert torch.equal(fast, slow) and not torch.allclose(fast, hooked)
    assert calls == []


def change_in_place(head):
    head.output_conv[0].weight.mul_(2)


def change_data(head):
    head.output_conv[0].weight.data.mul_(2)


def change_statistics(head):
    head.refinement_1[1].running_var.mul_(2)


def load(head):
    head.load_state_dict({name: value * 1.1 for name, value in head.state_dict().items()})


def assign(head):
    head.load_state_dict({name: value * 1.1 for name, value in head.state_dict().items()}, assign=True)


def optimize(head):
    with torch.enable_grad():
        head(*random_levels()).sum().backward()
    torch.optim.SGD(head.parameters(), 1e-3).step()


@pytest.mark.parametrize("change", [change_in_place, change_data, change_statistics, load, assign, optimize])
@torch.no_grad()
def test_changed_weights_count(change, calls):
    head, levels = random_head(), random_levels()
    before = head(*levels)
    change(head)
    fast, slow = both(head, levels)
    assert len(calls) == 2
    assert not torch.allclose(fast, before)
    torch.testing.assert_close(fast, slow, rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_prepared_weights_are_kept_until_a_weight_changes_and_no_longer_than_the_head(monkeypatch):
    built = []
    stage = modeling_sdt_inference.Stage
    monkeypatch.setattr(modeling_sdt_inference, "Stage", lambda *args: built.append(1) or stage(*args))
    head, levels = random_head(), random_levels()
    prepared = modeling_sdt_inference.prepared
    for _ in range(3):
        head(*levels)
    assert len(built) == 4
    assert head in prepared
    count = len(prepared)
    del head
    assert len(prepared) == count - 1


def test_weights_prepared_in_inference_mode_serve_without_it(calls):
    head, levels = random_head(), random_levels()
    with torch.inference_mode():
        expected = head(*levels)
    with torch.no_grad():
        assert torch.equal(head(*levels), expected)
    assert len(calls) == 2


@torch.no_grad()
def test_copies_and_files_hold_the_weights_alone(calls):
    def saved(head):
        torch.save(head, file := io.BytesIO())
        return file

    head, levels = random_head(), random_levels()
    keys, size = list(head.state_dict()), len(saved(head).getvalue())
    output = head(*levels)
    assert list(head.state_dict()) == keys and len(saved(head).getvalue()) == size
    duplicate = copy.deepcopy(head)
    assert torch.equal(duplicate(*levels), output)
    duplicate.output_conv[4].bias.add_(1)
    torch.testing.assert_close(duplicate(*levels), output + 1)
    assert torch.equal(head(*levels), output)
    (file := saved(head)).seek(0)
    assert torch.equal(torch.load(file, weights_only=False)(*levels), output)
    assert len(calls) == 5


@pytest.mark.parametrize("name", ["sdt_cls", "sdt_nocls"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("fast_bfloat16", [True, False])
@torch.no_grad()
def test_16_bits(name, dtype, fast_bfloat16, calls, monkeypatch):
    monkeypatch.setattr(modeling_sdt_inference, "has_fast_bfloat16", lambda: fast_bfloat16)
    head, levels, expected = official(name)
    with torch.autocast("cpu", dtype):
        automatic = head(*levels)
    outputs = [head.to(dtype)(*([value.to(dtype) for value in level] for level in levels)) for _ in range(3)]
    for output in (automatic, *outputs):
        assert output.dtype == dtype
        assert (output.float() - expected).norm() < 1e-2 * expected.norm()
    assert torch.equal(outputs[0], outputs[1]) and torch.equal(outputs[0], outputs[2])
    assert len(calls) == 4


@torch.no_grad()
def test_reduced_precision_products_do_not_meet_winograd():
    head, levels = random_head(fusion_channels=64), random_levels()
    output = head(*levels)
    try:
        torch.set_float32_matmul_precision("medium")
        reduced = head(*levels)
    finally:
        torch.set_float32_matmul_precision("highest")
    assert (reduced - output).norm() < 1e-2 * output.norm()
    assert torch.equal(head(*levels), output)


@torch.no_grad()
def test_threads(many_strips):
    head, levels = random_head(), random_levels(2, 2, 3)
    expected = head(*levels)
    outputs = {}
    num_threads = torch.get_num_threads()
    torch.set_num_threads(num_threads + 1)
    try:
        outputs["more"] = head(*levels)
    finally:
        torch.set_num_threads(num_threads)

    def run(name):
        with torch.inference_mode():
            outputs[name] = copy.deepcopy(head)(*levels) if name == "copy" else head(*levels)

    threads = [threading.Thread(target=run, args=(name,)) for name in ("a", "b", "copy")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(outputs) == 4
    for output in outputs.values():
        torch.testing.assert_close(output, expected, rtol=1e-5, atol=1e-5)


MEMORY = """
import re, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import torch
from anydepth_hf import SDTHead

def memory(name):
    return int(re.search(rf"{name}:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])

torch.set_num_threads(1)
head = SDTHead(16, 32, use_cls_token=False).eval()
with torch.inference_mode():
    for fast in (True, False):
        head.fast_inference = fast
        head([torch.zeros(1, 16, 2, 2)] * 4)
        before = memory("VmRSS")
        head([torch.zeros(1, 16, 64, 64)] * 4)
        print(memory("VmHWM") - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads Linux's counters")
def test_peak_memory(run_process, tmp_path):
    script = tmp_path / "memory.py"
    script.write_text(MEMORY)
    root = Path(__file__).parents[2]
    finished = run_process(script, root)
    assert finished.returncode == 0, finished.stderr
    fast, layers = map(int, finished.stdout.split())
    assert fast < layers / 3
