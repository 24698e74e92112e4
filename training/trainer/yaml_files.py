"""YAML files that people write: options by name, each once."""

from pathlib import Path
from typing import Any

import yaml

from anydepth_hf.programs import one_line


class _Loader(yaml.SafeLoader):
    """`yaml.SafeLoader` that refuses a key that stands twice in a mapping, of which it would keep the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(None, None, f"{key.value!r} stands twice", key.start_mark)
                seen.add(key.value)
        return super().construct_mapping(node, deep)


def read_yaml(path: Path) -> dict[str, Any]:
    """
    The `option: value` lines of a file; empty for an empty one.

    Raises:
        ValueError: no such file, no YAML, no mapping, or a key that stands twice; one sentence with the file's name.
    """
    try:
        values = yaml.load(path.read_text(encoding="utf-8-sig"), Loader=_Loader)  # noqa: S506  (a safe loader)
    except FileNotFoundError:
        raise ValueError(f"{path}: there is no such config file") from None
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise ValueError(f"{path} is not valid YAML: {one_line(error)}") from None
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ValueError(f"{path} must hold `option: value` lines")
    return values
