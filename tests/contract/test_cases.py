"""The corpus: every valid spec is planned and written back, every invalid one gives exactly what it says.

A bug report becomes a file here before it becomes a fix. An invalid YAML file says in its first line what
it gives, as ``# expect: unknown-key 3:1``; ``expected.toml`` says it for files without room for a comment.
A case of several files is a folder that holds ``spec.yaml`` or ``spec.json``; a place in another of its files
is written ``unknown-key base.yaml:3:1``.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import initcfg
from initcfg.errors import SpecError
from initcfg.spec import dump_json, dump_yaml, load, loads

if TYPE_CHECKING:
    from initcfg.errors import Location

CASES = Path(__file__).parents[1] / "cases"
CONFIGS = Path(__file__).parents[2] / "configs"
TABLE = tomllib.loads((CASES / "invalid" / "expected.toml").read_text("utf-8"))


def cases(folder: Path) -> list[Path]:
    """The files of a folder, and of each folder in it the spec."""
    files = (min(path.glob("spec.*")) if path.is_dir() else path for path in folder.iterdir())
    return sorted(path for path in files if path.name != "expected.toml")


INVALID = cases(CASES / "invalid")
VALID = sorted([*cases(CASES / "valid"), *CONFIGS.glob("*.yaml")])
SEVERAL_FILES = [path for path in INVALID if path.stem == "spec"]


def name_of(path: Path) -> str:
    return path.parent.name if path.stem == "spec" else path.name


def expected(path: Path) -> list[str]:
    """``code line:column`` of each diagnostic, in the order of the places."""
    if path.name in TABLE:
        return TABLE[path.name].split(", ")
    first = path.read_text("utf-8").partition("\n")[0]
    assert first.startswith("# expect: "), f"{path.name} does not say what it gives"
    return first.removeprefix("# expect: ").split(", ")


def found(error: SpecError, path: Path) -> list[str]:
    """The same of what was raised."""
    return [
        f"{each.code} {place(each.where, path)}" if each.where.line else str(each.code)
        for each in error.diagnostics
    ]


def place(where: Location, path: Path) -> str:
    file = "" if where.file == str(path) else f"{Path(where.file).relative_to(path.parent)}:"
    return f"{file}{where.line}:{where.column}"


@pytest.mark.parametrize("path", INVALID, ids=name_of)
def test_invalid_case_gives_its_code_at_its_place(path):
    with pytest.raises(SpecError) as raised:
        initcfg.make_plan(path)
    assert found(raised.value, path) == expected(path), str(raised.value)


@pytest.mark.parametrize("path", INVALID, ids=name_of)
def test_invalid_case_names_the_file_and_keeps_to_the_form_of_messages(path):
    with pytest.raises(SpecError) as raised:
        initcfg.make_plan(path)
    for diagnostic in raised.value.diagnostics:
        assert diagnostic.where.file == str(path) or path in SEVERAL_FILES
        assert not diagnostic.message.endswith(".")
        assert len(diagnostic.message) < 400
        assert "Traceback" not in str(diagnostic)
        assert "pydantic" not in str(diagnostic).lower()


@pytest.mark.parametrize("path", VALID, ids=name_of)
def test_valid_case_is_planned(path):
    assert initcfg.make_plan(path) is not None


@pytest.mark.parametrize("path", VALID, ids=name_of)
def test_valid_case_is_written_back_unchanged(path):
    spec = load(path)
    file = str(path)
    for again in (loads(dump_yaml(spec), file=file), loads(dump_json(spec), "json", file)):
        assert again == spec
        assert list(again.layers) == list(spec.layers)
        assert dump_yaml(again) == dump_yaml(spec)


def test_corpus_is_large_and_every_entry_of_the_table_has_its_file():
    assert len(INVALID) >= 80
    assert len(VALID) >= 15
    assert len(SEVERAL_FILES) >= 8
    assert set(TABLE) <= {path.name for path in INVALID}
