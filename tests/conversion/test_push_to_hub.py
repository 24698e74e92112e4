"""Uploads to a Hub on loopback: one commit, checked before, and nothing at all when something is wrong."""

import filecmp
import json
import shutil
from pathlib import Path

import pytest
import torch
from huggingface_hub import HfApi
from safetensors.torch import load_file, save_file

import anydepth_hf
from anydepth_hf import AnyDepthForDepthEstimation, AnyDepthImageProcessor
from anydepth_hf.export import REPORT
from conversion.hub.exported import ExportedFilesError, check_exported
from conversion.hub.model_directory import UploadError, check, collect_files
from conversion.hub.reference import REFERENCE_FILE, check_reference, write_reference
from conversion.push_to_hub import explain, main, push
from tests.anydepth_hf.test_remote_code import without_progress
from tests.hub_server import TOKEN, Repository

SCRIPT = Path(__file__).resolve().parents[2] / "conversion" / "push_to_hub.py"
PACKAGE = Path(anydepth_hf.__file__).parent
NAME = "AIGeeksGroup/AnyDepth"

CARD = """---
license: apache-2.0
library_name: transformers
pipeline_tag: depth-estimation
tags: [anydepth, disparity, from-scratch]
---
# A small model

It predicts disparity. `pipeline("depth-estimation", model="AIGeeksGroup/AnyDepth")("picture.jpg")`
"""


@pytest.fixture
def directory(save_tiny_model, tmp_path):
    """A model directory that may be uploaded, beside files that have no business on the Hub."""
    path = tmp_path / "model"
    shutil.copytree(save_tiny_model(), path)
    write_reference(*load(path), path)
    (path / "README.md").write_text(CARD)
    (path / "optimizer.bin").write_bytes(b"state")
    (path / "modeling_anydepth.py").write_text("raise RuntimeError('code of another version')")
    return path


def load(path):
    return AnyDepthForDepthEstimation.from_pretrained(path), AnyDepthImageProcessor.from_pretrained(path)


@pytest.fixture
def api(hub):
    return HfApi(endpoint=hub.url, token=TOKEN)


@pytest.fixture
def unchecked(monkeypatch):
    """Spares a test about the transfer the process that loads the model."""
    monkeypatch.setattr("conversion.push_to_hub.check", lambda *_: "not checked")


def change(directory):
    (directory / "README.md").write_text(CARD + "\nMore.\n")


def test_push_then_load_by_name_without_the_package(hub, directory, run_process):
    """The road to the Hub from end to end, as processes: upload, no-op, `from_pretrained` by name."""
    arguments = (SCRIPT, directory, NAME)
    done = run_process(*arguments, "--create", "--private", "--tag", "v1.0", hub=hub, token=TOKEN)
    assert (done.returncode, without_progress(done.stderr)) == (0, ""), done.stderr
    assert "matches its reference output" in done.stdout
    repository = hub.repositories[NAME]
    assert repository.private and repository.tags == {"v1.0": repository.branches["main"]}
    assert len(repository.trees) == 2, "an empty repository and one commit"
    assert "optimizer.bin" not in repository.files
    code = sorted(name for name in repository.files if name.endswith(".py"))
    assert "modeling_anydepth.py" in code and "__init__.py" not in code
    for name in code:
        assert repository.files[name] == (PACKAGE / name).read_bytes()

    before = len(hub.requests)
    done = run_process(*arguments, "--create", "--tag", "v1.0", hub=hub, token=TOKEN)
    assert (done.returncode, without_progress(done.stderr)) == (0, ""), done.stderr
    assert len(repository.trees) == 2 and "up to date" in done.stdout
    assert all(method == "GET" for method, _ in hub.requests[before:])

    script = f"""
import sys
sys.modules["anydepth_hf"] = None
from transformers import AutoImageProcessor, AutoModelForDepthEstimation
for kind in (AutoModelForDepthEstimation, AutoImageProcessor):
    kind.from_pretrained({NAME!r}, revision="v1.0", trust_remote_code=True).save_pretrained("loaded")
"""
    done = run_process("-c", script, hub=hub, token=TOKEN)
    assert (done.returncode, without_progress(done.stderr)) == (0, ""), done.stderr
    loaded = directory.parent / "elsewhere" / "loaded"
    uploaded, reloaded = (load_file(path / "model.safetensors") for path in (directory, loaded))
    assert uploaded.keys() == reloaded.keys()
    assert all(torch.equal(uploaded[key], reloaded[key]) for key in uploaded)
    assert filecmp.cmpfiles(loaded, PACKAGE, code, shallow=False)[0] == code
    shutil.copy(directory / REFERENCE_FILE, loaded)
    assert check_reference(*load(loaded), loaded) < 1e-5


