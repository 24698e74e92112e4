"""The release of presets from original files: prepared, checked and uploaded, or left out with what is missing."""

import shutil
import sys

import pytest
import torch
from huggingface_hub import HfApi, ModelCard

from anydepth_hf import AnyDepthForDepthEstimation, AnyDepthImageProcessor, SDTHead
from anydepth_hf.presets import preset_config, preset_names
from conversion import release as script
from conversion.formats.renaming import ConversionError
from conversion.hub import release_list
from conversion.hub.model_directory import UploadError
from conversion.hub.reference import check_reference
from conversion.hub.release_list import check_architecture
from conversion.release import find_inputs, main, prepare
from tests.hub_server import TOKEN

HEADS = ["backbone.num_attention_heads=3"]
# Sizes of the stand-ins for the original files: tests/reference/dav2.original.pth and the model of conftest.py.
SMALL = {
    "dav2": {"hidden_size": 48, "num_attention_heads": 3},
    "dinov3": {"hidden_size": 32, "num_attention_heads": 2, "num_hidden_layers": 4, "out_indices": [1, 2, 3, 4]},
}


@pytest.fixture
def weights(request, tmp_path, save_tiny_model, monkeypatch):
    """A folder of original files as docs/release.md lays it out: small stand-ins in the same formats."""
    folder = tmp_path / "weights"
    encoder = folder / "Depth-Anything-V2-Base" / "depth_anything_v2_vitb.pth"
    encoder.parent.mkdir(parents=True)
    shutil.copy(request.config.rootpath / "tests" / "reference" / "dav2.original.pth", encoder)
    torch.manual_seed(0)
    head = SDTHead(48, 16)
    torch.nn.init.constant_(head.output_conv[-1].bias, 3.0)
    torch.save(head.state_dict(), folder / "dav2_sdt_vitb.pth")
    trained = folder / "trained" / "dinov3-small-sdt"
    shutil.copytree(save_tiny_model(), trained)
    (trained / "training_config.yaml").write_text("dataset:\n- me/rooms\n- {name: hypersim, root: data}\n")
    (trained / "README.md").write_text("the card that the training wrote")
    (trained / "optimizer.bin").write_bytes(b"state")
    (folder / "dinov3-vits16-pretrain-lvd1689m").mkdir()
    (folder / "dinov3-vits16-pretrain-lvd1689m" / "LICENSE.md").write_text("DINOv3 License")

    def small(name):
        return preset_config(name, backbone_config=SMALL[name.split("-")[0]], fusion_hidden_size=16)

    monkeypatch.setattr(release_list, "released_config", small)
    return folder


@pytest.fixture
def unchecked(monkeypatch):
    """Spares a test that prepares several presets the processes that load them."""
    monkeypatch.setattr(script, "check", lambda *_: "not checked")
    monkeypatch.setattr("conversion.push_to_hub.check", lambda *_: "not checked")


def test_the_authors_row_goes_to_the_hub(hub, weights, tmp_path, monkeypatch, capsys):
    """The whole command, with its checks: bare decoder and encoder in, a repository that says what it is out."""
    api = HfApi(endpoint=hub.url, token=TOKEN)
    monkeypatch.setattr(script, "HfApi", lambda: api)
    options = ["--presets", "dav2-base-sdt", "--set", *HEADS, "--push", "--create", "--tag", "v1.0"]
    command = ["release.py", "--weights", str(weights), "--output", str(tmp_path / "out"), *options]
    monkeypatch.setattr(sys, "argv", command)
    assert main() == 0, capsys.readouterr().out
    repository = hub.repositories["AIGeeksGroup/AnyDepth"]
    assert "dav2-base-sdt: AIGeeksGroup/AnyDepth at " in capsys.readouterr().out
    assert repository.tags == {"v1.0": repository.branches["main"]} and len(repository.trees) == 2
    card = ModelCard(repository.files["README.md"].decode())
    assert card.data.license == "cc-by-nc-sa-4.0" and "dav2_sdt_vitb.pth" in card.text
    directory = tmp_path / "out" / "dav2-base-sdt"
    model = AnyDepthForDepthEstimation.from_pretrained(directory)
    decoder = torch.load(weights / "dav2_sdt_vitb.pth", weights_only=True)
    assert torch.equal(model.head.output_conv[0].weight, decoder["output_conv.0.weight"])
    assert check_reference(model, AnyDepthImageProcessor.from_pretrained(directory), directory) < 1e-5

    assert main() == 0 and len(repository.trees) == 2, "the same command again changes nothing"


