import io
import os
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image

from anydepth_hf.cli import main
from anydepth_hf.image_io import ImageError, find_images, open_image
from anydepth_hf.pixels_anydepth import pil_to_rgb

EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 40 40\n(RAN) print flush showpage\n"
PIXELS = np.random.default_rng(0).integers(0, 255, (20, 30, 3), dtype=np.uint8)


def photo(orientation: int = 6) -> bytes:
    """A JPEG with EXIF data of several kinds."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    exif[ExifTags.Base.Make] = "camera"
    exif[ExifTags.Base.XResolution] = 72.0
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.FocalLengthIn35mmFilm] = 26
    exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSAltitude] = 8.0
    buffer = io.BytesIO()
    Image.fromarray(PIXELS).save(buffer, "JPEG", exif=exif)
    return buffer.getvalue()


@pytest.fixture
def ghostscript(tmp_path, monkeypatch):
    """A `gs` that leaves a trace when it is started, as Pillow's EPS reader would."""
    trace = tmp_path / "started"
    program = tmp_path / "bin" / "gs"
    program.parent.mkdir()
    program.write_text(f"#!{sys.executable}\nopen({str(trace)!r}, 'w')\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr("PIL.EpsImagePlugin.gs_binary", None)
    return trace


def test_no_program_is_started_for_postscript_under_any_name(tmp_path, ghostscript, capsys):
    for name in ("x.png", "x.jpg", "x.eps"):
        (tmp_path / name).write_bytes(EPS)
        with pytest.raises(ImageError, match=f"{name} is no image"):
            open_image(tmp_path / name)
        assert main(["predict", str(tmp_path / name), "--output-dir", str(tmp_path / "out")]) != 0
        assert name in capsys.readouterr().err
    assert not ghostscript.exists()


@pytest.mark.parametrize("format", ["PNG", "WEBP", "TIFF", "BMP", "PPM", "GIF", "AVIF", "HEIF"])
def test_a_format_is_known_by_its_content(tmp_path, format):
    if format == "HEIF":
        pytest.importorskip("pillow_heif").register_heif_opener()
    path = tmp_path / "misnamed.jpg"
    Image.fromarray(PIXELS).save(path, format)
    for source in (path, str(path), path.read_bytes(), io.BytesIO(path.read_bytes())):
        assert open_image(source).size == (30, 20)


def test_an_image_of_a_missing_package_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    (tmp_path / "a.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100))
    with pytest.raises(ImportError, match=r"a\.heic is an HEIC image.*anydepth-hf\[formats\]"):
        open_image(tmp_path / "a.heic")


def test_images_are_turned_upright_unless_told_otherwise():
    upright, stored = open_image(photo(6)), open_image(photo(6), orient=False)
    assert (upright.size, stored.size) == ((20, 30), (30, 20))
    np.testing.assert_array_equal(np.rot90(np.asarray(stored), -1), np.asarray(upright))
    assert upright.getexif().get(ExifTags.Base.Orientation, 1) == 1
    assert upright.getexif().get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.FocalLengthIn35mmFilm] == 26


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.integers(6, 200), st.binary(min_size=1, max_size=4)), min_size=1, max_size=4))
def test_damaged_exif_data_do_not_cost_the_image(damages):
    data = bytearray(photo())
    start = data.index(b"Exif")
    length = int.from_bytes(data[start - 2 : start], "big")
    for position, value in damages:
        position = start + position % (length - 8)
        data[position : position + len(value)] = value[: start + length - 2 - position]
    image = open_image(bytes(data))
    assert sorted(image.size) == [20, 30]
    assert np.asarray(image.convert("RGB")).std() > 10


