import os
import signal
import threading
import time
import weakref
from functools import partial
from types import SimpleNamespace

import pytest

from anydepth_cli import mistakes
from anydepth_cli.mistakes import Mistakes


@pytest.fixture(autouse=True)
def ctrl_c():
    """A shell's background jobs do not hear Ctrl-C: here the program shall."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


class Interrupted:
    def __del__(self):
        signal.raise_signal(signal.SIGINT)


def in_a_finaliser():
    Interrupted()


def in_a_callback_of_a_weak_reference():
    something = lambda: None  # noqa: E731
    reference = weakref.ref(something, lambda _: signal.raise_signal(signal.SIGINT))
    del something
    assert reference() is None


@pytest.mark.parametrize("place", [in_a_finaliser, in_a_callback_of_a_weak_reference])
def test_ctrl_c_where_python_ignores_it_ends_the_program_all_the_same(place, capsys):
    """There Python prints what is raised, as ignored, and goes on."""
    with Mistakes("prog") as ending:
        place()
        time.sleep(10)
    assert ending.status == 130
    assert capsys.readouterr().err == "prog: interrupted\n"
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_ctrl_c_leaves_no_lock_taken(capsys):
    """Threads would wait for it for ever, and the program for them."""
    lock = SimpleNamespace(acquire=None, release=None, __enter__=partial(signal.raise_signal, signal.SIGINT))
    lock.__exit__ = lambda *_: print("left")
    with Mistakes("prog") as ending:
        with threading.Condition(lock):
            pass
        time.sleep(10)
    assert ending.status == 130
    assert capsys.readouterr() == ("left\n", "prog: interrupted\n")


def test_ctrl_c_ends_a_program_that_waits_for_a_lock(capsys):
    lock = threading.Lock()
    lock.acquire()
    threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT)).start()
    with Mistakes("prog") as ending, threading.Condition(lock):
        raise AssertionError("nobody has released it")
    assert ending.status == 130
    assert capsys.readouterr().err == "prog: interrupted\n"


def test_ctrl_c_while_a_program_ends_changes_nothing(capsys, monkeypatch):
    monkeypatch.setattr(mistakes, "one_line", lambda error: signal.raise_signal(signal.SIGINT) or str(error))
    with Mistakes("prog") as ending:
        raise ValueError("no such thing")
    assert ending.status == 2
    assert capsys.readouterr().err == "prog: no such thing\n"
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_other_errors_that_python_ignores_are_shown_as_ever(monkeypatch):
    shown = []
    monkeypatch.setattr("sys.unraisablehook", lambda unraisable: shown.append(unraisable.exc_type))

    class Failing:
        def __del__(self):
            raise OSError("gone")

    with Mistakes("prog"):
        Failing()
    assert shown == [OSError]


@pytest.mark.parametrize(
    ("error", "status", "sentence"),
    [(AttributeError("halfway"), 130, "interrupted"), (OSError("the disk is full"), 2, "the disk is full")],
)
def test_an_interrupt_may_be_hidden_by_a_failing_clean_up_but_hides_no_mistake(error, status, sentence, capsys):
    with Mistakes("prog") as ending:
        try:
            signal.raise_signal(signal.SIGINT)
        finally:
            raise error
    assert ending.status == status
    assert capsys.readouterr().err == f"prog: {sentence}\n"
