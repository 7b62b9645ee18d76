"""Specs as text, planned, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from initcfg.errors import Diagnostic, SpecError
from initcfg.plan import Plan, plan_of
from initcfg.spec import loads


@pytest.fixture
def plan() -> Callable[[str], Plan]:
    """The plan of a YAML text, to which ``initcfg: 1`` is added."""
    return lambda text: plan_of(loads(f"initcfg: 1\n{text}"))


@pytest.fixture
def problems() -> Callable[[str], tuple[Diagnostic, ...]]:
    """The diagnostics of a YAML text that cannot be planned; its lines are counted from 1."""

    def found(text: str) -> tuple[Diagnostic, ...]:
        with pytest.raises(SpecError) as caught:
            plan_of(loads(f"{text}\ninitcfg: 1\n"))
        return caught.value.diagnostics

    return found
