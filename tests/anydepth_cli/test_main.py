import subprocess
import sys

import pytest

from anydepth_cli import main as module
from anydepth_cli.main import COMMANDS, main

NOTHING_HEAVY = """
import sys
from anydepth_cli.main import main
try:
    status = main({arguments!r})
except SystemExit as end:
    status = end.code
heavy = {{"torch", "transformers", "numpy", "PIL", "anydepth_hf"}} & set(sys.modules)
assert not heavy, heavy
sys.exit(status)
"""


@pytest.mark.parametrize(
    ("arguments", "status", "text"),
    [
        (["--help"], 0, "predict"),
        (["predict", "--help"], 0, "--output-dir"),
        (["benchmark", "--help"], 0, "--resolutions"),
        (
            ["predict", "--outptu-dir", "x"],
            2,
            "anydepth predict: unknown option --outptu-dir; did you mean --output-dir?",
        ),
        (["predcit"], 2, "anydepth: unknown command predcit; did you mean predict?"),
    ],
)
def test_help_and_misspelt_words_are_answered_before_anything_heavy_is_imported(arguments, status, text):
    result = subprocess.run(
        [sys.executable, "-c", NOTHING_HEAVY.format(arguments=arguments)], capture_output=True, text=True
    )
    assert (result.returncode, text in result.stdout + result.stderr) == (status, True), result
    assert status == 0 or len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_describes_its_options(name, capsys):
    with pytest.raises(SystemExit) as end:
        main([name, "--help"])
    text = capsys.readouterr().out
    assert end.value.code == 0 and f"anydepth {name}" in text and "(default: [" not in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "anydepth: give a command"),
        (["--versoin"], "anydepth: unknown option --versoin; did you mean --version?"),
        (["predict", "--output", "x"], "anydepth predict: unknown option --output; did you mean --output-dir?"),
        (
            ["predict", "--format", "png", __file__],
            f"anydepth predict: --format: {__file__} is an input; inputs stand before this option",
        ),
        (["predict", "--tiles", __file__], f"anydepth predict: --tiles: {__file__} is an input; inputs stand before"),
        (["predict", "--dtype", "float31"], "anydepth predict: --dtype: invalid choice: 'float31'"),
        (["predict", "--size", "-5"], "anydepth predict: --size: must be a whole number at least 1, got -5"),
        (["predict", "--size", "nan"], "anydepth predict: --size: must be a whole number at least 1, got nan"),
        (["serve", "--timeout", "inf"], "anydepth serve: --timeout: must be a number more than 0, got inf"),
        (["benchmark", "--runs", "1.5"], "anydepth benchmark: --runs: must be a whole number at least 0, got 1.5"),
        (["predict", "--model"], "anydepth predict: --model: expected one argument"),
    ],
)
def test_mistakes_get_one_line_and_status_2(arguments, message, capsys):
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith(message) and len(error.splitlines()) == 1


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (KeyboardInterrupt(), 130, "anydepth predict: interrupted"),
        (ValueError("a\n  b"), 2, "anydepth predict: a b"),
        (
            OSError(28, "No space left on device", "out/a.png"),
            2,
            "anydepth predict: out/a.png: No space left on device",
        ),
    ],
)
def test_what_ends_a_command_is_one_line(error, status, line, capsys, monkeypatch):
    def stop(*_):
        raise error

    monkeypatch.setattr(module, "_run", stop)
    assert main(["predict"]) == status
    assert capsys.readouterr().err == line + "\n"


def test_files_may_stand_before_and_behind_options(monkeypatch):
    from anydepth_hf import predict

    seen = []
    monkeypatch.setattr(predict, "run", lambda args: seen.extend(map(str, args.inputs)) or 0)
    assert main(["predict", "a.png", "--output-dir", "out", "b.png"]) == 0
    assert seen == ["a.png", "b.png"]


def test_the_module_of_the_package_is_the_same_command():
    result = subprocess.run([sys.executable, "-m", "anydepth_hf.cli", "--version"], capture_output=True, text=True)
    assert result.returncode == 0 and result.stdout.strip()[0].isdigit()
