from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from torch.nn import functional as F

from anydepth_hf import SDTHead
from anydepth_hf.modeling_sdt import DySample

REFERENCE = Path(__file__).parents[1] / "reference"


def load_reference(name):
    with safe_open(REFERENCE / f"{name}.safetensors", "pt") as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}
    state = {key.removeprefix("state."): value for key, value in tensors.items() if key.startswith("state.")}
    levels = [
        [tensors[f"input.{kind}.{i}"] for i in range(4)] if f"input.{kind}.0" in tensors else None
        for kind in ("feature_maps", "cls_tokens")
    ]
    return state, *levels, tensors["output"]


@pytest.fixture(params=["sdt_cls", "sdt_nocls"])
def reference(request):
    state, feature_maps, cls_tokens, output = load_reference(request.param)
    head = SDTHead(40, 24, 1, use_cls_token=request.param == "sdt_cls").eval()
    head.load_state_dict(state)
    return head, feature_maps, cls_tokens, output


def test_official_state_dict_gives_the_official_output(reference):
    head, feature_maps, cls_tokens, output = reference
    prediction = head(feature_maps, cls_tokens)
    assert prediction.requires_grad
    torch.testing.assert_close(prediction.detach(), output, rtol=0, atol=5e-6)
    with torch.no_grad():
        torch.testing.assert_close(head(feature_maps, cls_tokens), output, rtol=0, atol=5e-6)


def test_pairs_of_map_and_class_token_are_accepted():
    state, feature_maps, cls_tokens, output = load_reference("sdt_cls")
    head = SDTHead(40, 24).eval()
    head.load_state_dict(state)
    with torch.no_grad():
        torch.testing.assert_close(head(list(zip(feature_maps, cls_tokens))), output, rtol=0, atol=5e-6)


@pytest.mark.parametrize(("width", "millions"), [(384, 5.517), (768, 9.451), (1024, 13.384)])
def test_parameter_counts_of_the_paper(width, millions):
    with torch.device("meta"):
        head = SDTHead(width)
    assert round(sum(p.numel() for p in head.parameters()) / 1e6, 3) == millions


def test_wrong_levels_and_widths_are_explained():
    head = SDTHead(8, 8)
    maps, tokens = [torch.randn(1, 8, 2, 3)] * 4, [torch.randn(1, 8)] * 4
    with pytest.raises(ValueError, match="four encoder levels, got 3"):
        head(maps[:3], tokens[:3])
    with pytest.raises(ValueError, match="pass `cls_tokens`"):
        head(maps)
    with pytest.raises(ValueError, match="multiples of `dysample_groups`=4"):
        SDTHead(8, 10)
    with pytest.raises(ValueError, match="three or four widths"):
        SDTHead(8, 8, upsample_channels=[8, 8])


def test_tapered_widths_and_options_reach_the_layers():
    head = SDTHead(
        8, 16, 3, use_cls_token=False, upsample_channels=[16, 8, 8, 4], output_channels=[6, 5], dysample_groups=2,
        dysample_scope=False, input_norm=True,
    )  # fmt: skip
    assert head([torch.randn(2, 8, 3, 2)] * 4).shape == (2, 3, 48, 32)
    assert head.norm.normalized_shape == (8,)
    assert [step[1].out_channels for block in (head.upsample_1, head.upsample_2) for step in block.children()] == [
        16, 8, 8, 4,
    ]  # fmt: skip
    assert not any("scope" in name for name, _ in head.named_parameters())


def test_three_widths_upsample_eight_times():
    head = SDTHead(8, 16, upsample_channels=[16, 12, 8])
    assert head([torch.randn(2, 8, 3, 2)] * 4, [torch.randn(2, 8)] * 4).shape == (2, 1, 24, 16)
    assert [step[1].out_channels for step in head.stages()] == [16, 12, 8]
    assert not hasattr(head.upsample_2, "dysample2")


def test_untrained_dysample_is_bilinear_upsampling():
    sampler = DySample(8)
    torch.nn.init.zeros_(sampler.offset.weight)
    features = torch.randn(2, 8, 5, 7)
    expected = F.interpolate(features, scale_factor=2, mode="bilinear", align_corners=False)
    torch.testing.assert_close(sampler(features), expected, rtol=0, atol=1e-5)


def test_16_bit_features_are_sampled_at_float32_positions():
    torch.manual_seed(0)
    sampler = DySample(8).eval()
    torch.nn.init.normal_(sampler.offset.bias)
    features = torch.randn(1, 8, 4, 512)
    expected = sampler(features)
    half = sampler.bfloat16()(features.bfloat16()).float()
    # positions rounded to bf16 would be off by whole pixels at this width, features by their own size
    assert (half - expected).abs().mean() < 0.02


def test_every_parameter_gets_a_gradient():
    head = SDTHead(8, 8)
    head([torch.randn(2, 8, 2, 3) for _ in range(4)], [torch.randn(2, 8) for _ in range(4)]).square().mean().backward()
    assert [name for name, p in head.named_parameters() if p.grad is None or not p.grad.isfinite().all()] == []


NON_FINITE = """
import sys
sys.path.insert(0, sys.argv[1])
import torch
from anydepth_hf import SDTHead

for part, value in (("offset.weight", "nan"), ("scope.weight", "inf"), ("weight", "1e30")):
    torch.manual_seed(0)
    head = SDTHead(16, 32)
    for name, parameter in head.named_parameters():
        if part in name:
            parameter.data.fill_(float(value))
    output = head([torch.randn(2, 16, 16, 16)] * 4, [torch.randn(2, 16)] * 4)
    assert output.isnan().any()
    output.sum().backward()
"""


def test_backward_survives_weights_that_are_not_finite(run_process, tmp_path):
    script = tmp_path / "non_finite.py"
    script.write_text(NON_FINITE)
    finished = run_process(script, Path(__file__).parents[2])
    assert finished.returncode == 0, finished.stderr
