"""A few damaged files for every reader; `tests/faults/fuzz.py` tries as many as one likes."""

import pytest

from tests.faults.fuzz import TARGETS, fuzz

RUNS = {"image": 200, "label": 200, "map": 100, "checkpoint": 200, "yaml": 40, "config": 20}


@pytest.mark.parametrize("name", TARGETS)
def test_damaged_files_are_read_or_refused(name, tmp_path):
    outcomes, failures = fuzz(name, RUNS[name], seed=0, keep=tmp_path / "failures")
    assert not failures, "\n".join(failures)
    assert outcomes["refused"] > 0 and sum(outcomes.values()) == RUNS[name]


@pytest.mark.long
@pytest.mark.parametrize("name", TARGETS)
def test_many_damaged_files_are_read_or_refused(name, tmp_path):
    _, failures = fuzz(name, 20 * RUNS[name], seed=1_000_000, keep=tmp_path / "failures")
    assert not failures, "\n".join(failures)
