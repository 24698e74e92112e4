import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForDepthEstimation

from anydepth_hf.loading import ModelError, find_device, load_model, require_complete


@pytest.fixture
def folder(save_tiny_model, tmp_path):
    return shutil.copytree(save_tiny_model(), tmp_path / "model")


def test_a_model_comes_complete_in_eval_mode_with_its_processor(folder):
    model, processor = load_model(folder, "cpu", "bfloat16")
    assert (model.dtype, model.training, processor.ensure_multiple_of) == (torch.bfloat16, False, 16)


def test_a_checkpoint_that_lacks_weights_is_refused(folder):
    weights = load_file(folder / "model.safetensors")
    for kept in (0, len(weights) // 2, len(weights) - 1):
        part = dict(list(weights.items())[:kept])
        save_file(part, folder / "model.safetensors", metadata={"format": "pt"})
        with pytest.raises(
            ModelError, match=r"model lacks \d+ of its weights, \w+.* for one, and would predict noise"
        ):
            load_model(folder)
    save_file({key: value for key, value in weights.items() if "mask_token" not in key}, folder / "model.safetensors")
    load_model(folder)  # no prediction depends on it


def test_the_check_serves_whoever_loads_a_model(folder):
    model, info = AutoModelForDepthEstimation.from_pretrained(folder, output_loading_info=True)
    require_complete(info, "x")
    with pytest.raises(ModelError, match="x lacks 2 of its weights, a.weight"):
        require_complete({"missing_keys": {"a.weight"}, "mismatched_keys": {("b", (1,), (2,))}}, "x")


DAMAGES = {
    "truncated weights": lambda folder: (folder / "model.safetensors").write_bytes(
        (folder / "model.safetensors").read_bytes()[:1000]
    ),
    "a Git LFS pointer": lambda folder: (folder / "model.safetensors").write_text(
        "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
    ),
    "a web page": lambda folder: (folder / "model.safetensors").write_text("<!DOCTYPE html><html></html>"),
    "no weights": lambda folder: (folder / "model.safetensors").unlink(),
    "no processor": lambda folder: (folder / "preprocessor_config.json").unlink(),
    "another model type": lambda folder: (folder / "config.json").write_text(json.dumps({"model_type": "bert"})),
    "a number of the wrong kind": lambda folder: (folder / "config.json").write_text(
        (folder / "config.json").read_text().replace('"fusion_hidden_size": 16', '"fusion_hidden_size": "many"')
    ),
    "no JSON": lambda folder: (folder / "config.json").write_text("{"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_models_get_one_sentence_that_names_them(folder, damage):
    DAMAGES[damage](folder)
    with pytest.raises(ModelError) as caught:
        load_model(folder)
    message = str(caught.value)
    assert str(folder) in message and len(message.splitlines()) == 1


def test_devices_that_are_not_there_are_named():
    assert find_device("cpu") == torch.device("cpu")
    for name in ("cuda:99", "gpu", "mps:7"):
        with pytest.raises(ModelError, match=f"The device {name} cannot be used here"):
            find_device(name)


def test_a_dtype_that_is_none_is_named(folder):
    with pytest.raises(ModelError, match="There is no dtype fp16; take float32, bfloat16 or float16"):
        load_model(folder, dtype="fp16")
