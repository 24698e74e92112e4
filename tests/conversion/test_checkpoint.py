"""Files that are broken or want to run code, and outputs that may not be written."""

import os
import pickle
import subprocess
import sys
import zipfile

import pytest
import torch

from conversion.checkpoint import load_state_dict
from conversion.convert import convert
from conversion.formats.renaming import ConversionError


@pytest.fixture
def reference(request):
    return request.config.rootpath / "tests" / "reference"


class Malicious:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("form", ["zip", "legacy", "plain pickle", "safetensors name"])
def test_a_pickle_that_wants_to_run_code(tmp_path, form):
    path = tmp_path / ("model.safetensors" if form == "safetensors name" else "model.pth")
    content = {"state_dict": {"a": torch.ones(2)}, "extra": Malicious(tmp_path / "ran")}
    if form == "plain pickle":
        path.write_bytes(pickle.dumps(content))
    else:
        with path.open("wb") as file:
            torch.save(content, file, _use_new_zipfile_serialization=form != "legacy")
    with pytest.raises(
        ConversionError, match=r"model\.\w+ holds more than tensors \(it asks for (\w+\.mkdir|code)\) and is refused"
    ):
        load_state_dict(path)
    assert not (tmp_path / "ran").exists()


def test_command_line_refuses_it_with_a_sentence(tmp_path, request):
    torch.save({"model": Malicious(tmp_path / "ran")}, tmp_path / "model.pth")
    command = ["--source", "anydepth", "--checkpoint", tmp_path / "model.pth", "--output", tmp_path / "out"]
    result = subprocess.run(
        [sys.executable, "-m", "conversion.convert", *map(str, command)],
        cwd=request.config.rootpath,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 2
    assert result.stderr.startswith("convert.py: ") and "Traceback" not in result.stderr
    assert "refused" in result.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.pth"]


@pytest.mark.parametrize("name", ["dav2.original.pth", "sdt_cls.safetensors", "legacy"])
@pytest.mark.parametrize("fraction", [0.001, 0.5, 0.999])
def test_truncated(reference, tmp_path, name, fraction):
    source = reference / name
    if name == "legacy":
        source = tmp_path / "whole.pth"
        torch.save({"a": torch.ones(30, 30)}, source, _use_new_zipfile_serialization=False)
    content = source.read_bytes()
    path = tmp_path / "cut"
    path.write_bytes(content[: int(len(content) * fraction)])
    with pytest.raises(ConversionError, match="cut (cannot be read; is it complete|is neither)"):
        load_state_dict(path)


@pytest.mark.parametrize("content", [b"", b"version https://git-lfs.github.com/spec/v1\n", b"<html></html>" * 9])
def test_no_checkpoint(tmp_path, content):
    (tmp_path / "model.pth").write_bytes(content)
    with pytest.raises(ConversionError, match="neither a safetensors nor a PyTorch checkpoint"):
        load_state_dict(tmp_path / "model.pth")


def test_no_tensors(tmp_path):
    torch.save({"epoch": 3, "state_dict": {}}, tmp_path / "model.pth")
    with pytest.raises(ConversionError, match="holds no tensors"):
        load_state_dict(tmp_path / "model.pth")
    torch.save(torch.ones(3), tmp_path / "tensor.pth")
    with pytest.raises(ConversionError, match="holds no tensors"):
        load_state_dict(tmp_path / "tensor.pth")


def test_missing_file_and_directory(tmp_path):
    with pytest.raises(ConversionError, match=r"no\.pth does not exist"):
        load_state_dict(tmp_path / "no.pth")
    with pytest.raises(ConversionError, match="is a directory"):
        load_state_dict(tmp_path)


def test_existing_outputs(reference, tmp_path):
    checkpoint = reference / "anydepth_dinov3.pth"
    output = tmp_path / "model"
    output.mkdir()
    # an empty folder is nobody's
    convert("anydepth", checkpoint, output, ["min_depth=0.5"])
    with pytest.raises(ConversionError, match="exists and is not empty.*--overwrite"):
        convert("anydepth", checkpoint, output)
    assert '"min_depth": 0.5' in (output / "config.json").read_text()
    (output / "stale.txt").touch()
    convert("anydepth", checkpoint, output, ["min_depth=0.25"], overwrite=True)
    assert '"min_depth": 0.25' in (output / "config.json").read_text()
    assert not (output / "stale.txt").exists()
    # a failure leaves the old model
    with pytest.raises(ConversionError):
        convert("dav2", checkpoint, output, overwrite=True)
    assert '"min_depth": 0.25' in (output / "config.json").read_text()
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_overwrite_spares_what_is_no_model_and_the_checkpoint_itself(reference, tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "holiday.jpg").touch()
    checkpoint = reference / "anydepth_dinov3.pth"
    with pytest.raises(ConversionError, match="holds no model"):
        convert("anydepth", checkpoint, tmp_path / "photos", overwrite=True)
    (tmp_path / "hub").mkdir()
    (tmp_path / "hub" / "config.json").write_text("{}")
    (tmp_path / "hub" / "model.pth").write_bytes(checkpoint.read_bytes())
    with pytest.raises(ConversionError, match="would be replaced"):
        convert("anydepth", tmp_path / "hub" / "model.pth", tmp_path / "hub", overwrite=True)
    assert (tmp_path / "hub" / "model.pth").exists() and (tmp_path / "photos" / "holiday.jpg").exists()
    (tmp_path / "file").touch()
    with pytest.raises(ConversionError, match="exists"):
        convert("anydepth", checkpoint, tmp_path / "file")


def rewrite(source, target, change=lambda name, content: content, compression=zipfile.ZIP_STORED):
    """The archive again, each record's content changed, with checksums that fit."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", compression) as new:
        for name in old.namelist():
            if (content := change(name, old.read(name))) is not None:
                new.writestr(name, content)


def test_compressed_records_are_read_as_what_was_saved(reference, tmp_path):
    rewrite(reference / "dav2.original.pth", tmp_path / "packed.pth", compression=zipfile.ZIP_DEFLATED)
    expected, found = load_state_dict(reference / "dav2.original.pth"), load_state_dict(tmp_path / "packed.pth")
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[name], found[name]) for name in expected)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda name, content: content[:-4] if name.endswith("data/0") else content, "data/0 has 60 bytes of 64"),
        (lambda name, content: None if name.endswith("data/1") else content, "data/1 is missing"),
        (lambda name, content: None if name.endswith("data.pkl") else content, "it has no data.pkl"),
        (lambda name, content: bytes(10**8) if name.endswith("data/0") else content, "a hundred times its size"),
    ],
)
def test_archives_whose_records_are_not_those_that_were_saved(tmp_path, change, reason):
    torch.save({"a": torch.ones(4, 4), "b": torch.zeros(3)}, tmp_path / "whole.pth")
    rewrite(tmp_path / "whole.pth", tmp_path / "changed.pth", change, zipfile.ZIP_DEFLATED)
    with pytest.raises(ConversionError, match=rf"changed\.pth is damaged: .*{reason}.*; get it again"):
        load_state_dict(tmp_path / "changed.pth")


def test_a_flipped_bit_anywhere_in_the_weights_is_noticed(reference, tmp_path):
    content = bytearray((reference / "dav2.original.pth").read_bytes())
    for position in range(len(content) // 3, len(content) // 2, len(content) // 40):
        content[position] ^= 16
        (tmp_path / "flipped.pth").write_bytes(content)
        with pytest.raises(ConversionError, match="flipped.pth (is damaged|cannot be read)"):
            load_state_dict(tmp_path / "flipped.pth")
        content[position] ^= 16


def test_a_training_run_is_not_overwritten(reference, tmp_path):
    run = tmp_path / "run"
    (run / "checkpoints" / "step-00000002").mkdir(parents=True)
    (run / "config.json").write_text("{}")
    with pytest.raises(ConversionError, match=r"is a training run \(it holds checkpoints\), which --overwrite"):
        convert("anydepth", reference / "anydepth_dinov3.pth", run, overwrite=True)
    assert (run / "checkpoints" / "step-00000002").is_dir()


def test_a_model_that_a_killed_conversion_had_moved_aside_comes_back(reference, tmp_path, capsys):
    output = tmp_path / "model"
    convert("anydepth", reference / "anydepth_dinov3.pth", output, ["min_depth=0.5"])
    output.rename(tmp_path / "model.before-overwrite")  # where a kill between the two renames leaves it
    with pytest.raises(ConversionError, match="--overwrite"):
        convert("anydepth", reference / "anydepth_dinov3.pth", output)
    assert "is back from" in capsys.readouterr().err
    assert '"min_depth": 0.5' in (output / "config.json").read_text()