@pytest.mark.parametrize("format", ["JPEG", "PNG", "TIFF", "WEBP", "GIF", "BMP", "AVIF"])
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_damaged_files_raise_one_sentence_or_nothing(format, data):
    buffer = io.BytesIO()
    Image.fromarray(PIXELS).save(buffer, format)
    content = bytearray(buffer.getvalue())
    for _ in range(data.draw(st.integers(0, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    content = bytes(content[: data.draw(st.integers(0, len(content)))])
    try:
        open_image(content, name="a.bin")
    except (ImageError, ImportError) as error:
        assert str(error).startswith("a.bin") and len(str(error).splitlines()) == 1


def test_an_image_beyond_the_limit_is_refused_before_its_pixels_are_read(tmp_path):
    path = tmp_path / "bomb.png"
    Image.new("1", (30000, 30000)).save(path)
    with pytest.raises(ImageError, match="bomb.png has 30000x30000 pixels, 900 million; at most 268"):
        open_image(path)


def test_a_photograph_of_200_megapixels_is_read(tmp_path):
    Image.new("1", (16320, 12240), 1).save(tmp_path / "large.png")
    assert open_image(tmp_path / "large.png").getpixel((16319, 12239)) == 255


def test_a_missing_file_is_an_oserror_that_names_it(tmp_path):
    with pytest.raises(FileNotFoundError, match="nothing.png"):
        open_image(tmp_path / "nothing.png")


def test_folders_are_searched_by_ending_and_below_hidden_ones_not(tmp_path):
    for name in ("b.JPG", "a/c.heic", "a/.hidden.png", ".cache/d.png", "notes.txt", "e.avif"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert [str(path.relative_to(tmp_path)) for path in find_images(tmp_path)] == ["a/c.heic", "b.JPG", "e.avif"]
    assert [path.name for path in find_images(tmp_path, recursive=False)] == ["b.JPG", "e.avif"]


RAMP = np.random.default_rng(1).random((20, 30, 3))
DEEP = (RAMP * 65535).round().astype(np.uint16)
TIFFS = {
    "16-bit colour": (DEEP, {"photometric": "rgb"}),
    "16-bit colour, compressed": (DEEP, {"photometric": "rgb", "compression": "zlib", "predictor": 2}),
    "16-bit colour, big-endian": (DEEP, {"photometric": "rgb", "byteorder": ">"}),
    "16-bit colour in planes": (np.moveaxis(DEEP, 2, 0), {"photometric": "rgb", "planarconfig": "separate"}),
    "16-bit colour in tiles": (DEEP, {"photometric": "rgb", "tile": (16, 16)}),
    "float colour": (RAMP.astype(np.float32), {"photometric": "rgb"}),
    "half-float colour": (RAMP.astype(np.float16), {"photometric": "rgb"}),
    "16-bit gray": (DEEP[..., 0], {}),
    "16-bit gray, zero is white": (65535 - DEEP[..., 0], {"photometric": "miniswhite"}),
    "float gray": (RAMP[..., 0].astype(np.float32), {}),
}


@pytest.mark.parametrize("kind", TIFFS)
def test_tiffs_of_raw_converters_keep_their_brightness(kind):
    tifffile = pytest.importorskip("tifffile")
    array, options = TIFFS[kind]
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, array, **options)
    seen = pil_to_rgb(open_image(buffer.getvalue())) / 255
    expected = RAMP if "colour" in kind else RAMP[..., :1].repeat(3, axis=2)
    assert np.abs(seen - expected).max() < 1.01 / 255


def test_tiffs_of_raw_converters_are_turned_upright_and_refused_where_they_mean_no_picture():
    tifffile = pytest.importorskip("tifffile")
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, RAMP.astype(np.float32), photometric="rgb", extratags=[(274, "H", 1, 6, True)])
    assert (open_image(buffer.getvalue()).size, open_image(buffer.getvalue(), orient=False).size) == (
        (20, 30),
        (30, 20),
    )
    for values, reason in ((RAMP * 3, "values in .0, 1."), (np.where(RAMP > 0.9, np.nan, RAMP), "values in .0, 1.")):
        buffer = io.BytesIO()
        tifffile.imwrite(buffer, values.astype(np.float32), photometric="rgb")
        with pytest.raises(ImageError, match=f"a.tif.*{reason}"):
            open_image(buffer.getvalue(), name="a.tif")


def test_a_float_picture_with_nan_is_refused(tmp_path):
    Image.fromarray(np.where(np.eye(20), np.nan, 0.5).astype(np.float32)).save(tmp_path / "a.tiff")
    with pytest.raises(ValueError, match=r"values in \[0, 1\]"):
        pil_to_rgb(open_image(tmp_path / "a.tiff"))
