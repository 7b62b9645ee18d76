"""Specs as text, planned and looked at."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import pytest

from initcfg.checks import check_plan
from initcfg.plan import plan_of
from initcfg.spec import loads

if TYPE_CHECKING:
    from collections.abc import Callable

    from initcfg.errors import Diagnostic


@pytest.fixture
def warnings() -> Callable[[str], tuple[Diagnostic, ...]]:
    """The warnings about a YAML text; above it the line ``initcfg: 1`` is put."""

    def found(text: str) -> tuple[Diagnostic, ...]:
        spec = loads(f"initcfg: 1\n{textwrap.dedent(text)}")
        return check_plan(plan_of(spec), spec.allow, spec)

    return found
