"""Words of messages: what an error says in one line or in its first, and the nearest right word to a wrong one."""

import difflib
import os
from collections.abc import Iterable


def nearest(word: str, words: Iterable[str], cutoff: float = 0.6) -> str | None:
    """The one of `words` that `word` most resembles, or that begins with it; None where none comes near."""
    words = list(words)
    close = difflib.get_close_matches(word, words, 1, cutoff) or [
        name for name in words if word and name.startswith(word)
    ]
    return close[0] if close else None


def did_you_mean(word: str, words: Iterable[str]) -> str:
    """`"; did you mean X?"` with the nearest of the words, or nothing."""
    close = nearest(word, words)
    return f"; did you mean {close}?" if close else ""


def one_line(error: BaseException) -> str:
    """What an error says, in one line; of a file's error its name and the reason."""
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{os.fsdecode(error.filename)}: {error.strerror}"
    return " ".join(str(error).split()) or type(error).__name__


def first_line(error: BaseException) -> str:
    """The first line of what an error says, for errors that go on with advice of their own."""
    return str(error).strip().split("\n")[0] or type(error).__name__
