"""The training path of the SDT head on CPU: the gradients of the layers, and the layers where anybody looks on."""

import copy

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from anydepth_hf import SDTHead, modeling_sdt, modeling_sdt_training, winograd_anydepth


@pytest.fixture
def calls(monkeypatch):
    """A list that grows by one whenever the training path runs."""
    calls = []

    def train(head, features):
        calls.append(features.shape)
        return modeling_sdt_training.train(head, features)

    monkeypatch.setattr(modeling_sdt, "train", train)
    # small strips, and Winograd's algorithm for every width, so that small maps take all paths
    monkeypatch.setattr(modeling_sdt_training, "STRIP_TILES", 6)
    monkeypatch.setattr(winograd_anydepth, "MIN_CHANNELS", 1)
    return calls


def random_head(**kwargs):
    """A head in training mode with sampling offsets of a few pixels."""
    torch.manual_seed(0)
    head = SDTHead(16, **{"fusion_channels": 16, **kwargs}).train()
    for name, parameter in head.named_parameters():
        if name.endswith(("offset.weight", "scope.weight")):
            nn.init.normal_(parameter, std=0.3)
    return head


def random_levels(batch_size=2, height=3, width=5, dtype=torch.float32):
    generator = torch.Generator().manual_seed(1)
    maps = [torch.randn(batch_size, 16, height, width, generator=generator).to(dtype) for _ in range(4)]
    return maps, [torch.randn(batch_size, 16, generator=generator).to(dtype) for _ in range(4)]


def step(head, size=(2, 3, 5), dtype=torch.float32):
    """Output, gradients of the weights and of the maps, and buffers after a training step."""
    head = copy.deepcopy(head).to(dtype)
    maps, tokens = random_levels(*size, dtype=dtype)
    maps = [level.requires_grad_() for level in maps]
    output = head(maps, tokens)
    (output * torch.linspace(-1, 1, output.numel(), dtype=dtype).view(output.shape)).sum().backward()
    gradients = {name: parameter.grad for name, parameter in head.named_parameters()}
    gradients |= {f"maps.{index}": level.grad for index, level in enumerate(maps)}
    return output.detach(), gradients, dict(head.named_buffers())


def relative_error(got, expected):
    return ((got.double() - expected).norm() / expected.norm()).item()


def check_gradients(function, reference, inputs):
    """`function` of float32 `inputs` has the values and the gradients of `reference` of the same in float64."""
    gradients = []
    for compute, dtype in ((function, torch.float32), (reference, torch.float64)):
        leaves = [value.detach().to(dtype).requires_grad_() for value in inputs]
        output = compute(*leaves)
        weight = torch.linspace(-1, 1, output.numel(), dtype=dtype).view(output.shape)
        gradients.append([output, *torch.autograd.grad((output * weight).sum(), leaves)])
    for got, expected in zip(*gradients):
        assert relative_error(got.detach(), expected.detach()) < 1e-5


@pytest.mark.parametrize("size", [(1, 3), (3, 5), (8, 9), (13, 4)])
def test_convolution_of_batch_norm_and_relu(size, calls):
    torch.manual_seed(0)
    maps, weight, bias = torch.randn(2, *size, 16), torch.randn(12, 16, 3, 3), torch.randn(12)
    norm_weight, norm_bias = torch.rand(16) + 0.5, torch.randn(16)
    mean, var = maps.mean(dim=(0, 1, 2)), maps.var(dim=(0, 1, 2), correction=0)
    # no value so near to zero that rounding could switch its ReLU
    activated = (maps - mean) * (var + 1e-5).rsqrt() * norm_weight + norm_bias
    norm_bias = norm_bias + torch.where(activated.abs().amin(dim=(0, 1, 2)) < 1e-5, 1e-4, 0.0)

    def layers(maps, norm_weight, norm_bias, weight, bias):
        maps = nn.functional.batch_norm(maps.permute(0, 3, 1, 2), None, None, norm_weight, norm_bias, training=True)
        return nn.functional.conv2d(maps.relu(), weight, bias, padding=1).permute(0, 2, 3, 1)

    def function(*inputs):
        return modeling_sdt_training.ActivatedConv.apply(*inputs, torch.zeros(16), torch.ones(16), 0.1, 1e-5)

    check_gradients(function, layers, (maps, norm_weight, norm_bias, weight, bias))


