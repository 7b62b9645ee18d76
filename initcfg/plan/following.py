"""Initializers that follow another parameter, told what that is once all parameters are known."""

from __future__ import annotations

from contextlib import suppress
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING, NamedTuple

from initcfg import initializers
from initcfg.errors import Code, Diagnostic, InitializerError
from initcfg.names import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from initcfg.initializers.derived import Derived
    from initcfg.plan.parameters import PlannedParameter
    from initcfg.plan.problems import Path

# A parameter that follows one that follows one ...: each is made again for the one before it.
_MOST_MADE = 1000
_HINT = "let one of them begin in another way"


class Follower(NamedTuple):
    """An initializer that asks for another parameter.

    Args:
        name: the full name of the parameter that it initializes.
        initializer: it.
        path: where the name that it asks for is written.
    """

    name: str
    initializer: Derived
    path: Path


def related(name: str, asked: str, known: Mapping[str, object]) -> str:
    """The full name that `asked` means: of a parameter in the layer of `name`, else as it stands.

    Example:
        >>> related("h.0.bias", "weight", {"h.0.weight": 1}), related("h.0.bias", "weight", {})
        ('h.0.weight', 'weight')
    """
    sibling = f"{name.rpartition('.')[0]}.{asked}"
    return sibling if sibling in known else asked


def follow(
    followers: Sequence[Follower],
    parameters: Mapping[str, PlannedParameter],
    is_missing: Callable[[str], bool] = lambda _: True,
) -> Iterator[tuple[Follower, Diagnostic]]:
    """Give each follower its source; yields those that have none, or none that suits them.

    Args:
        followers: in the order of their parameters.
        parameters: all of the plan, by full name.
        is_missing: whether a name that is not among them is surely that of no parameter.
    """
    found: list[tuple[Follower, str]] = []
    for each in followers:
        asked = each.initializer.parameter
        name = related(each.name, asked, parameters)
        if name in parameters:
            found.append((each, parameters[name].tied_to or name))
        elif is_missing(name):
            message = f"{each.name!r} follows {asked!r}, which is no parameter of the plan"
            yield each, Diagnostic(Code.UNKNOWN_PARAMETER, message, hint=did_you_mean(asked, parameters))
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
