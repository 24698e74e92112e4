"""A playing file, shown by a real process on loopback: the page, its pictures, and the ways it ends."""

import io
import os
import re
import signal
import subprocess
import sys
from urllib.request import urlopen

import pytest
from PIL import Image

pytest.importorskip("av", reason="needs the extra video")

from anydepth_hf.live_source import LiveSource, picture_of  # noqa: E402
from tests.anydepth_hf.video_samples import make_video  # noqa: E402


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return make_video(tmp_path_factory.mktemp("clip") / "clip.mp4", frames=30)


def start(*arguments):
    command = [sys.executable, "-m", "anydepth_hf.cli", "live", *map(str, arguments), "--device", "cpu", "--port", "0"]
    # a shell's background jobs do not hear Ctrl-C: here the program shall
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip


def test_the_page_shows_pictures_until_ctrl_c(clip):
    with start(clip, "--loop", "--side-by-side") as process:
        address = re.search(r"http://127\.0\.0\.1:\d+", process.stdout.readline())[0]
        page = urlopen(address, timeout=60).read().decode()
        (name,) = re.findall(r'<img[^>]* src="([^"]+)"', page)
        with urlopen(f"{address}/{name.lstrip('/')}", timeout=60) as stream:
            assert stream.headers["Content-Type"].startswith("multipart/x-mixed-replace")
            data = b""
            while b"\xff\xd9" not in data:
                data += stream.read(1024)
        picture = Image.open(io.BytesIO(data[data.index(b"\xff\xd8") : data.index(b"\xff\xd9") + 2]), formats=["JPEG"])
        picture.load()
        assert picture.width > 2 * picture.height  # the frame and its map, side by side
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130 and "Traceback" not in errors


def test_a_file_ends(clip):
    with start(clip) as process:
        output, errors = process.communicate(timeout=120)
    assert process.returncode == 0 and "Warning" not in errors, errors
    assert re.search(r"over after \d+ frames", output)


def test_a_source_that_does_not_exist_is_one_sentence(tmp_path):
    with start(tmp_path / "none.mp4") as process:
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 2 and "none.mp4" in errors and len(errors.strip().splitlines()) == 1


def test_a_files_name_may_have_a_colon(clip, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.symlink(clip, "12:30.mp4")
    LiveSource("12:30.mp4").container.close()


RTSP_SERVER = """
import gi
gi.require_version("Gst", "1.0"), gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer
Gst.init(None)
assert all(map(Gst.ElementFactory.find, ("videotestsrc", "jpegenc", "rtpjpegpay")))
server = GstRtspServer.RTSPServer(service="0")
factory = GstRtspServer.RTSPMediaFactory(shared=True)
factory.set_launch(
    "( videotestsrc is-live=true ! video/x-raw,format=I420,width=320,height=240,framerate=15/1"
    " ! jpegenc ! rtpjpegpay name=pay0 pt=26 )"
)
server.get_mount_points().add_factory("/camera", factory)
server.attach(None)
print(server.get_bound_port(), flush=True)
GLib.MainLoop().run()
"""


@pytest.mark.skipif(not os.access("/usr/bin/python3", os.X_OK), reason="needs the system's Python and GStreamer")
def test_a_network_camera():
    # the system's Python has GStreamer's bindings, where they are installed
    with subprocess.Popen(
        ["/usr/bin/python3", "-c", RTSP_SERVER], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as server:
        port = server.stdout.readline().strip().decode()
        if not port:
            pytest.skip("needs GStreamer's RTSP server: gir1.2-gst-rtsp-server-1.0, gstreamer1.0-plugins-good")
        try:
            source = LiveSource(f"rtsp://127.0.0.1:{port}/camera")
            source.start()
            first, number = source.frames.get(0, timeout=60)
            second, _ = source.frames.get(number, timeout=60)
            source.stop()
        finally:
            server.kill()
    assert picture_of(first).size == (320, 240)
    assert second.pts > first.pts
