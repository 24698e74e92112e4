"""Videos through the Python function: what is written, and that pictures, sound and numbers keep step."""

import os
import signal
import struct
import subprocess
import sys

import numpy as np
import pytest

import anydepth_hf
from anydepth_hf import read_depth

av = pytest.importorskip("av", reason="needs the extra video")

from anydepth_hf.video import FORMATS, predict_video  # noqa: E402
from anydepth_hf.video_reader import probe, read_frames  # noqa: E402
from anydepth_hf.video_store import SegmentStore  # noqa: E402
from tests.anydepth_hf.video_samples import CODECS, decoded, make_video, picture  # noqa: E402


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


def test_frames_of_a_recording_that_does_not_say_how_long_it_is_are_counted(tmp_path):
    source = make_video(tmp_path / "camera.webm", "libvpx-vp9", frames=17, live=True)
    with av.open(str(source)) as container:
        assert (container.duration, container.streams.video[0].frames) == (None, 0)
    assert probe(source).frames == 17


@pytest.mark.parametrize(
    "codec, suffix, kept",
    [("aac", ".mp4", "aac"), ("flac", ".mkv", "flac"), ("pcm_s16le", ".mkv", "aac")],
)
def test_the_sound_stays(codec, suffix, kept, model, tmp_path):
    source = make_video(tmp_path / f"clip{suffix}", frames=50, sound=codec)
    (path,) = predict_video(model, source, tmp_path / "out.mp4", stabilize="off")
    with av.open(str(source)) as before, av.open(str(path)) as after:
        assert after.streams.audio[0].codec_context.name == kept
        sounds = []
        for container in (before, after):
            frames = list(container.decode(audio=0))
            start = float(frames[0].pts * frames[0].time_base)
            samples = np.concatenate([frame.to_ndarray().reshape(-1) for frame in frames])
            samples = samples / (32768 if samples.dtype == np.int16 else 2**31 if samples.dtype == np.int32 else 1)
            sounds.append((start, samples))
    (start, samples), (new_start, new) = sounds
    assert abs(start - new_start) < 0.05
    assert abs(len(samples) - len(new)) < 48000 * 0.06
    assert abs(np.abs(samples[4800:90000]).mean() - np.abs(new[4800:90000]).mean()) < 0.06
    if codec == kept:  # the same packets
        np.testing.assert_array_equal(samples[:90000], new[:90000])


def test_frames_keep_their_times_where_the_rate_varies(model, tmp_path):
    times = [0, 40, 80, 200, 210, 215, 600, 1000, 1040, 1900]
    source = make_video(tmp_path / "clip.mkv", frames=10, times=times)
    paths = predict_video(model, source, tmp_path / "out.mp4", formats=["color", "ffv1", "npz"])
    for path in paths[:2]:
        np.testing.assert_allclose(decoded(path)[1], np.array(times) / 1000, atol=1e-3)
    with np.load(paths[2]) as file:
        np.testing.assert_allclose(file["seconds"], np.array(times) / 1000)


@pytest.mark.parametrize("suffix", [".avi", ".asf"])
def test_files_without_times_of_display_keep_every_frame_in_its_order(suffix, tmp_path):
    """FFmpeg gives their frames times in the order of decoding, which B-frames change."""
    source = make_video(tmp_path / f"clip{suffix}")
    frames = list(read_frames(source))
    assert [(frame.index, frame.damaged) for frame in frames] == [(index, False) for index in range(12)]
    np.testing.assert_allclose([float(frame.pts * probe(source).time_base) for frame in frames], np.arange(12) / 25)
    for frame in frames:
        assert np.abs(np.asarray(frame.open()).astype(int) - picture(frame.index)).mean() < 12


def turned(path, quarters: int):
    """Writes a rotation, clockwise quarters, into an MP4 file's track header."""
    data = bytearray(path.read_bytes())
    place = data.index(b"tkhd") + 4 + 40
    cos, sin = [(1, 0), (0, 1), (-1, 0), (0, -1)][quarters]
    data[place : place + 36] = struct.pack(">9i", cos << 16, sin << 16, 0, -sin << 16, cos << 16, 0, 0, 0, 1 << 30)
    path.write_bytes(data)


@pytest.mark.parametrize("quarters", [0, 1, 2, 3])
def test_rotation_tags_are_applied(quarters, model, tmp_path):
    source = make_video(tmp_path / "clip.mp4", frames=3)
    upright = next(read_frames(source)).open()
    turned(source, quarters)
    info = probe(source)
    assert (info.width, info.height) == ((64, 96) if quarters % 2 else (96, 64))
    np.testing.assert_array_equal(np.asarray(next(read_frames(source)).open()), np.rot90(upright, -quarters))
    (path,) = predict_video(model, source, tmp_path / "out.mp4", side_by_side=True)
    assert decoded(path)[0][0].shape[:2] == (info.height, 2 * info.width)


