"""Texts that users depend on, written down: public names with their signatures, every message of the cases.

``python tests/golden/test_snapshots.py`` writes the files; what changed is then seen in the difference.
"""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import initcfg
from initcfg.errors import InitcfgError

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
FOLDER = Path(__file__).parent
MODULES = ("initcfg", "initcfg.initializers")


def public_api() -> str:
    """One line a public name: its kind and signature, and those of its public methods."""
    return "\n".join(line for module in MODULES for line in _names(module)) + "\n"


def _names(module: str) -> Iterator[str]:
    home = importlib.import_module(module)
    for name in sorted(home.__all__):
        value = getattr(home, name)
        yield f"{module}.{name}{_described(value)}"
        if inspect.isclass(value) and value.__module__.startswith("initcfg"):
            for method, member in sorted(vars(value).items()):
                if not method.startswith(("_", "model_config")):
                    yield f"{module}.{name}.{method}{_described(member)}"


def _described(value: object) -> str:
    function = value.__func__ if isinstance(value, classmethod | staticmethod) else value
    if isinstance(function, property):
        return ": property"
    if not callable(function):
        return f": {type(value).__name__}"
    try:
        parameters = inspect.signature(function).parameters.values()
    except ValueError:
        return "(...)"
    bare = (each.replace(annotation=inspect.Parameter.empty) for each in parameters)
    return str(inspect.Signature(tuple(bare)))


def messages() -> str:
    """What validation says of every case, with the fingerprint of what can be planned."""
    return "\n".join(line for path in _cases() for line in _told(path)) + "\n"


def _cases() -> Iterator[Path]:
    cases = ROOT / "tests" / "cases"
    yield from sorted(path for path in cases.rglob("*") if path.suffix in (".yaml", ".yml", ".json"))


def _told(path: Path) -> Iterator[str]:
    name = path.relative_to(ROOT).as_posix()
    try:
        plan = initcfg.make_plan(path)
        yield f"== {name}: {plan.fingerprint}"
        found = initcfg.find_warnings(path)
    except InitcfgError as error:
        yield f"== {name}"
        found = error.diagnostics
    for diagnostic in found:
        yield str(diagnostic).replace(f"{ROOT.as_posix()}/", "").replace(ROOT.as_posix(), ".")


FILES = {"public_api.txt": public_api, "messages.txt": messages}


@pytest.mark.parametrize("file", FILES)
def test_what_users_depend_on_is_as_it_was_written_down(file: str) -> None:
    written = (FOLDER / file).read_text(encoding="utf-8")
    assert FILES[file]() == written, "changed on purpose? run: python tests/golden/test_snapshots.py"


if __name__ == "__main__":
    for file, text in FILES.items():
        (FOLDER / file).write_text(text(), encoding="utf-8")
