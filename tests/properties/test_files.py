"""Whatever somebody hands over: list files, arrays of depth, pictures, configurations."""

import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from anydepth_hf import AnyDepthConfig, AnyDepthImageProcessor
from anydepth_hf.loading import ModelError, load_model
from training.data.decoding import DataError
from training.data.folders import check_listable, format_list, read_list
from training.data.own import OwnDepth
from training.data.readers import DepthReader

quick = settings(
    max_examples=80, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
paths = st.text(st.characters(exclude_characters="\0"), min_size=1, max_size=12)


@quick
@given(pairs=st.lists(st.tuples(paths, paths), min_size=1, max_size=5))
def test_a_list_file_gives_back_what_was_written_or_refuses_to_be_written(pairs, tmp_path):
    try:
        check_listable(pairs)
    except DataError as error:
        assert "cannot stand in a list file" in str(error)
        return
    (tmp_path / "list.txt").write_text(format_list(pairs), encoding="utf-8")
    assert read_list(str(tmp_path / "list.txt")) == pairs


@quick
@given(content=st.binary(max_size=80) | st.just(b"\xef\xbb\xbfa.png a.npy\r\n"))
def test_any_bytes_as_a_list_file(content, tmp_path):
    (tmp_path / "list.txt").write_bytes(content)
    try:
        pairs = read_list(str(tmp_path / "list.txt"))
    except DataError as error:
        assert str(error).startswith(str(tmp_path)) and "\n" not in str(error)
        return
    assert pairs and all(len(pair) == 2 for pair in pairs) and not pairs[0][0].startswith("\ufeff")


anything = arrays.arrays(
    dtype=st.sampled_from(["u1", "u2", "i4", "i8", "f2", "f4", "f8", "bool", "c8", "U3"]),
    shape=arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5),
)  # fmt: skip


@quick
@given(
    array=anything,
    quantity=st.sampled_from(["depth", "disparity"]),
    scale=st.none() | st.sampled_from([1, 1e-30, 1e30]),
)
def test_any_array_as_depth_is_positive_where_valid(array, quantity, scale, tmp_path):
    np.save(tmp_path / "depth.npy", array)
    reader = DepthReader(OwnDepth(quantity, scale), far_plane=None)
    with np.errstate(all="ignore"):
        try:
            depth, valid = reader.read_depth(str(tmp_path / "depth.npy"))
        except DataError as error:
            assert "depth.npy" in str(error)
            return
    assert depth.dtype == np.float32 and depth.shape == valid.shape == array.shape[:2] and valid.dtype == bool
    assert np.isfinite(depth[valid]).all() and (depth[valid] > 0).all()


@quick
@given(
    size=st.tuples(st.integers(1, 60), st.integers(1, 60)),
    mode=st.sampled_from(["L", "RGB", "RGBA", "P", "1", "I;16", "F", "CMYK", "LA"]),
)
def test_any_picture_becomes_a_finite_input_of_whole_patches(size, mode):
    processor = AnyDepthImageProcessor(size={"shortest_edge": 28}, ensure_multiple_of=14)
    aspect = max(size) / min(size)
    if aspect > 20:
        return
    values = processor(Image.new(mode, size), return_tensors="pt")["pixel_values"]
    assert values.shape[:2] == (1, 3) and all(side % 14 == 0 and side > 0 for side in values.shape[2:])
    assert values.isfinite().all()


fields = st.sampled_from(sorted(json.loads(json.dumps(AnyDepthConfig().to_dict(), default=str))))
nonsense = (
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats() | st.text(max_size=5) | st.lists(st.integers(-2, 9))
)


@quick
@given(changes=st.dictionaries(fields, nonsense, min_size=1, max_size=2))
def test_any_configuration_loads_a_model_or_is_a_sentence(changes, tmp_path, save_tiny_model):
    for path in save_tiny_model().iterdir():
        if not (tmp_path / path.name).exists():
            (tmp_path / path.name).symlink_to(path)
    config = json.loads((save_tiny_model() / "config.json").read_text())
    (tmp_path / "config.json").unlink()
    (tmp_path / "config.json").write_text(json.dumps({**config, **changes}))
    try:
        load_model(tmp_path, "cpu")
    except ModelError as error:
        assert "\n" not in str(error) and str(tmp_path) in str(error)


@pytest.mark.parametrize(
    "content", ["", "null", "[]", "{", '"text"', "[" * 3000, '{"model_type": 5}', '{"model_type": "x"}']
)
def test_any_text_as_config_json(content, tmp_path, save_tiny_model):
    for path in save_tiny_model().iterdir():
        (tmp_path / path.name).symlink_to(path)
    (tmp_path / "config.json").unlink()
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(ModelError):
        load_model(tmp_path, "cpu")
