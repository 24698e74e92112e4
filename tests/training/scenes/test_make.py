"""Contact sheets of folders of pictures."""

import numpy as np
import pytest
from PIL import Image

from tests.training.drawn import write_pictures
from training.scenes import make
from training.scenes.make import write_sheet


def test_a_sheet_shows_the_most_frequent_size_beside_its_disparity(tmp_path):
    write_pictures(tmp_path / "pictures", 5, 24, 32, street=True)
    write_pictures(tmp_path / "pictures", 2, 16, 52)
    write_sheet(tmp_path / "pictures", tmp_path / "new" / "sheet.png", count=4, columns=3)
    sheet = np.asarray(Image.open(tmp_path / "new" / "sheet.png"))
    assert sheet.shape == (2 * 24, 3 * 2 * 32, 3)
    assert (sheet[0, 32:64] == 0).all() and sheet[23, 32:64].any()  # the sky is black, the street is not
    assert not sheet[24:, 64:].any()  # the fourth is alone in its row


def test_mistakes_about_sheets_are_one_sentence(tmp_path, capsys):
    with pytest.raises(ValueError, match="no pictures for the sheet"):
        write_sheet(tmp_path, tmp_path / "sheet.png")
    assert make.main(["--output", str(tmp_path / "out"), "--sheet", "sheet.gif"]) == 2
    assert "name a .png or .jpg file" in capsys.readouterr().err
    (tmp_path / "holiday.jpg").write_bytes(b"mine")
    assert make.main(["--output", str(tmp_path / "out"), "--sheet", str(tmp_path / "holiday.jpg")]) == 2
    assert "holiday.jpg exists" in capsys.readouterr().err and (tmp_path / "holiday.jpg").read_bytes() == b"mine"
