import io
import json
import resource
import shutil
import struct
import subprocess
import sys
import zlib
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from anydepth_hf.alignment import Alignment
from anydepth_hf.camera import Intrinsics
from anydepth_hf.depth_encodings import ENCODINGS
from anydepth_hf.depth_files import has_mark, read_depth, sidecar, write_depth
from anydepth_hf.depth_map import DepthMap

FLOATS = ["exr", "tiff", "npz", "npy"]
ROUNDED = ["png", "jpg"]


@st.composite
def depth_maps(draw):
    shape = draw(st.tuples(st.integers(1, 7), st.integers(1, 7)))
    dtype = draw(st.sampled_from([np.float16, np.float32, np.float64, np.int32, np.uint8]))
    values = draw(hnp.arrays(dtype, shape))
    metric, kind = draw(st.booleans()), draw(st.sampled_from(["disparity", "depth"]))
    layers = {
        "valid": hnp.arrays(bool, shape),
        "confidence": hnp.arrays(np.float32, shape),
        "sky": hnp.arrays(bool, shape),
        "intrinsics": st.just(Intrinsics.from_focal(20.5, shape[1], shape[0], 'EXIF of "é & <b>.jpg"')),
        "alignment": st.just(Alignment(0.25, -0.125, prediction_type=kind, space=kind)),
        "model": st.text(max_size=20),
        "image": st.text(max_size=20),
    }
    given_layers = {name: draw(strategy) for name, strategy in layers.items() if draw(st.booleans())}
    return DepthMap(values, kind, {"depth": "m", "disparity": "1/m"}[kind] if metric else None, **given_layers)


def assert_same_meaning(read: DepthMap, written: DepthMap):
    for name in ("kind", "unit", "model", "image", "intrinsics", "alignment"):
        assert getattr(read, name) == getattr(written, name), name
    np.testing.assert_array_equal(read.valid, written.valid)
    assert read.values.dtype == np.float32


@pytest.mark.parametrize("format", FLOATS)
@settings(max_examples=40, deadline=None)
@given(depth=depth_maps())
def test_float_formats_give_back_every_bit_the_mask_and_the_meaning(tmp_path_factory, format, depth):
    path = write_depth(tmp_path_factory.mktemp("maps") / f"a.{format}", depth)
    read = read_depth(path)
    assert_same_meaning(read, depth)
    np.testing.assert_array_equal(read.values[depth.valid], depth.values[depth.valid])
    infinite = np.isinf(depth.values)
    np.testing.assert_array_equal(read.values[infinite], depth.values[infinite])
    assert read.step is None
    for name in ("confidence", "sky") if format != "npy" else ():
        if getattr(depth, name) is None:
            assert getattr(read, name) is None
        else:
            np.testing.assert_array_equal(getattr(read, name), getattr(depth, name))
    assert has_mark(path)


@pytest.mark.parametrize("format", ROUNDED)
@settings(max_examples=40, deadline=None)
@given(depth=depth_maps())
def test_16_bit_formats_are_off_by_half_a_step_at_most_and_say_the_step(tmp_path_factory, format, depth):
    path = write_depth(tmp_path_factory.mktemp("maps") / f"a.{format}", depth)
    read = read_depth(path)
    assert_same_meaning(read, depth)
    values = depth.values[depth.valid].astype(np.float64)
    error = np.abs(read.values[depth.valid] - values)
    assert (error <= read.step / 2 + 2e-7 * np.abs(values) + 1e-45).all()
    if values.size and np.ptp(values) > 0:
        assert read.step <= np.ptp(values) / 65534 * 1.0001
    assert np.isnan(read.values[~depth.valid]).all()
    assert has_mark(path)


def ramp(kind="depth", unit="m", **more):
    values = np.linspace(0.5, 8, 48, dtype=np.float32).reshape(6, 8)
    values[2, 3] = np.nan
    return DepthMap(values, kind, unit, **more)


@pytest.mark.parametrize("format", FLOATS + ROUNDED)
def test_large_files_carry_the_mark_too(tmp_path, format):
    values = np.random.default_rng(0).random((256, 300))
    path = write_depth(tmp_path / f"a.{format}", DepthMap(values, "disparity"))
    assert path.stat().st_size > 2 * 65536 and has_mark(path)


