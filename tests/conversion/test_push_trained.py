"""From `training/train.py` to the Hub: what training leaves may be uploaded, or the card says what it lacks."""

from huggingface_hub import ModelCard

from conversion.hub.reference import REFERENCE_FILE
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


def test_what_training_cannot_know_is_asked_for(hub, run_process, save_tiny_model, tmp_path):
    folder = tmp_path / "mine"
    run(folder, write_pairs(tmp_path / "pairs", 4), "--model", str(save_tiny_model()), *SHORT, architecture=None)
    command = (SCRIPT, folder, "me/mine", "--dry-run")
    done = run_process(*command, hub=hub, token=TOKEN)
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1, done.stderr
    assert f"{folder}/README.md is not ready" in done.stderr and "in line 2" in done.stderr
    assert "`license:`" in done.stderr and "`base_model`" in done.stderr
    lines = (folder / "README.md").read_text().splitlines()
    assert "fill in `license:` and `base_model:`" in lines[1]
    lines[1] = "license: apache-2.0\nbase_model: facebook/dinov2-small"
    (folder / "README.md").write_text("\n".join(lines))
    done = run_process(*command, hub=hub, token=TOKEN)
    assert done.returncode == 0 and "matches its reference output" in done.stdout, done.stderr