def test_a_dry_run_lists_and_changes_nothing(hub, directory, api, unchecked, capsys):
    assert push(directory, NAME, api=api, create=True, dry_run=True) is None
    listing = capsys.readouterr().out
    size = (directory / "model.safetensors").stat().st_size
    assert (
        f"     new  {size:>13,}  model.safetensors" in listing and "left out" in listing and "optimizer.bin" in listing
    )
    assert hub.repositories == {} and {method for method, _ in hub.requests} == {"GET"}
    push(directory, NAME, api=api, create=True)
    change(directory)
    capsys.readouterr()
    push(directory, NAME, api=HfApi(endpoint=hub.url, token=False), dry_run=True)
    listing = capsys.readouterr().out
    assert " changed " in listing and "    same  " in listing and "1 file(s) would change" in listing
    assert len(hub.repositories[NAME].trees) == 2


def test_private_is_no_empty_promise(hub, directory, api, unchecked):
    """What exists is as public as it was, so the option is refused where it would do nothing."""
    hub.repositories[NAME] = Repository()
    with pytest.raises(UploadError, match="--private goes with --create"):
        push(directory, NAME, api=api, private=True)
    assert hub.repositories[NAME].files == {}


def test_files_of_the_old_model_that_would_be_loaded_go(hub, directory, api, unchecked):
    repository = hub.repositories[NAME] = Repository()
    old = {"model-00001-of-00002.safetensors": b"old", "model.safetensors.index.json": b"{}", "notes.md": b"kept"}
    repository.commit("main", old)
    push(directory, NAME, api=api)
    assert set(old) & set(repository.files) == {"notes.md"}
    assert len(repository.trees) == 3


@pytest.mark.parametrize("lfs_suffixes", [(), (".safetensors",)])
def test_a_connection_cut_in_the_middle_changes_nothing(hub, directory, api, unchecked, lfs_suffixes):
    hub.lfs_suffixes = lfs_suffixes
    hub.repositories[NAME] = Repository()
    push(directory, NAME, api=api)
    before = dict(hub.repositories[NAME].branches)
    tensors = load_file(directory / "model.safetensors")
    save_file(
        {name: tensor + 1 for name, tensor in tensors.items()}, directory / "model.safetensors", {"format": "pt"}
    )
    change(directory)
    hub.cut_commits = 1
    with pytest.raises(Exception) as caught:
        push(directory, NAME, api=api, tag="v2")
    assert hub.repositories[NAME].branches == before and hub.repositories[NAME].tags == {}
    sentence = explain(caught.value, NAME, hub.url)
    assert "connection" in sentence and "run the command again" in sentence
    push(directory, NAME, api=api, tag="v2")
    files = hub.repositories[NAME].files
    assert files["README.md"] == (directory / "README.md").read_bytes()
    assert files["model.safetensors"] == (directory / "model.safetensors").read_bytes()
    assert push(directory, NAME, api=api, tag="v2") == hub.repositories[NAME].tags["v2"]
    assert len(hub.repositories[NAME].trees) == 3, "the empty repository and two commits"


def test_branches_and_tags(hub, directory, api, unchecked):
    repository = hub.repositories[NAME] = Repository()
    empty = repository.branches["main"]
    commit = push(directory, NAME, api=api, revision="candidate", tag="v1")
    assert repository.branches == {"main": empty, "candidate": commit} and repository.tags == {"v1": commit}
    change(directory)
    with pytest.raises(UploadError, match="tag v1 .* choose a new tag"):
        push(directory, NAME, api=api, revision="candidate", tag="v1")
    assert repository.branches["candidate"] == commit
    push(directory, NAME, api=api, revision="candidate", tag="v2")
    assert repository.tags["v2"] == repository.branches["candidate"] != commit


