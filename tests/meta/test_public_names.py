"""The public face: what `initcfg` promises is there, resolves, and costs nothing until it is used."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

import initcfg

HEAVY = ["jax", "jsonschema", "keras", "numpy", "pydantic", "ray", "rich", "torch", "yaml"]


def test_every_promised_name_resolves() -> None:
    for name in initcfg.__all__:
        assert getattr(initcfg, name) is not None


def test_all_lists_exactly_the_lazy_names() -> None:
    assert sorted(initcfg.__all__) == sorted([*initcfg._HOMES, "initializers"])


def test_dir_shows_the_promised_names() -> None:
    assert set(initcfg.__all__) <= set(dir(initcfg))


def test_a_missing_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        initcfg.no_such_name  # noqa: B018


def loaded_after(statement: str) -> list[str]:
    """The heavy modules that a fresh interpreter has loaded after a statement."""
    code = f"import json, sys\n{statement}\nprint(json.dumps(list(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    modules = json.loads(done.stdout)
    return [name for name in HEAVY if name in modules]


def test_importing_the_package_loads_nothing_heavy() -> None:
    assert loaded_after("import initcfg") == []


def test_making_weights_loads_no_framework_and_no_renderer() -> None:
    spec = {"initcfg": 1, "params": {"w": {"shape": [2], "initializer": "zeros"}}}
    assert loaded_after(f"import initcfg; initcfg.materialize({spec!r})") == ["numpy", "pydantic", "yaml"]


def test_the_check_sees_what_is_loaded() -> None:
    assert loaded_after("import numpy") == ["numpy"]
