"""What holding weights against laws has found: as values, as plain data and as a table."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from initcfg.errors import printable
from initcfg.names import count, fold, number
from initcfg.tables import SEGMENTS, Column, Row, Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from initcfg.inspection import Histogram
    from initcfg.verification.meant import Meant


@dataclass(frozen=True, slots=True)
class LawRow:
    """One component of a tensor: what was found beside what is meant.

    Args:
        name: of the parameter.
        part: the positions of the component, as an index is written; None for all of the tensor.
        law: in words.
        elements: how many were looked at.
        meant: mean, std, least and greatest value by the law; None where values are fixed.
        found: the same of the elements.
        tests: the logarithms of the bounds of the probabilities that true values look so, by test.
        problem: what differs, or None.
        errors: how many standard errors mean and std are from the law's, for draws that are independent.
        histogram: of the elements, where it was asked for and they have a law.
        pictured: that law; of orthogonal matrices it is near what single elements have.
    """

    name: str
    part: str | None
    law: str
    elements: int
    meant: tuple[float, float, float, float] | None
    found: tuple[float, float, float, float]
    tests: tuple[tuple[str, float], ...] = ()
    problem: str | None = None
    errors: tuple[float, float] | None = None
    histogram: Histogram | None = field(default=None, repr=False, compare=False)
    pictured: Meant | None = field(default=None, repr=False, compare=False)

    def to_dict(self) -> dict[str, Any]:
        """As plain data; numbers that are not finite are None."""

        def four(numbers: tuple[float, float, float, float] | None) -> dict[str, float | None] | None:
            keys = ("mean", "std", "low", "high")
            if numbers is None:
                return None
            return {k: v if math.isfinite(v) else None for k, v in zip(keys, numbers, strict=True)}

        return {
            "name": self.name,
            "part": self.part,
            "law": self.law,
            "elements": self.elements,
            "meant": four(self.meant),
            "found": four(self.found),
            "log_probabilities": {k: v if math.isfinite(v) else None for k, v in self.tests},
            "standard_errors": self.errors and dict(zip(("mean", "std"), self.errors, strict=True)),
            "problem": self.problem,
        }


@dataclass(frozen=True, slots=True)
class LawReport:
    """What holding weights against laws has found.

    Args:
        rows: one for each component, in the plan's order.
        tests: how many tests were made of random values.
        false_alarms: the probability that true weights fail any of them, at most.
        unchecked: the parameters of which nothing could be said, each with the reason.
    """

    rows: tuple[LawRow, ...]
    tests: int
    false_alarms: float
    unchecked: tuple[tuple[str, str], ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """As plain data, fit for JSON."""
        return {
            "tests": self.tests,
            "false_alarms": self.false_alarms,
            "rows": [row.to_dict() for row in self.rows],
            "unchecked": [{"name": name, "reason": reason} for name, reason in self.unchecked],
        }


_COLUMNS = (
    Column("name", SEGMENTS, style={"bold": True}),
    Column("", weight=5, right=True, style={"dim": True}),  # how many copies
    Column("elements", weight=1, right=True),
    Column("mean", weight=4, right=True),
    Column("by law", weight=3, right=True),
    Column("std", right=True),
    Column("by law", right=True),
    Column("ratio", right=True),
    Column("least", weight=2, right=True),
    Column("greatest", weight=2, right=True),
)


def law_table(rows: Sequence[LawRow], *, full: bool = False) -> Table:
    """What was found of tensors beside what is meant; of the copies of a layer the farthest off."""
    kinds = [
        (at if full else (row.part, row.law, row.problem is None), (row.name,)) for at, row in enumerate(rows)
    ]
    shown = [Row(_cells(names[0], [rows[rank] for rank in ranks])) for names, ranks in fold(kinds)]
    has_copies = any(row.cells[1] for row in shown)
    return Table("laws", _COLUMNS, shown, ["of copies the farthest off is shown"] if has_copies else [])


def _cells(name: str, copies: Sequence[LawRow]) -> tuple[str, ...]:
    row = max(copies, key=_distance)
    mean, std, low, high = map(number, row.found)
    if row.found[2] > row.found[3]:  # no element is finite
        low = high = ""
    meant = ("", "", "")
    if row.meant is not None:
        ratio = number(row.found[1] / row.meant[1]) if row.meant[1] else ""
        meant = (number(row.meant[0]), number(row.meant[1]), ratio)
    called = printable(name) + (f"[{row.part}]" if row.part else "")
    copied = f"x{count(len(copies))}" if len(copies) > 1 else ""
    return called, copied, count(row.elements), mean, meant[0], std, *meant[1:], low, high


def _distance(row: LawRow) -> float:
    if row.meant is None or not row.meant[1]:
        return 0.0
    return abs(math.log(max(row.found[1], 1e-300) / row.meant[1]))
