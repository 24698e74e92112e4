import io
import pickle
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from tests.training.data import writers
from training.data.decoding import DataError
from training.data.own import OwnDepth
from training.data.readers import READERS, DepthReader


@pytest.fixture
def image_path(tmp_path):
    def write(height, width):
        path = tmp_path / "image.png"
        writers.write_png(path, writers.scene(0, height, width)[0])
        return str(path)

    return write


def check(sample, expected, valid, image):
    assert sample.image.dtype == np.uint8 and np.array_equal(sample.image, image)
    assert sample.depth.dtype == np.float32 and sample.valid.dtype == bool
    assert np.array_equal(sample.valid, valid)
    assert np.array_equal(sample.depth[valid], expected[valid])


def test_hypersim_turns_distance_into_planar_depth(tmp_path, image_path):
    distance = np.random.default_rng(0).uniform(0.5, 120, (768, 1024)).astype(np.float16)
    distance[3, 5], distance[4, 6], distance[0, 0] = np.nan, np.inf, 0
    path = tmp_path / "depth.hdf5"
    writers.write_hdf5(path, distance)
    sample = READERS["hypersim"](image_path(768, 1024), str(path))

    depth, valid = np.zeros(distance.shape), np.zeros(distance.shape, bool)
    for y, x in [(3, 5), (4, 6), (0, 0), (0, 1023), (767, 0), (383, 511), (100, 900), (700, 20)]:
        cosine = 886.81 / np.sqrt((x - 511.5) ** 2 + (y - 383.5) ** 2 + 886.81**2)
        depth[y, x] = float(distance[y, x]) * cosine
        valid[y, x] = np.isfinite(depth[y, x]) and 0 < depth[y, x] <= 100
        assert sample.valid[y, x] == valid[y, x]
        if valid[y, x]:
            np.testing.assert_allclose(sample.depth[y, x], depth[y, x], rtol=3e-7)
    assert sample.is_metric and sample.depth.dtype == np.float32
    assert 0 < sample.valid.mean() < 1  # the corners beyond 100 m are cut by their planar depth
    ray = distance.astype(np.float64)
    assert np.any(sample.valid & (ray > 100))


def test_vkitti2_centimetres_sky_and_far_plane(tmp_path, image_path):
    stored = np.random.default_rng(0).integers(1, 20000, (60, 80)).astype(np.uint16)
    stored[0, :4] = 0, 10000, 10001, 65535
    path = tmp_path / "depth.png"
    writers.write_png(path, stored)
    image = image_path(60, 80)
    valid = (stored > 0) & (stored <= 10000)
    check(READERS["vkitti2"](image, str(path)), stored / np.float32(100), valid, writers.scene(0, 60, 80)[0])
    everything = replace(READERS["vkitti2"], far_plane=None)(image, str(path))
    assert np.array_equal(everything.valid, (stored > 0) & (stored < 65535))


@pytest.mark.parametrize("names", ["G", "RGB", "RB"])
def test_irs_takes_the_only_channel_or_red(tmp_path, image_path, names):
    disparity = np.random.default_rng(0).uniform(0.6, 90, (60, 80)).astype(np.float32)
    disparity[0, :5] = 0, -3, np.nan, np.inf, 0.1  # 0.1 pixels: 480 m, beyond the far plane
    other = np.full_like(disparity, 7)
    wanted = "G" if names == "G" else "R"
    path = tmp_path / "d_1.exr"
    writers.write_exr(path, {name: disparity if name == wanted else other for name in names})
    valid = np.isfinite(disparity) & (disparity > 0.48)
    with np.errstate(divide="ignore"):
        expected = np.float32(48) / disparity
    check(READERS["irs"](image_path(60, 80), str(path)), expected, valid, writers.scene(0, 60, 80)[0])


@pytest.mark.parametrize("little_endian", [True, False])
def test_blendedmvs_rows_and_byte_order(tmp_path, image_path, little_endian):
    depth = np.random.default_rng(0).uniform(0.01, 3000, (60, 80)).astype(np.float32)
    depth[0, :3] = 0, -1, np.inf
    path = tmp_path / "depth.pfm"
    writers.write_pfm(path, depth, little_endian)
    sample = READERS["blendedmvs"](image_path(60, 80), str(path))
    check(sample, depth, (depth > 0) & np.isfinite(depth), writers.scene(0, 60, 80)[0])
    assert not sample.is_metric


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_tartanair_npy(tmp_path, image_path, dtype):
    depth = np.random.default_rng(0).uniform(0.5, 130, (60, 80)).astype(dtype)
    depth[0, :3] = 10000, 100, np.nan
    path = tmp_path / "000000_left_depth.npy"
    np.save(path, depth)
    valid = depth <= 100
    check(READERS["tartanair"](image_path(60, 80), str(path)), depth, valid, writers.scene(0, 60, 80)[0])
    far = replace(READERS["tartanair"], far_plane=None)(image_path(60, 80), str(path))
    assert np.array_equal(far.valid, depth < 1000)


def test_tartanair_v2_packed_floats(tmp_path, image_path):
    depth = np.random.default_rng(0).uniform(0.5, 130, (60, 80)).astype(np.float32)
    depth[0, 0] = 10000
    path = tmp_path / "000000_lcam_front_depth.png"
    writers.write_png(path, writers.pack_rgba(depth))
    check(READERS["tartanair"](image_path(60, 80), str(path)), depth, depth <= 100, writers.scene(0, 60, 80)[0])


def test_readers_are_sent_to_worker_processes():
    for reader in READERS.values():
        assert pickle.loads(pickle.dumps(reader)) == reader


def truncate(path):
    path.write_bytes(path.read_bytes()[:200])


def other_key(path):
    writers.write_hdf5(path, np.ones((768, 1024), np.float16), key="distance")


