"""The demo's page in a headless Chromium, served on loopback; every other name leads nowhere."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from urllib.request import urlopen

import numpy as np
import pytest
from PIL import ExifTags, Image

from anydepth_cli.main import main
from anydepth_hf import BUNDLED_CHECKPOINT, read_depth

gradio = pytest.importorskip("gradio", reason="needs the extra demo")
playwright = pytest.importorskip("playwright.sync_api", reason="needs the package playwright")

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = [
    "--no-sandbox",
    "--enable-unsafe-swiftshader",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--use-fake-device-for-media-stream",  # a webcam that shows a moving figure
    "--use-fake-ui-for-media-stream",
]
COFFEE = Path(BUNDLED_CHECKPOINT) / "coffee.jpg"
PATIENCE = 60_000  # milliseconds: the machine may be busy

needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Address of the demo in a process of its own, and the folder of its temporary files."""
    folder = tmp_path_factory.mktemp("server")
    options = ["--max-megapixels", "3", "--max-upload-megabytes", "2", "--max-video-seconds", "2"]
    with served(folder, *options) as (address, _):
        yield address, folder


class served:
    """`anydepth demo` in a process, until it is told to end."""

    def __init__(self, folder, *options):
        self.folder, self.options = folder, options

    def __enter__(self):
        command = [sys.executable, "-m", "anydepth_hf.cli", "demo", "--port", "0", "--device", "cpu", *self.options]
        environment = os.environ | {"TMPDIR": str(self.folder), "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        line = self.process.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:\d+", line)
        assert found, self.process.communicate(timeout=60)
        return found[0], self.process

    def __exit__(self, *error):
        self.process.terminate()
        self.process.communicate(timeout=60)


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def visit(server, browser):
    """`visit()` opens the page as a new visitor and waits for the first result."""
    contexts, asked = [], []

    def open_page(width=1280, height=900):
        contexts.append(browser.new_context(viewport={"width": width, "height": height}, accept_downloads=True))
        page = contexts[-1].new_page()
        page.set_default_timeout(PATIENCE)
        page.on("request", lambda request: asked.append(request.url))
        page.goto(server[0])
        page.locator("#legend .bar").wait_for()
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert asked and not [url for url in asked if not url.startswith((server[0], "data:", "blob:"))]


def upload(page, path):
    remove = page.get_by_label("Remove Image")
    if remove.count():
        remove.click()
    page.locator("#photo input[type=file]").set_input_files(path)


def click_and_say(page, x, y, metres):
    """Clicks a point, given as shares of the photograph, and types its distance."""
    photograph = page.locator("#marked img")
    box = photograph.bounding_box()
    before = read_answer(page, None)
    photograph.click(position={"x": x * box["width"], "y": y * box["height"]})
    answer = read_answer(page, before)
    if metres is not None:
        page.locator("#distance input").fill(str(metres))
        page.locator("#know").click()
        answer = read_answer(page, answer)
    return answer


def read_answer(page, before):
    """What stands below the photograph, once it is not `before` and no clock runs there any more."""
    ready = "before => (t => t != before && !/[0-9][.][0-9]s/.test(t))(document.querySelector('#reading').innerText)"
    page.wait_for_function(ready, arg=before)
    return page.locator("#reading").inner_text()


@pytest.fixture
def photo(tmp_path):
    """A photograph of 240 x 160 pixels that says its focal length."""
    exif = Image.Exif()
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.FocalLengthIn35mmFilm] = 43
    path = tmp_path / "cup.jpg"
    Image.open(COFFEE).resize((240, 160)).save(path, exif=exif)
    return path


