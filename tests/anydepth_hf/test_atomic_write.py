"""Files and folders that are whole or absent."""

import pytest

from anydepth_hf.atomic_write import atomic_directory, atomic_write, atomic_write_text


def test_a_file_appears_at_the_end_and_nothing_is_left_beside_it(tmp_path):
    path = tmp_path / "map.png"
    with atomic_write(path) as temporary:
        temporary.write_bytes(b"new")
        assert temporary.parent == tmp_path and temporary.suffix == ".png" and not path.exists()
    assert path.read_bytes() == b"new" and list(tmp_path.iterdir()) == [path]


def test_an_error_leaves_the_old_file_and_no_other(tmp_path):
    path = tmp_path / "map.png"
    atomic_write_text(path, "old")
    with pytest.raises(ValueError, match="broken"), atomic_write(path) as temporary:
        temporary.write_bytes(b"half")
        raise ValueError("broken")
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_a_name_as_long_as_the_file_system_allows_can_be_written(tmp_path):
    path = tmp_path / ("x" * 251 + ".txt")
    atomic_write_text(path, "text")
    assert path.read_text() == "text"


def test_the_error_names_the_target(tmp_path):
    with pytest.raises(OSError) as caught:
        atomic_write_text(tmp_path / "missing" / "a.txt", "text")
    assert caught.value.filename == str(tmp_path / "missing" / "a.txt")


def test_a_folder_appears_at_the_end_or_not_at_all(tmp_path):
    with atomic_directory(tmp_path / "model") as temporary:
        (temporary / "config.json").write_text("{}")
        assert not (tmp_path / "model").exists()
    assert (tmp_path / "model/config.json").read_text() == "{}"
    with pytest.raises(ValueError, match="broken"), atomic_directory(tmp_path / "other"):
        raise ValueError("broken")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
