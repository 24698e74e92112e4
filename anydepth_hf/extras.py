"""Optional packages: imported where they are used, and named when they are missing."""

import importlib
from types import ModuleType


def require(module: str, extra: str, purpose: str = "This") -> ModuleType:
    """
    Imports an optional package.

    Args:
        module: name to import, e.g. `"OpenEXR"`.
        extra: extra of this package (in `pyproject.toml`) that installs it, e.g. `"formats"`.
        purpose: what needs it, the subject of the error's sentence, e.g. `"Writing EXR files"`.

    Raises:
        ImportError: the package is missing or broken; the message says how to install it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        message = f"{purpose} needs the package {package}: pip install 'anydepth-hf[{extra}]' ({error})."
        raise ImportError(message, name=package) from error