@needs_browser
def test_upload_slider_metres_and_downloads(visit, photo, tmp_path):
    page = visit()
    upload(page, photo)
    page.locator("#legend", has_text="240 × 160").wait_for()

    slider = page.locator("#slider")
    page.wait_for_function("[...document.querySelectorAll('#slider img')].every(image => image.naturalWidth == 240)")
    before = slider.screenshot()
    box = slider.bounding_box()
    divider = page.locator("#slider .inner").first
    deadline = time.monotonic() + PATIENCE / 1000
    while slider.screenshot() == before:  # the handle listens some time after it can be seen
        assert time.monotonic() < deadline, "the slider did not move"
        handle = divider.bounding_box()
        page.mouse.move(handle["x"] + handle["width"] / 2, handle["y"] + handle["height"] / 2)
        page.mouse.down()
        page.mouse.move(box["x"] + 0.8 * box["width"], box["y"] + box["height"] / 2, steps=8)
        page.mouse.up()

    page.get_by_role("tab", name="Metres").click()
    page.wait_for_function("document.querySelector('#marked img')?.naturalWidth == 240")
    assert "One distance is known" in click_and_say(page, 0.4, 0.8, 0.4)
    assert "0.60 m" in click_and_say(page, 0.9, 0.2, 0.6)
    reading = click_and_say(page, 0.4, 0.4, None)
    metres = float(re.match(r"([\d.]+) m at column", reading)[1])
    assert 0.1 < metres < 0.6 and "m from the point before" in reading

    page.get_by_role("tab", name="3-D").click()
    page.locator("#hint", has_text="Field of view").wait_for()
    assert float(page.locator("#focal input").input_value()) == pytest.approx(43 / np.hypot(36, 24) * 288.4, abs=0.1)
    page.locator("#solid canvas").wait_for()
    page.locator("#view").get_by_label("normals").check()
    page.wait_for_function("document.querySelector('#normals img')?.naturalWidth == 240")

    page.get_by_role("tab", name="Files").click()
    for name in ("EXR", "GLB"):
        page.locator("#formats").get_by_label(name, exact=True).check()
    page.locator("#write").click()
    files = {}
    for ending in ("png", "exr", "glb"):
        with page.expect_download() as download:
            page.locator(f"#written a[href$='.{ending}']").first.click()
        files[ending] = tmp_path / download.value.suggested_filename
        download.value.save_as(files[ending])
    assert files["exr"].name == "cup_depth.exr"
    depth, levels = read_depth(files["exr"]), read_depth(files["png"])
    assert (depth.shape, depth.unit, depth.model) == ((160, 240), "m", "bundled")
    assert depth.intrinsics.source.startswith("EXIF") and depth.values[64, 96] == pytest.approx(metres, abs=0.02)
    both = depth.valid & levels.valid
    assert np.abs(depth.values - levels.values)[both].max() <= levels.step
    trimesh = pytest.importorskip("trimesh", reason="needs trimesh, of the extra test")
    mesh = trimesh.load(files["glb"], force="mesh")
    assert len(mesh.faces) > 10_000 and mesh.bounds[1, 2] < 0


@needs_browser
def test_mistakes_are_answered_in_words_and_leave_the_page_as_it_was(visit, tmp_path):
    page = visit()
    page.get_by_role("tab", name="Metres").click()
    page.locator("#know").click()
    page.get_by_text("Click a point of the photograph first").wait_for()
    assert "Relative disparity" in click_and_say(page, 0.5, 0.5, None)  # nothing covers it
    (tmp_path / "notes.jpg").write_text("no picture")
    Image.new("L", (2000, 1600)).save(tmp_path / "large.png")
    (tmp_path / "heavy.png").write_bytes(bytes(3_000_000))
    for name, words in (
        ("notes.jpg", "notes.jpg is no image of a format that is read here"),
        ("large.png", "large.png has 2000x1600 pixels, 3.2 million; at most 3 million are read"),
        ("heavy.png", 'exceed the maximum allowed size of 2.0 Mb: "heavy.png"'),
    ):
        upload(page, tmp_path / name)
        page.get_by_text(words).first.wait_for()
    assert "600 × 400" in page.locator("#legend").inner_text()
    page.get_by_role("tab", name="3-D").click()
    page.locator("#hint", has_text="3-D needs metres").wait_for()
    page.get_by_role("tab", name="Files").click()
    page.locator("#formats").get_by_label("PLY").check()
    page.locator("#write").click()
    page.get_by_text("PLY: 3-D needs metres").wait_for()