def damage(path, packet: int, size: int = 400):
    """Writes noise over a packet."""
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
        place, size = packets[packet].pos, min(size, packets[packet].size)
    data = bytearray(path.read_bytes())
    data[place + 4 : place + size] = np.random.default_rng(0).bytes(size - 4)
    path.write_bytes(data)


@pytest.mark.parametrize("codec, suffix", CODECS.values(), ids=CODECS)
def test_damaged_frames_repeat_the_one_before_and_nothing_gets_out_of_step(codec, suffix, model, tmp_path):
    source = make_video(tmp_path / f"clip{suffix}", codec, frames=40, gop=10)
    whole = decoded(source)[1]
    damage(source, 20)
    frames = list(read_frames(source))
    np.testing.assert_allclose([float(frame.pts * probe(source).time_base) for frame in frames], whole, atol=2e-3)
    lost = [frame.index for frame in frames if frame.damaged]
    assert lost and not frames[0].damaged and not frames[-1].damaged
    paths = predict_video(model, source, tmp_path / "out.mp4", formats=["color", "npz"], stabilize="off")
    assert len(decoded(paths[0])[0]) == 40
    maps = np.load(paths[1])["disparity"]
    np.testing.assert_allclose(maps[lost[0]], maps[lost[0] - 1], atol=1e-4)


READ_TOGETHER = """
import sys
from concurrent.futures import ThreadPoolExecutor
from anydepth_hf.video_reader import read_frames
with ThreadPoolExecutor(2) as pool:
    for _ in range(8):
        frames = [frame for frame in read_frames(sys.argv[1]) if frame.damaged]
        assert len(frames) > 10
        for _ in range(30):
            assert len(set(pool.map(lambda frame: frame.open().tobytes(), frames))) == 1
"""


def test_frames_that_repeat_one_are_read_by_several_threads(tmp_path):
    """In a process of its own, which ended by a signal or never when two threads shared a converter of FFmpeg's."""
    source = make_video(tmp_path / "clip.mkv", "libx265", frames=20, gop=20)
    damage(source, 6)
    run = subprocess.run(
        [sys.executable, "-c", READ_TOGETHER, str(source)], capture_output=True, text=True, timeout=100
    )
    assert run.returncode == 0, run.stderr


RUN = """
import os, signal, sys
from anydepth_hf.video import predict_video
model, source, target, last = *sys.argv[1:4], int(sys.argv[4])
steps = []
def step(done, total):
    steps.append(done)
    if done >= last:
        os.kill(os.getpid(), signal.SIGKILL)
paths = predict_video(model, source, target, formats=["color", "ffv1", "npz"], progress=step, batch_size=3)
print(steps[0], *paths, sep="\\n")
"""


