"""What a check looks at, and what it finds.

A survey takes the parameters of a plan that are alike together. A plan of a hundred thousand parameters has
few different ones: what a check finds out about one is true of all that share its shape and initializer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from initcfg import initializers
from initcfg.distributions import TruncatedNormal, point
from initcfg.initializers import BuiltIn, Combined, Structured
from initcfg.layout import known_fans
from initcfg.plan.scope import PART, TRUNCATION

if TYPE_CHECKING:
    from collections.abc import Iterable

    from initcfg.distributions import Distribution
    from initcfg.dtypes import DType
    from initcfg.errors import Location
    from initcfg.initializers import Initializer
    from initcfg.initializers.base import Share
    from initcfg.layout import Fans, Layout
    from initcfg.plan import Plan, PlannedParameter
    from initcfg.plan.scope import EvalBudget
    from initcfg.spec import Spec


class Piece(NamedTuple):
    """What one initializer makes: a whole parameter, or a part of a combined one."""

    shares: tuple[Share, ...]  # which part it is, of which part, and so on; empty for a whole parameter
    shape: tuple[int, ...]  # without a dimension of 0
    dtype: DType
    layout: Layout | None
    fans: Fans | None  # None where they are not known
    initializer: Initializer  # not combined of others
    distribution: Distribution | None  # None for a structured or a custom initializer

    @property
    def is_random(self) -> bool:
        """Whether random numbers enter; what custom code does is not known, and does not count."""
        if self.distribution is not None:
            return point(self.distribution) is None
        built = self._built
        return built is not None and hasattr(self.drawn, "seed") and getattr(built, "gain", 1) != 0

    @property
    def drawn(self) -> Initializer:
        """The initializer that draws: of a formula over a draw the one that makes that."""
        of: Initializer | None = getattr(self._built, "of", None)
        return self.initializer if of is None else of

    @property
    def laws(self) -> Iterable[Distribution]:
        """The law of every element, or those that elements of a structured initializer have."""
        if self.distribution is not None:
            return (self.distribution,)
        if self._built is None:
            return ()
        return (law for share, law in self._built.element_laws(self.shape, self.layout) if share)

    @property
    def _built(self) -> Structured | None:
        """The initializer, if it is a structured one that is not called as custom code is."""
        made = self.initializer
        if isinstance(made, Structured) and type(made).__call__ is BuiltIn.__call__:
            return made
        return None

    @property
    def is_vector(self) -> bool:
        """Whether at most one axis is longer than 1: nothing is summed over, and fans mean little."""
        return sum(size > 1 for size in self.shape) < 2

    @property
    def path(self) -> tuple[str, ...]:
        """The labels of the streams that lead from the parameter's to the one that it draws from."""
        return tuple(share.label for share in self.shares if share.label is not None)

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
    alike = (Alike(tuple(_pieces(_whole(group[0]), budget)), tuple(group)) for group in groups.values())
    return Survey(tuple(alike), spec, budget)


def _identity(initializer: Initializer) -> object:
    """What decides its distribution, for a shape: its value if it is one, otherwise the object itself."""
    if isinstance(initializer, BuiltIn):
        with suppress(TypeError):  # a field that cannot be hashed, of a subclass
            hash(initializer)
            return initializer
    return id(initializer)


def _whole(parameter: PlannedParameter) -> Piece:
    return Piece(
        shares=(),
        shape=parameter.shape,
        dtype=parameter.dtype,
        layout=parameter.layout,
        fans=parameter.fans,
        initializer=parameter.initializer,
        distribution=parameter.distribution,
    )


def _pieces(piece: Piece, budget: EvalBudget) -> Iterator[Piece]:
    """The piece, or the parts that it is combined of, without empty ones."""
    made = piece.initializer
    if not isinstance(made, Combined):
        budget.spend(PART + TRUNCATION * isinstance(piece.distribution, TruncatedNormal))
        yield piece
        return
    for part, share in made.parts(piece.shape, piece.layout):
        if math.prod(share.shape):
            yield from _pieces(
                piece._replace(
                    shares=(*piece.shares, share),
                    shape=share.shape,
                    layout=share.layout,
                    fans=known_fans(share.shape, share.layout),
                    initializer=part,
                    distribution=initializers.resolve(part, share.shape, share.layout),
                ),
                budget,
            )


class Complaint(NamedTuple):
    """What is to be said of a piece, after its name and a colon, and the way out."""

    text: str
    hint: str


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
