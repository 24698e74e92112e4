"""How every program of this project ends: a user's mistake is one sentence on stderr and exit status 2."""

import os
import signal
import sys
import threading
from types import FrameType

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
        return self

    def __exit__(self, kind, error: BaseException | None, traceback) -> bool:
        if self.handles and signal.getsignal(signal.SIGINT) is interrupt:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        if isinstance(error, KeyboardInterrupt):
            self.status = 130
            self._say(self.interrupted)
        elif isinstance(error, BrokenPipeError):  # the reader of a pipe, `| head`, has gone
            self.status = 1
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        elif isinstance(error, self.mistakes) or _is_of_safetensors(error):
            if os.environ.get("ANYDEPTH_DEBUG") and not isinstance(error, UsageError):
                return False
            self.status = 2
            self._say(one_line(error))
        return self.status != 0

    def _say(self, sentence: str) -> None:
        print(f"{self.prog}: {sentence}", file=sys.stderr, flush=True)


def interrupt(number: int, frame: FrameType | None) -> None:
    """Raises `KeyboardInterrupt`; later, where a `__del__` is running, in which Python would print it and go on."""
    while frame is not None:
        if frame.f_code.co_name == "__del__":
            later = threading.Timer(0.01, os.kill, (os.getpid(), number))
            later.daemon = True
            later.start()
            return
        frame = frame.f_back
    raise KeyboardInterrupt


def _is_of_safetensors(error: BaseException | None) -> bool:
    """Whether safetensors failed on a file: its error is of no standard kind, not even for a full disk."""
    module = sys.modules.get("safetensors")
    return module is not None and isinstance(error, module.SafetensorError)
