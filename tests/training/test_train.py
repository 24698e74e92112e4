"""Whole training runs: what they learn, what they leave unchanged, what they leave behind."""

import json
import re
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from transformers import DINOv3ViTModel, pipeline

from anydepth_hf import AnyDepthConfig, AnyDepthForDepthEstimation
from anydepth_hf.presets import preset_config
from tests.hub_server import TOKEN
from tests.training.data import writers
from tests.training.drawn import write_pictures
from tests.training.tiny_run import DPT, ROOT, SDT, metrics, options_of, run, write_pairs
from training.data.decoding import DataError
from training.trainer.arguments import parse_arguments
from training.trainer.data import build_validation_samples
from training.trainer.model import build_model

# small updates, so that the rounding of another order of summation does not grow
SMOOTH = ("--logging_steps", "1", "--learning_rate", "1e-4", "--encoder_learning_rate", "1e-4", "--validations", "1")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pairs")
    return write_pairs(folder / "train", 8), "--validation_dataset", write_pairs(folder / "held_out", 3, seed=1)


def losses(folder):
    return [line["loss"] for line in metrics(folder) if "loss" in line]


def test_learns_and_leaves_a_complete_model(data, tmp_path):
    folder = tmp_path / "run"
    run(folder, *data, "--max_steps", "96", "--logging_steps", "16", "--trackers", "tensorboard", "--ema_decay", "0.9",
        "--validations", "3", "--checkpoint_steps", "32")  # fmt: skip

    lines = metrics(folder)
    validations = [line for line in lines if "val/abs_rel" in line]
    assert [line["step"] for line in validations] == [0, 32, 64, 96]
    assert validations[-1]["val/abs_rel"] < 0.75 * validations[0]["val/abs_rel"]
    assert validations[-1]["val/abs_rel"] < validations[-1]["val/abs_rel_of_prior"]
    assert losses(folder)[-1] < 0.7 * losses(folder)[0]
    (best,) = folder.glob("best-step-*")
    assert int(best.name[10:]) == min(validations[1:], key=lambda line: line["val/abs_rel"])["step"]
    assert AnyDepthConfig.from_pretrained(best) == AnyDepthConfig.from_pretrained(folder)

    image = Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 56, 3), dtype=np.uint8))
    predicted = pipeline("depth-estimation", model=str(folder), device="cpu")(image)
    assert predicted["depth"].size == (56, 40)

    card = (folder / "README.md").read_text()
    assert "**disparity** (1 / depth)" in card and "96 steps" in card
    assert f"AbsRel {validations[-1]['val/abs_rel']:.4f}" in card
    record = json.loads((folder / "run.json").read_text())
    assert record[0]["versions"]["torch"] == torch.__version__
    assert re.fullmatch(r"[0-9a-f]{40}", record[0]["git"]["commit"]) if record[0]["git"] else True
    assert sorted(path.name for path in (folder / "checkpoints").iterdir()) == ["step-00000064", "step-00000096"]
    assert list((folder / "logs").rglob("events.out.tfevents.*"))
    sheet = Image.open(folder / "pictures" / "step-00000096.png")
    assert sheet.size == (3 * 48, 3 * 44)  # image, prediction, truth; three samples

    recorded = parse_arguments([str(folder / "training_config.yaml")])
    assert recorded.max_steps == 96 and recorded.output_dir == str(folder)


@pytest.mark.parametrize("size", ["1x1", "16x16", "64x31"])
@pytest.mark.parametrize("kind", ["pairs", "pictures"])
def test_images_of_less_than_two_patches_are_refused_in_one_sentence(size, kind, data, tmp_path):
    options = [data[0]]
    if kind == "pictures":
        write_pictures(tmp_path / "pictures", 1)
        options = ["pictures", "--pictures_dir", str(tmp_path / "pictures")]
    output = run(tmp_path / "run", *options, "--image_size", size, "--batch_size", "1", status=2)
    sentence = f"train.py: --image_size {size}: both sides need at least two patches of the encoder, 32 pixels"
    assert output.strip().splitlines()[-1].startswith(sentence) and "Traceback" not in output
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("below", ["", "run"])
def test_an_output_folder_that_is_a_file_is_refused_in_one_sentence(below, data, tmp_path):
    (tmp_path / "file").write_text("mine")
    output = run(tmp_path / "file" / below, data[0], status=2)
    last = output.strip().splitlines()[-1]
    assert last.startswith("train.py: ") and str(tmp_path / "file") in last and "Traceback" not in output
    assert ("is a file; give a folder" in last) == (not below)
    assert (tmp_path / "file").read_text() == "mine" and [path.name for path in tmp_path.iterdir()] == ["file"]