@needs_browser
def test_a_webcam_takes_the_photograph(visit):
    page = visit()
    photo = page.locator("#photo")
    photo.get_by_label("Capture from camera").click()
    photo.get_by_text("Click to Access Webcam").click()
    page.wait_for_function("document.querySelector('#photo video')?.videoWidth > 0")  # the camera shows something
    photo.get_by_label("capture photo").click()
    page.locator("#legend", has_text="1920 × 1440").wait_for()  # the largest of Chromium's pretended camera


@needs_browser
def test_two_visitors_at_once_see_their_own(visit, tmp_path):
    pages = [visit(), visit(390, 844)]
    for index, page in enumerate(pages):
        path = tmp_path / f"visitor{index}.png"
        Image.open(COFFEE).resize((100 + 20 * index, 80)).save(path)
        upload(page, path)
    for index, page in enumerate(pages):
        page.locator("#legend", has_text=f"{100 + 20 * index} × 80").wait_for()
    # a phone's width: nothing sticks out, and the result begins in sight
    phone = pages[1]
    assert phone.evaluate("document.documentElement.scrollWidth") == 390
    assert phone.locator("#slider").bounding_box()["y"] < 500
    for tab in ("Metres", "3-D", "Files"):
        phone.get_by_role("tab", name=tab).click()
        assert phone.evaluate("document.documentElement.scrollWidth") == 390


@needs_browser
def test_a_video_becomes_one_and_one_that_is_too_long_is_refused(visit, tmp_path):
    av = pytest.importorskip("av", reason="needs the extra video")
    from tests.anydepth_hf.video_samples import make_video

    page = visit()
    page.get_by_role("tab", name="Video").click()
    page.locator("#start").click()
    page.get_by_text("Choose a video first").wait_for()
    clips = page.locator("#clip input[type=file]")
    clips.set_input_files(make_video(tmp_path / "long.mp4", frames=60))
    page.locator("#clip video").wait_for()
    page.locator("#start").click()
    page.get_by_text("long.mp4 takes more than 2 s").wait_for()
    page.get_by_label("Clear").first.click()
    # a browser's recording does not say how long it is
    clips.set_input_files(make_video(tmp_path / "clip.webm", "libvpx-vp9", frames=12, sound="libopus", live=True))
    page.locator("#clip video").wait_for()
    page.get_by_label("16-bit gray without loss").check()
    page.locator("#start").click()
    page.locator("#moving video").wait_for()
    for ending, codec in ((".mp4", "h264"), (".mkv", "ffv1")):
        with page.expect_download() as download:
            page.locator(f"#video-files a[href$='{ending}']").first.click()
        path = tmp_path / f"result{ending}"
        download.value.save_as(path)
        assert download.value.suggested_filename == f"clip_disparity{ending}"
        with av.open(str(path)) as container:
            assert container.streams.video[0].codec_context.name == codec
            assert len(container.streams.audio) == (codec == "h264")
            assert sum(1 for _ in container.decode(video=0)) == 12


def test_the_command_leaves_nothing_when_it_is_ended(tmp_path):
    with served(tmp_path) as (address, process):
        page = urlopen(address, timeout=60).read().decode()
        assert '"analytics_enabled":false' in page and "googleapis" not in page
        assert [path for path in tmp_path.iterdir() if path.name.startswith("anydepth-demo-")]
        process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.1)
        assert process.returncode == 143
    assert not [path for path in tmp_path.iterdir() if path.name.startswith("anydepth-demo-")]


def test_mistakes_of_the_command_are_one_sentence(tmp_path, capsys, monkeypatch):
    assert main(["demo", "--model", str(tmp_path)]) == 2
    assert f"Cannot load a depth-estimation model from {tmp_path}" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "gradio", None)
    assert main(["demo"]) == 2
    assert "The demo needs the package gradio: pip install 'anydepth-hf[demo]'" in capsys.readouterr().err
