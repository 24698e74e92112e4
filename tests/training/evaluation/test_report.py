"""The files of an evaluation: whatever stops the writing, what can be seen is whole."""

import os

import pytest
from PIL import Image

from training.evaluation.report import write_report

RECORD = {"name": "own", "protocols": {}}


class InterruptedPicture:
    """As Ctrl-C while a picture is written: it keeps what was in sight at that moment."""

    def __init__(self, folder):
        self.folder, self.seen = folder, None

    def save(self, *_, **__):
        self.seen = sorted(name for name in os.listdir(self.folder) if not name.startswith("."))
        raise KeyboardInterrupt


@pytest.mark.parametrize("old", [[], ["worst"]])
def test_an_interrupted_report_shows_nothing_half_written(tmp_path, old):
    for name in old:
        (tmp_path / name).mkdir()
        (tmp_path / name / "own_00.jpg").write_bytes(b"whole")
    picture = InterruptedPicture(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        write_report({}, {"own": [(RECORD, Image.new("RGB", (8, 6))), (RECORD, picture)]}, tmp_path)
    assert picture.seen == old
    assert os.listdir(tmp_path) == old
    assert all((tmp_path / name / "own_00.jpg").read_bytes() == b"whole" for name in old)