def test_frozen_encoder_does_not_change(data, tmp_path, save_tiny_model):
    source, folder = save_tiny_model(), tmp_path / "run"
    run(folder, data[0], "--model", str(source), "--mixed_precision", "bf16", architecture=None)
    before, after = load_file(source / "model.safetensors"), load_file(folder / "model.safetensors")
    assert before.keys() == after.keys()
    changed = {name for name in before if not before[name].equal(after[name])}
    assert changed and all(name.startswith("head.") for name in changed)
    encoder = AnyDepthForDepthEstimation.from_pretrained(folder).backbone
    assert not any(parameter.requires_grad for parameter in encoder.parameters())


def test_lora_changes_the_encoder_and_merges(data, tmp_path, save_tiny_model):
    source, folder = save_tiny_model(), tmp_path / "run"
    output = run(folder, data[0], "--model", str(source), "--encoder", "lora", "--lora_rank", "2", architecture=None)
    before, after = load_file(source / "model.safetensors"), load_file(folder / "model.safetensors")
    assert before.keys() == after.keys()
    changed = {name for name in before if not before[name].equal(after[name])}
    assert any(name.startswith("backbone.") for name in changed) and any(name.startswith("head.") for name in changed)
    assert all(name.endswith("weight") for name in changed if name.startswith("backbone."))
    trained, total = map(float, re.search(r"Training ([\d.]+) M of ([\d.]+) M", output).groups())
    assert trained < total


def test_two_processes_train_as_one_with_the_doubled_batch(data, tmp_path):
    # DPT has no batch norm. With SDT on CPUs each process normalises by its own half of the batch, so that losses
    # differ; on GPUs SyncBatchNorm makes them one batch.
    run(tmp_path / "one", *data, *SMOOTH, "--batch_size", "4", architecture=DPT)
    run(tmp_path / "two", *data, *SMOOTH, "--batch_size", "2", architecture=DPT, processes=2)
    one, two = metrics(tmp_path / "one"), metrics(tmp_path / "two")
    assert [line.keys() for line in one] == [line.keys() for line in two]
    np.testing.assert_allclose(losses(tmp_path / "two"), losses(tmp_path / "one"), rtol=1e-4)
    assert losses(tmp_path / "one")[-1] != losses(tmp_path / "one")[0]


def test_accumulated_gradients_are_those_of_the_large_batch(data, tmp_path):
    run(tmp_path / "large", data[0], *SMOOTH, "--batch_size", "4", architecture=DPT)
    run(tmp_path / "small", data[0], *SMOOTH, "--gradient_accumulation_steps", "2", architecture=DPT)
    np.testing.assert_allclose(losses(tmp_path / "small"), losses(tmp_path / "large"), rtol=1e-4)


@pytest.mark.parametrize("processes", [1, 2])
def test_loss_that_is_not_finite_stops_with_the_samples(data, tmp_path, processes):
    folder = tmp_path / "run"
    output = run(folder, data[0], "--learning_rate", "1e30", "--encoder_learning_rate", "1e30", "--warmup_ratio", "0",
                 "--max_grad_norm", "0", architecture=DPT, processes=processes, status=2)  # fmt: skip
    message = next(line for line in output.splitlines() if "is not finite" in line)
    assert "the loss of step 2 is not finite" in message
    assert len(set(re.findall(r"\d{3}\.png", message))) == 2 * processes
    assert "Traceback" not in output
    assert not list(folder.glob("checkpoints/step-*")) and not (folder / "model.safetensors").exists()


@pytest.mark.parametrize(
    ("depth", "spec", "message"),
    [
        ("zero", "", "every depth is 0, negative, infinite or NaN; look at the files"),
        ("millimetres", "", "all depths are beyond the far plane of 100, the largest is 9000; give its unit"),
        ("millimetres", ",depth_scale=1000", None),
    ],
)
def test_training_on_no_labels_stops(tmp_path, depth, spec, message):
    dataset = write_pairs(tmp_path / "data", 8)
    for path in (tmp_path / "data" / "depth").iterdir():
        values = np.full((40, 48), np.nan, np.float32)
        if depth == "millimetres":
            values = np.linspace(500, 9000, 40 * 48, dtype=np.float32).reshape(40, 48)
        np.save(path, values)
    output = run(tmp_path / "run", dataset + spec, status=2 if message else 0)
    assert "Traceback" not in output
    if message:
        assert message in output.splitlines()[-1] and "nothing to learn from" in output
        assert not (tmp_path / "run" / "model.safetensors").exists()


