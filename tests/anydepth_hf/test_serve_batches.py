"""Which pictures run together, and what becomes of the others."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from anydepth_hf.prediction import Result
from anydepth_hf.serve_batches import Batcher, Job, choose


def job(width, since):
    return Job(object(), None, torch.zeros(1, 3, 4, width), since=since)


class Recorder:
    """A predictor whose maps are the pictures' names; it notes what ran together, and waits to be let go."""

    def __init__(self, fails=None):
        self.batches, self.go, self.fails = [], threading.Event(), fails

    def run(self, batch):
        self.go.wait(30)
        self.batches.append([source.name for source, _, _ in batch])
        for source, _, _ in batch:
            if self.fails == source.name:
                raise KeyError("a bug")
            yield (
                Result(source, error=ValueError("bad")) if source.name == "bad" else Result(source, depth=source.name)
            )


class Source:
    def __init__(self, name):
        self.name = name


@pytest.fixture
def now(monkeypatch):
    monkeypatch.setattr("anydepth_hf.serve_batches.time.monotonic", lambda: 100.0)


def test_the_oldest_waits_for_its_size_and_then_goes(now):
    a, b, c = job(8, 99.99), job(16, 99.995), job(8, 99.999)
    assert choose([], 4, 0.02) == ([], 0)
    batch, patience = choose([a, b, c], 4, 0.02)
    assert batch == [a, c] and patience == pytest.approx(0.01)
    assert choose([a, b, c], 4, 0.005)[1] < 0


def test_a_full_batch_overtakes_only_while_the_oldest_may_wait(now):
    a, *rest = job(8, 99.99), *[job(16, 99.995) for _ in range(3)]
    assert choose([a, *rest], 2, 0.02) == (rest[:2], 0)
    batch, patience = choose([a, *rest], 2, 0.001)
    assert batch == [a] and patience < 0


def submit(batcher, names, width=8):
    return [batcher.submit(Source(name), None, torch.zeros(1, 3, 4, width)) for name in names]


def test_what_gathers_while_the_model_is_busy_runs_together_by_size():
    recorder = Recorder()
    batcher = Batcher(recorder, max_batch=3, max_wait=0)
    first = submit(batcher, ["first"])
    while batcher._jobs:  # until the model has taken it
        pass
    rest = submit(batcher, "abcd") + submit(batcher, "xy", width=16)
    rest[1].cancel()
    recorder.go.set()
    assert [future.result(30) for future in first + rest[:1] + rest[2:]] == ["first", *"acdxy"]
    batcher.close()
    assert recorder.batches == [["first"], ["a", "c", "d"], ["x", "y"]]
    assert (batcher.pictures, batcher.batches) == (6, 3)


def test_an_error_is_of_its_picture_alone_and_a_bug_ends_no_thread():
    recorder = Recorder(fails="bug")
    recorder.go.set()
    batcher = Batcher(recorder, max_batch=2, max_wait=30)
    good, bad = submit(batcher, ["good", "bad"])
    assert good.result(30) == "good" and isinstance(bad.exception(30), ValueError)
    assert all(isinstance(future.exception(30), KeyError) for future in submit(batcher, ["bug", "b"]))
    waiting = submit(batcher, "c")
    with ThreadPoolExecutor() as pool:
        pool.submit(batcher.close).result(30)  # does not wait for company
    assert waiting[0].result(0) == "c"
    with pytest.raises(RuntimeError, match="no more"):
        submit(batcher, "d")
