"""The import graph: which room of the repository may import which, and no module in a circle."""

import ast
import graphlib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("anydepth_cli", "anydepth_hf", "benchmarks", "conversion", "training")
# Commands -> {trainer, evaluation, filtering} -> data -> {package, scenes}; conversion -> package -> words and parsers
# of the command line, which know nothing of the rest. A folder's own files and the standard library are not listed.
MAY_IMPORT = {
    "anydepth_cli": set(),
    "anydepth_hf": {"anydepth_cli"},
    "benchmarks": {"anydepth_hf", "training.data", "training.evaluation", "training.filtering"},
    "conversion": {"anydepth_hf", "conversion.formats", "conversion.hub"},
    "conversion.formats": {"anydepth_hf"},
    "conversion.hub": {"anydepth_hf", "conversion.formats"},
    "training": {"anydepth_hf", "training.trainer", "training.evaluation", "training.filtering", "training.data"},
    "training.trainer": {"anydepth_hf", "training.data"},
    "training.evaluation": {"anydepth_hf", "training.data"},
    "training.filtering": {"anydepth_hf", "training.data"},
    "training.data": {"anydepth_hf", "training.scenes"},
    "training.scenes": {"anydepth_hf"},
}


def modules() -> dict[str, Path]:
    paths = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    names = {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in paths}
    return {name.removesuffix(".__init__"): path for name, path in names.items()}


def imports(name: str, path: Path, known: dict[str, Path]) -> set[str]:
    """Modules of this repository that a module imports, anywhere in it but under `if TYPE_CHECKING`."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    found = set()
    todo = [ast.parse(path.read_text(encoding="utf-8"))]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            todo += node.orelse
            continue
        todo += ast.iter_child_nodes(node)
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*parts, *([node.module] if node.module else [])])
            targets = [f"{base}.{alias.name}" for alias in node.names]
        else:
            continue
        for target in targets:
            while target and target not in known:
                target = target.rpartition(".")[0]
            if target and target != name:
                found.add(target)
    return found


@pytest.fixture(scope="module")
def graph() -> dict[str, set[str]]:
    known = modules()
    return {name: imports(name, path, known) for name, path in known.items()}


def room(name: str) -> str:
    first, *rest = name.split(".")
    return f"{first}.{rest[0]}" if rest and f"{first}.{rest[0]}" in MAY_IMPORT else first


def test_rooms_import_only_what_lies_below_them(graph):
    wrong = {
        f"{name} imports {target}"
        for name, targets in graph.items()
        for target in targets
        if room(target) != room(name) and room(target) not in MAY_IMPORT[room(name)]
    }
    assert not wrong


def test_no_module_imports_itself_through_others(graph):
    # a package's own __init__ gathers names of its modules, which may import it for nothing but these
    graphlib.TopologicalSorter(graph).prepare()


def test_no_room_imports_itself_through_others_and_arrows_are_at_most_thirty(graph):
    arrows = {(room(name), room(target)) for name, targets in graph.items() for target in targets}
    arrows = {(a, b) for a, b in arrows if a != b}
    assert len(arrows) <= 30
    graphlib.TopologicalSorter({a: {d for c, d in arrows if c == a} for a, _ in arrows}).prepare()
