"""Whatever somebody types into options, YAML files and `--set`: a result that holds, or one sentence."""

import dataclasses
import typing

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from anydepth_cli.main import main
from anydepth_hf.option_schema import Range, checked_value
from conversion.formats.renaming import ConversionError
from conversion.formats.settings import Settings
from training.data.decoding import DataError
from training.data.sources import DatasetSpec
from training.evaluate import EvaluateArguments
from training.trainer.arguments import TrainArguments, parse_arguments

quick = settings(
    max_examples=80, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

words = st.sampled_from(
    [
        "pictures",
        "frozen",
        "full",
        "no",
        "bf16",
        "32x48",
        "1e-3",
        "-1",
        "nan",
        "inf",
        "true",
        "{}",
        "",
        "a\0b",
        "ä",
        "[1]",
    ]
)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | words | st.text(max_size=8) | st.dates()
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=2))
names = st.sampled_from([item.name for item in dataclasses.fields(TrainArguments)])
VALID = {"preset": "dinov3-small-sdt", "dataset": ["me/mine"], "output_dir": "run"}


def one_sentence(error: Exception) -> bool:
    return 0 < len(str(error)) < 3000 and "\n" not in str(error).strip()


@quick
@given(options=st.dictionaries(names, values, max_size=4))
def test_yaml_options_are_what_their_annotations_say_or_a_sentence(options, tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump({**VALID, **options}, allow_unicode=True), encoding="utf-8")
    try:
        arguments = parse_arguments([str(path)])
    except ValueError as error:
        assert one_sentence(error), error
        return
    hints = typing.get_type_hints(TrainArguments, include_extras=True)
    for name, kind in hints.items():
        assert checked_value(name, getattr(arguments, name), kind) == getattr(arguments, name)
    path.write_text(arguments.to_yaml(), encoding="utf-8")
    assert parse_arguments([str(path)]) == arguments


@quick
@given(content=st.binary(max_size=60) | st.text(max_size=60).map(str.encode) | st.just(b"a: &a [*a]"))
def test_any_bytes_as_a_config_file(content, tmp_path):
    path = tmp_path / "config.yaml"
    path.write_bytes(content)
    with pytest.raises(ValueError) as caught:
        parse_arguments([str(path), "--output_dir", "run"])
    assert one_sentence(caught.value)


@quick
@given(argv=st.lists(names.map("--{}".format) | words | st.text(max_size=6), max_size=6))
def test_any_words_as_a_command_line(argv):
    for start in (["--preset", "dinov3-small-sdt", "--dataset", "me/mine", "--output_dir", "run"], []):
        try:
            assert isinstance(parse_arguments([*start, *argv]), TrainArguments)
        except ValueError as error:
            assert one_sentence(error), error


@quick
@given(options=st.dictionaries(st.sampled_from([item.name for item in dataclasses.fields(EvaluateArguments)]), values))
def test_any_values_as_options_of_evaluate(options):
    try:
        EvaluateArguments(**{"model": "m", "rgb_dir": "a", "depth_dir": "b", "output_dir": "c", **options})
    except ValueError as error:
        assert one_sentence(error), error


@quick
@given(values=st.dictionaries(st.sampled_from([item.name for item in dataclasses.fields(DatasetSpec)]), values))
def test_any_values_as_a_data_set(values):
    try:
        spec = DatasetSpec.parse({"name": "pairs", **values})
    except DataError as error:
        assert one_sentence(error), error
        return
    assert spec.weight is None or spec.weight >= 0
    assert spec.depth_scale is None or spec.depth_scale > 0


@quick
@given(text=st.text(max_size=40) | st.lists(words, max_size=4).map("pairs,root={0},weight=".format))
def test_any_text_as_a_data_set(text):
    try:
        DatasetSpec.parse(text)
    except DataError as error:
        assert one_sentence(error), error


@quick
@given(items=st.lists(st.text(max_size=12) | st.builds("{}={}".format, st.sampled_from(
    ["fusion_hidden_size", "use_cls_token", "head_type", "upsample_hidden_sizes", "max_depth", "backbone.out_layers"]
), scalars), max_size=4))  # fmt: skip
def test_any_settings_of_the_converter(items):
    try:
        Settings(items)
    except ConversionError as error:
        assert one_sentence(error), error


@quick
@given(
    argv=st.lists(st.text(max_size=8) | st.sampled_from(["predict", "--size", "benchmark", "-5", "--"]), max_size=4)
)
def test_any_words_after_anydepth_are_answered_before_work_begins(argv):
    try:
        status = main([*argv, "--no-such-option"])
    except SystemExit as end:  # --help, --version
        status = end.code
    assert status in (0, 2)


@quick
@given(value=scalars, low=st.floats(-10, 10), high=st.floats(-10, 10))
def test_what_passes_a_range_lies_in_it(value, low, high):
    kind = typing.Annotated[float, Range(minimum=low, below=high)]
    try:
        number = checked_value("it", value, kind)
    except ValueError:
        return
    assert low <= number < high