def test_other_libraries_read_the_same_numbers(tmp_path):
    tifffile, openexr = pytest.importorskip("tifffile"), pytest.importorskip("OpenEXR")
    imageio = pytest.importorskip("imageio.v3")
    depth = DepthMap(ramp().values, "depth", "m", confidence=np.arange(48).reshape(6, 8), sky=np.eye(6, 8, dtype=bool))
    for name in ("a.tiff", "a.exr", "a.png", "a.npz", "a.npy"):
        write_depth(tmp_path / name, depth)
    with tifffile.TiffFile(tmp_path / "a.tiff") as file:
        np.testing.assert_array_equal(file.pages[0].asarray(), depth.values)
        np.testing.assert_array_equal(file.pages[1].asarray(), depth.confidence)
        np.testing.assert_array_equal(file.pages[2].asarray() > 0, depth.sky)
        assert json.loads(file.pages[0].description)["unit"] == "m"
    with openexr.File(str(tmp_path / "a.exr"), separate_channels=True) as file:
        assert set(file.channels()) == {"Z", "confidence", "sky"}
        np.testing.assert_array_equal(file.channels()["Z"].pixels, depth.values)
    codes = imageio.imread(tmp_path / "a.png")
    metadata = json.loads(Image.open(tmp_path / "a.png").text["anydepth"])
    decoded = np.where(codes == 0, np.nan, codes * metadata["scale"] + metadata["offset"])
    np.testing.assert_allclose(decoded, depth.values, atol=metadata["step"])
    with np.load(tmp_path / "a.npz") as file:
        np.testing.assert_array_equal(file["depth"], depth.values)
        np.testing.assert_array_equal(file["valid"], depth.valid)
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), depth.values)
    assert json.loads(sidecar(tmp_path / "a.npy").read_text())["kind"] == "depth"


def decode_exr(data: bytes) -> dict[str, np.ndarray]:
    """Float32 channels of a scan-line EXR file with ZIP compression, from the format's description alone."""
    assert struct.unpack_from("<iI", data) == (20000630, 2)
    position, header = 8, {}
    while data[position]:
        name, kind, rest = data[position:].split(b"\0", 2)
        size = int.from_bytes(rest[:4], "little")
        position += len(name) + len(kind) + 6
        header[name], position = data[position : position + size], position + size
    names, channels = [], header[b"channels"]
    while channels[0]:
        name, channels = channels.split(b"\0", 1)
        assert channels[:4] == struct.pack("<i", 2)  # 32-bit floats
        names.append(name.decode())
        channels = channels[16:]
    assert header[b"compression"] == b"\x03"  # ZIP: 16 lines a block
    left, top, right, bottom = struct.unpack("<4i", header[b"dataWindow"])
    width, height = right - left + 1, bottom - top + 1
    (position,) = struct.unpack_from("<Q", data, position + 1)
    rows = []
    while len(rows) < height:
        line, size = struct.unpack_from("<ii", data, position)
        lines = min(16, height - (line - top))
        block = data[position + 8 : position + 8 + size]
        position += 8 + size
        if size < lines * width * 4 * len(names):
            deltas = np.frombuffer(zlib.decompress(block), np.uint8).astype(np.int64)
            deltas[1:] -= 128
            halves = (np.cumsum(deltas) % 256).astype(np.uint8)
            middle = (len(halves) + 1) // 2
            block = np.empty_like(halves)
            block[::2], block[1::2] = halves[:middle], halves[middle:]
        rows += list(np.frombuffer(bytes(block), "<f4").reshape(lines, len(names), width))
    return {name: np.stack([row[index] for row in rows]) for index, name in enumerate(names)}


def test_an_exr_is_read_by_a_decoder_that_is_not_openexr(tmp_path):
    pytest.importorskip("OpenEXR")
    y, x = np.mgrid[:40, :31].astype(np.float32)
    depth = DepthMap(x + y / 7, "depth", "m", valid=x != y, confidence=np.sin(x))
    write_depth(tmp_path / "a.exr", depth)
    channels = decode_exr((tmp_path / "a.exr").read_bytes())
    np.testing.assert_array_equal(channels["Z"], depth.filled())
    np.testing.assert_array_equal(channels["confidence"], depth.confidence)


def test_disparity_is_never_in_the_channel_of_depth(tmp_path):
    openexr = pytest.importorskip("OpenEXR")
    write_depth(tmp_path / "a.exr", ramp("disparity", None))
    with openexr.File(str(tmp_path / "a.exr"), separate_channels=True) as file:
        assert set(file.channels()) == {"disparity"}


def test_a_demanded_step_is_counted_from_zero_and_says_what_it_cannot_hold(tmp_path):
    depth = DepthMap([[0.0004, 0.0016, 65.535, 70]], "depth", "m")
    path = write_depth(tmp_path / "a.png", depth, step=0.001)
    np.testing.assert_array_equal(np.asarray(Image.open(path)), [[0, 2, 65535, 0]])
    assert json.loads(Image.open(path).text["anydepth"])["out_of_range"] == 2
    np.testing.assert_allclose(read_depth(path, encoding="millimetres").values[0, 1:3], [0.002, 65.535])
    with pytest.raises(ValueError, match="step of a 16-bit file must be a positive number"):
        write_depth(tmp_path / "b.png", depth, step=0)
    with pytest.raises(ValueError, match="A step of 1e-09 holds values from 1e-09 to 6.5535e-05, and none is"):
        write_depth(tmp_path / "b.png", depth, step=1e-9)
    assert [item.name for item in tmp_path.iterdir()] == ["a.png"]


