"""The floors: a module imports only from floors below its own, and a folder has no import cycle inside."""

from __future__ import annotations

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "initcfg"

# docs/explanation/architecture.md draws this table. A folder counts as one module.
FLOORS = {
    "errors": 0,
    "dtypes": 1,
    "exact": 1,
    "explanations": 1,
    "globs": 1,
    "layout": 1,
    "stream": 1,
    "distributions": 2,
    "formats": 2,
    "engines": 3,
    "initializers": 4,
    "spec": 5,
    "plan": 6,
    "generate": 7,
    "api": 10,
    "cli": 11,
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


def imports(path: Path, known: set[str]) -> set[str]:
    """The modules of this package that a file imports anywhere, also inside functions and for typing."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import"
            # `from package import module` imports the module; the package itself only for its other names.
            inner = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [name if name.removeprefix("initcfg.") in known else node.module or "" for name in inner]
        else:
            continue
        for name in names:
            inner = name.removeprefix("initcfg.")
            if name.startswith("initcfg.") and inner in known:
                found.add(inner)
    return found


def violations(package: Path) -> list[str]:
    """Every breach of the floors, and every cycle inside a folder."""
    files = modules(package)
    known = set(files)
    breaches = []
    inside: dict[str, dict[str, set[str]]] = {}
    for name, path in files.items():
        top = name.split(".")[0]
        if top in ABOVE_ALL:
            continue
        if top not in FLOORS:
            breaches.append(f"{top} has no floor")
            continue
        for target in imports(path, known):
            other = target.split(".")[0]
            if other == top:
                inside.setdefault(top, {}).setdefault(name, set()).add(target)
            elif FLOORS.get(other, 99) >= FLOORS[top]:
                breaches.append(f"{name} must not import {target}")
    for folder, graph in inside.items():
        # Importing a name from the folder's own __init__ would hide a cycle behind it.
        graph = {name: targets - {name} for name, targets in graph.items()}
        try:
            tuple(TopologicalSorter(graph).static_order())
        except CycleError as error:
            breaches.append(f"{folder} has a cycle: {' -> '.join(error.args[1])}")
    return breaches


def test_every_module_imports_only_from_lower_floors() -> None:
    assert violations(PACKAGE) == []


@pytest.mark.parametrize(
    ("files", "breach"),
    [
        ({"stream.py": "import initcfg.api", "api.py": ""}, "stream must not import api"),
        ({"stream.py": "from initcfg import layout", "layout.py": ""}, "stream must not import layout"),
        ({"layout.py": "def f():\n    from initcfg.plan.build import g", "plan/build.py": ""}, "layout must not import plan.build"),
        ({"spec/a.py": "import initcfg.spec.b", "spec/b.py": "import initcfg.spec.a"}, "spec has a cycle: "),
        ({"novel.py": ""}, "novel has no floor"),
    ],
)  # fmt: skip
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
