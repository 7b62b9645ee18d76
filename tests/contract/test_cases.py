"""The corpus: every valid spec is planned and written back, every invalid one gives exactly what it says.

A bug report becomes a file here before it becomes a fix. An invalid YAML file says in its first line what
it gives, as ``# expect: unknown-key 3:1``; ``expected.toml`` says it for files without room for a comment.
"""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

import initcfg
from initcfg.errors import SpecError
from initcfg.spec import dump_json, dump_yaml, load, loads

CASES = Path(__file__).parents[1] / "cases"
CONFIGS = Path(__file__).parents[2] / "configs"
TABLE = tomllib.loads((CASES / "invalid" / "expected.toml").read_text("utf-8"))
INVALID = sorted(path for path in (CASES / "invalid").iterdir() if path.name != "expected.toml")
VALID = sorted([*(CASES / "valid").iterdir(), *CONFIGS.glob("*.yaml")])


def expected(path: Path) -> list[str]:
    """``code line:column`` of each diagnostic, in the order of the places."""
    if path.name in TABLE:
        return TABLE[path.name].split(", ")
    first = path.read_text("utf-8").partition("\n")[0]
    assert first.startswith("# expect: "), f"{path.name} does not say what it gives"
    return first.removeprefix("# expect: ").split(", ")


def found(error: SpecError) -> list[str]:
    """The same of what was raised."""
    return [
        f"{each.code} {each.where.line}:{each.where.column}" if each.where.line else str(each.code)
        for each in error.diagnostics
    ]


@pytest.mark.parametrize("path", INVALID, ids=lambda path: path.name)
def test_invalid_case_gives_its_code_at_its_place(path):
    with pytest.raises(SpecError) as raised:
        initcfg.make_plan(path)
    assert found(raised.value) == expected(path), str(raised.value)


@pytest.mark.parametrize("path", INVALID, ids=lambda path: path.name)
def test_invalid_case_names_the_file_and_keeps_to_the_form_of_messages(path):
    with pytest.raises(SpecError) as raised:
        initcfg.make_plan(path)
    for diagnostic in raised.value.diagnostics:
        assert diagnostic.where.file == str(path)
        assert not diagnostic.message.endswith(".")
        assert len(diagnostic.message) < 400
        assert "Traceback" not in str(diagnostic)
        assert "pydantic" not in str(diagnostic).lower()


@pytest.mark.parametrize("path", VALID, ids=lambda path: path.name)
def test_valid_case_is_planned(path):
    assert initcfg.make_plan(path) is not None


@pytest.mark.parametrize("path", VALID, ids=lambda path: path.name)
def test_valid_case_is_written_back_unchanged(path):
    spec = load(path)
    for again in (loads(dump_yaml(spec)), loads(dump_json(spec), "json")):
        assert again == spec
        assert list(again.layers) == list(spec.layers)
        assert dump_yaml(again) == dump_yaml(spec)


def test_corpus_is_large_and_every_entry_of_the_table_has_its_file():
    assert len(INVALID) >= 80
    assert len(VALID) >= 15
    assert set(TABLE) <= {path.name for path in INVALID}
