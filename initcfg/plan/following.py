"""What needs another parameter, once all are known: ties, fans of others, initializers that follow one."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING, NamedTuple

from initcfg import initializers
from initcfg.errors import Code, Diagnostic, InitializerError, SpecError
from initcfg.layout import resolved_fans
from initcfg.names import NearestNames, did_you_mean
from initcfg.plan.parameters import Borrower, PlannedParameter, SkippedParameter, Tie
from initcfg.plan.problems import BrokenError

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence

    from initcfg.errors import Path
    from initcfg.initializers.derived import Derived
    from initcfg.layout import Fans
    from initcfg.plan.parameters import Entry
    from initcfg.plan.problems import Problems

# A parameter that follows one that follows one ...: each is made again for the one before it.
_MOST_MADE = 1000
_NAMES = "name a parameter of the same layer, or give a full name"
_HINT = "give one of them another initializer"


class Follower(NamedTuple):
    """An initializer that asks for another parameter."""

    name: str  # of the parameter that it initializes
    initializer: Derived
    path: Path  # where the name that it asks for is written


def related(name: str, asked: str, *known: Container[str]) -> str:
    """The full name that `asked` means: of a parameter in the layer of `name`, else as it stands."""
    sibling = f"{name.rpartition('.')[0]}.{asked}"
    return sibling if any(sibling in names for names in known) else asked


def resolve_ties(
    entries: Mapping[str, Entry], problems: Problems, is_missing: Callable[[str], bool]
) -> Iterator[PlannedParameter]:
    """The parameters among the entries, each tie replaced by what its target is."""
    near = NearestNames()
    for entry in entries.values():
        if isinstance(entry, PlannedParameter):
            yield entry
        elif isinstance(entry, Tie) and (entry.target in entries or is_missing(entry.target)):
            try:
                yield _tied(entry, entries, near, problems)
            except SpecError as error:
                problems.add(error)


def _tied(tie: Tie, entries: Mapping[str, Entry], near: NearestNames, problems: Problems) -> PlannedParameter:
    """The parameter that a tie makes of its target."""
    target = entries.get(tie.target)
    assert not isinstance(target, Borrower)  # noqa: S101  planned by now, or no entry any more
    path = (*tie.path, "tied_to")
    if target is None:
        inside = (name for name in entries if name.startswith(f"{tie.target}."))
        hint = near.hint(tie.target, entries) or f"name a parameter, as {next(inside, next(iter(entries)))!r}"
        message = f"{tie.name!r} is tied to {tie.target!r}, which is not a parameter"
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
    if (target.shape, target.dtype) != (tie.shape, tie.dtype):
        mine, other = f"{tie.shape} {tie.dtype}", f"{target.shape} {target.dtype}"
        message = f"{tie.name!r} is {mine} and cannot share the array of {tie.target!r}, which is {other}"
        raise problems.error(Code.TIED, message, path, hint="tied parameters have one shape and one dtype")
    return replace(target, name=tie.name, where=tie.where, tied_to=tie.target)


def lend(
    borrowers: Iterable[Borrower],
    entries: Mapping[str, Entry],
    problems: Problems,
    is_missing: Callable[[str], bool],
) -> Iterator[PlannedParameter]:
    """Plans the parameters that have the fans of others, once all `entries` are known.

    `is_missing` says whether a name that is not among the entries is surely that of no parameter.
    """
    near = NearestNames()
    for each in borrowers:
        lender = related(each.name, each.asked, entries)
        sibling = f"{each.name.rpartition('.')[0]}.{each.asked}".lstrip(".")
        if lender in entries or (is_missing(each.asked) and is_missing(sibling)):
            with problems.collecting():
                yield each.planned(_fans(each, lender, entries, near, problems), lender)


def _fans(
    borrower: Borrower, lender: str, entries: Mapping[str, Entry], near: NearestNames, problems: Problems
) -> Fans:
    """The fans of a parameter by its own shape and layout, or those of the one that it is tied to."""
    found = entries.get(lender)
    start = f"{borrower.name!r} takes the fans of {borrower.asked!r}"
    if found is None:
        hint = near.hint(lender, entries) or _NAMES
        raise problems.error(
            Code.UNKNOWN_PARAMETER, f"{start}, which is not a parameter", borrower.path, hint=hint
        )
    array = entries.get(found.target) if isinstance(found, Tie) else found
    if isinstance(array, SkippedParameter):
        message = f"{start}, which the plan leaves out"
        hint = f"give {array.name!r} an initializer, or write a number instead of the fan"
        raise problems.error(Code.UNKNOWN_PARAMETER, message, borrower.path, hint=hint)
    if array is None or isinstance(array, Tie):
        raise BrokenError
    with problems.placing(borrower.path):
        return resolved_fans(array.shape, array.layout)


def follow(
    followers: Sequence[Follower],
    parameters: Mapping[str, PlannedParameter],
    is_missing: Callable[[str], bool] = lambda _: True,
    left_out: Container[str] = (),
) -> Iterator[tuple[Follower, Diagnostic]]:
    """Gives each follower its source; yields those that have none, or none that suits them.

    `is_missing` is as in `lend`.
    """
    found: list[tuple[Follower, str]] = []
    for each in followers:
        asked = each.initializer.parameter
        name = related(each.name, asked, parameters, left_out)
        start = f"{each.name!r} follows {asked!r}"
        if name in left_out:
            message, hint = f"{start}, which the plan leaves out", f"give {name!r} an initializer"
            yield each, Diagnostic(Code.UNKNOWN_PARAMETER, message, hint=hint)
        elif name in parameters:
            found.append((each, parameters[name].tied_to or name))
        elif is_missing(name):
            hint = did_you_mean(asked, parameters) or _NAMES
            message = f"{start}, which is not a parameter of the plan"
            yield each, Diagnostic(Code.UNKNOWN_PARAMETER, message, hint=hint)
    made = _times_made(found)
    for each, name in found:
        if not 0 < made.get(name, 0) < _MOST_MADE:
            yield each, _circle(each, name) if name not in made else _too_many(each)
            continue
        its = parameters[name]
        each.initializer.follow(name, its.initializer, its.shape, its.dtype, its.layout, its.stream)
    for each, name in found:
        if made.get(name) and each.name in parameters:
            own = parameters[each.name]
            try:
                initializers.check(own.initializer, own.shape, own.dtype, own.layout)
            except InitializerError as error:
                yield each, error.diagnostics[0]


def _times_made(found: list[tuple[Follower, str]]) -> dict[str, int]:
    """How many parameters are made for one of each name; none for those that follow each other."""
    graph: dict[str, list[str]] = {}
    for each, name in found:
        graph.setdefault(each.name, []).append(name)
    sorter = TopologicalSorter(graph)
    made: dict[str, int] = {}
    with suppress(CycleError):
        sorter.prepare()
    while ready := sorter.get_ready():
        for name in ready:
            sorter.done(name)
            made[name] = 1 + sum(made[each] for each in graph.get(name, ()))
    return made


def _circle(follower: Follower, name: str) -> Diagnostic:
    way = "itself" if name == follower.name else f"{name!r}, which follows it in turn"
    message = f"{follower.name!r} follows {way}"
    return Diagnostic(Code.INITIALIZER_CYCLE, message, hint=_HINT)


def _too_many(follower: Follower) -> Diagnostic:
    message = f"{follower.name!r} follows parameters for which over {_MOST_MADE:,} others are made"
    return Diagnostic(Code.TOO_LARGE, message, hint=_HINT)
