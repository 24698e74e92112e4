"""Config files and options: what they make, and one sentence for what they cannot."""

import re
import typing

import pytest
import yaml

from anydepth_hf.presets import preset_config, preset_names
from tests.training.tiny_run import ROOT, run
from training.data.sources import parse_dataset
from training.trainer.arguments import TrainArguments, parse_arguments
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
    defaults = TrainArguments(preset="x", dataset=["me/mine"], output_dir="run")
    stated = {**base, "image_size": [base["image_size"]]}
    # the defaults of the code leave these two to `accelerate config` and to the model
    left_open = {"mixed_precision": "bf16", "far_plane": 100.0}
    assert {name: getattr(defaults, name) for name in stated if name not in left_open} | left_open == stated


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_config_parses_and_can_be_recorded(path, tmp_path):
    model = ["--preset", "dinov3-small-sdt"] if path.stem in ("base", "table2", "table3") else []
    data = ["--dataset", "me/mine"] if path.stem == "base" else []
    arguments = parse_arguments([str(path), "--output_dir", "run", *model, *data])
    assert parse(tmp_path, arguments.to_yaml()) == arguments


def test_command_line_wins_over_file_and_file_over_base(tmp_path):
    (tmp_path / "base.yaml").write_text("batch_size: 8\nlearning_rate: 1.0e-2\nseed: 5\n")
    text = "base: base.yaml\nrow: dinov3-small-sdt\ndataset: me/mine\nlearning_rate: 2e-3\n"
    arguments = parse(tmp_path, text, "--seed", "7")
    assert (arguments.batch_size, arguments.learning_rate, arguments.seed) == (8, 2e-3, 7)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("preset: a\nlearning_rat: 1", "unknown option 'learning_rat'; did you mean learning_rate?"),
        ("base: nowhere.yaml", "nowhere.yaml: there is no such config file"),
        ("preset: [", "is not valid YAML"),
        ("dataset: me/mine", "exactly one of --preset, --model and --architecture (given: none)"),
        ("preset: a\nmodel: b\ndataset: me/mine", "(given: preset, model)"),
        ("preset: a", "give --dataset"),
        ("preset: a\ndataset: me/mine\nimage_size: 768", "write sizes as HEIGHTxWIDTH"),
        ("preset: a\ndataset: me/mine\nimage_size: [64x64, 32x32]", "a data set is cut to one size"),
        ("preset: a\ndataset: pictures", "go together"),
        ("preset: a\ndataset: me/mine\npictures_on_device: true", "is for --dataset pictures"),
        ("preset: a\ndataset: [pictures, me/mine]\npictures_dir: runs/pictures", "go together"),
        ("preset: a\ndataset: me/mine\nmin_crop: 0", "--min_crop must be a number more than 0 and at most 1, not 0"),
        ("preset: a\ndataset: me/mine\nencoder: frosen", "--encoder must be one of frozen, full, lora, not frosen"),
        ("preset: a\ndataset: me/mine\nschedule: cosinus", "--schedule must be one of polynomial, cosine, constant"),
        ("preset: a\ndataset: me/mine\nbatch_size: 2.5", "--batch_size must be a whole number at least 1, not 2.5"),
        ("preset: a\ndataset: me/mine\nbatch_size: true", "--batch_size must be a whole number at least 1, not True"),
        ("preset: a\ndataset: me/mine\nlearning_rate: [1]", "--learning_rate must be a number at least 0, not [1]"),
        ("preset: a\ndataset: me/mine\nlearning_rate: .inf", "--learning_rate must be a number at least 0, not inf"),
        ("preset: a\ndataset: me/mine\nmixed_precision: no", "--mixed_precision must be one of no, bf16, fp16, not"),
        ("preset: a\ndataset: me/mine\nsquash: maybe", "--squash: Truthy value expected: got maybe"),
        ("preset: a\ndataset: [[1]]", "--dataset must be a list, each text, not [[1]]"),
        ("preset: a\ndataset: me/mine\nmax_minutes: -1", "--max_minutes must be a number more than 0, not -1"),
        (
            "preset: a\ndataset: a/b\nema_decay: 2",
            "--ema_decay must be a number at least 0 and less than 1, not 2",
        ),
        ("preset: a\ndataset: me/mine\nnum_epochs: 0", "--num_epochs must be a number more than 0, not 0"),
        ("preset: a\ndataset: me/mine\nfar_plane: 0", "--far_plane must be a number more than 0, not 0"),
        ("preset: a\ndataset: me/mine\nseed: 1\nseed: 2", "'seed' stands twice"),
        ("base: config.yaml", "its `base:` leads back to itself"),
        ("base: .", "cannot be read: Is a directory"),
        ("base: [a]", "base must be the name of another config file"),
        ("- preset", "must hold `option: value` lines"),
        ("[" * 5000, "is not valid YAML"),
        ("preset: \x00", "is not valid YAML"),
        ("1: 2", "unknown option 1"),
        ("? [a, b]\n: 2", "is not valid YAML"),
        ("preset: a\ndataset: me/mine\nbatch_size: 0", "--batch_size must be a whole number at least 1, not 0"),
    ],
)
def test_mistakes_get_a_sentence(tmp_path, text, message):
    with pytest.raises(ValueError, match=".") as error:
        parse(tmp_path, text)
    assert message in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("dataset", "options", "message"),
    [
        ("me/mine", ["--preset", "dinov3-smal-sdt"], "did you mean dinov3-small-sdt?"),
        ("me/mine", ["--preset", "dav2-base-sdt"], "`anydepth pull dav2-base-dpt`"),
        ("me/mine", ["--model", "no/such/model"], "no/such/model"),
        ("pairs,root=/nowhere,rgb_dir=a,depth_dir=b", ["--model", "{model}"], "/nowhere"),
        ("me/mine", ["--model", "{model}", "--trackers", "wandb"], "--trackers wandb is not installed"),
        ("me/mine", ["--architecture", "{}"], "--encoder full"),
        ("me/mine", ["--architecture", "[1]", "--encoder", "full"], "--architecture: it must be a JSON object"),
        ("me/mine", ["--architecture", '{"fusion_hidden_size": -4}', "--encoder", "full"], "--architecture"),
        ("me/mine", ["--preset", "dinov3-small-sdt", "--learning_rat", "1"], "did you mean --learning_rate?"),
        ("me/mine", ["--preset", "dinov3-small-sdt", "--batch_size", "x"], "--batch_size: invalid int value: 'x'"),
        ("pairs,root=/,weight=-1", ["--model", "{model}"], "'pairs': weight must be a number at least 0, not -1"),
        ("me/mine", ["--preset", "dinov3-small-sdt", "--encoder_weights", "{model}"], "lacks 211 of its weights"),
    ],
)
def test_script_ends_with_a_sentence(tmp_path, save_tiny_model, dataset, options, message):
    options = [option.replace("{model}", str(save_tiny_model())) for option in options]
    output = run(tmp_path / "run", dataset, *options, architecture=None, status=2)
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
    given = parse_arguments(["--row", "a", "--dataset", "me/mine", "--output_dir", "out"])
    assert given.preset == "a" and "--row is called --preset now" in capsys.readouterr().err
    (tmp_path / "old.yaml").write_text("row: b\ndataset: me/mine\noutput_dir: out\nscenes_per_epoch: 7")
    old = parse_arguments([str(tmp_path / "old.yaml")])
    assert (old.preset, old.pictures_per_epoch) == ("b", 7)
    printed = capsys.readouterr().err
    assert "--row is called --preset now" in printed and "--scenes_per_epoch is called --pictures_per_epoch" in printed


def test_an_architecture_with_a_date_is_read_as_text(tmp_path):
    arguments = parse(tmp_path, "architecture: {note: 2026-01-31}\ndataset: me/mine")
    assert arguments.architecture == '{"note": "2026-01-31"}'


def test_both_spellings_of_an_option_are_read_and_numbers_as_people_write_them(tmp_path):
    text = "preset: a\ndataset: me/mine\nlearning_rate: 2e-3\nbatch_size: 2.0\nmixed_precision: 'no'\n"
    arguments = parse(tmp_path, text, "--max-steps", "7", "--weight_decay", "0")
    assert (arguments.learning_rate, arguments.batch_size, arguments.max_steps) == (2e-3, 2, 7)
    assert isinstance(arguments.batch_size, int) and arguments.weight_decay == 0


def test_every_number_has_a_range():
    hints = typing.get_type_hints(TrainArguments, include_extras=True)
    numbers = [name for name, kind in hints.items() if re.search(r"\b(int|float)\b", str(kind))]
    assert len(numbers) > 25
    assert [name for name in numbers if "Range(" not in str(hints[name])] == []
