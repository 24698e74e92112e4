"""Published weights against a loopback Hub: first use, later uses, and whatever can go wrong in one sentence."""

import copy
import json
import resource
import shutil
import signal
import sys
import threading

import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import load_file
from transformers import AutoImageProcessor, AutoModelForDepthEstimation, pipeline

from anydepth_cli.main import main
from anydepth_hf import AnyDepthForDepthEstimation, presets
from anydepth_hf.configuration_anydepth import BACKBONE_PRESETS
from anydepth_hf.hub_files import HubUnreachable
from anydepth_hf.loading import load_model
from anydepth_hf.pull import PullError, cached_folder, from_preset, pull, resolve
from tests.anydepth_hf.test_backbone_vggt import imagenet_normalize
from tests.hub_server import TOKEN, Repository
from tests.small_presets import AUTHORS, REFERENCE, fill, saved, sdt_decoder, shrink
from training.evaluation.predictions import ModelPredictions
from training.trainer.arguments import TrainArguments
from training.trainer.model import build_model
from training.trainer.provenance import provenance

SMALL_DAV2 = "depth-anything/Depth-Anything-V2-Small"


@pytest.fixture
def small(monkeypatch):
    """Presets at the size of the fixtures."""
    kept = [(data, copy.deepcopy(data)) for data in (presets.all_presets(), BACKBONE_PRESETS)]
    shrink()
    yield
    for data, before in kept:
        data.clear()
        data.update(before)


@pytest.fixture
def originals(hub, small, tmp_path, monkeypatch):
    """A loopback Hub with the small originals, which this process asks, with caches of its own."""
    fill(hub)
    monkeypatch.setattr(constants, "ENDPOINT", hub.url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", hub.url + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(
        sys.modules["huggingface_hub.utils._cache_assets"], "HF_ASSETS_CACHE", str(tmp_path / "assets")
    )
    monkeypatch.delenv("HF_TOKEN", raising=False)
    return hub


@pytest.fixture
def offline(monkeypatch):
    """`offline()` switches the network off."""
    return lambda: monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)


def refuse(name):
    """The one sentence of a `pull` that fails and leaves no model and nothing half-made."""
    with pytest.raises(PullError) as caught:
        pull(name)
    assert [path.name for path in cached_folder(name).parent.iterdir() if path.name != ".lock"] == []
    message = str(caught.value)
    assert "\n" not in message and message.endswith(".")
    return message


@pytest.mark.parametrize(
    ("name", "reference", "output"),
    [
        ("dav2-small-dpt", "dav2", "output"),
        ("da3-small-dual-dpt", "da3_anyview", "depth"),
        ("da3-mono-large-dpt", "da3_mono", "depth"),
        ("vggt-1b-dpt", "vggt", "depth"),
    ],
)
@torch.no_grad()
def test_presets_give_the_official_numbers(originals, name, reference, output):
    tensors = load_file(REFERENCE / f"{reference}.io.safetensors")
    if reference == "vggt":
        pixel_values = imagenet_normalize(tensors["56x98.pixel_values_0_1"])
    else:
        pixel_values = tensors["56x98.pixel_values"]
    expected = tensors[f"56x98.{output}"].reshape(pixel_values.shape[0], 56, 98)
    prediction = from_preset(name)(pixel_values).predicted_depth
    assert (prediction - expected).abs().max() <= 1e-5 * expected.abs().max()


def test_the_second_use_needs_no_network(originals, offline, caplog):
    """What is said once, is said before the download; what is kept, is a whole model with its papers."""
    folder = pull("dav2-small-dpt")
    (licence, announcement) = [record.message for record in caplog.records][:2]
    assert f"{SMALL_DAV2}, Apache 2.0 (https://www.apache.org/" in licence
    assert "downloading depth_anything_v2_vits.pth (0.00 GB)" in announcement
    requests = len(originals.requests)
    offline()
    caplog.clear()
    assert pull("dav2-small-dpt") == folder and len(originals.requests) == requests and not caplog.records
    names = {path.name for path in cached_folder("dav2-small-dpt").iterdir()}
    assert {"config.json", "model.safetensors", "preprocessor_config.json", "README.md", "LICENSE.md"} <= names
    papers = cached_folder("dav2-small-dpt") / "licenses"
    assert (papers / "depth-anything--Depth-Anything-V2-Small--LICENSE").read_text() == "Apache License 2.0"
    origin = json.loads((cached_folder("dav2-small-dpt") / "origin.json").read_text())
    assert origin["files"][0]["commit"] == originals.repositories[SMALL_DAV2].branches["main"]
    assert 'anydepth_hf.pull("dav2-small-dpt")' in (cached_folder("dav2-small-dpt") / "README.md").read_text()
    assert pipeline("depth-estimation", model=folder).model.config.head_type == "dpt"


