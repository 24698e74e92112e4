"""A page on loopback that shows pictures as they come (motion JPEG), with the standard library alone."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from .live_source import Latest

_PAGE = b"""<!doctype html><html lang="en"><meta charset="utf-8"><title>anydepth live</title>
<style>body{margin:0;background:#111;display:grid;place-items:center;height:100vh}
img{max-width:100vw;max-height:100vh}</style><img src="stream.mjpg"
alt="Disparity or depth as the camera sees it"></html>
"""


class LivePage:
    """Serves the latest JPEG of `pictures` at `address` until `close`; raises OSError where the port is taken."""

    def __init__(self, pictures: Latest, port: int):
        try:
            self.server = _Server(("127.0.0.1", port), _Handler)
        except OSError as error:
            raise OSError(f"Port {port} cannot be used ({error.strerror}): choose another with --port.") from error
        self.server.slot = pictures
        self.address = f"http://127.0.0.1:{self.server.server_address[1]}/"
        threading.Thread(target=self.server.serve_forever, daemon=True, name="page").start()

    def close(self) -> None:
        """Stops serving."""
        self.server.shutdown()
        self.server.server_close()


class _Server(ThreadingHTTPServer):
    slot: Latest


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self):  # noqa: N802
        """Answers with the page or the stream."""
        if (self.headers.get("Host") or "").rsplit(":", 1)[0] not in ("localhost", "127.0.0.1"):
            self.send_error(403)  # a page of the network under another name
        elif self.path == "/":
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(_PAGE)))
            self.end_headers()
            self.wfile.write(_PAGE)
        elif self.path == "/stream.mjpg":
            self._stream()
        else:
            self.send_error(404)

    def _stream(self):
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        number = 0
        try:
            while not self.server.slot.closed:
                picture, number = self.server.slot.get(number)
                if picture is not None:
                    head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(picture)}\r\n\r\n"
                    self.wfile.write(head.encode() + picture + b"\r\n")
        except OSError:  # the browser has gone
            pass

    def log_message(self, *_):
        """Nothing: the terminal is for the frame rate."""
