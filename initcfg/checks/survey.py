"""What a check looks at, and what it finds.

A survey takes the parameters of a plan that are alike together. A plan of a hundred thousand parameters has
few different ones: what a check finds out about one is true of all that share its shape and initializer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from initcfg.distributions import TruncatedNormal
from initcfg.errors import InitializerError
from initcfg.initializers import BuiltIn
from initcfg.initializers.components import Component
from initcfg.layout import known_fans
from initcfg.plan.scope import PART, TRUNCATION

if TYPE_CHECKING:
    from typing import Any

    import numpy as np

    from initcfg.distributions import Distribution
    from initcfg.dtypes import DType
    from initcfg.errors import Location
    from initcfg.initializers import Initializer
    from initcfg.layout import Fans
    from initcfg.plan import Plan, PlannedParameter
    from initcfg.plan.scope import EvalBudget
    from initcfg.spec import Spec

    Array = np.ndarray[Any, Any]

# Values of a formula that are looked at.
_POINTS = 1 << 12


@dataclass(frozen=True)
class Piece(Component):
    """A component of a parameter as a check looks at it: none has a dimension of 0."""

    dtype: DType
    fans: Fans | None  # None where they are not known

    @property
    def laws(self) -> Iterator[Distribution]:
        """The law of every element, or those that elements of a structured initializer have."""
        return (law for share, law in self.mixture if share)

    @property
    def points(self) -> tuple[Array, Array] | None:
        """Values of a formula and their weights, which add up to 1; None where it is none, or has none."""
        if self.formula is None:
            return None
        with suppress(InitializerError):  # what planning did not see; making the array tells it
            values, weights = self.formula.points(self.shape, self.layout, _POINTS)
            return values, weights + 0 * values
        return None

    @property
    def formula_std(self) -> float | None:
        """The standard deviation of a formula's values; None where it is none, or has none."""
        if self.points is None:
            return None
        values, weights = self.points
        mean = (values * weights).sum()
        return float(((values - mean) ** 2 * weights).sum() ** 0.5)

    @property
    def is_vector(self) -> bool:
        """Whether at most one axis is longer than 1: nothing is summed over, and fans mean little."""
        return sum(size > 1 for size in self.shape) < 2

    def name_in(self, parameter: PlannedParameter) -> str:
        """How messages call it: the parameter's name, or which part of that parameter it is."""
        if not self.path:
            return repr(parameter.name)
        return f"part {'.'.join(self.path)} of {parameter.name!r}"


class Alike(NamedTuple):
    """Parameters that differ in name, place and stream only, and what they consist of."""

    pieces: tuple[Piece, ...]
    members: tuple[PlannedParameter, ...]


class Survey(NamedTuple):
    """A plan as the checks see it."""

    groups: tuple[Alike, ...]  # Without empty parameters and tied ones, whose array is that of their target.
    spec: Spec | None  # what the plan was made from; None where that is not at hand
    # Pays for what the checks compute: a plan that was read from a file may hold more than any spec.
    budget: EvalBudget


def survey(plan: Plan, spec: Spec | None, budget: EvalBudget) -> Survey:
    """What the checks look at, in one pass over the plan; a `SpentError` where that takes too many steps."""
    identities: dict[int, object] = {}
    groups: dict[tuple[object, ...], list[PlannedParameter]] = {}
    for each in plan:
        if each.tied_to is None and 0 not in each.shape:
            made = each.initializer
            if id(made) not in identities:
                identities[id(made)] = _identity(made)
            shared = (identities[id(made)], each.shape, each.dtype.name, each.layout)
            groups.setdefault(shared, []).append(each)
    alike = (Alike(tuple(_pieces(group[0], budget)), tuple(group)) for group in groups.values())
    return Survey(tuple(alike), spec, budget)


def _identity(initializer: Initializer) -> object:
    """What decides its distribution, for a shape: its value if it is one, otherwise the object itself."""
    if isinstance(initializer, BuiltIn):
        with suppress(TypeError):  # a field that cannot be hashed, of a subclass
            hash(initializer)
            return initializer
    return id(initializer)


def _pieces(parameter: PlannedParameter, budget: EvalBudget) -> Iterator[Piece]:
    """The parameter, or the parts that it is combined of, without empty ones."""
    for each in parameter.components:
        if math.prod(each.shape):
            budget.spend(PART + TRUNCATION * isinstance(each.distribution, TruncatedNormal))
            fans = known_fans(each.shape, each.layout) if each.shares else parameter.fans
            facts = (each.shares, each.shape, each.layout, each.initializer, each.distribution)
            yield Piece(*facts, parameter.dtype, fans)


#: What is to be said of a piece, after its name and a colon, and the way out.
Complaint: TypeAlias = tuple[str, str]


class Finding(NamedTuple):
    """A complaint about a piece, and the parameters that have it; its numbers are those of the first."""

    piece: Piece
    members: tuple[PlannedParameter, ...]
    complaint: Complaint
    where: Location | None = None  # if it is not where the parameters are defined


Check: TypeAlias = Callable[[Survey], Iterator[Finding]]


def for_each_piece(judge: Callable[[Piece], Complaint | None]) -> Check:
    """The check that asks `judge` about one piece of each kind; most need to know no more."""

    def check(looked_at: Survey) -> Iterator[Finding]:
        for group in looked_at.groups:
            for piece in group.pieces:
                complaint = judge(piece)
                if complaint is not None:
                    yield Finding(piece, group.members, complaint)

    return check