def test_a_run_that_was_killed_goes_on_and_ends_in_the_same_frames(save_tiny_model, tmp_path):
    """Three processes that have done nothing else: how sums are rounded may depend on what a process did before."""
    source = make_video(tmp_path / "clip.mp4", frames=80)

    def predict(target, last=1000):
        command = [sys.executable, "-c", RUN, str(save_tiny_model()), str(source), str(target), str(last)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        return subprocess.run(command, env=environment, capture_output=True, text=True)

    _, *whole = predict(tmp_path / "whole.mp4").stdout.splitlines()
    target = tmp_path / "cut.mp4"
    assert predict(target, last=50).returncode == -signal.SIGKILL
    work = tmp_path / ".cut.mp4.partial"
    assert len(list(work.glob("*.npz"))) == 1 and not target.exists()
    first, *cut = predict(target).stdout.splitlines()
    assert int(first) == 33  # what was complete is not predicted again
    for one, other in zip(whole[:2], cut[:2], strict=True):
        np.testing.assert_array_equal(decoded(one)[0], decoded(other)[0])
        assert decoded(one)[1] == decoded(other)[1]
    np.testing.assert_array_equal(np.load(whole[2])["disparity"], np.load(cut[2])["disparity"])
    assert not work.exists()


def test_the_work_folder_of_others_is_left_alone_and_one_of_another_job_begins_anew(model, tmp_path):
    source = make_video(tmp_path / "clip.mp4", frames=3)
    work = tmp_path / ".out.mp4.partial"
    work.mkdir()
    (work / "mine.txt").write_text("x")
    with pytest.raises(FileExistsError, match="is not of anydepth"):
        predict_video(model, source, tmp_path / "out.mp4")
    assert (work / "mine.txt").exists()
    (work / "mine.txt").unlink()
    (work / "job.json").write_text('{"generator": "anydepth-hf", "job": {}}')
    (work / "000000.npz").write_text("of another job")
    predict_video(model, source, tmp_path / "out.mp4")
    assert not work.exists()


def test_the_work_of_another_process_is_left_alone_whatever_its_job(tmp_path):
    store = SegmentStore(tmp_path / "work", {"size": 252})
    store.path(0).write_text("a segment")
    for job in ({"size": 252}, {"size": 518}):
        with pytest.raises(BlockingIOError, match="Another process works on this video"):
            SegmentStore(store.folder, job)
    assert store.path(0).exists()
    store.close()
    SegmentStore(store.folder, {"size": 518}).close()
    assert [path.name for path in store.folder.iterdir()] == ["job.json"]


def test_what_the_progress_raises_ends_the_work_which_then_goes_on(model, tmp_path):
    source = make_video(tmp_path / "clip.mp4", frames=6)
    ends = [3, 8, 14]  # in each phase

    def stop(done, steps):
        if done == ends[0]:
            del ends[0]
            raise ValueError("enough")

    while ends:
        with pytest.raises(ValueError, match="enough"):
            predict_video(model, source, tmp_path / "out.mp4", stabilize="two-pass", progress=stop)
    (path,) = predict_video(model, source, tmp_path / "out.mp4", stabilize="two-pass")
    assert len(decoded(path)[0]) == 6


def test_results_neither_replace_the_video_nor_each_other(model, tmp_path):
    source = make_video(tmp_path / "clip.mkv", frames=3)
    content = source.read_bytes()
    for target, formats, message in (
        ("clip.mkv", ["color"], "clip.mkv is the video itself"),
        ("clip.mp4", ["color", "ffv1"], "clip.mkv is the video itself"),
        ("out.mkv", ["color", "ffv1"], "color and ffv1 would both be .*out.mkv"),
        ("out.webm", ["color"], "out.webm: a colour video is .3gp, "),
        ("out.mp4", [], "Choose at least one format"),
    ):
        with pytest.raises(ValueError, match=message):
            predict_video(model, source, tmp_path / target, formats=formats)
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mkv"] and source.read_bytes() == content


def test_a_name_may_have_a_colon(model, tmp_path, monkeypatch):
    """Before which FFmpeg reads a protocol."""
    monkeypatch.chdir(tmp_path)
    make_video(tmp_path / "clip.mp4", frames=3).rename("12:30.mp4")
    (path,) = predict_video(model, "12:30.mp4", "out:1.mp4")
    assert len(decoded(path.absolute())[0]) == 3


@pytest.mark.parametrize("content", [b"", b"no video", b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n"])
def test_what_is_no_video_gets_a_sentence(content, model, tmp_path):
    path = tmp_path / "clip.mp4"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="clip.mp4 is no video that can be read"):
        predict_video(model, path, tmp_path / "out.mp4")


MEMORY = """
import resource, sys
from anydepth_hf.video import predict_video
model, count, *sources = sys.argv[1:]
peaks = {}
def step(done, total):
    if done in (total // 8, total):
        peaks[done] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for source in sources:
    predict_video(model, source, source + ".out.mp4", formats=["color", "npz", "ffv1"], progress=step)
    print(*(peaks[done] // 1024 for done in sorted(peaks)))
    peaks.clear()
"""


def peaks(model_dir, *sources) -> list[list[int]]:
    """MiB at the most after an eighth of the work and at the end, of videos one after another in one process."""
    command = [sys.executable, "-c", MEMORY, str(model_dir), "0", *map(str, sources)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    output = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    return [list(map(int, line.split())) for line in output.splitlines()]


def test_memory_does_not_grow_with_the_length(save_tiny_model, tmp_path):
    ((early, late),) = peaks(save_tiny_model(), make_video(tmp_path / "clip.mp4", frames=200, size=(320, 240)))
    # all frames as floats would be 59 MiB more
    assert late - early < 45, (early, late)


@pytest.mark.long
def test_memory_is_flat_over_a_thousand_frames_of_every_codec(save_tiny_model, tmp_path):
    sources = [
        make_video(tmp_path / f"clip{suffix}", codec, frames=334, size=(640, 360), gop=50)
        for codec, suffix in CODECS.values()
    ]
    figures = peaks(save_tiny_model(), *sources)
    print("MiB at the most:", figures)
    assert figures[-1][-1] - figures[0][0] < 120, figures
