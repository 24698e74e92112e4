"""How every program of this project ends: a user's mistake is one sentence on stderr and exit status 2."""

import os
import signal
import sys
import threading
from types import FrameType, SimpleNamespace
from typing import Any

from .parser import UsageError
from .sentences import one_line

MISTAKES = (ValueError, OSError, ImportError, RuntimeError)
"""What a wrong option, file, package or device raises; anything else is a bug and keeps its traceback."""


class Mistakes:
    """
    Turns what ends a program into one line `PROG: SENTENCE` and an exit status; with `ANYDEPTH_DEBUG=1` mistakes
    keep their traceback.

        with Mistakes("train.py") as ending:
            return train()
        return ending.status

    Args:
        prog: name of the program, as its help shows it.
        mistakes: exceptions that are answered with a sentence.
        interrupted: what to say after Ctrl-C.

    Attributes:
        status: 0, or 2 after a mistake, 130 after Ctrl-C, 1 where the reader of a pipe has gone.
    """

    def __init__(
        self, prog: str, mistakes: tuple[type[Exception], ...] = MISTAKES, interrupted: str = "interrupted"
    ) -> None:
        self.prog, self.mistakes, self.interrupted, self.status = prog, mistakes, interrupted, 0

    def __enter__(self) -> "Mistakes":
        in_main_thread = threading.current_thread() is threading.main_thread()
        self.handles = in_main_thread and signal.getsignal(signal.SIGINT) is signal.default_int_handler
        if self.handles:
            signal.signal(signal.SIGINT, interrupt)
            self.show_ignored, sys.unraisablehook = sys.unraisablehook, self._not_ignored
        return self

    def __exit__(self, kind, error: BaseException | None, traceback) -> bool:
        try:
            return self._answer(error)
        finally:
            if self.handles:
                sys.unraisablehook = self.show_ignored
                if signal.getsignal(signal.SIGINT) is interrupt:
                    signal.signal(signal.SIGINT, signal.default_int_handler)

    def _answer(self, error: BaseException | None) -> bool:
        is_mistake = isinstance(error, self.mistakes) or _is_of_safetensors(error)
        if isinstance(error, KeyboardInterrupt) or (not is_mistake and _follows_interrupt(error)):
            self.status = 130
            self._say(self.interrupted)
        elif isinstance(error, BrokenPipeError):  # the reader of a pipe, `| head`, has gone
            self.status = 1
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        elif is_mistake:
            if os.environ.get("ANYDEPTH_DEBUG") and not isinstance(error, UsageError):
                return False
            self.status = 2
            self._say(one_line(error))
        return self.status != 0

    def _not_ignored(self, unraisable: Any) -> None:
        """Interrupts again, a little later, where Python would print the interrupt and go on: in finalisers."""
        if issubclass(unraisable.exc_type, KeyboardInterrupt):
            _interrupt_later()
        else:
            self.show_ignored(unraisable)

    def _say(self, sentence: str) -> None:
        print(f"{self.prog}: {sentence}", file=sys.stderr, flush=True)


def interrupt(number: int, frame: FrameType | None) -> None:
    """
    Raises `KeyboardInterrupt`: a little later where it would leave a lock taken, for which threads would wait for ever
    (https://github.com/python/cpython/issues/74174), and not at all where a program has come to its end.
    """
    outer = frame
    while outer is not None:
        if outer.f_code is Mistakes.__exit__.__code__:
            return
        outer = outer.f_back
    # where it still stands in the same call, it waits for the lock and has not got it
    if frame is not None and frame.f_code in _TAKE_OR_LEAVE_A_LOCK and frame is not _put_off.frame:
        _put_off.frame = frame
        _interrupt_later()
        return
    _put_off.frame = None
    raise KeyboardInterrupt


_TAKE_OR_LEAVE_A_LOCK = (threading.Condition.__enter__.__code__, threading.Condition.__exit__.__code__)
_put_off = SimpleNamespace(frame=None)


def _interrupt_later() -> None:
    later = threading.Timer(0.01, os.kill, (os.getpid(), signal.SIGINT))
    later.daemon = True
    later.start()


def _follows_interrupt(error: BaseException | None) -> bool:
    """Whether an interrupt came first, as where it stops argparse halfway and that fails to clean up."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__context__
    return error is not None


def _is_of_safetensors(error: BaseException | None) -> bool:
    """Whether safetensors failed on a file: its error is of no standard kind, not even for a full disk."""
    module = sys.modules.get("safetensors")
    return module is not None and isinstance(error, module.SafetensorError)