@pytest.mark.parametrize(("kind", "unit"), [("depth", "m"), ("disparity", "1/m")])
def test_readers_of_gdepth_get_metric_values_by_googles_formula(tmp_path, kind, unit):
    from anydepth_hf.depth_jpeg import _property, _read_xmp

    depth = ramp(kind, unit)
    path = write_depth(tmp_path / "a.jpg", depth, photo=Image.new("RGB", (16, 12), "blue"))
    assert Image.open(path).size == (16, 12)
    (description,) = ElementTree.fromstring(Image.open(path).info["xmp"])[0]
    depthmap = "{http://ns.google.com/photos/1.0/depthmap/}"
    assert description.get(f"{depthmap}Format") == ("RangeLinear" if kind == "depth" else "RangeInverse")
    assert float(description.get(f"{depthmap}Near")) == pytest.approx(0.5 if kind == "depth" else 1 / 8)
    path.write_bytes(path.read_bytes().replace(b"anydepth:Meta", b"anydepth:Gone"))
    text = _read_xmp(path.read_bytes())
    assert _property(text, "GDepth:Units") == "m"
    read = read_depth(path)
    assert (read.kind, read.unit) == (kind, unit)
    np.testing.assert_allclose(read.values[depth.valid], depth.values[depth.valid], rtol=1e-3)


@pytest.mark.skipif(not shutil.which("exiftool"), reason="exiftool, a second reader of extended XMP, is not installed")
def test_exiftool_finds_the_map_in_the_photograph(tmp_path):
    y, x = np.mgrid[:300, :400]
    depth = DepthMap(1 + np.sin(x / 30) * np.cos(y / 20) / 2 + x / 400, "depth", "m")  # of several XMP segments
    path = write_depth(tmp_path / "a.jpg", depth)
    data = subprocess.run(["exiftool", "-b", "-XMP-GDepth:DepthImage", path], capture_output=True, check=True).stdout
    near, far = (
        float(subprocess.run(["exiftool", "-s3", f"-XMP-GDepth:{name}", path], capture_output=True, check=True).stdout)
        for name in ("Near", "Far")
    )
    position = np.asarray(Image.open(io.BytesIO(data))) / 65535
    np.testing.assert_allclose(near + position * (far - near), depth.values, atol=1e-4)


def test_gdepth_of_a_map_without_unit_claims_none(tmp_path):
    path = write_depth(tmp_path / "a.jpg", ramp("disparity", None))
    path.write_bytes(path.read_bytes().replace(b"anydepth:Meta", b"anydepth:Gone"))
    read = read_depth(path)
    assert (read.kind, read.unit) == ("disparity", None)


def write_sintel(path, values):
    path.write_bytes(struct.pack("<fii", 202021.25, *values.shape[::-1]) + values.astype("<f4").tobytes())


def write_png(path, values):
    Image.fromarray(values.astype(np.uint16)).save(path)


def write_pfm(path, values):
    path.write_bytes(b"Pf\n%d %d\n-1\n" % values.shape[::-1] + np.flipud(values).astype("<f4").tobytes())


@pytest.mark.parametrize(
    ("encoding", "name", "write", "stored", "expected"),
    [
        ("kitti", "a.png", write_png, [[0, 256, 2560]], [[0, 1, 10]]),
        ("nyu", "a.png", write_png, [[0, 1000, 2500]], [[0, 1, 2.5]]),
        ("millimetres", "a.png", write_png, [[0, 1000, 2500]], [[0, 1, 2.5]]),
        ("tum", "a.png", write_png, [[0, 5000, 7500]], [[0, 1, 1.5]]),
        ("vkitti", "a.png", write_png, [[65535, 100, 250]], [[0, 1, 2.5]]),
        ("sintel", "a.dpt", write_sintel, [[0, 1, 2.5]], [[0, 1, 2.5]]),
        ("depth", "a.npy", np.save, [[0, 1, 2.5]], [[0, 1, 2.5]]),
        ("depth", "a.pfm", write_pfm, [[0, 1, 2.5], [0, 3, 4]], [[0, 1, 2.5], [0, 3, 4]]),
        ("disparity", "a.npy", np.save, [[np.nan, 1, -2.5]], [[0, 1, -2.5]]),
    ],
)
def test_other_encodings_are_read_when_named(tmp_path, encoding, name, write, stored, expected):
    write(tmp_path / name, np.array(stored))
    depth = read_depth(tmp_path / name, encoding=encoding)
    assert (depth.kind, depth.unit) == (ENCODINGS[encoding].kind, ENCODINGS[encoding].unit)
    np.testing.assert_allclose(np.where(depth.valid, depth.values, 0), expected)