def test_a_commit_by_somebody_else_is_not_overwritten(hub, directory, api, monkeypatch):
    repository = hub.repositories[NAME] = Repository()

    def meanwhile(*_):
        repository.commit("main", {"theirs.md": b"new"})
        return ""

    monkeypatch.setattr("conversion.push_to_hub.check", meanwhile)
    with pytest.raises(Exception) as caught:
        push(directory, NAME, api=api)
    assert repository.files == {"theirs.md": b"new"}
    assert "meanwhile" in explain(caught.value, NAME, hub.url)


def test_what_is_wrong_is_one_sentence(hub, directory, run_process, monkeypatch, capsys):
    """No token, a wrong one, a missing repository: exit status 2, a line, no traceback, nothing made."""
    hub.repositories[NAME] = Repository()
    done = run_process(SCRIPT, directory, NAME, hub=hub)
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1), done.stderr
    assert "has no token" in done.stderr
    for name, token, expected in (
        (NAME, "hf_wrong", "does not accept the token"),
        ("AIGeeksGroup/AnyDeth", TOKEN, "does not exist"),
        ("AnyDepth", TOKEN, "AnyDepth is no name of a repository on the Hub; give OWNER/NAME"),
    ):
        monkeypatch.setattr("conversion.push_to_hub.HfApi", lambda token=token: HfApi(endpoint=hub.url, token=token))
        assert main([str(directory), name]) == 2
        printed, errors = capsys.readouterr()
        assert printed == "" and expected in errors and len(errors.splitlines()) == 1, errors
    assert hub.repositories[NAME].files == {} and len(hub.repositories) == 1


def edit(name, old, new):
    def apply(directory):
        text = (directory / name).read_text()
        assert old in text
        (directory / name).write_text(text.replace(old, new))

    return apply


def remove(name):
    return lambda directory: (directory / name).unlink()


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (remove("config.json"), "has no config.json"),
        (remove("preprocessor_config.json"), "has no preprocessor_config.json"),
        (remove("README.md"), "of a preset by `python -m conversion.hub.model_card PRESET --directory "),
        (remove(REFERENCE_FILE), f"has no {REFERENCE_FILE}"),
        (remove("model.safetensors"), "has no model.safetensors"),
        (edit("config.json", "auto_map", "some_map"), "has no `auto_map`"),
        (lambda path: (path / "preprocessor_config.json").write_text("[]"), "has no `auto_map`"),
        (edit("config.json", "modeling_anydepth.", "modeling_other."), "modeling_other.py"),
        (edit("README.md", "license: apache-2.0\n", ""), "states no licence"),
        (edit("README.md", "disparity, from", "depth, from"), "the tag `disparity`"),
        (edit("README.md", ", from-scratch", ""), "names no `base_model`"),
        (edit("README.md", "tags:", "base_model: x/y\ntags:"), "licence of x/y is not known"),
        (edit("README.md", "tags:", "base_model: facebook/VGGT-1B\ntags:"), "as cc-by-nc-4.0 or cc-by-nc-sa-4.0"),
        (edit("README.md", "# A small", "# [More Information Needed]\nA small"), "placeholder"),
        (edit("README.md", "pipeline_tag", "pipeline"), "pipeline_tag: depth-estimation"),
        (edit("README.md", "tags: [", "tags: [["), "cannot be read"),
    ],
)
def test_an_incomplete_directory_is_refused(directory, spoil, expected):
    spoil(directory)
    with pytest.raises(UploadError) as caught:
        check(directory, collect_files(directory)[0])
    assert expected in str(caught.value) and "\n" not in str(caught.value)


