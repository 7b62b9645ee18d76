"""A plan as a table: plain aligned columns, or with rules and colours on a terminal."""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING, Literal

from initcfg.cli.columns import aligned
from initcfg.cli.report import Contents
from initcfg.cli.words import count, counted, number, size
from initcfg.distributions import Fill, Normal, TruncatedNormal, Uniform
from initcfg.errors import printable
from initcfg.initializers import Combined, canonical_name, resolve

if TYPE_CHECKING:
    from collections.abc import Sequence

    from initcfg.distributions import Distribution
    from initcfg.initializers import Initializer
    from initcfg.layout import Layout
    from initcfg.plan import Plan, PlannedParameter

HEADINGS = ("name", "shape", "dtype", "initializer", "distribution", "rule", "fan_in, fan_out", "size")
_RIGHT = frozenset({"size"})
_SHOWN_SKIPS = 5
_STYLES = {"name": "bold", "dtype": "dim", "initializer": "cyan", "distribution": "green", "rule": "dim"}


# What may take several lines, at the ends of its words; the others stay whole.
_FOLDED = {"name": re.compile(r"[^.]*\.+|[^.]+"), "distribution": re.compile(r"\S+")}
# Columns that a narrow terminal does without, the first ones first.
_DROPPED = ("fan_in, fan_out", "rule", "dtype", "size", "initializer")
_GAP = 2
# As wide as a column that takes several lines should be, where there is room.
_EASY = 24


def describe(distribution: Distribution | None) -> str:
    """A distribution in a few characters, its numbers to four digits.

    Example:
        >>> from initcfg.distributions import Normal, TruncatedNormal
        >>> describe(Normal(0.0, 0.02)), describe(TruncatedNormal(0.0, 0.5, -1.0, 1.0))
        ('normal(0, 0.02)', 'truncated_normal(0, 0.5) in [-1, 1]')
    """
    match distribution:
        case Fill(value):
            return f"fill({number(value)})"
        case Uniform(low, high):
            return f"uniform({number(low)}, {number(high)})"
        case Normal(mean, std):
            return f"normal({number(mean)}, {number(std)})"
        case TruncatedNormal(mean, std, low, high):
            return f"truncated_normal({number(mean)}, {number(std)}) in [{number(low)}, {number(high)}]"
        case None:
            return "structured"


def law_of(parameter: PlannedParameter) -> str:
    """How a parameter begins, in a few characters: its distribution, or those of its parts."""
    law = _law(parameter.initializer, parameter.shape, parameter.layout)
    return canonical_name(type(parameter.initializer)) if law == "structured" else law


def _law(initializer: Initializer, shape: tuple[int, ...], layout: Layout | None) -> str:
    """The distribution; of a concatenation those of its parts, equal neighbours counted."""
    if not isinstance(initializer, Combined):
        return describe(resolve(initializer, shape, layout))
    parts = [_law(part, each, layout) for part, each in initializer.parts(shape)]
    runs = ((law, len(list(run))) for law, run in itertools.groupby(parts))
    return " | ".join(law if length == 1 else f"{length} x {law}" for law, length in runs)


def _cells(parameter: PlannedParameter) -> tuple[str, ...]:
    fans, initializer = parameter.fans, parameter.initializer
    tied = parameter.tied_to is not None
    cells = (
        parameter.name,
        str(parameter.shape),
        parameter.dtype.name,
        f"= {parameter.tied_to}" if tied else canonical_name(type(initializer)),
        "" if tied else _law(initializer, parameter.shape, parameter.layout),
        parameter.rule or "",
        f"{fans.fan_in}, {fans.fan_out}" if fans else "-",
        "-" if tied else size(parameter.nbytes),
    )
    return tuple(printable(cell) for cell in cells)


def _rows(plan: Plan) -> list[tuple[str, ...]]:
    """The headings and a row for each parameter; without the column of rules where none has won anything."""
    rows = [HEADINGS, *(_cells(parameter) for parameter in plan)]
    if any(parameter.rule for parameter in plan):
        return rows
    at = HEADINGS.index("rule")
    return [(*row[:at], *row[at + 1 :]) for row in rows]


def _totals(plan: Plan) -> str:
    """What the plan holds, and what rules have left out of it."""
    lines = [f"{Contents.of(plan)}, seed {plan.seed}"]
    by_rule = [skipped for skipped in plan.skipped if skipped.rule is not None]
    for skipped in by_rule[:_SHOWN_SKIPS]:
        lines.append(printable(f"{skipped.name} is skipped by the rule {skipped.rule!r}"))
    if len(by_rule) > _SHOWN_SKIPS:
        lines.append(f"and so are {count(len(by_rule) - _SHOWN_SKIPS)} more")
    if buffers := len(plan.skipped) - len(by_rule):
        lines.append(f"{counted(buffers, 'buffer')} left as the model has them")
    return "\n".join(lines)


def plain_table(plan: Plan) -> str:
    """The table as text for a file or a pipe: columns apart by two blanks, none at the end of a line."""
    return "\n".join([*aligned(_rows(plan), _RIGHT), "", _totals(plan)])


def terminal_table(plan: Plan, *, color: bool) -> None:
    """Print the table fitted to a terminal: words stay whole, and the columns left out are named."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(no_color=not color, highlight=False)
    headings, *rows = _rows(plan)
    shown, name_width = _fitted([headings, *rows], console.width)
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", padding=(0, 1, 0, 0), pad_edge=False)
    for heading in shown:
        justify: Literal["left", "right"] = "right" if heading in _RIGHT else "left"
        table.add_column(heading, justify=justify, no_wrap=heading != "distribution", overflow="fold")
    for row in rows:
        cells = dict(zip(headings, row, strict=True))
        cells["name"] = _folded(cells["name"], name_width)
        table.add_row(*(Text(cells[heading], _STYLES.get(heading, "")) for heading in shown))
    console.print(table)
    console.print(Text(_totals(plan)))
    if left_out := [heading for heading in headings if heading not in shown]:
        told = f"not shown at {console.width} columns: {'; '.join(left_out)}"
        console.print(Text(told, "dim"))


def _fitted(rows: Sequence[tuple[str, ...]], width: int) -> tuple[list[str], int]:
    """The headings of the columns that fit a width without a broken word, and how wide names may be."""
    from rich.cells import cell_len

    headings = rows[0]
    natural = {heading: max(map(cell_len, cells)) for heading, *cells in zip(*rows, strict=True)}
    natural = {heading: max(cell_len(heading), length) for heading, length in natural.items()}
    least, longest = dict(natural), dict(natural)
    for heading, word in _FOLDED.items():
        cells = (row[headings.index(heading)] for row in rows)
        longest[heading] = max(cell_len(part) for cell in cells for part in word.findall(cell))
        least[heading] = max(longest[heading], min(natural[heading], _EASY))
    shown = list(headings)
    for heading in _DROPPED:
        if sum(least[each] + _GAP for each in shown) <= width:
            break
        if heading in shown:
            shown.remove(heading)
    rest = width - sum(natural[each] + _GAP for each in shown if each != "name") - _GAP
    return shown, max(longest["name"], min(natural["name"], rest))


def _folded(name: str, width: int) -> str:
    """A name in lines that end after a dot."""
    lines = [""]
    for part in _FOLDED["name"].findall(name):
        if lines[-1] and len(lines[-1]) + len(part) > width:
            lines.append("")
        lines[-1] += part
    return "\n".join(lines)
