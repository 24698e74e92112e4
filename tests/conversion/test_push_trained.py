"""From `training/train.py` to the Hub: what training leaves may be uploaded, or the card says what it lacks."""

from huggingface_hub import HfApi, ModelCard

from conversion.hub.reference import REFERENCE_FILE
from conversion.push_to_hub import main
from tests.card_schema import card_errors
from tests.hub_server import TOKEN
from tests.training.tiny_run import ROOT, run, write_pairs

SCRIPT = ROOT / "conversion" / "push_to_hub.py"
SHORT = ("--max_steps", "2")


def test_a_model_from_random_weights_needs_its_licence_alone(hub, run_process, tmp_path):
    folder = tmp_path / "mine"
    run(folder, write_pairs(tmp_path / "pairs", 4), *SHORT)
    path = folder / "README.md"
    lines = path.read_text().splitlines()
    assert lines[1].startswith("# Before publishing, fill in `license:` here")
    lines[1] = "license: apache-2.0"
    path.write_text("\n".join(lines))
    done = run_process(SCRIPT, folder, "me/mine", "--dry-run", hub=hub, token=TOKEN)
    assert done.returncode == 0, done.stderr
    assert f"{REFERENCE_FILE}\n" in done.stdout and "matches its reference output" in done.stdout
    assert hub.repositories == {}
    card = ModelCard.load(path)
    assert card_errors(str(card)) == [] and "from-scratch" in card.data.tags


def test_what_training_cannot_know_is_asked_for(hub, run_process, save_tiny_model, tmp_path, monkeypatch, capsys):
    folder = tmp_path / "mine"
    run(folder, write_pairs(tmp_path / "pairs", 4), "--model", str(save_tiny_model()), *SHORT, architecture=None)
    monkeypatch.setattr("conversion.push_to_hub.HfApi", lambda: HfApi(endpoint=hub.url, token=TOKEN))
    capsys.readouterr()
    assert main([str(folder), "me/mine", "--dry-run"]) == 2
    errors = capsys.readouterr().err
    assert len(errors.splitlines()) == 1, errors
    assert f"{folder}/README.md is not ready" in errors and "in line 2" in errors
    assert "`license:`" in errors and "`base_model`" in errors
    lines = (folder / "README.md").read_text().splitlines()
    assert "fill in `license:` and `base_model:`" in lines[1]
    lines[1] = "license: apache-2.0\nbase_model: facebook/dinov2-small"
    (folder / "README.md").write_text("\n".join(lines))
    done = run_process(SCRIPT, folder, "me/mine", "--dry-run", hub=hub, token=TOKEN)
    assert done.returncode == 0 and "matches its reference output" in done.stdout, done.stderr