def test_a_file_that_does_not_say_what_it_holds_is_refused_with_the_encodings(tmp_path):
    write_png(tmp_path / "a.png", np.ones((2, 2)))
    np.save(tmp_path / "a.npy", np.ones((2, 2)))
    np.savez(tmp_path / "a.npz", depth=np.ones((2, 2)))
    Image.new("RGB", (2, 2)).save(tmp_path / "a.jpg")
    for name in ("a.png", "a.npy", "a.npz", "a.jpg"):
        with pytest.raises(ValueError, match=f"{name}.*encoding.*kitti"):
            read_depth(tmp_path / name)
        assert not has_mark(tmp_path / name)


@pytest.mark.parametrize("format", FLOATS + ROUNDED)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_damaged_files_raise_one_sentence_that_names_them(tmp_path_factory, format, data):
    path = write_depth(tmp_path_factory.mktemp("maps") / f"a.{format}", ramp(confidence=np.ones((6, 8))))
    damaged = sidecar(path) if format == "npy" and data.draw(st.booleans()) else path
    content = bytearray(damaged.read_bytes())
    for _ in range(data.draw(st.integers(0, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    damaged.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    try:
        read_depth(path)
    except ValueError as error:
        assert path.name in str(error) and len(str(error).splitlines()) == 1


@pytest.mark.parametrize("format", ["exr", "png", "tiff"])
def test_a_folder_that_does_not_exist_is_the_reason(tmp_path, format):
    if format == "exr":
        pytest.importorskip("OpenEXR")
    with pytest.raises(FileNotFoundError, match=f"a.{format}"):
        write_depth(tmp_path / "missing" / f"a.{format}", ramp())


@pytest.mark.parametrize("format", FLOATS + ROUNDED)
def test_a_disk_that_is_full_leaves_the_map_that_was_there_and_what_it_means(tmp_path, format):
    if format == "exr":
        pytest.importorskip("OpenEXR")
    path = write_depth(tmp_path / f"a.{format}", ramp("disparity", None, image="first"))
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    values = np.random.default_rng(0).random((80, 90))
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4000, limit[1]))
    try:
        with pytest.raises(OSError, match=f"a.{format}"):
            write_depth(path, DepthMap(values, "depth", "m"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before
    assert read_depth(path).kind == "disparity"


@pytest.mark.parametrize("array", [np.ones((4, 5, 3)), np.array([["a"]]), np.zeros((0, 3))])
def test_an_array_that_is_no_map_is_named(tmp_path, array):
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(ValueError, match="a.npy is damaged or no floats of NPY"):
        read_depth(tmp_path / "a.npy", "depth")


def test_mistakes_get_one_sentence(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="a.gif: maps are written as .png, .exr"):
        write_depth(tmp_path / "a.gif", ramp())
    with pytest.raises(FileNotFoundError):
        read_depth(tmp_path / "missing.exr")
    with pytest.raises(ValueError, match="must be one of kitti, nyu"):
        read_depth(tmp_path / "a.png", encoding="kity")
    with pytest.raises(ValueError, match="The unit of depth is m, not '1/m'"):
        DepthMap([[1.0]], "depth", "1/m")
    with pytest.raises(ValueError, match="shape"):
        DepthMap([[1.0]], "depth", valid=[True])
    monkeypatch.setitem(sys.modules, "OpenEXR", None)
    with pytest.raises(ImportError, match=r"Writing EXR files needs the package OpenEXR.*anydepth-hf\[formats\]"):
        write_depth(tmp_path / "a.exr", ramp())
    assert list(tmp_path.iterdir()) == []


def test_a_map_without_unit_becomes_depth_only_by_an_alignment():
    disparity = DepthMap([[0.5, 1.0, -9.0]], "disparity", model="m")
    with pytest.raises(ValueError, match="known only up to a scale and a shift.*calibrate"):
        disparity.to_depth()
    depth = disparity.to_depth(Alignment(0.2, 0.1))
    assert (depth.kind, depth.unit, depth.model) == ("depth", "m", "m")
    np.testing.assert_allclose(depth.values[0, :2], [1 / 0.2, 1 / 0.3], rtol=1e-6)
    np.testing.assert_array_equal(depth.valid, [[True, True, False]])
    with pytest.raises(ValueError, match="needs no alignment"):
        depth.to_depth(Alignment(1, 0))
    np.testing.assert_allclose(DepthMap([[0.5, 0.0]], "disparity", "1/m").to_depth().values, [[2, np.nan]])
