"""Which parameters of a plan a call is about, and which of them share one array."""

from __future__ import annotations

from typing import TYPE_CHECKING

from initcfg.errors import Code, Diagnostic, UnknownParameterError, did_you_mean
from initcfg.globs import Glob

if TYPE_CHECKING:
    from initcfg.plan import Plan, PlannedParameter

__all__ = ["owner", "selected"]


def selected(plan: Plan, select: str | None) -> list[PlannedParameter]:
    """The parameters whose names match a glob, in the plan's order; all of them for None.

    Raises:
        SpecError: the glob is malformed (code ``pattern``).
        UnknownParameterError: it matches nothing (code ``unknown-parameter``).
        TypeError: it is no text.
    """
    if select is None:
        return list(plan)
    if not isinstance(select, str):
        raise TypeError(f"select is a glob, such as 'h.*.weight', not {select!r}")
    glob = Glob(select)
    found = [parameter for parameter in plan if glob.matches(parameter.name)]
    if found:
        return found
    names = [parameter.name for parameter in plan]
    hint = did_you_mean(select, names) or _names(names)
    raise UnknownParameterError(
        Diagnostic(Code.UNKNOWN_PARAMETER, f"{select!r} matches no parameter", hint=hint)
    )


def _names(names: list[str]) -> str:
    shown = ", ".join(map(repr, names[:3]))
    return (
        f"the plan has {len(names):,} parameters, such as {shown}" if names else "the plan has no parameters"
    )


def owner(plan: Plan, parameter: PlannedParameter) -> PlannedParameter:
    """The parameter whose array this one is: itself, or the one that it is tied to."""
    return parameter if parameter.tied_to is None else plan[parameter.tied_to]
