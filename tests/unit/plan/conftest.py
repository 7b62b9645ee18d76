"""Specs as text, planned, and what is wrong with them."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import pytest

from initcfg.errors import SpecError
from initcfg.plan import plan_of
from initcfg.spec import loads

if TYPE_CHECKING:
    from collections.abc import Callable

    from initcfg.errors import Diagnostic
    from initcfg.plan import Plan


def flush(text: str) -> str:
    """An indented text as it reads at the margin, from the line after its opening quotes."""
    return textwrap.dedent(text).removeprefix("\n")


@pytest.fixture
def plan() -> Callable[[str], Plan]:
    """The plan of a YAML text, above which the line ``initcfg: 1`` is put."""
    return lambda text: plan_of(loads(f"initcfg: 1\n{flush(text)}"))


@pytest.fixture
def problems() -> Callable[[str], tuple[Diagnostic, ...]]:
    """The diagnostics of a YAML text that cannot be planned; its own first line is line 1."""

    def found(text: str) -> tuple[Diagnostic, ...]:
        with pytest.raises(SpecError) as caught:
            plan_of(loads(f"{flush(text)}\ninitcfg: 1\n"))
        return caught.value.diagnostics

    return found
