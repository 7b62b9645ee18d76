"""What .ci/matrix.py runs follows from pyproject.toml, and its exit status hides nothing."""

from __future__ import annotations

import ast
import importlib.util
import os
import re
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
# What the modules of a distribution are called, where it is not what it is called itself.
MODULES = {"PyYAML": {"yaml"}, "pydantic": {"pydantic", "pydantic_core"}}


def _loaded() -> Any:
    spec = importlib.util.spec_from_file_location("matrix", ROOT / ".ci" / "matrix.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["matrix"] = module
    spec.loader.exec_module(module)
    return module


matrix = _loaded()


def test_the_lowest_python_runs_with_the_oldest_pins_and_each_with_the_newest() -> None:
    oldest, *newest = matrix.runs(PROJECT)
    lowest = PROJECT["project"]["requires-python"].removeprefix(">=")
    assert (oldest.python, newest[0].python) == (lowest, lowest)
    assert not any(run.constraints for run in newest)
    for requirement in PROJECT["project"]["dependencies"]:
        assert requirement.replace(">=", "==") in oldest.constraints


@pytest.mark.parametrize("requirement", ["numpy", "numpy<3", "numpy==2.0"])
def test_a_requirement_without_a_least_version_is_refused(requirement: str) -> None:
    with pytest.raises(ValueError, match=f"write {requirement!r} with the least version that works"):
        matrix.oldest(["click>=8.2", requirement])


@pytest.mark.parametrize(
    ("outcomes", "status"),
    [
        (["passed in 1 s"], 0),
        (["passed in 1 s", "missing: no Python 3.14 was found"], 3),
        (["missing: no Python 3.14 was found", "FAILED in 1 s"], 1),
    ],
)
def test_the_exit_status_is_the_worst_outcome(outcomes: list[str], status: int) -> None:
    assert matrix.exit_status(outcomes) == status


@pytest.mark.skipif(os.name == "nt", reason="the shim is a script of a Unix shell")
def test_a_shim_that_runs_nothing_is_no_interpreter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shim = tmp_path / "python3.99"
    shim.write_text("#!/bin/sh\necho 'pyenv: python3.99: command not found' >&2\nexit 127\n", "utf-8")
    shim.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    assert matrix.find_python("3.99") is None
    assert matrix.find_python("{}.{}".format(*sys.version_info)) == sys.executable


def test_the_package_imports_what_it_declares_and_nothing_else() -> None:
    def modules(requirements: list[str]) -> dict[str, set[str]]:
        names = [re.split(r"[^\w.-]", requirement)[0] for requirement in requirements]
        return {name: MODULES.get(name, {name}) for name in names}

    nodes = [
        node
        for path in (ROOT / "initcfg").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
    ]
    named = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    named |= {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
    imported = {name.split(".")[0] for name in named}
    core = modules(PROJECT["project"]["dependencies"])
    assert not {name for name, found in core.items() if not found & imported}, "only tests import them"
    extras = [modules(extra) for extra in PROJECT["project"]["optional-dependencies"].values()]
    declared = set().union(*(found for group in [core, *extras] for found in group.values()))
    # _typeshed is there for type checkers only, and only pytest loads its plugin.
    assert imported - declared - set(sys.stdlib_module_names) == {"initcfg", "_typeshed", "pytest"}