@pytest.mark.parametrize(
    "name, file, damage, reason",
    [
        ("hypersim", "d.hdf5", truncate, "damaged"),
        ("hypersim", "d.hdf5", other_key, "no data set 'dataset'.*'distance'"),
        ("hypersim", "d.hdf5", lambda path: writers.write_hdf5(path, np.ones((60, 80))), r"\(768, 1024\)"),
        ("vkitti2", "d.png", truncate, "damaged"),
        ("vkitti2", "d.png", lambda path: writers.write_png(path, np.ones((60, 80), np.uint8)), "16-bit"),
        ("vkitti2", "d.png", lambda path: path.write_bytes(b""), "damaged"),
        ("irs", "d.exr", truncate, "damaged"),
        ("irs", "d.exr", lambda path: writers.write_exr(path, dict.fromkeys("BA", np.ones((6, 8), np.float32))),
         "channel R; found A, B"),
        ("blendedmvs", "d.pfm", truncate, "truncated"),
        ("blendedmvs", "d.pfm", lambda path: path.write_bytes(b"PF\n8 6\n-1\n" + bytes(8 * 6 * 12)), "no image"),
        ("blendedmvs", "d.pfm", lambda path: path.write_bytes(b"Pf\nwide high\n-1\n"), "damaged"),
        ("tartanair", "d.npy", truncate, "damaged"),
        ("tartanair", "d.npy", lambda path: np.save(path, np.ones((6, 8, 3))), r"\(6, 8, 3\)"),
        ("tartanair", "d.npy", lambda path: np.save(path, np.array([{}]), allow_pickle=True), "damaged"),
        ("tartanair", "d.png", lambda path: writers.write_png(path, np.ones((6, 8, 3), np.uint8)), "4x8 bits"),
    ],
)  # fmt: skip
def test_damaged_depth_is_one_sentence_with_the_file(tmp_path, image_path, name, file, damage, reason):
    path = tmp_path / file
    depth = writers.scene(0, 768, 1024)[1] if name == "hypersim" else writers.scene(0, 60, 80)[1]
    {
        "hypersim": lambda: writers.write_hdf5(path, depth),
        "vkitti2": lambda: writers.write_png(path, (depth * 100).astype(np.uint16)),
        "irs": lambda: writers.write_exr(path, {"G": depth}),
        "blendedmvs": lambda: writers.write_pfm(path, depth, True),
        "tartanair": lambda: np.save(path, depth) if file.endswith("npy") else None,
    }[name]()
    damage(path)
    with pytest.raises(DataError, match=reason) as error:
        READERS[name](image_path(*depth.shape), str(path))
    assert str(error.value).startswith(str(path)) and "\n" not in str(error.value)


@pytest.mark.parametrize("name", READERS)
def test_missing_files(tmp_path, image_path, name):
    missing = tmp_path / ("none.npy" if name == "tartanair" else "none")
    with pytest.raises(DataError, match=f"^{missing}: the file does not exist.$"):
        READERS[name](image_path(60, 80), str(missing))


def test_image_problems_name_the_image(tmp_path, image_path):
    depth = tmp_path / "d.pfm"
    writers.write_pfm(depth, writers.scene(0, 60, 80)[1], True)
    reader = READERS["blendedmvs"]
    with pytest.raises(DataError, match="has 30x40 pixels .*d.pfm has 60x80"):
        reader(image_path(30, 40), str(depth))
    image = tmp_path / "image.jpg"
    writers.write_jpeg(image, writers.scene(0, 60, 80)[0])
    truncate(image)
    with pytest.raises(DataError, match=f"^{image} is a damaged image"):
        reader(str(image), str(depth))


def encode(array, format, **options):
    buffer = io.BytesIO()
    if format == "npy":
        np.save(buffer, array)
    else:
        Image.fromarray(array).save(buffer, format, **options)
    return buffer.getvalue()


def test_own_depth_is_recognised_by_content(tmp_path):
    depth = writers.scene(1, 6, 8)[1]
    millimetres = (depth * 1000).astype(np.uint16)
    own = OwnDepth(scale=1000)
    for source in (encode(millimetres, "PNG"), encode(millimetres, "TIFF"), encode(millimetres, "npy"), millimetres):
        assert np.array_equal(own(source), millimetres / np.float32(1000))
    for source in (encode(depth, "TIFF"), encode(depth, "npy"), depth):
        assert np.array_equal(OwnDepth()(source), depth)
    path = tmp_path / "depth.any"
    for write in (
        lambda: writers.write_pfm(path, depth, False),
        lambda: writers.write_exr(path, {"Z": depth}),
        lambda: writers.write_hdf5(path, depth),
    ):
        write()
        assert np.array_equal(OwnDepth()(str(path)), depth)


def test_own_disparity_is_inverted_where_positive():
    disparity = np.array([[0.5, 0, -1, 4]], np.float32)
    depth, valid = DepthReader(OwnDepth("disparity"), far_plane=None).read_depth(encode(disparity, "npy"), "x")
    assert np.array_equal(valid, [[True, False, False, True]])
    assert np.array_equal(depth[valid], [2, 0.25])


def test_own_depth_mistakes():
    for options, message in (({"quantity": "inverse"}, "'depth' or 'disparity'"), ({"scale": 0}, "positive")):
        with pytest.raises(DataError, match=message):
            OwnDepth(**options)
    with pytest.raises(DataError, match="set depth_scale"):
        OwnDepth()(np.ones((2, 2), np.uint16))
    with pytest.raises(DataError, match="shape"):
        OwnDepth()(np.ones((2, 2, 3), np.float32))
    with pytest.raises(DataError, match="none of them"):
        OwnDepth()(b"\xff\xd8\xff\xe0 a JPEG")