def test_downloads_of_others_are_enough_offline(originals, offline, tmp_path):
    """The original files in the Hub's cache are converted without a network."""
    pull("dav2-small-dpt", output=tmp_path / "model")
    offline()
    assert from_preset("dav2-small-dpt").config.head_type == "dpt"
    message = refuse("da3-small-dual-dpt")
    assert "not on this disk yet" in message and "`anydepth pull da3-small-dual-dpt`" in message


@pytest.mark.parametrize("whole", [False, True])
def test_the_authors_decoders_with_and_without_an_encoder(originals, whole, caplog):
    """A bare decoder gets the released encoder; a whole model brings its own, trained along, and its own widths."""
    decoder = sdt_decoder(8 if whole else 16)
    official = torch.load(REFERENCE / "dav2.original.pth", weights_only=True)
    encoder = {name: 2 * tensor for name, tensor in official.items() if name.startswith("pretrained.")}
    if whole:
        head = {f"depth_head.{name}": tensor for name, tensor in decoder.items()}
        originals.repositories[AUTHORS].commit("main", {"dav2_sdt_vitb.pth": saved({"model": {**encoder, **head}})})
    model = from_preset("dav2-base-sdt")
    (licence, *_) = [record.message for record in caplog.records]
    assert licence.count("not for commercial use") == 2 and "CC BY-NC-SA 4.0" in licence
    assert torch.equal(model.head.output_conv[0].weight, decoder["output_conv.0.weight"])
    scale = 2 if whole else 1
    assert torch.equal(model.backbone.embeddings.cls_token, scale * official["pretrained.cls_token"])
    assert any("V2-Base" in path for _, path in originals.requests) == (not whole)
    assert model.config.apply_backbone_norm and model.config.prediction_type == "disparity"


def test_the_authors_other_model_has_a_plain_encoder_and_no_detail_enhancer(originals):
    encoder = {
        f"model.backbone.{name}": tensor
        for name, tensor in torch.load(REFERENCE / "dav2.original.pth", weights_only=True).items()
        if name.startswith("pretrained.") and "mask_token" not in name
    }
    head = sdt_decoder(use_cls_token=False, use_detail_enhancer=False)
    tensors = {**encoder, **{f"model.head.{name}": tensor for name, tensor in head.items()}}
    BACKBONE_PRESETS["da3-large"]["num_hidden_layers"] = 12
    originals.repositories[AUTHORS].commit("main", {"da3_sdt_vitl.pth": saved(tensors)})
    model = from_preset("da3-large-sdt")
    assert model.head.detail_enhancer is None and not model.config.use_cls_token
    assert not model.config.backbone_config.cat_token
    assert model.backbone(torch.zeros(1, 3, 28, 28)).feature_maps[0].shape[1] == 48


