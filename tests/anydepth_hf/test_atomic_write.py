"""Files and folders that are whole or absent."""

import errno
import os

import pytest

from anydepth_hf.atomic_write import (
    LEFTOVERS,
    atomic_directory,
    atomic_write,
    atomic_write_text,
    remove_leftovers,
    replaced_name,
    temporary_name,
)


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


def test_a_folder_that_is_replaced_is_there_at_every_moment(tmp_path):
    path = tmp_path / "model"
    for text in ("old", "new"):
        with atomic_directory(path, replace=True) as temporary:
            (temporary / "a").write_text(text)
    assert (path / "a").read_text() == "new" and list(tmp_path.iterdir()) == [path]
    (tmp_path / "file").write_text("old")
    with atomic_directory(tmp_path / "file", replace=True):
        pass
    assert (tmp_path / "file").is_dir() and not replaced_name(tmp_path / "file").exists()
    (tmp_path / "file").rmdir()
    rename = os.replace
    for number in range(2):  # killed before each of the two renames
        renames = iter(range(10))

        def killed(source, target, renames=renames, number=number):
            if next(renames) == number:
                os._exit(9)
            rename(source, target)

        if not (child := os.fork()):
            os.replace = killed
            with atomic_directory(path, replace=True) as temporary:
                (temporary / "a").write_text("newer")
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
        found = path if path.exists() else replaced_name(path)
        assert (found / "a").read_text() == "new"
        with pytest.raises(ValueError, match="x"), atomic_directory(path, replace=True):
            raise ValueError("x")
        assert (path / "a").read_text() == "new" and not replaced_name(path).exists()
    remove_leftovers(tmp_path)
    assert list(tmp_path.iterdir()) == [path]


def test_leftovers_of_killed_programs_go_and_what_is_being_written_stays(tmp_path):
    if not (child := os.fork()):
        temporary_name(tmp_path / "a.png").write_bytes(b"half")
        temporary_name(tmp_path / "model").mkdir()
        os._exit(0)
    os.waitpid(child, 0)
    assert len(list(tmp_path.glob(LEFTOVERS))) == 2
    with atomic_write(tmp_path / "b.png") as temporary:
        temporary.write_bytes(b"whole")
        remove_leftovers(tmp_path)
        assert list(tmp_path.iterdir()) == [temporary]
    assert (tmp_path / "b.png").read_bytes() == b"whole"


def test_a_full_disk_names_the_file(tmp_path):
    with pytest.raises(OSError, match="No space") as caught, atomic_write(tmp_path / "a.png"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert caught.value.filename == str(tmp_path / "a.png") and not list(tmp_path.iterdir())
