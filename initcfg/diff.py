"""What two plans do differently: parameters added, removed, renamed, and what changed about the others."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from initcfg.errors import Code, SpecError
from initcfg.formats.reading import Renames
from initcfg.plan.plan import deciding_facts

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

    from initcfg.formats.reading import RenamesLike
    from initcfg.plan import Plan, PlannedParameter

Aspect = Literal["shape", "dtype", "tied_to", "law", "stream"]
"""What may differ between two parameters of one name. ``law`` is the distribution, or the initializer and
layout of a structured one; ``stream`` is where random numbers come from: it follows from seed and name."""


@dataclass(frozen=True, slots=True)
class Change:
    """One parameter that the two plans do not make alike.

    Args:
        kind: ``added``, ``removed``, ``renamed`` (the values stay) or ``changed`` (they do not).
        old: the parameter in the old plan; None for one that was added.
        new: the parameter in the new plan; None for one that was removed.
        aspects: of a changed one, what differs, in the order of `Aspect`.
    """

    kind: Literal["added", "removed", "renamed", "changed"]
    old: PlannedParameter | None
    new: PlannedParameter | None
    aspects: tuple[Aspect, ...] = ()

    @property
    def name(self) -> str:
        """The full name; of a renamed parameter the new one."""
        parameter = self.new or self.old
        assert parameter is not None  # noqa: S101 - one of the two is always there
        return parameter.name


@dataclass(frozen=True, slots=True)
class PlanDiff:
    """Everything that two plans do differently.

    Args:
        old: the one plan.
        new: the other.
        changes: in the order of the new plan, then what was removed in the order of the old one.
        unchanged: how many parameters have the same name and the same values in both.
    """

    old: Plan
    new: Plan
    changes: tuple[Change, ...]
    unchanged: int

    def __bool__(self) -> bool:
        """Whether there is any difference."""
        return bool(self.changes)

    def of_kind(self, kind: str) -> tuple[Change, ...]:
        """The changes of one kind."""
        return tuple(change for change in self.changes if change.kind == kind)


def diff_plans(old: Plan, new: Plan, rename: RenamesLike = ()) -> PlanDiff:
    """Compares two plans by what decides the values; nothing is made.

    How a spec writes a law down, the order of parameters and the names of vars do not count. A removed and an
    added parameter with the same stream, shape, dtype and law are one that was renamed, as ``stream:`` in a
    spec allows.

    Args:
        old: the plan that was.
        new: the plan that is to be.
        rename: of the old plan's names, as in `initcfg.verify`. Two names that this joins are compared as one
            parameter; it is ``renamed`` where its values stay.

    Raises:
        SpecError: a rename is malformed, fits no name, or two names become one (code ``pattern``).

    Example:
        >>> import initcfg
        >>> def plan(std):
        ...     init = {"random_normal": {"stddev": std}}
        ...     return initcfg.make_plan({"initcfg": 1, "params": {"w": {"shape": [2], "initializer": init}}})
        >>> [(change.name, change.aspects) for change in diff_plans(plan(0.02), plan(0.05)).changes]
        [('w', ('law',))]
    """
    names = Renames.of(rename).of_all((parameter.name for parameter in old), "the old plan")
    known = {names[parameter.name]: parameter for parameter in old}
    renamed = _renamed(known, new)
    left = {parameter.name for parameter in renamed.values()}
    changes: list[Change] = []
    for parameter in new:
        before = known.get(parameter.name)
        if before is not None:
            aspects = _aspects(before, parameter, names)
            if aspects:
                changes.append(Change("changed", before, parameter, aspects))
            elif before.name != parameter.name:
                changes.append(Change("renamed", before, parameter))
        elif parameter.name in renamed:
            changes.append(Change("renamed", renamed[parameter.name], parameter))
        else:
            changes.append(Change("added", None, parameter))
    kept = len(new) - len(changes)
    changes += (
        Change("removed", each, None)
        for name, each in known.items()
        if name not in new and each.name not in left
    )
    return PlanDiff(old, new, tuple(changes), kept)


def _renamed(known: Mapping[str, PlannedParameter], new: Plan) -> dict[str, PlannedParameter]:
    """Those parameters of the old plan that are in the new one under another name, by that name."""
    gone: defaultdict[Hashable, list[PlannedParameter]] = defaultdict(list)
    for name, parameter in known.items():
        if name not in new:
            gone[_identity(parameter)].append(parameter)
    added = ((each.name, _identity(each)) for each in new if each.name not in known)
    return {name: gone[key].pop(0) for name, key in added if gone.get(key)}


def _identity(parameter: PlannedParameter) -> Hashable:
    """What stays the same of a parameter that keeps its values under another name."""
    return (parameter.shape, parameter.dtype, parameter.stream, parameter.tied_to, repr(_law(parameter)))


def _aspects(old: PlannedParameter, new: PlannedParameter, names: Mapping[str, str]) -> tuple[Aspect, ...]:
    """What differs between two parameters of one name."""
    law, law_before = _law(new), _law(old)
    # Another tie brings another law and stream along; to say so would tell one change three times.
    tied = names.get(old.tied_to or "") != new.tied_to
    differing: dict[Aspect, bool] = {
        "shape": old.shape != new.shape,
        "dtype": old.dtype != new.dtype,
        "tied_to": tied,
        "law": law != law_before and not tied,
        "stream": old.stream != new.stream and not tied and "value" not in law and "value" not in law_before,
    }
    return tuple(aspect for aspect, differs in differing.items() if differs)


_NOT_LAW = ("name", "shape", "dtype", "tied_to", "stream")


def _law(parameter: PlannedParameter) -> dict[str, object]:
    """The law of a parameter as plain data, whatever its shape and stream; of code, the code itself."""
    try:
        facts = deciding_facts(parameter)
    except SpecError as error:
        if any(problem.code != Code.NOT_SERIALIZABLE for problem in error.diagnostics):
            raise
        return {"code": parameter.initializer, "layout": parameter.layout}
    return {key: value for key, value in facts.items() if key not in _NOT_LAW}