def test_a_validation_set_that_is_not_there_is_named_and_can_be_left_out(data, tmp_path):
    config = tmp_path / "config.yaml"
    config.write_text("validation_dataset: {name: hypersim, root: /nowhere}\n", encoding="utf-8")

    with pytest.raises(DataError, match="^--validation_dataset .--validations 0 does without.: /nowhere: no hypersim"):
        build_validation_samples(parse_arguments([str(config), *options_of(tmp_path, data[0])]))
    options = options_of(tmp_path, data[0], "--validations", "0")
    assert build_validation_samples(parse_arguments([str(config), *options])) is None


def test_validation_data_that_cannot_be_used_end_in_one_sentence(data, tmp_path):
    held_out = write_pairs(tmp_path / "held_out", 2)
    for path in (tmp_path / "held_out" / "depth").iterdir():
        np.save(path, 1000 * np.load(path))
    output = run(tmp_path / "run", data[0], "--validation_dataset", held_out, status=2)
    assert output.splitlines()[-1].startswith("train.py: --validation_dataset: no image has a valid depth")
    metric = {**DPT, "depth_estimation_type": "metric", "prediction_type": "depth"}
    options = "--validation_dataset", f"{held_out},is_metric=false"
    output = run(tmp_path / "metric", data[0], *options, architecture=metric, status=2)
    assert "its depth has no unit, but the model predicts metres" in output.splitlines()[-1]


def test_validation_does_not_depend_on_the_scale_of_depth_without_a_unit(data, tmp_path):
    results = []
    for scale in (1, 1000):
        held_out = write_pairs(tmp_path / f"held_out{scale}", 2)
        for path in (tmp_path / f"held_out{scale}" / "depth").iterdir():
            np.save(path, np.float32(scale) * np.load(path))
        options = "--validation_dataset", f"{held_out},is_metric=false", "--max_steps", "1", "--validations", "1"
        run(tmp_path / f"run{scale}", data[0], *options)
        results.append([line["val/abs_rel"] for line in metrics(tmp_path / f"run{scale}") if "val/abs_rel" in line])
    np.testing.assert_allclose(results[0], results[1], rtol=1e-4)


def remove_openexr():
    sys.modules["OpenEXR"] = None


def test_a_package_that_is_missing_is_named_in_one_sentence(tmp_path):
    writers.write_dataset("irs", tmp_path / "irs", 4)
    output = run(tmp_path / "run", f"irs,root={tmp_path / 'irs'}", status=2, prepare=remove_openexr)
    assert output.splitlines()[-1].startswith("train.py: This needs the package OpenEXR: pip install")
    assert "Traceback" not in output


def test_weights_that_are_no_numbers_any_more_stop_before_backward(data, tmp_path):
    output = run(tmp_path / "run", data[0], "--learning_rate", "1e6", "--warmup_ratio", "0", "--max_grad_norm", "0",
                 "--encoder_learning_rate", "1e6", "--max_steps", "40", status=2)  # fmt: skip
    assert "is not finite. Its samples" in output and "Traceback" not in output


def test_pictures_train_in_several_sizes_and_validate(tmp_path):
    """In a worker process as well: it blocks signals, so it must be told to end, or the run would wait for ever."""
    folder, pictures = tmp_path / "run", tmp_path / "pictures"
    write_pictures(pictures)
    held_out = write_pictures(tmp_path / "held_out", 2, seed=1)
    run(folder, "pictures", "--pictures_dir", str(pictures), "--validation_dataset", held_out, "--validations", "1",
        "--image_size", "32x48", "48x32", "--max_steps", "2", "--pictures_per_epoch", "4",
        "--num_workers", "1")  # fmt: skip
    assert [line["step"] for line in metrics(folder)] == [0, 2, 2]
    processor = json.loads((folder / "preprocessor_config.json").read_text())
    assert processor["size"]["shortest_edge"] == 32


def test_run_of_given_minutes_decays_to_zero(data, tmp_path):
    folder = tmp_path / "run"
    run(folder, data[0], "--max_minutes", "0.05", "--schedule", "cosine", "--logging_steps", "1")
    rates = [line["learning_rate"] for line in metrics(folder)]
    assert len(rates) > 3 and max(rates) > 5e-4 and rates[-1] < 2e-4 and rates == sorted(rates, key=rates.index)