def test_official_and_trained_rows(weights, tmp_path, unchecked):
    official = prepare("dav2-base-dpt", weights, tmp_path / "out", settings=HEADS)
    card = ModelCard.load(official / "README.md")
    assert card.data.license == "cc-by-nc-4.0" and "with the head that it was released with" in card.text
    with pytest.raises(UploadError, match="prepared with apply_backbone_norm=True; delete it, so that --set counts"):
        prepare("dav2-base-dpt", weights, tmp_path / "out", settings=["apply_backbone_norm=false"])
    with pytest.raises(UploadError, match="prepared with out_indices="):
        prepare("dav2-base-dpt", weights, tmp_path / "out", settings=["backbone.out_layers=0,1,2,3"])
    prepare("dav2-base-dpt", weights, tmp_path / "out", settings=[*HEADS, "apply_backbone_norm=true"])
    trained = prepare("dinov3-small-sdt", weights, tmp_path / "out", owner="me")
    names = {path.name for path in trained.iterdir()}
    assert {"LICENSE.md", "training_config.yaml", "reference.safetensors"} <= names and "optimizer.bin" not in names
    card = ModelCard.load(trained / "README.md")
    assert "me/rooms, hypersim" in card.text and "No trained weights" not in card.text
    assert "me/AnyDepth-dinov3-small-sdt" in card.text
    assert card.data.license_name == "dinov3-license" and "Built with DINOv3" in card.text
    assert (weights / "trained" / "dinov3-small-sdt" / "README.md").read_text() == "the card that the training wrote"


def test_rows_without_files_are_left_out(weights, tmp_path, monkeypatch, capsys, unchecked):
    """Without --presets, what there are files for is released; the others are listed with what they need."""
    (weights / "dav2_sdt_vitb.pth").unlink()
    (weights / "Depth-Anything-V2-Base" / "depth_anything_v2_vitb.pth").unlink()
    monkeypatch.setattr(sys, "argv", ["release.py", "--weights", str(weights), "--output", str(tmp_path / "out")])
    assert main() == 0
    lines = capsys.readouterr().out.splitlines()[-len(preset_names()) :]
    assert [line.split(":")[0] for line in lines] == preset_names()
    assert [line.split(":")[0] for line in lines if "left out, no " not in line] == ["dinov3-small-sdt"]
    assert str(weights / "dav2_sdt_vitb.pth") in next(line for line in lines if line.startswith("dav2-base-sdt"))


def test_files_of_another_row_are_refused(weights, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(release_list, "released_config", preset_config)
    with pytest.raises(ConversionError, match="not dav2-base-sdt: its encoder's width is 48, the preset's 768"):
        prepare("dav2-base-sdt", weights, tmp_path / "out", settings=HEADS)
    assert not any((tmp_path / "out").iterdir()), "it would be taken for the preset the next time"
    (weights / "dav2_sdt_vitb.pth").write_bytes(b"not a checkpoint")
    command = ["release.py", "--weights", str(weights), "--output", str(tmp_path / "new")]
    command += ["--presets", "dav2-base-sdt"]
    monkeypatch.setattr(sys, "argv", command)
    assert main() == 1 and "dav2-base-sdt: FAILED. " in capsys.readouterr().out
    assert not any((tmp_path / "new").iterdir()), "nothing half-made stays"


@pytest.mark.parametrize(
    ("options", "message"),
    [("--create", "--create goes with --push"), ("--tag v1", "--tag goes with --push"),
     ("--push --private", "--private goes with --create"),
     ("--presets dinov3-small-sdt --set min_depth=1", "--set is for what is converted; dinov3-small-sdt is copied")],
)  # fmt: skip
def test_options_that_would_do_nothing(options, message, tmp_path, capsys):
    assert main(["--weights", str(tmp_path), "--output", str(tmp_path), *options.split()]) == 2
    assert message in capsys.readouterr().err


def test_a_training_that_has_not_ended_is_not_taken_for_the_preset(weights, tmp_path, capsys, unchecked):
    trained = weights / "trained" / "dinov3-small-sdt" / "model.safetensors"
    trained.rename(tmp_path / "later")
    command = ["--weights", str(weights), "--output", str(tmp_path / "out"), "--presets", "dinov3-small-sdt"]
    assert main(command) == 1 and "dinov3-small-sdt: FAILED. " in capsys.readouterr().out
    (tmp_path / "later").rename(trained)
    assert main(command) == 0 and "dinov3-small-sdt: ready" in capsys.readouterr().out


@pytest.mark.parametrize("name", preset_names())
def test_every_row_has_its_inputs_and_its_architecture(name, tmp_path):
    """A preset's files have places of their own, and its configuration passes the check that a release makes."""
    paths = find_inputs(name, tmp_path).missing
    assert paths and len(set(paths)) == len(paths)
    check_architecture(name, release_list.released_config(name))
