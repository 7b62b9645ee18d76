"""Docstrings: every public name has one, and every example in them gives what it says."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil
from pathlib import Path

import pytest

import initcfg

# An adapter's framework is not installed here; tests/interop/test_adapters.py runs their examples.
MODULES = sorted(
    found.name
    for found in pkgutil.walk_packages(initcfg.__path__, "initcfg.")
    if not found.name.endswith("__main__") and not found.name.startswith("initcfg.adapters.")
)
ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", ["initcfg", *MODULES])
def test_examples_give_what_they_say(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    results = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert results.failed == 0


def test_examples_are_found_at_all() -> None:
    finder = doctest.DocTestFinder(exclude_empty=True)
    tests = [test for name in MODULES for test in finder.find(importlib.import_module(name))]
    assert sum(len(test.examples) for test in tests) > 60


@pytest.mark.parametrize("name", MODULES)
def test_every_module_says_what_it_is_for(name: str) -> None:
    documentation = importlib.import_module(name).__doc__
    assert documentation
    assert documentation.splitlines()[0].endswith((".", ":"))


@pytest.mark.parametrize("name", MODULES)
def test_every_public_name_is_documented(name: str) -> None:
    module = importlib.import_module(name)
    for public, value in vars(module).items():
        if (inspect.isclass(value) or inspect.isfunction(value)) and value.__module__ == name:
            assert public.startswith("_") or inspect.getdoc(value), f"{name}.{public}"


def test_a_wrong_example_is_found() -> None:
    parser, runner = doctest.DocTestParser(), doctest.DocTestRunner(verbose=False)
    runner.run(parser.get_doctest(">>> 1 + 1\n3\n", {}, "planted", None, 0), out=lambda _: None)
    assert runner.failures == 1