def test_profile_names_the_parts_of_a_step(data, tmp_path):
    folder = tmp_path / "run"
    output = run(folder, data[0], "--profile_steps", "2")
    shares = re.findall(r"^(data|encoder|head and loss|backward|optimizer) .* ([\d.]+)%$", output, re.MULTILINE)
    assert len(shares) == 5 and abs(sum(float(share) for _, share in shares) - 100) < 0.5
    assert (folder / "trace.json").stat().st_size > 1000


def test_row_starts_from_the_encoder_of_transformers(tmp_path):
    encoder = DINOv3ViTModel(preset_config("dinov3-small-sdt").backbone_config)
    encoder.save_pretrained(tmp_path / "encoder")
    options = ["--preset", "dinov3-small-sdt", "--encoder_weights", str(tmp_path / "encoder")]
    model = build_model(parse_arguments(options_of("unused", "mine", *options, architecture=None)))
    assert model.backbone.model.layer[11].mlp.up_proj.weight.equal(encoder.model.layer[11].mlp.up_proj.weight)
    assert model.backbone.embeddings.cls_token.equal(encoder.embeddings.cls_token)
    assert model.backbone.norm.weight.equal(encoder.norm.weight)
    trained = {name.partition(".")[0] for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert trained == {"head"} and not model.backbone.training


def test_finished_model_goes_to_the_hub(data, tmp_path, hub, run_process):
    folder = tmp_path / "my-depth"
    argv = [ROOT / "training" / "train.py", *options_of(folder, data[0]), "--push_to_hub"]
    refused = run_process(*argv, hub=hub)
    assert refused.returncode == 2 and "--push_to_hub needs a login" in refused.stderr and not folder.exists()

    result = run_process(*argv, "--hub_model_id", "me/my-depth", hub=hub, token=TOKEN)
    assert result.returncode == 0, result.stderr
    files = hub.repositories["me/my-depth"].files
    assert {"model.safetensors", "config.json", "preprocessor_config.json", "training_config.yaml"} <= files.keys()
    assert not [name for name in files if name.startswith(("checkpoints", "best-step"))]
    assert b"# me/my-depth" in files["README.md"]

    argv[argv.index(str(folder))] = tmp_path / "by-folder"  # the repository is named after the folder
    result = run_process(*argv, "--hub_private_repo", hub=hub, token=TOKEN)
    assert result.returncode == 0, result.stderr
    assert hub.repositories["maintainer/by-folder"].private and not hub.repositories["me/my-depth"].private
    card = hub.repositories["maintainer/by-folder"].files["README.md"].decode()
    assert 'model="maintainer/by-folder"' in card and str(tmp_path / "by-folder") not in card


def test_a_folder_that_names_no_repository_is_refused_before_training(data, tmp_path):
    sentence = run(tmp_path / "my depth", data[0], "--push_to_hub", status=2).splitlines()[-1]
    assert sentence.startswith("train.py: --push_to_hub needs another --hub_model_id") and "'my depth'" in sentence
    assert not (tmp_path / "my depth").exists()


def saved_for_backward(encoder, num_layers):
    """Bytes that autograd keeps between forward and backward of one image."""
    levels = [num_layers // 4 * part for part in (1, 2, 3, 4)]
    backbone = {**SDT["backbone_config"], "num_hidden_layers": num_layers, "out_indices": levels}
    architecture = {**SDT, "backbone_config": backbone}
    model = build_model(parse_arguments(options_of("unused", "mine", architecture=architecture)))
    model.config.freeze_backbone = encoder == "frozen"
    model.train()
    storages = {}

    def keep(tensor):
        storage = tensor.untyped_storage()
        storages[storage.data_ptr()] = storage.nbytes()
        return tensor

    weights = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = model(pixel_values=torch.rand(1, 3, 64, 64), labels=1 + torch.rand(1, 64, 64)).loss
    loss.backward()
    return sum(size for pointer, size in storages.items() if pointer not in weights)


def test_frozen_encoder_keeps_nothing_for_backward():
    assert saved_for_backward("frozen", 4) == saved_for_backward("frozen", 12)
    assert saved_for_backward("full", 12) > saved_for_backward("full", 4) > saved_for_backward("frozen", 4)
