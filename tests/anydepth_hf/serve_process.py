"""`anydepth serve` as a process on loopback, and clients of it."""

import http.client
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[2]


class Server:
    """A server of its own on a free port; `with` ends it by SIGTERM and requires that it ends well."""

    def __init__(self, *arguments, log: Path):
        command = [sys.executable, "-m", "anydepth_hf.cli", "serve", "--port", "0", "--device", "cpu"]
        environment = os.environ | {"PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
        self.log = log
        with open(log, "wb") as errors:
            self.process = subprocess.Popen(
                [*command, *map(str, arguments)], env=environment, stdout=subprocess.PIPE, stderr=errors, text=True
            )
        self.line = self.process.stdout.readline()
        match = re.search(r":(\d+)$", self.line.strip())
        assert match, log.read_text()
        self.port = int(match[1])

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *_):
        self.terminate()
        assert self.wait() == 0, self.log.read_text()
        assert "Traceback" not in self.log.read_text(), self.log.read_text()

    def terminate(self):
        self.process.send_signal(signal.SIGTERM)

    def wait(self) -> int:
        try:
            return self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)

    def request(self, method: str, path: str, body=None, headers=None, connection=None) -> "Response":
        own = connection is None
        connection = connection or self.connect()
        connection.request(method, path, body, headers or {})
        response = connection.getresponse()
        result = Response(response.status, response.headers, response.read())
        if own:
            connection.close()
        return result

    def predict(self, data: bytes, query: str = "", kind: str = "image/png", connection=None) -> "Response":
        path = f"/predict?{query}" if query else "/predict"
        return self.request("POST", path, data, {"Content-Type": kind} if kind else {}, connection)

    def health(self) -> dict:
        return json.loads(self.request("GET", "/health").data)

    def memory(self) -> float:
        """Resident MB."""
        return psutil.Process(self.process.pid).memory_info().rss / 1e6


class Response:
    def __init__(self, status, headers, data):
        self.status, self.headers, self.data = status, headers, data

    @property
    def detail(self) -> str:
        return json.loads(self.data)["detail"]


def form(data: bytes, name: str = "photo.png", field: str = "file") -> tuple[bytes, str]:
    """A form with one file, and its Content-Type."""
    head = f'--XX\r\nContent-Disposition: form-data; name="{field}"; filename="{name}"\r\n\r\n'
    return head.encode() + data + b"\r\n--XX--\r\n", "multipart/form-data; boundary=XX"
