"""Text for a terminal: tables, and lines fitted to a width."""

from __future__ import annotations

import itertools
import re
import textwrap
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from initcfg.errors import text_width

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# What a cell may be broken into where its column has to be narrow; other cells stay whole.
SEGMENTS = r"(?:\{[^{}]*\}|[^.])+\.*|\.+"
WORDS = r"\S+\s*"
_GAP = "  "


class Column(NamedTuple):
    """A column of a table."""

    heading: str = ""
    parts: str | None = None  # a pattern of what its cells may be broken into: `SEGMENTS` or `WORDS`
    weight: int | None = None  # where width is short the least is left out first, none stays
    easy: int = 22  # how wide a column that takes several lines should be, where there is room
    right: bool = False  # how its cells are aligned
    style: Mapping[str, Any] = MappingProxyType({})  # as `click.style` takes it


def table(
    columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int | None = None
) -> tuple[list[str], list[str]]:
    """Lines of columns that stand apart by two blanks, and the headings of the columns left out.

    Headings make a line where there are any. Where the terminal's `width` is too little, cells take several
    lines and columns are left out, so that no word is broken.
    """
    headings = [column.heading for column in columns]
    above = [headings] if any(headings) else []
    shown, widths = _fitted(columns, [*above, *rows], width)
    lines = []
    for at, row in enumerate([*above, *rows]):
        cells = [_broken(row[rank], columns[rank].parts, widths[rank]) for rank in shown]
        styles = [{"bold": True} if at < len(above) else columns[rank].style for rank in shown]
        for line in itertools.zip_longest(*cells, fillvalue=""):
            padded = [
                _padded(cell, widths[rank], columns[rank].right, style)
                for cell, rank, style in zip(line, shown, styles, strict=True)
            ]
            lines.append(_GAP.join(padded).rstrip())
    return lines, [heading for rank, heading in enumerate(headings) if heading and rank not in shown]


def table_text(
    columns: Sequence[Column], rows: Sequence[Sequence[str]], totals: Sequence[str], width: int | None
) -> str:
    """A table, a blank line, what it comes to, and the columns that the width has no room for."""
    lines, left_out = table(columns, rows, width)
    rest = [click.style(f"not shown at {width} columns: {'; '.join(left_out)}", dim=True)] if left_out else []
    return "\n".join([*lines, "", *totals, *rest])


def _padded(cell: str, width: int, right: bool, style: Mapping[str, Any]) -> str:
    blanks = " " * (width - text_width(cell))
    styled = click.style(cell, **style) if cell and style else cell
    return blanks + styled if right else styled + blanks


def _fitted(
    columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int | None
) -> tuple[list[int], list[int]]:
    """The ranks of the columns that fit a width without a broken word, and how wide each may be."""
    cells = list(zip(*rows, strict=True))
    widths = [max(map(text_width, column)) for column in cells]
    shown = list(range(len(columns)))

    def is_wide(floor: Sequence[int]) -> bool:
        return width is not None and sum(floor[rank] for rank in shown) + len(_GAP) * (len(shown) - 1) > width

    if not is_wide(widths):
        return shown, widths
    longest = [
        natural
        if column.parts is None
        else max(len(part.rstrip()) for cell in own for part in re.findall(column.parts, cell) or [""])
        for column, own, natural in zip(columns, cells, widths, strict=True)
    ]
    least = [
        max(parts, min(natural, column.easy))
        for column, parts, natural in zip(columns, longest, widths, strict=True)
    ]
    for _, rank in sorted((each.weight, rank) for rank, each in enumerate(columns) if each.weight):
        if is_wide(least):
            shown.remove(rank)
    for floor in (least, longest):
        for rank in sorted(shown, key=lambda rank: -widths[rank]):
            while widths[rank] > floor[rank] and is_wide(widths):
                widths[rank] -= 1
    return shown, widths


def _broken(cell: str, parts: str | None, width: int) -> list[str]:
    """A cell in lines that end where one of its parts does."""
    if parts is None or text_width(cell) <= width:
        return [cell]
    lines = [""]
    for part in re.findall(parts, cell):
        if lines[-1] and text_width((lines[-1] + part).rstrip()) > width:
            lines.append("")
        lines[-1] += part
    return [line.rstrip() for line in lines]


def fit(text: str, width: int | None) -> str:
    """Text whose lines are broken between words where they are wider, and go on further in."""
    if width is None:
        return text
    return "\n".join(_fit_line(line, width) for line in text.split("\n"))


def _fit_line(line: str, width: int) -> str:
    bare = click.unstyle(line)
    if text_width(bare) <= width or re.match(r" *[0-9]* \| ", bare):
        return line
    inner = " " * (len(bare) - len(bare.lstrip()) + 4)
    lines = [""]
    for word in re.findall(r" *[^ ]+", line):
        if lines[-1].strip() and text_width(click.unstyle(lines[-1] + word)) > width:
            lines.append(inner + word.lstrip())
        else:
            lines[-1] += word
    return "\n".join(lines)


def reflow(text: str, width: int) -> str:
    """The paragraphs and sections of a docstring filled anew; formulas and examples keep their lines."""
    return "\n\n".join(_reflow_block(block, width) for block in re.split(r"\n\n+", text))


def _reflow_block(block: str, width: int) -> str:
    title, *lines = block.split("\n")
    if title in ("Formula:", "Example:"):
        return block
    entries = [title]
    for line in lines:
        depth, last = (len(each) - len(each.lstrip()) for each in (line, entries[-1]))
        if entries[-1].endswith(":") or (depth == last and depth and title == "Args:"):
            entries.append(line)
        else:
            entries[-1] += f" {line.strip()}"
    inner = "    " if title == "Args:" else ""
    return "\n".join(_fill(entry, width, inner) for entry in entries)


def _fill(entry: str, width: int, inner: str) -> str:
    """One paragraph, whose lines after the first are set in by `inner` more."""
    outer = entry[: len(entry) - len(entry.lstrip())]
    return textwrap.fill(
        entry.strip(),
        width,
        initial_indent=outer,
        subsequent_indent=outer + inner,
        break_long_words=False,
        break_on_hyphens=False,
    )
