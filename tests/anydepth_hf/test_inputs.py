import io
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from anydepth_hf import DepthMap, write_depth
from anydepth_hf.image_io import ImageError
from anydepth_hf.inputs import dataset_sources, find_sources, read_list, separate


def picture(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 3), "red").save(path)
    return path


def stems(*inputs, **options):
    return [source.stem for source in find_sources(inputs, **options)]


@pytest.fixture
def photos(tmp_path):
    for name in ("b.png", "a.jpg", "deep/c.webp", "deep/deeper/d.tiff", "[1].png"):
        picture(tmp_path / "photos" / name)
    (tmp_path / "photos" / "text.txt").write_text("no image")
    return tmp_path / "photos"


def test_a_folder_is_searched_with_the_folders_in_it(photos):
    assert stems(photos) == ["[1]", "a", "b", "deep/c", "deep/deeper/d"]
    assert stems(photos, recursive=False) == ["[1]", "a", "b"]


def test_patterns_keep_the_folders_below_their_fixed_part(photos):
    assert stems(f"{photos}/**/*.*") == ["[1]", "a", "b", "deep/c", "deep/deeper/d"]
    assert stems(f"{photos}/d*/*.webp") == ["deep/c"]
    assert stems(f"{photos}/[1].png") == ["[1]"]  # a file of that name is no pattern
    with pytest.raises(ValueError, match=r"No image matches .*\*\.gif"):
        stems(f"{photos}/*.gif")


def test_each_picture_is_taken_once(photos, monkeypatch):
    monkeypatch.chdir(photos)
    assert stems("a.jpg", photos / "a.jpg", "deep/../a.jpg", "*.jpg") == ["a"]


def test_pictures_of_one_name_get_different_results_or_are_refused(photos):
    picture(photos / "a.png")
    assert stems(photos, recursive=False) == ["[1]", "a_jpg", "a_png", "b"]
    with pytest.raises(ValueError, match=r"a\.png and .*a\.png would write the same files"):
        stems(photos / "a.png", picture(photos.parent / "a.png"))


def test_results_are_found_out_by_name_and_content(photos):
    write_depth(photos / "a_disparity.png", DepthMap([[1.0, 2.0]], "disparity"))
    picture(photos / "b_disparity.png")  # by another program
    assert "a_disparity" not in stems(photos) and "b_disparity" in stems(photos)
    assert stems(photos / "a_disparity.png") == ["a_disparity"]  # asked for by name


def test_lists_may_have_a_byte_order_mark_comments_and_names_relative_to_them(photos):
    (photos / "list.txt").write_bytes("\ufeff# chosen\r\na.jpg\r\n\r\n  deep/c.webp \nhttps://x.y/z.png\n".encode())
    assert read_list(photos / "list.txt") == [str(photos / "a.jpg"), str(photos / "deep/c.webp"), "https://x.y/z.png"]
    (photos / "empty.txt").write_text("# nothing\n")
    with pytest.raises(ValueError, match="names no image"):
        read_list(photos / "empty.txt")
    with pytest.raises(ValueError, match="is no text file"):
        read_list(photos / "a.jpg")


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text(max_size=30), max_size=5))
def test_whatever_a_list_names_is_found_or_refused_in_one_line(tmp_path_factory, lines):
    path = tmp_path_factory.mktemp("lists") / "list.txt"
    try:
        path.write_text("\n".join(lines), encoding="utf-8")
    except UnicodeEncodeError:  # half of a surrogate pair is no text
        return
    try:
        names = read_list(path)
        assert names
        find_sources(name for name in names if not name.lower().startswith("http"))
    except (ValueError, OSError) as error:
        assert str(error)


def test_an_empty_name_is_not_the_folder_one_is_in(photos, monkeypatch):
    monkeypatch.chdir(photos)
    with pytest.raises(ValueError, match="An input is empty text"):
        find_sources([""])


def test_standard_input_is_one_image_or_a_list(photos, monkeypatch):
    data = (photos / "a.jpg").read_bytes()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data)))
    (source,) = find_sources(["-"])
    assert (source.name, source.stem, source.open().size) == ("standard input", "stdin", (4, 3))
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"some/a.jpg\n")))
    assert read_list("-") == ["some/a.jpg"]


@pytest.fixture
def server(photos):
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            path = photos / self.path.split("?")[0].lstrip("/").replace("%20", " ")
            found = path.is_file()
            self.send_response(200 if found else 404)
            self.end_headers()
            self.wfile.write(path.read_bytes() if found else b"<html>")

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_addresses_are_downloaded_when_their_turn_comes(server, photos, monkeypatch):
    picture(photos / "the cat.png")
    source, missing, page = find_sources([f"{server}/the%20cat.png?size=9", f"{server}/no.png", f"{server}/text.txt"])
    assert (source.stem, missing.stem, page.stem) == ("the cat", "no", "text.txt")
    assert source.open().size == (4, 3)
    with pytest.raises(ImageError, match="no.png cannot be downloaded .*404"):
        missing.open()
    with pytest.raises(ImageError, match="text.txt is no image"):
        page.open()
    monkeypatch.setattr("anydepth_hf.inputs.MAX_DOWNLOAD", 10)
    with pytest.raises(ImageError, match="has more than"):
        source.open()


def test_a_data_sets_images_are_read_from_their_column(tmp_path):
    datasets = pytest.importorskip("datasets")
    images = [Image.fromarray(np.full((3, 4, 3), value, np.uint8)) for value in (10, 200)]
    folder = tmp_path / "set"
    folder.mkdir()
    features = datasets.Features({"label": datasets.Value("int64"), "photo": datasets.Image()})
    data = datasets.Dataset.from_dict({"label": [0, 1, 2], "photo": [*images, None]}, features=features)
    data.to_parquet(folder / "train.parquet")
    *sources, empty = dataset_sources(str(folder))
    assert [source.stem for source in sources] == ["000000", "000001"]
    with pytest.raises(ImageError, match=r"set\[2\] holds no image"):
        empty.open()
    assert np.asarray(sources[1].open()).mean() == 200
    beside = separate([*find_sources([picture(tmp_path / "000000.png")]), *sources])
    assert [source.stem for source in beside] == ["000000_png", "000000", "000001"]
    with pytest.raises(ValueError, match="has no image column label; it has label, photo"):
        dataset_sources(str(folder), column="label")
    with pytest.raises(ValueError, match="Cannot load the data set"):
        dataset_sources(str(tmp_path / "nothing"))


@pytest.mark.parametrize("name", ["missing.png", "folder"])
def test_what_is_not_there_is_named(tmp_path, name):
    (tmp_path / "folder").mkdir()
    with pytest.raises(ValueError, match=name):
        find_sources([tmp_path / name])