@pytest.mark.parametrize("size", [(1, 4), (3, 5), (6, 2)])
def test_convolution_of_a_sampled_map(size, calls):
    torch.manual_seed(0)
    height, width = size
    maps, weight = torch.randn(2, height, width, 16), torch.randn(12, 16, 3, 3)
    # positions in and beyond the map, between pixels, where the slope does not jump
    pixels = torch.stack([torch.randint(-2, side + 1, (2, 4, 2 * height, 2 * width)) for side in (width, height)], -1)
    positions = pixels + 0.1 + 0.8 * torch.rand(pixels.shape)
    grid = (2 * positions + 1) / torch.tensor([width, height]) - 1

    def layers(maps, grid, weight):
        groups = maps.permute(0, 3, 1, 2).reshape(8, 4, height, width)
        sampled = nn.functional.grid_sample(groups, grid.flatten(0, 1), padding_mode="border", align_corners=False)
        return nn.functional.conv2d(sampled.unflatten(0, (2, 4)).flatten(1, 2), weight, padding=1).permute(0, 2, 3, 1)

    check_gradients(modeling_sdt_training.SampledConv.apply, layers, (maps, grid, weight))


@pytest.mark.parametrize(
    "kwargs", [{}, {"use_cls_token": False, "dysample_scope": False}, {"upsample_channels": [16, 12, 8]}]
)
def test_output_gradients_and_statistics_of_the_layers(kwargs, calls):
    head = random_head(**kwargs)
    output, gradients, buffers = step(head)
    assert len(calls) == 1
    expected_output, expected, expected_buffers = step(head, dtype=torch.float64)
    assert len(calls) == 1  # float64 runs through the layers
    assert relative_error(output, expected_output) < 1e-5
    scale = max(gradient.abs().max() for gradient in expected.values())
    for name, gradient in expected.items():
        # loose: a rounding that switches one ReLU or moves one position over a pixel shows in a map as small as this;
        # in front of a batch norm that subtracts the mean, a bias has no gradient
        error = (gradients[name] - gradient).norm() / (gradient.norm() + 1e-4 * scale)
        assert error < 3e-2, name
    for name, buffer in expected_buffers.items():
        torch.testing.assert_close(buffers[name].to(buffer.dtype), buffer, rtol=1e-5, atol=1e-6, msg=name)


def test_layers_run_where_the_training_path_does_not_apply(calls):
    levels = random_levels()
    head = random_head()
    with torch.autocast("cpu", torch.bfloat16):
        head(*levels)
    with FlopCounterMode(display=False):
        head(*levels)
    with torch.no_grad():
        head(*levels)
    copy.deepcopy(head).eval()(*levels)
    hooked = copy.deepcopy(head)
    hooked.upsample_2.register_forward_hook(lambda *args: None)
    hooked(*levels)
    for name, change in (
        ("refinement_1.1", nn.BatchNorm2d(16, momentum=None)),
        ("refinement_1.1", nn.BatchNorm2d(16).eval()),
        ("refinement_2.2", nn.GELU()),
        ("output_conv.0", nn.utils.parametrizations.weight_norm(nn.Conv2d(16, 8, 3, padding=1))),
    ):
        changed = copy.deepcopy(head)
        changed.set_submodule(name, change)
        changed(*levels)
    head.fast_training = False
    head(*levels)
    assert calls == []
    del head.fast_training
    head(*levels)
    assert len(calls) == 1


def test_weights_that_are_not_finite_give_nan(calls):
    head = random_head()
    nn.init.constant_(head.upsample_1.dysample1[0].offset.weight, torch.nan)
    output = head(*random_levels())
    output.sum().backward()
    assert len(calls) == 1 and output.isnan().all()


def saved_bytes(head: SDTHead, maps: list[torch.Tensor]) -> int:
    """Memory that a forward pass keeps for the backward pass."""
    storages = {}

    def keep(tensor):
        storages[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        output = head(maps)
    output.sum().backward()
    return sum(storages.values())


def test_the_training_path_keeps_less_for_the_backward_pass():
    head = SDTHead(16, 128, use_cls_token=False, output_channels=(64, 8)).train()
    maps = [torch.randn(1, 16, 8, 8)] * 4
    kept = {}
    for fast in (True, False):
        head.fast_training = fast
        kept[fast] = saved_bytes(head, maps)
    assert kept[True] < 0.6 * kept[False]
