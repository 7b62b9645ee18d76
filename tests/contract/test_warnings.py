"""The corpus of warnings: every file says in its first line what `check_plan` tells about it, and no more.

``# expect: random-bias 4:3, vector-scaling 5:3`` in the order of the places. The specs of ``configs/`` give
none.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import initcfg
from initcfg.checks import CHECKS, check_plan
from initcfg.errors import WARNINGS, Code
from initcfg.spec import load

if TYPE_CHECKING:
    from initcfg.errors import Diagnostic

TESTS = Path(__file__).parents[1]
CASES = sorted((TESTS / "cases" / "warnings").iterdir())
CONFIGS = sorted((TESTS.parent / "configs").glob("*.yaml"))


def warnings_of(path: Path) -> tuple[Diagnostic, ...]:
    spec = load(path)
    return check_plan(initcfg.make_plan(path), spec.allow, spec)


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.name)
def test_a_case_gives_the_warnings_that_it_says_and_no_others(path: Path) -> None:
    first = path.read_text("utf-8").partition("\n")[0]
    found = [f"{each.code} {each.where.line}:{each.where.column}" for each in warnings_of(path)]
    assert f"# expect: {', '.join(found)}" == first


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.name)
def test_a_warning_keeps_to_the_form_of_messages(path: Path) -> None:
    for warning in warnings_of(path):
        assert warning.severity == "warning"
        assert warning.code in WARNINGS
        assert warning.where.file == str(path)
        assert warning.hint
        assert not warning.message.endswith(".")
        assert len(warning.message) < 400


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_a_published_spec_gives_no_warning(path: Path) -> None:
    assert [str(each) for each in warnings_of(path)] == []


def test_every_warning_has_a_case() -> None:
    found = {each.code for path in CASES for each in warnings_of(path)}
    assert found == WARNINGS


def test_every_warning_is_in_the_table_of_the_page() -> None:
    page = (TESTS.parent / "docs/explanation/warnings.md").read_text("utf-8")
    assert sorted(re.findall(r"^\| `([a-z-]+)` \|", page, re.MULTILINE)) == sorted(WARNINGS)


def test_every_warning_has_a_check() -> None:
    assert CHECKS.keys() | {Code.NO_ELEMENTS, Code.UNUSED_ALLOW} == WARNINGS
