"""Files and folders that are whole or absent."""

import errno
import json
import os
import subprocess
import sys
import time

import pytest

from anydepth_hf.atomic_write import (
    LEFTOVERS,
    atomic_directory,
    atomic_write,
    atomic_write_json,
    atomic_write_text,
    publish_directory,
    publish_files,
    recover_directory,
    remove_directory,
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


@pytest.mark.parametrize("name", ["x" * 251 + ".txt", "x." + "y" * 253])
def test_a_name_as_long_as_the_file_system_allows_can_be_written(tmp_path, name):
    atomic_write_text(tmp_path / name, "text")
    assert (tmp_path / name).read_text() == "text"


def test_json_is_written_into_folders_that_are_made_as_people_read_it(tmp_path):
    path = tmp_path / "new" / "folder" / "a.json"
    for value in ({"name": "Tür"}, [1, None]):
        atomic_write_json(path, value)
        assert json.loads(path.read_text(encoding="utf-8")) == value
    atomic_write_json(path, {"name": "Tür"})
    assert path.read_bytes() == '{\n "name": "Tür"\n}\n'.encode() and list(path.parent.iterdir()) == [path]


def test_text_is_utf_8_whatever_the_locale_says(tmp_path):
    program = "import sys; from anydepth_hf.atomic_write import atomic_write_text as w; w(sys.argv[1], 'T\\xfcr')"
    environment = {**os.environ, "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    subprocess.run([sys.executable, "-c", program, tmp_path / "a.txt"], env=environment, check=True)
    assert (tmp_path / "a.txt").read_bytes() == "Tür".encode()


def test_the_error_names_the_target(tmp_path):
    with pytest.raises(OSError) as caught:
        atomic_write_text(tmp_path / "missing" / "a.txt", "text")
    assert caught.value.filename == str(tmp_path / "missing" / "a.txt")


@pytest.mark.parametrize("error", [FileNotFoundError(errno.ENOENT, "none", "photo.jpg"), ConnectionError("reset")])
def test_an_error_about_something_else_keeps_its_name(tmp_path, error):
    name = error.filename
    with pytest.raises(OSError) as caught, atomic_write(tmp_path / "a.png"):
        raise error
    assert caught.value is error and error.filename == name


def test_a_folder_appears_at_the_end_or_not_at_all(tmp_path):
    with atomic_directory(tmp_path / "model") as temporary:
        (temporary / "config.json").write_text("{}")
        assert not (tmp_path / "model").exists()
    assert (tmp_path / "model/config.json").read_text() == "{}"
    with pytest.raises(ValueError, match="broken"), atomic_directory(tmp_path / "other"):
        raise ValueError("broken")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    with atomic_directory(tmp_path / "new/parents/model"):
        pass
    assert (tmp_path / "new/parents/model").is_dir()


def test_a_folder_that_exists_is_not_replaced_unasked(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model/a").write_text("old")
    with pytest.raises(OSError, match="model"), atomic_directory(tmp_path / "model") as temporary:
        (temporary / "a").write_text("new")
    assert (tmp_path / "model/a").read_text() == "old" and len(list(tmp_path.iterdir())) == 1


def test_a_folder_whose_replacement_cannot_be_renamed_comes_back(tmp_path, monkeypatch):
    for name, text in (("model", "old"), ("next", "new")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a").write_text(text)
    replace = os.replace

    def refuse_the_next(source, target):
        if source == tmp_path / "next":
            raise PermissionError(errno.EACCES, "Permission denied")
        replace(source, target)

    monkeypatch.setattr(os, "replace", refuse_the_next)
    with pytest.raises(PermissionError):
        publish_directory(tmp_path / "next", tmp_path / "model", replace=True)
    assert (tmp_path / "model/a").read_text() == "old"
    assert {path.name for path in tmp_path.iterdir()} == {"model", "next"}


def test_of_a_folder_replaced_to_the_end_the_old_one_does_not_come_back(tmp_path):
    for path, text in ((tmp_path / "model", "new"), (replaced_name(tmp_path / "model"), "old")):
        path.mkdir()
        (path / "a").write_text(text)
    assert not recover_directory(tmp_path / "model")
    assert (tmp_path / "model/a").read_text() == "new" and len(list(tmp_path.iterdir())) == 1
    remove_directory(tmp_path / "model")
    assert not list(tmp_path.iterdir())


@pytest.fixture
def events(monkeypatch):
    """What reaches the disk and what is renamed, in order, by name."""
    events, fsync, replace = [], os.fsync, os.replace

    def record(action, name, call):
        events.append((action, os.path.basename(name)))
        call()

    monkeypatch.setattr(os, "fsync", lambda fd: record("flush", os.readlink(f"/proc/self/fd/{fd}"), lambda: fsync(fd)))
    monkeypatch.setattr(os, "replace", lambda old, new: record("rename", new, lambda: replace(old, new)))
    return events


@pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="names files by Linux's list of those open")
def test_files_reach_the_disk_before_their_names_and_the_last_one_is_last(tmp_path, events):
    temporary = tmp_path / "temporary"
    (temporary / "below").mkdir(parents=True)
    for name in ("a", "below/b", "c"):
        (temporary / name).write_text(name)
    (tmp_path / "model").mkdir()
    publish_files(temporary, tmp_path / "model", last="a")
    flushed, renamed = events[:5], events[5:]
    assert {name for action, name in flushed if action == "flush"} == {"a", "below", "b", "c", "temporary"}
    assert renamed == [("rename", "below"), ("rename", "c"), ("rename", "a")]
    assert (tmp_path / "model/below/b").read_text() == "below/b" and not list(temporary.iterdir())
    events.clear()
    publish_directory(tmp_path / "model", tmp_path / "published")
    assert events[-1] == ("rename", "published")
    assert {name for action, name in events[:-1] if action == "flush"} == {"a", "below", "b", "c", "model"}


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


def test_of_other_machines_leftovers_only_the_old_ones_go_and_files_of_people_stay(tmp_path):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    here = temporary_name(tmp_path / "a.png").name.replace(f"-{os.getpid()}-", f"-{gone.pid}-")
    elsewhere = tmp_path / (".writing-0badcafe-" + here.split("-", 2)[2])
    mine, shared = tmp_path / ".writing-notes", tmp_path / ".writing-step-00000001"
    for path in (tmp_path / here, elsewhere, mine):
        path.write_text("text")
    shared.mkdir()
    remove_leftovers(tmp_path)
    assert {*tmp_path.iterdir()} == {elsewhere, mine, shared}
    for path in (elsewhere, mine, shared):
        os.utime(path, (time.time() - 4000,) * 2)
    remove_leftovers(tmp_path)
    assert {*tmp_path.iterdir()} == {mine, shared}


def test_a_full_disk_names_the_file(tmp_path):
    with pytest.raises(OSError, match="No space") as caught, atomic_write(tmp_path / "a.png"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert caught.value.filename == str(tmp_path / "a.png") and not list(tmp_path.iterdir())
