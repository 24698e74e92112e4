"""What every backbone of this package must do, checked on a small model of it; and the shared reference files."""

import gc
import weakref
from pathlib import Path

import torch
from safetensors.torch import load_file
from transformers import AutoBackbone, AutoConfig

import anydepth_hf  # noqa: F401 (registers the backbones)

REFERENCE = Path(__file__).parents[1] / "reference"
TOLERANCE = 5e-6  # a wrong layer-norm epsilon shows from 8e-6 on


def largest_difference(left, right) -> float:
    """Largest absolute difference over the feature maps and class tokens of two backbone outputs."""
    pairs = zip((*left.feature_maps, *left.cls_tokens), (*right.feature_maps, *right.cls_tokens), strict=True)
    return max((a - b).abs().max().item() for a, b in pairs)


def randomize(model: torch.nn.Module) -> torch.nn.Module:
    """Give every parameter a value of its own size, norms and layer scales included."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            is_scale = parameter.ndim == 1 and not name.endswith("bias")
            parameter.copy_(1 + 0.2 * noise if is_scale else 0.1 * noise)
    return model


def check_batch_equals_alone(model, size):
    images = torch.randn(3, 3, *size, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        together = model(images)
        for index, image in enumerate(images):
            alone = model(image[None])
            for one, all_ in zip(
                (*alone.feature_maps, *alone.cls_tokens), (*together.feature_maps, *together.cls_tokens), strict=True
            ):
                torch.testing.assert_close(one[0], all_[index], atol=2e-6, rtol=0)


def check_gradient_checkpointing(model, size):
    images = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(2))
    gradients = []
    model.train()
    for enable in (model.activation_checkpointing_disable, model.activation_checkpointing_enable):
        enable()
        model.zero_grad()
        output = model(images)
        sum(tensor.square().mean() for tensor in (*output.feature_maps, *output.cls_tokens)).backward()
        gradients.append({k: p.grad.clone() for k, p in model.named_parameters() if p.grad is not None})
    assert gradients[0].keys() == gradients[1].keys()
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient, atol=1e-6, rtol=1e-5, msg=name)


def check_export(model, size):
    images = torch.randn(2, 3, *size)
    program = torch.export.export(model, (images,))
    with torch.no_grad():
        assert largest_difference(program.module()(images), model(images)) < 1e-6


def check_save_and_load(model, directory):
    """Bit-equal weights under the names the modules have in memory: nothing is renamed on the way."""
    model.save_pretrained(directory)
    state = model.state_dict()
    assert load_file(directory / "model.safetensors").keys() == state.keys()
    loaded, info = type(model).from_pretrained(directory, output_loading_info=True)
    assert not any(info.values()), info
    assert loaded.config.out_indices == model.config.out_indices
    for name, tensor in loaded.state_dict().items():
        assert torch.equal(tensor, state[name]), name


def check_kept_in_memory(model, block_class, size, limit):
    """During a forward pass at most `limit` block outputs live at once, afterwards none: the levels are copies."""
    alive, most = [], 0

    def count(module, args, output):
        nonlocal most
        alive.append(weakref.ref(output))
        most = max(most, sum(reference() is not None for reference in alive))

    hooks = [m.register_forward_hook(count) for m in model.modules() if isinstance(m, block_class)]
    with torch.inference_mode():
        output = model(torch.randn(1, 3, *size))
    for hook in hooks:
        hook.remove()
    gc.collect()
    assert output.hidden_states is None and output.attentions is None
    assert len(alive) == len(hooks) > limit >= most, f"{most} block outputs at once"
    assert not any(reference() is not None for reference in alive)
    storage = sum(t.untyped_storage().nbytes() for t in (*output.feature_maps, *output.cls_tokens))
    assert storage == sum(t.nbytes for t in (*output.feature_maps, *output.cls_tokens))


def check_half_precision(model, size):
    """bfloat16 weights, and float32 weights under autocast, stay near float32."""
    images = torch.randn(1, 3, *size)
    with torch.inference_mode():
        expected = model(images)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            autocast = model(images)
        low = model.to(torch.bfloat16)(images)
    assert low.feature_maps[0].dtype == torch.bfloat16
    for output in (autocast, low):
        for got, want in zip(output.feature_maps, expected.feature_maps, strict=True):
            assert (got.float() - want).square().mean().sqrt() < 0.05 * want.square().mean().sqrt()


def check_auto_classes(model, directory):
    """`AutoBackbone` knows the class, and a saved one is found by its model type."""
    assert isinstance(AutoBackbone.from_config(model.config), type(model))
    model.config.save_pretrained(directory)
    config = AutoConfig.from_pretrained(directory)
    assert type(config) is type(model.config)
    for name in type(config).__annotations__:
        assert getattr(config, name) == getattr(model.config, name), name
