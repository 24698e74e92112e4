from argparse import Namespace

import psutil
import pytest

from benchmarks import serve_batching

STAND_IN = """
import sys, time
if "--max-wait-ms" in sys.argv:
    sys.exit("cli: a wrong option")
print("http://127.0.0.1:1", flush=True)
time.sleep(60)
"""


def test_a_server_that_does_not_start_leaves_no_other_behind(tmp_path, monkeypatch):
    package = tmp_path / "anydepth_hf"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "cli.py").write_text(STAND_IN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(serve_batching, "ROOT", tmp_path)
    before = set(psutil.Process().children())
    with pytest.raises(SystemExit, match="no server for mine"):
        serve_batching.compare("mine", b"", Namespace(size=None, max_batch=8, max_wait_ms=-5))
    assert set(psutil.Process().children()) <= before
