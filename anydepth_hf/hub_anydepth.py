"""Repositories of AnyDepth on the Hub that hold the authors' own files, and no model of Transformers (yet)."""

import os
import re
from collections.abc import Callable

REPOSITORIES = "AIGeeksGroup/AnyDepth"

# The package sets it to `resolve` of `pull.py`. Remote code lies in a repository that holds a model, and needs none.
resolver: Callable[[str, str], str] | None = None
"""Maps a repository of AnyDepth and a revision to what `from_pretrained` can load."""


def loadable(name: str | os.PathLike | None, options: dict) -> str | os.PathLike | None:
    """
    What `from_pretrained(name, **options)` should load: `name` itself, or, where the package is installed and it is
    a repository of AnyDepth that holds no model of Transformers, the folder of its converted weights.
    """
    if resolver is None or not isinstance(name, str) or not name.startswith(REPOSITORIES) or os.path.isdir(name):
        return name
    # the auto classes pass the commit that they found for `main`
    revision = options.get("revision") or "main"
    if options.get("subfolder") or options.get("local_files_only") or not re.fullmatch("main|[0-9a-f]{40}", revision):
        return name
    return resolver(name, revision)


__all__ = ["loadable"]
