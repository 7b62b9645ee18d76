"""The floors: a module imports only from floors below its own, and a folder has no import cycle inside."""

from __future__ import annotations

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = Path(__file__).parents[2] / "initcfg"

# docs/explanation/architecture.md draws this table. A folder counts as one module.
FLOORS = {
    "frozen": 0,
    "process": 0,
    "names": 1,
    "errors": 2,
    "dtypes": 3,
    "exact": 3,
    "explanations": 3,
    "globs": 3,
    "layout": 3,
    "stream": 3,
    "tables": 3,
    "text": 3,
    "distributions": 4,
    "manifest": 4,
    "expressions": 4,
    "engines": 5,
    "formats": 5,
    "initializers": 6,
    "stores": 6,
    "spec": 7,
    "plan": 8,
    "checks": 9,
    "diff": 9,
    "generate": 9,
    "inspection": 10,
    "probe": 10,
    "sharding": 10,
    "capture": 11,
    "verification": 11,
    "adapters": 12,
    "draft": 12,
    "report": 12,
    "api": 13,
    "plot": 13,
    "testing": 14,
    "cli": 14,
}
# The public face names the api's functions lazily, and `python -m initcfg` is the command line.
ABOVE_ALL = {"__init__", "__main__"}


def modules(package: Path) -> dict[str, Path]:
    """Dotted module names below the package, with their files."""
    found = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)
        found[name] = path
    return found


def named_by(node: ast.Import | ast.ImportFrom, known: set[str]) -> list[str]:
    """The dotted names that one import statement loads."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    # `from package import module` imports the module; the package itself only for its other names.
    inner = [f"{node.module}.{alias.name}" for alias in node.names]
    return [name if name.removeprefix("initcfg.") in known else node.module or "" for name in inner]


def imports(path: Path, known: set[str]) -> set[str]:
    """The modules of this package that a file imports anywhere, also inside functions and for typing."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import | ast.ImportFrom):
            assert getattr(node, "level", 0) == 0, f"{path}:{node.lineno}: a relative import"
            names.update(named_by(node, known))
    return {name.removeprefix("initcfg.") for name in names if name.startswith("initcfg.")} & known


def imports_of(package: Path) -> dict[str, set[str]]:
    """What each module imports; without the public face, which may import everything."""
    files = modules(package)
    known = set(files)
    return {name: imports(path, known) for name, path in files.items() if folder(name) not in ABOVE_ALL}


def folder(module: str) -> str:
    """What has a floor: the top-level module or folder that a module belongs to."""
    return module.partition(".")[0]


def breaches(graph: dict[str, set[str]]) -> Iterator[str]:
    """Imports from the same floor or a higher one."""
    for name, targets in graph.items():
        own = folder(name)
        if own not in FLOORS:
            yield f"{own} has no floor"
            continue
        for target in targets:
            other = folder(target)
            if other != own and FLOORS.get(other, 99) >= FLOORS[own]:
                yield f"{name} must not import {target}"


def cycles(graph: dict[str, set[str]]) -> Iterator[str]:
    """A cycle for each folder whose modules import each other in a circle."""
    for own in sorted({folder(name) for name in graph}):
        # A package may import its own name without a cycle: what it means is one of its other names.
        inside = {
            name: {target for target in targets if folder(target) == own} - {name}
            for name, targets in graph.items()
            if folder(name) == own
        }
        try:
            tuple(TopologicalSorter(inside).static_order())
        except CycleError as error:
            yield f"{own} has a cycle: {' -> '.join(error.args[1])}"


def violations(package: Path) -> list[str]:
    """Every breach of the floors, and every cycle inside a folder."""
    graph = imports_of(package)
    return [*breaches(graph), *cycles(graph)]


def test_every_module_imports_only_from_lower_floors() -> None:
    assert violations(PACKAGE) == []


@pytest.mark.parametrize(
    ("files", "breach"),
    [
        (
            {"stream.py": "import initcfg.api", "api.py": ""},
            "stream must not import api",
        ),
        (
            {"stream.py": "from initcfg import layout", "layout.py": ""},
            "stream must not import layout",
        ),
        (
            {"layout.py": "def f():\n    from initcfg.plan.build import g", "plan/build.py": ""},
            "layout must not import plan.build",
        ),
        (
            {"spec/a.py": "import initcfg.spec.b", "spec/b.py": "import initcfg.spec.a"},
            "spec has a cycle: ",
        ),
        (
            {"novel.py": ""},
            "novel has no floor",
        ),
    ],
    ids=["higher floor", "same floor", "inside a function", "cycle in a folder", "no floor"],
)
def test_a_planted_violation_is_found(tmp_path: Path, files: dict[str, str], breach: str) -> None:
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert any(found.startswith(breach) for found in violations(tmp_path))


def test_a_planted_relative_import_is_found(tmp_path: Path) -> None:
    (tmp_path / "stream.py").write_text("from . import errors", encoding="utf-8")
    with pytest.raises(AssertionError, match="a relative import"):
        violations(tmp_path)


def test_no_module_is_longer_than_a_reader_keeps_in_mind() -> None:
    lengths = {
        str(path.relative_to(PACKAGE)): len(path.read_text("utf-8").splitlines())
        for path in PACKAGE.rglob("*.py")
    }
    assert {name: length for name, length in lengths.items() if length > 450} == {}
