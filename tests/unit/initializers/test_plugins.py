"""Plugins: what an installed package offers is found by name, and nothing else is ever loaded."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

import jsonschema
import numpy as np
import pytest
from click.testing import CliRunner

import initcfg
from initcfg.cli import main
from initcfg.errors import Code, PluginError
from initcfg.initializers import registry
from initcfg.initializers.registry import GROUP, load_plugins, loaded_plugins
from initcfg.spec.schema import json_schema

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MODULE = """
import numpy as np
from initcfg.initializers import Initializer

class HalfPlugged(Initializer):
    def __call__(self, shape, dtype=None):
        return np.full(shape, 0.5, dtype)

class ScaledPlugged(Initializer):
    def __init__(self, gain: float):
        self.gain = gain

    def __call__(self, shape, dtype=None):
        return np.full(shape, self.gain, dtype)

class FreePlugged(HalfPlugged):
    @classmethod
    def from_config(cls, config):
        return cls()

BOTH = [HalfPlugged]
NUMBER = 7
"""


@pytest.fixture(autouse=True)
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Two distributions on the path, with the metadata that pip would have installed."""
    (tmp_path / "lab_initializers.py").write_text(MODULE, encoding="utf-8")
    points = {
        "lab": {
            "lab": "lab_initializers:HalfPlugged",
            "listed": "lab_initializers:BOTH",
            "number": "lab_initializers:NUMBER",
            "scaled": "lab_initializers:ScaledPlugged",
            "free": "lab_initializers:FreePlugged",
            "gone": "lab_initializers:Gone",
            "twice": "lab_initializers:HalfPlugged",
        },
        "other": {"twice": "lab_initializers:BOTH"},
    }
    for name, offered in points.items():
        info = tmp_path / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n", "utf-8")
        lines = [f"[{GROUP}]", *(f"{key} = {value}" for key, value in offered.items())]
        (info / "entry_points.txt").write_text("\n".join(lines), "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    # What is loaded here is not there for tests after these, and workers of theirs would look for it.
    monkeypatch.setattr(registry, "_LOADED", {})
    yield
    sys.modules.pop("lab_initializers", None)


def test_a_schema_made_with_a_plugin_knows_its_initializers_and_their_arguments() -> None:
    bare, full = json_schema(), json_schema(load_plugins(["scaled"]))
    wrong = [
        spec_of(each)
        for each in ({"scaled_plugged": {"gian": 2.0}}, {"scaled_plugged": {}}, "scaled_plugged")
    ]
    right = [spec_of(each) for each in ({"lab>ScaledPlugged": {"gain": "sqrt(2)"}}, {"unknown": {"a": 1}})]
    assert [is_refused(bare, document) for document in (*wrong, *right)] == [False] * 5
    assert [is_refused(full, document) for document in (*wrong, *right)] == [True] * 3 + [False] * 2
    keras = spec_of({"class_name": "ScaledPlugged", "registered_name": None, "config": {"gain": []}})
    assert (is_refused(bare, keras), is_refused(full, keras)) == (False, True)


def test_a_schema_leaves_open_what_a_plugin_with_its_own_from_config_takes() -> None:
    schema = json_schema(load_plugins(["free"]))
    assert "free_plugged" in schema["$defs"]["initializer_short_form"]["properties"]
    assert not is_refused(schema, spec_of({"free_plugged": {"whatever": [1]}}))


def test_a_schema_without_plugins_is_the_same_after_one_was_loaded() -> None:
    before = json_schema()
    load_plugins(["scaled"])
    assert json_schema() == before


def spec_of(initializer: object) -> dict[str, object]:
    return {"initcfg": 1, "params": {"w": {"shape": [3], "initializer": initializer}}}


def is_refused(schema: dict[str, object], document: object) -> bool:
    return not jsonschema.Draft202012Validator(schema).is_valid(document)


SPEC = {"initcfg": 1, "params": {"w": {"shape": [3], "initializer": "half_plugged"}}}


@pytest.mark.parametrize("name", ["lab", "listed"])
def test_an_initializer_of_a_plugin_is_known_by_name_once_it_is_loaded(name: str) -> None:
    (cls,) = load_plugins([name])
    assert cls.__name__ == "HalfPlugged"
    np.testing.assert_array_equal(initcfg.materialize(initcfg.make_plan(SPEC))["w"], [0.5] * 3)


def test_nothing_is_imported_unless_it_is_asked_for() -> None:
    load_plugins([])
    assert "lab_initializers" not in sys.modules


def test_loading_a_plugin_again_changes_nothing() -> None:
    assert load_plugins(["lab"]) == load_plugins(["lab"])


@pytest.mark.parametrize(
    ("name", "message", "hint"),
    [
        ("labb", "no plugin is named 'labb'", "did you mean 'lab'?"),
        ("number", "which is no initializer class", "subclass of"),
        ("gone", "cannot be loaded: AttributeError", "repair or reinstall"),
        ("twice", "several packages offer a plugin 'twice': lab, other", "uninstall all but one"),
    ],
)
def test_a_plugin_that_cannot_be_used_is_an_error_with_a_way_out(name: str, message: str, hint: str) -> None:
    with pytest.raises(PluginError) as raised:
        load_plugins([name])
    (diagnostic,) = raised.value.diagnostics
    assert diagnostic.code == Code.PLUGIN
    assert message in diagnostic.message
    assert hint in str(diagnostic.hint)


def test_what_is_loaded_is_known_for_processes_that_work_for_this_one() -> None:
    load_plugins(["lab"])
    assert "lab" in loaded_plugins()
    with pytest.raises(PluginError):
        load_plugins(["labb"])
    assert "labb" not in loaded_plugins()


def test_a_single_text_is_one_name() -> None:
    assert load_plugins("lab") == load_plugins(["lab"])


def test_the_command_line_lists_what_a_plugin_adds() -> None:
    def names(*arguments: str) -> list[str]:
        listed = CliRunner().invoke(main, ["initializers", *arguments]).stdout
        # A name is set in by two spaces, and what goes on from the line above by more.
        return [line.split()[0] for line in listed.splitlines() if re.match(r"  \w", line)]

    assert set(names("--plugin", "scaled")) - set(names()) == {"scaled_plugged"}
