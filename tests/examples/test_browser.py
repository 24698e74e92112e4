"""The page in examples/browser, in a headless Chromium, served from loopback."""

import json
import shutil
import subprocess
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from anydepth_hf import BUNDLED_CHECKPOINT, AnyDepthForDepthEstimation, AnyDepthImageProcessor
from anydepth_hf.export import for_transformers_js

PAGE = Path(__file__).resolve().parents[2] / "examples" / "browser"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()
# Sends home what the page predicts, or what went wrong.
REPORTER = """<script>
addEventListener("prediction", ({ detail }) => fetch(`/result?${detail.width}x${detail.height}`,
  { method: "POST", body: Float32Array.from(detail.values) }));
new MutationObserver(() => {
  const status = document.getElementById("status");
  if (status?.className === "error") fetch("/error", { method: "POST", body: status.textContent });
}).observe(document, { subtree: true, childList: true, attributes: true });
</script>"""

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here"),
    pytest.mark.skipif(shutil.which("npm") is None, reason="no npm here"),
]


class Server(ThreadingHTTPServer):
    """Serves a folder and keeps what the page sends back."""

    def __init__(self, folder: Path):
        class Handler(SimpleHTTPRequestHandler):
            def __init__(self, *args):
                super().__init__(*args, directory=folder)

            def log_message(self, *args):
                """Silent."""

            def do_GET(self):
                if self.path.split("?")[0] != "/":
                    return super().do_GET()
                text = (folder / "index.html").read_text(encoding="utf-8").replace("<head>", f"<head>{REPORTER}", 1)
                self.send_response(200)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.end_headers()
                self.wfile.write(text.encode())

            def do_POST(self):
                self.server.answer = self.path, self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(204)
                self.end_headers()
                self.server.answered.set()

        super().__init__(("127.0.0.1", 0), Handler)
        self.answer, self.answered = None, threading.Event()


@pytest.fixture
def site(exported_tiny_model, tmp_path):
    """The page with its packages and a small model."""
    folder = tmp_path / "site"
    shutil.copytree(PAGE, folder, ignore=shutil.ignore_patterns("node_modules", "model"))
    command = ["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=240)
    if done.returncode:
        pytest.skip(f"npm cannot install transformers.js: {done.stderr.strip()[-200:]}")
    shutil.copytree(exported_tiny_model[1], folder / "model")
    processor = AnyDepthImageProcessor.from_pretrained(exported_tiny_model[0])
    for name, content in for_transformers_js(processor):
        (folder / "model" / name).write_text(json.dumps(content))
    shutil.copy(Path(BUNDLED_CHECKPOINT) / "coffee.jpg", folder)
    yield folder
    shutil.rmtree(folder)  # half a gigabyte of packages, which pytest would keep


def test_the_page_predicts_what_pytorch_predicts(site, exported_tiny_model, tmp_path):
    server = Server(site)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}/?photo=coffee.jpg"
    # every name but loopback's leads nowhere: the page must not need anything else
    flags = [
        *FLAGS,
        f"--user-data-dir={tmp_path / 'profile'}",
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    ]
    browser = subprocess.Popen([CHROMIUM, *flags, address], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        assert server.answered.wait(180), "the page did not answer"
    finally:
        browser.terminate()
        browser.wait(30)
        server.shutdown()
    path, body = server.answer
    assert path.startswith("/result"), body.decode()
    width, height = map(int, path.partition("?")[2].split("x"))
    actual = np.frombuffer(body, dtype=np.float32).reshape(height, width)

    model = AnyDepthForDepthEstimation.from_pretrained(exported_tiny_model[0]).eval()
    processor = AnyDepthImageProcessor.from_pretrained(exported_tiny_model[0])
    with torch.no_grad():
        image = Image.open(site / "coffee.jpg")
        expected = model(processor(image, return_tensors="pt").pixel_values).predicted_depth[0].numpy()
    assert actual.shape == expected.shape and expected.std() > 0
    assert np.abs(actual - expected).max() < 1e-2 * np.abs(expected).max()
