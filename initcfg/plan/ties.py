"""Tied parameters: each becomes what its target is, under its own name."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from initcfg.errors import Code, SpecError, did_you_mean
from initcfg.plan.parameters import PlannedParameter, SkippedParameter
from initcfg.plan.templates import Tie

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from initcfg.plan.problems import Problems
    from initcfg.plan.templates import Entry


def untied(
    entries: Mapping[str, Entry], problems: Problems, is_missing: Callable[[str], bool]
) -> Iterator[PlannedParameter]:
    """The parameters among the entries, each tie replaced by what its target is.

    Args:
        entries: by full name.
        problems: takes ties that cannot be.
        is_missing: whether a name that is not among them is surely that of no parameter.
    """
    for entry in entries.values():
        if isinstance(entry, PlannedParameter):
            yield entry
        elif isinstance(entry, Tie) and (entry.target in entries or is_missing(entry.target)):
            try:
                yield _tied(entry, entries, problems)
            except SpecError as error:
                problems.add(error)


def _tied(tie: Tie, entries: Mapping[str, Entry], problems: Problems) -> PlannedParameter:
    """The parameter that a tie makes of its target.

    Raises:
        SpecError: there is no such target, it is tied itself, or has another shape or dtype (code ``tied``).
    """
    target = entries.get(tie.target)
    path = (*tie.path, "tied_to")
    if target is None:
        hint = did_you_mean(tie.target, entries)
        message = f"{tie.name!r} is tied to {tie.target!r}, which is no parameter"
        raise problems.error(Code.TIED, message, path, hint=hint)
    if isinstance(target, SkippedParameter):
        leaver = "no rule reaches" if target.rule is None else f"the rule {target.rule!r} leaves out"
        message = f"{tie.name!r} is tied to {tie.target!r}, which {leaver}"
        hint = f"give {tie.target!r} an initializer, or put a rule that does before that one"
        raise problems.error(Code.TIED, message, path, hint=hint)
    if isinstance(target, Tie):
        message = f"{tie.name!r} is tied to {tie.target!r}, which is tied itself"
        hint = f"tie it to {target.target!r}"
        if target.target in (tie.name, tie.target):
            hint = "in a circle of ties one parameter needs an initializer"
        raise problems.error(Code.TIED, message, path, hint=hint)
    if (target.shape, target.dtype) != (tie.form.shape, tie.form.dtype):
        mine, other = f"{tie.form.shape} {tie.form.dtype}", f"{target.shape} {target.dtype}"
        message = f"{tie.name!r} is {mine} and cannot share the array of {tie.target!r}, which is {other}"
        raise problems.error(Code.TIED, message, path, hint="tied parameters have one shape and one dtype")
    return replace(target, name=tie.name, tied_to=tie.target, where=tie.where)
