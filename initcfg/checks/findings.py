"""What a check finds, before it is grouped, allowed and placed; and the form that a check has."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from initcfg.checks.survey import Piece, Survey

if TYPE_CHECKING:
    from initcfg.errors import Location
    from initcfg.plan import PlannedParameter

__all__ = ["Check", "Complaint", "Finding", "for_each_piece"]


class Complaint(NamedTuple):
    """What is to be said of a piece, after its name and a colon.

    Args:
        text: what is unusual, with its numbers.
        hint: the way out.
    """

    text: str
    hint: str


class Finding(NamedTuple):
    """A complaint, and the parameters that it is about.

    Args:
        piece: of each of the parameters.
        members: at least one, in the plan's order.
        complaint: true of all of them; its numbers are those of the first.
        where: the place, if it is not where the parameters are defined.
    """

    piece: Piece
    members: tuple[PlannedParameter, ...]
    complaint: Complaint
    where: Location | None = None


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
