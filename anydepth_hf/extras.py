"""Optional packages: imported where they are used, and named when they are missing."""

import importlib
from types import ModuleType


def require(module: str, extra: str, purpose: str = "This") -> ModuleType:
    """
    Imports an optional package, which an extra of this one (in `pyproject.toml`) installs. Where it is missing or
    broken, ImportError says how to install it, and what needs it: `purpose`, the subject of that sentence.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        message = f"{purpose} needs the package {package}: pip install 'anydepth-hf[{extra}]' ({error})."
        raise ImportError(message, name=package) from error