def test_dinov3_needs_its_licence_and_its_name_and_a_model_must_load(directory):
    terms = "license: other\nlicense_name: dinov3-license\nbase_model: facebook/dinov3-vits16-pretrain-lvd1689m"
    edit("README.md", "license: apache-2.0", terms)(directory)
    (directory / "model.safetensors").write_bytes(b"not weights")
    with pytest.raises(UploadError, match="LICENSE.md.*'Built with DINOv3'"):
        check(directory, collect_files(directory)[0])
    (directory / "LICENSE.md").write_text("DINOv3 License")
    (directory / "README.md").write_text((directory / "README.md").read_text() + "Built with DINOv3.\n")
    with pytest.raises(UploadError, match="does not load: .*header") as caught:
        check(directory, collect_files(directory)[0])
    assert "\n" not in str(caught.value) and "Traceback" not in str(caught.value)


def test_the_check_needs_nothing_of_the_project(run_process):
    script = "import runpy, sys; sys.modules.update(anydepth_cli=None, anydepth_hf=None);"
    script += "sys.argv[1:] = ['--help']; runpy.run_path(sys.argv[0], run_name='__main__')"
    reference = SCRIPT.parent / "hub" / "reference.py"
    done = run_process("-c", script.replace("sys.argv[0]", repr(str(reference))))
    assert (done.returncode, done.stderr) == (0, "") and "directory" in done.stdout


def test_a_changed_configuration_is_noticed(directory):
    config = json.loads((directory / "config.json").read_text())
    config["min_depth"] = 0.5
    (directory / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match="weights, the configuration or the code have changed"):
        check_reference(*load(directory), directory)
    model, processor = load(directory)
    model.config.prediction_type = "depth"
    with pytest.raises(ValueError, match="holds disparity, but the model predicts depth"):
        check_reference(model, processor, directory)
    with pytest.raises(ValueError, match="exists"):
        write_reference(*load(directory), directory)


def test_a_pull_request_leaves_main_as_it_is(hub, directory, api, unchecked, capsys):
    """In a repository of somebody else's: `--create-pr`."""
    repository = hub.repositories[NAME] = Repository()
    before = repository.branches["main"]
    commit = push(directory, NAME, api=api, create_pr=True)
    assert repository.branches["main"] == before and repository.branches["refs/pr/1"] == commit
    assert "model.safetensors" in repository.trees[commit]
    assert f"opened a pull request: {hub.url}/{NAME}/discussions/1" in capsys.readouterr().out
    with pytest.raises(UploadError, match="sets no tag"):
        push(directory, NAME, api=api, create_pr=True, tag="v1.0")


@pytest.fixture
def with_exports(directory, exported_tiny_model):
    """A model directory with its ONNX files."""
    shutil.copytree(exported_tiny_model[1] / "onnx", directory / "onnx")
    shutil.copy(exported_tiny_model[1] / REPORT, directory / REPORT)
    return directory


def test_exported_files_go_along_and_into_the_card(hub, with_exports, api, unchecked):
    push(with_exports, NAME, api=api, create=True)
    files = hub.repositories[NAME].files
    for name in ("onnx/model.onnx", "onnx/model_quantized.onnx", REPORT):
        assert files[name] == (with_exports / name).read_bytes()
    card = files["README.md"].decode()
    assert "| `onnx/model.onnx` |" in card and f"hf download {NAME} " in card and 'dtype: "fp32"' in card
    commit = hub.repositories[NAME].branches["main"]
    assert push(with_exports, NAME, api=api) == commit, "the card does not grow"


def test_exported_files_of_another_model_are_refused(with_exports):
    assert check_exported(with_exports) == "2 exported files too"
    reference = load_file(with_exports / REFERENCE_FILE)
    save_file({**reference, "predicted_depth": 2 * reference["predicted_depth"]}, with_exports / REFERENCE_FILE)
    with pytest.raises(ExportedFilesError, match=r"model.onnx does not give the model's reference output"):
        check_exported(with_exports)
    (with_exports / "onnx" / "model.onnx").write_bytes(b"short")
    with pytest.raises(UploadError, match=r"lists onnx/model.onnx with \d+ bytes, which is not what is there"):
        collect_files(with_exports)
