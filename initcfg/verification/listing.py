"""What holding weights against laws has found, as a table."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from initcfg.errors import printable
from initcfg.names import fold
from initcfg.tables import SEGMENTS, Column, Row, Table
from initcfg.wording import count, number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from initcfg.verification.laws import LawRow

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