def test_several_at_once_make_it_once(originals):
    results = []
    threads = [threading.Thread(target=lambda: results.append(pull("dav2-small-dpt"))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(results)) == 1 and len(results) == 3
    downloads = [path for method, path in originals.requests if method == "GET" and path.endswith("vits.pth")]
    assert len(downloads) == 1


def test_a_cut_connection_is_resumed(originals):
    originals.cut_downloads = 1
    assert from_preset("dav2-small-dpt").config.head_type == "dpt"
    downloads = [path for method, path in originals.requests if method == "GET" and path.endswith("vits.pth")]
    assert len(downloads) == 2


def test_what_a_killed_process_left_is_removed(originals):
    leftover = cached_folder("dav2-small-dpt").with_name(".writing-123456789abc")
    leftover.mkdir(parents=True)
    (leftover / "model.safetensors").write_bytes(b"half")
    pull("dav2-small-dpt")
    assert not leftover.exists()


def test_a_wrong_hash_is_refused_and_mended(originals, tmp_path):
    content = originals.repositories[SMALL_DAV2].files["depth_anything_v2_vits.pth"]
    originals.swapped["depth_anything_v2_vits.pth"] = content[:-1] + bytes([content[-1] ^ 1])
    message = refuse("dav2-small-dpt")
    assert "another hash" in message and "depth_anything_v2_vits.pth" in message
    originals.swapped.clear()
    assert from_preset("dav2-small-dpt").config.head_type == "dpt"


def test_a_renamed_file_is_named(originals, tmp_path):
    content = originals.repositories[SMALL_DAV2].files["depth_anything_v2_vits.pth"]
    originals.repositories[SMALL_DAV2].commit("main", {"depth_anything_v2.1_vits.pth": content})
    message = refuse("dav2-small-dpt")
    assert (
        "holds no depth_anything_v2_vits.pth; the most similar name there is depth_anything_v2.1_vits.pth" in message
    )


def test_repositories_without_the_file_and_missing_ones(originals, tmp_path):
    originals.repositories[SMALL_DAV2].commit("main", {"README.md": b"moved"})
    assert "holds no depth_anything_v2_vits.pth" in refuse("dav2-small-dpt")
    del originals.repositories[SMALL_DAV2]
    message = refuse("dav2-small-dpt")
    assert f"{originals.url}/{SMALL_DAV2} does not exist, or is private" in message and "hf auth login" in message


def test_a_gated_repository_asks_for_a_token(originals, tmp_path, monkeypatch):
    originals.repositories[SMALL_DAV2].gated = True
    message = refuse("dav2-small-dpt")
    assert f"accept its licence on {originals.url}/{SMALL_DAV2}, then log in with `hf auth login`" in message
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert from_preset("dav2-small-dpt").config.head_type == "dpt"


def test_a_wrong_token_is_said(originals, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    assert "refuses the access token" in refuse("dav2-small-dpt")


def test_other_content_than_the_preset_is_refused(originals, tmp_path):
    tree = {"depth_anything_v2_vits.pth": saved({"features.0.weight": torch.ones(2)})}
    originals.repositories[SMALL_DAV2].commit("main", tree)
    assert "cannot be converted" in refuse("dav2-small-dpt")
    presets.all_presets()["da3-small-dual-dpt"]["config"]["fusion_hidden_size"] = 32
    assert "This is not da3-small-dual-dpt: its head's widths is [16]" in refuse("da3-small-dual-dpt")


def test_a_hub_that_cannot_be_reached(originals, tmp_path, monkeypatch):
    originals.shutdown()
    originals.server_close()
    assert "cannot be reached" in refuse("dav2-small-dpt")


@pytest.fixture
def small_disk():
    """`small_disk(size)` lets this process write no file larger than `size` bytes."""
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


def test_a_disk_that_fills_while_downloading(originals, tmp_path, small_disk):
    small_disk(500_000)
    message = refuse("dav2-small-dpt")
    assert "No space for the files" in message and "HF_HOME" in message


def test_a_disk_that_fills_while_writing(originals, tmp_path, small_disk):
    pull("dav2-small-dpt", output=tmp_path / "model")
    small_disk(500_000)
    message = refuse("dav2-small-dpt")
    assert "cannot be written to" in message and "the downloaded files are kept" in message


def test_a_disk_that_is_too_small_is_seen_before(originals, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1000))
    assert "needs 0.0 GB in" in refuse("dav2-small-dpt")
    assert not any(method == "GET" and "resolve" in path for method, path in originals.requests)


def test_an_output_folder_of_ones_own(originals, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    with pytest.raises(PullError, match="mine exists and is no empty folder"):
        pull("dav2-small-dpt", output=tmp_path / "mine")
    for name in ("downloaded", "copied"):
        folder = pull("dav2-small-dpt", output=tmp_path / name)
        assert AnyDepthForDepthEstimation.from_pretrained(folder).config.head_type == "dpt"
        pull("dav2-small-dpt")


def test_a_failed_pull_leaves_no_folders(originals, tmp_path, offline):
    offline()
    with pytest.raises(PullError, match="not on this disk yet"):
        pull("dav2-small-dpt", output=tmp_path / "models" / "mine")
    assert not (tmp_path / "models").exists()


def test_names_that_users_give(originals, tmp_path, monkeypatch):
    assert resolve("someone/model") == "someone/model" and resolve(tmp_path) == str(tmp_path)
    assert resolve("dav2-small-dpt") == pull("dav2-small-dpt")
    with pytest.raises(
        ValueError, match="dav2-smal-dpt is neither a folder nor .* did you mean the preset dav2-small-dpt\\?"
    ):
        resolve("dav2-smal-dpt")
    with pytest.raises(ValueError, match="Nobody published weights of dinov3-small-sdt: train them"):
        resolve("dinov3-small-sdt")
    for missing in (f"{tmp_path}/none", "./none", "~/none", "runs/none/model"):
        with pytest.raises(ValueError, match=f"{missing} does not exist; give the folder of a model"):
            resolve(missing)
    (tmp_path / "weights.pth").touch()
    with pytest.raises(ValueError, match="weights.pth is a file; give the folder of a model"):
        resolve(tmp_path / "weights.pth")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "vggt-1b-dpt").mkdir()
    assert resolve("vggt-1b-dpt") == "vggt-1b-dpt", "a folder of that name is the folder"


def test_the_name_that_everyone_types(originals, offline, caplog, save_tiny_model):
    """The authors' repository stands for the converted model while it holds their own files only, later for itself."""
    model, info = AnyDepthForDepthEstimation.from_pretrained(AUTHORS, output_loading_info=True)
    assert not any(info.values()) and model.config.head_type == "sdt"
    said = [record.message for record in caplog.records if "holds no model of Transformers" in record.message]
    assert said == [f"{AUTHORS} holds no model of Transformers; using its preset dav2-base-sdt, converted: "
                    f"{cached_folder('dav2-base-sdt')}"]  # fmt: skip
    folder = resolve(AUTHORS)
    assert type(AutoImageProcessor.from_pretrained(folder)).from_pretrained(AUTHORS).ensure_multiple_of == 14
    assert type(model.config).from_pretrained(AUTHORS).head_type == "sdt"
    assert AutoModelForDepthEstimation.from_pretrained(AUTHORS, config=model.config).config.head_type == "sdt"

    files = {path.name: path.read_bytes() for path in save_tiny_model().iterdir() if path.is_file()}
    originals.repositories[AUTHORS].commit("main", {**originals.repositories[AUTHORS].files, **files})
    assert resolve(AUTHORS) == AUTHORS
    released = AnyDepthForDepthEstimation.from_pretrained(AUTHORS)
    assert released.config.backbone_config.model_type == "dinov3_vit"
    offline()
    assert resolve(AUTHORS) == AUTHORS, "it is in the cache"


def test_the_authors_other_preset_has_a_name_too(originals):
    originals.repositories["AIGeeksGroup/AnyDepth-dinov3-small-sdt"] = Repository()
    assert resolve("AIGeeksGroup/AnyDepth-dinov3-small-sdt") == "AIGeeksGroup/AnyDepth-dinov3-small-sdt"
    assert resolve("AIGeeksGroup/AnyDepth-dav2-small-dpt") == pull("dav2-small-dpt")


def test_every_command_takes_a_preset(originals, tmp_path, capsys):
    """One name for predicting, evaluating and training; a misspelt one is one sentence, with the nearest."""
    folder = pull("dav2-small-dpt")
    model, _ = load_model("dav2-small-dpt", device="cpu")
    assert ModelPredictions("dav2-small-dpt").describe()["model"] == "dav2-small-dpt"
    arguments = TrainArguments(model="dav2-small-dpt", dataset=["me/mine"], output_dir=str(tmp_path / "run"))
    trained = build_model(arguments)
    assert torch.equal(trained.head.output_conv1.weight, model.head.output_conv1.weight)
    assert provenance(arguments)["license"] == "apache-2.0"
    assert provenance(arguments)["base_model"] == "depth-anything/Depth-Anything-V2-Small"
    for command in ("pull", "predict --model"):
        assert main([*command.split(), "dav2-smal-dpt"]) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1 and "did you mean" in error and "dav2-small-dpt" in error
    assert main(["pull", "dav2-small-dpt"]) == 0
    assert capsys.readouterr().out.strip() == folder
    assert main(["models", "--json"]) == 0
    entries = {entry["name"]: entry for entry in json.loads(capsys.readouterr().out)}
    assert list(entries) == presets.preset_names() and entries["dav2-small-dpt"]["folder"] == folder
    assert entries["vggt-1b-dpt"]["folder"] is None and not entries["dinov3-small-sdt"]["published"]
    assert entries["dav2-base-sdt"]["predicts"] == "disparity" and not entries["dav2-base-sdt"]["commercial_use"]
    assert main(["models"]) == 0
    assert folder in capsys.readouterr().out


def test_training_of_a_preset_gets_its_encoder(originals, tmp_path):
    """An encoder in its authors' format is pulled with its own head; a gated one is asked for in one sentence."""
    options = {"dataset": ["me/mine"], "output_dir": str(tmp_path / "run")}
    model = build_model(TrainArguments(preset="dav2-base-sdt", **options))
    official = torch.load(REFERENCE / "dav2.original.pth", weights_only=True)
    assert torch.equal(model.backbone.embeddings.cls_token, official["pretrained.cls_token"])
    assert model.config.head_type == "sdt" and cached_folder("dav2-base-dpt").is_dir()

    gated = "facebook/dinov3-vits16-pretrain-lvd1689m"
    originals.repositories[gated] = Repository(gated=True)
    originals.repositories[gated].commit("main", {"config.json": b"{}"})
    with pytest.raises(
        ValueError, match=f"{gated} is gated: accept its licence on {originals.url}/{gated}, then log in"
    ):
        build_model(TrainArguments(preset="dinov3-small-sdt", **options))


def test_reasons_are_kept_as_causes(originals, offline):
    offline()
    with pytest.raises(PullError) as caught:
        pull("dav2-small-dpt")
    assert isinstance(caught.value.__cause__, HubUnreachable)
