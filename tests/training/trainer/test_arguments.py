"""Config files and options: what they make, and one sentence for what they cannot."""

import pytest
import yaml

from anydepth_hf.presets import preset_config, preset_names
from tests.training.tiny_run import ROOT, run
from training.trainer.arguments import TrainArguments, parse_arguments
from training.trainer.data import parse_dataset
from training.trainer.schedule import learning_rate_factor

CONFIGS = ROOT / "training" / "configs"


def parse(tmp_path, text, *options):
    path = tmp_path / "config.yaml"
    path.write_text(text, encoding="utf-8")
    return parse_arguments([str(path), "--output_dir", "run", *options])


@pytest.mark.parametrize("name", preset_names())
def test_every_row_has_its_config_with_the_recipe(name):
    arguments = parse_arguments([str(CONFIGS / f"{name}.yaml"), "--output_dir", "run"])
    assert arguments.preset == name
    assert preset_config(arguments.preset).freeze_backbone and arguments.encoder == "frozen"
    recipe = (arguments.learning_rate, arguments.schedule, arguments.power, arguments.num_epochs)
    assert recipe == (1e-3, "polynomial", 0.9, 5)
    assert arguments.warmup_ratio * arguments.num_epochs == 2
    patch = preset_config(name).patch_size
    assert all(side % patch == 0 and abs(side - 768) < patch for size in arguments.sizes for side in size)
    sets = [parse_dataset(text).name for text in arguments.dataset]
    five = ["hypersim", "vkitti2", "blendedmvs", "irs", "tartanair"]
    assert sets == (five if name.startswith("dinov3") else five[:2])


def test_base_config_states_the_defaults_of_the_code():
    base = yaml.safe_load((CONFIGS / "base.yaml").read_text(encoding="utf-8"))
    defaults = TrainArguments(preset="x", dataset=["scenes"], output_dir="run")
    stated = {**base, "image_size": [base["image_size"]]}
    # the defaults of the code leave these two to `accelerate config` and to the model
    left_open = {"mixed_precision": "bf16", "far_plane": 100.0}
    assert {name: getattr(defaults, name) for name in stated if name not in left_open} | left_open == stated


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_config_parses_and_can_be_recorded(path, tmp_path):
    model = ["--preset", "dinov3-small-sdt"] if path.stem in ("base", "table2", "table3") else []
    data = ["--dataset", "scenes"] if path.stem == "base" else []
    arguments = parse_arguments([str(path), "--output_dir", "run", *model, *data])
    assert parse(tmp_path, arguments.to_yaml()) == arguments


def test_command_line_wins_over_file_and_file_over_base(tmp_path):
    (tmp_path / "base.yaml").write_text("batch_size: 8\nlearning_rate: 1.0e-2\nseed: 5\n")
    text = "base: base.yaml\nrow: dinov3-small-sdt\ndataset: scenes\nlearning_rate: 2e-3\n"
    arguments = parse(tmp_path, text, "--seed", "7")
    assert (arguments.batch_size, arguments.learning_rate, arguments.seed) == (8, 2e-3, 7)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("preset: a\nlearning_rat: 1", "unknown option 'learning_rat'; did you mean 'learning_rate'?"),
        ("base: nowhere.yaml", "nowhere.yaml: there is no such config file"),
        ("preset: [", "is not valid YAML"),
        ("dataset: scenes", "exactly one of --preset, --model and --architecture (given: none)"),
        ("preset: a\nmodel: b\ndataset: scenes", "(given: preset, model)"),
        ("preset: a", "give --dataset"),
        ("preset: a\ndataset: scenes\nimage_size: 768", "write sizes as HEIGHTxWIDTH"),
        ("preset: a\ndataset: me/mine\nimage_size: [64x64, 32x32]", "a data set is cut to one size"),
        ("preset: a\ndataset: scenes\nscene_size: 64x64", "for scenes from a --scene_store"),
        ("preset: a\ndataset: pictures", "go together"),
        ("preset: a\ndataset: [pictures, me/mine]\npictures_dir: runs/pictures", "go together"),
        ("preset: a\ndataset: scenes\nmin_crop: 0", "--min_crop is a share"),
        ("preset: a\ndataset: [scenes, me/mine]", "cannot be mixed"),
        ("preset: a\ndataset: scenes\nbatch_size: 0", "--batch_size must be at least 1"),
    ],
)
def test_mistakes_get_a_sentence(tmp_path, text, message):
    with pytest.raises(ValueError, match=".") as error:
        parse(tmp_path, text)
    assert message in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("dataset", "options", "message"),
    [
        ("scenes", ["--preset", "dinov3-smal-sdt"], "did you mean 'dinov3-small-sdt'?"),
        ("scenes", ["--preset", "dav2-base-sdt"], "python -m conversion.convert --source dav2"),
        ("scenes", ["--model", "no/such/model"], "no/such/model"),
        ("pairs,root=/nowhere,rgb_dir=a,depth_dir=b", ["--model", "{model}"], "/nowhere"),
        ("scenes", ["--model", "{model}", "--trackers", "wandb"], "--trackers wandb is not installed"),
        ("scenes", ["--architecture", "{}"], "--encoder full"),
        ("scenes", ["--preset", "dinov3-small-sdt", "--encoder_weights", "{model}"], "values for 211 weights"),
    ],
)
def test_script_ends_with_a_sentence(tmp_path, save_tiny_model, dataset, options, message):
    options = [option.replace("{model}", str(save_tiny_model())) for option in options]
    output = run(tmp_path / "run", dataset, *options, architecture=None, status=1)
    assert "Traceback" not in output
    sentence = output.strip().splitlines()[-1]
    assert sentence.startswith("train.py: ") and message in sentence, output
    assert not (tmp_path / "run").exists()


def test_learning_rate_warms_up_then_decays():
    def factor(progress, schedule="polynomial"):
        return learning_rate_factor(progress, schedule, 0.4, 0.9)

    assert factor(0) == 0 and factor(0.2) == 0.5 and factor(0.4) == 1
    assert factor(0.7) == pytest.approx(0.5**0.9) and factor(1) == 0
    assert factor(0.7, "cosine") == pytest.approx(0.5) and factor(1, "cosine") == 0
    assert factor(0.99, "constant") == 1


def test_an_option_is_still_read_under_its_former_name(tmp_path, capsys):
    given = parse_arguments(["--row", "a", "--dataset", "scenes", "--output_dir", "out"])
    assert given.preset == "a" and "--row is called --preset now" in capsys.readouterr().err
    (tmp_path / "old.yaml").write_text("row: b\ndataset: scenes\noutput_dir: out")
    assert parse_arguments([str(tmp_path / "old.yaml")]).preset == "b"
    assert "--row is called --preset now" in capsys.readouterr().err
