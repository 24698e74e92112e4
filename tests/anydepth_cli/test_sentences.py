"""Words of messages: the nearest right word, and what an error says."""

import errno

import pytest

from anydepth_cli.sentences import did_you_mean, first_line, one_line


def test_the_nearest_word_is_named_where_one_comes_near():
    assert did_you_mean("predct", ["predict", "pull"]) == "; did you mean predict?"
    assert did_you_mean("cal", ["calibrate", "pull"]) == "; did you mean calibrate?"
    assert did_you_mean("weather", ["predict", "pull"]) == ""


@pytest.mark.parametrize(
    ("error", "line", "first"),
    [
        (ValueError("wrong,\n  and why"), "wrong, and why", "wrong,"),
        (RuntimeError("\nCUDA error:\nsee the manual"), "CUDA error: see the manual", "CUDA error:"),
        (AssertionError(), "AssertionError", "AssertionError"),
        (OSError(errno.ENOENT, "gone", b"photo.jpg"), "photo.jpg: gone", "[Errno 2] gone: b'photo.jpg'"),
    ],
)
def test_what_an_error_says_is_never_nothing(error, line, first):
    assert one_line(error) == line
    assert first_line(error) == first
