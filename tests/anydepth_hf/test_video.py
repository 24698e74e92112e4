"""Videos through the Python function: what is written, and that pictures, sound and numbers keep step."""

import numpy as np
import pytest

import anydepth_hf
from anydepth_hf import read_depth

av = pytest.importorskip("av", reason="needs the extra video")

from anydepth_hf.video import FORMATS, predict_video  # noqa: E402
from tests.anydepth_hf.video_samples import CODECS, decoded, make_video  # noqa: E402


@pytest.fixture(scope="module")
def model(save_tiny_model):
    return anydepth_hf.load_model(save_tiny_model())


@pytest.mark.parametrize("codec, suffix", CODECS.values(), ids=CODECS)
def test_every_frame_becomes_a_frame_at_its_time(codec, suffix, model, tmp_path):
    source = make_video(tmp_path / f"clip{suffix}", codec)
    steps = []
    paths = predict_video(
        model, source, tmp_path / "out.mp4", formats=FORMATS, progress=lambda *step: steps.append(step)
    )
    assert [path.name for path in paths] == [
        "out.mp4", "out.mkv", "out_hevc.mp4", "out.npz", "out_png", "out_exr", "out_tiff",
    ]  # fmt: skip
    assert steps[-1] == (24, 24)
    seconds = decoded(source)[1]
    for path in paths[:3]:
        frames, times = decoded(path)
        assert frames[0].shape == (64, 96, 3)
        np.testing.assert_allclose(times, seconds, atol=1e-3)
    with np.load(paths[3]) as file:
        maps = file["disparity"]
        np.testing.assert_allclose(file["seconds"], seconds)
    assert maps.shape == (12, 64, 96)
    for folder, ending in zip(paths[4:], ("png", "exr", "tiff")):
        depth = read_depth(folder / f"000007_disparity.{ending}")
        np.testing.assert_allclose(depth.values, maps[7], atol=depth.step or 0)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
