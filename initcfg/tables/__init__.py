"""Tables for people: fitted to a terminal, as Markdown and CSV, and as HTML for a notebook or a browser."""

from __future__ import annotations

import csv
import io
import itertools
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar

from initcfg.errors import printable, text_width
from initcfg.process import load

# What a cell may be broken into where its column has to be narrow; other cells stay whole.
# Segments of a name; many indices in braces may part after a comma.
SEGMENTS = r"\{(?=[^{}]{60})[^{},]*,|\d+(?:\.\.\d+)?(?:,|\}\.*)|(?:\{[^{}]*\}|[^.])+\.*|\.+"
WORDS = r"\S+\s*"
LAWS = r"(?:[^\s.]|\.(?![A-Za-z_{]))+(?:\.|\s+)?|\.|\s+"  # words, of names their segments
_GAP = "  "

_T = TypeVar("_T")

#: Gives a text a style, as `click.style` does.
Paint = Callable[..., str]

# How lines of one kind are coloured where a column has no style of its own.
_KINDS: Mapping[str, Mapping[str, Any]] = {
    "random": {"fg": "green"},
    "constant": {"fg": "blue"},
    "table": {"fg": "magenta"},
    "code": {"fg": "red"},
    "tied": {"dim": True},
    "problem": {"fg": "red"},
    "added": {"fg": "green"},
    "removed": {"fg": "red"},
    "changed": {"fg": "yellow"},
}


class Column(NamedTuple):
    """A column of a table; it is left out where no row has anything in it."""

    heading: str = ""
    parts: str | None = None  # a pattern of what its cells may be broken into, as those above
    weight: int | None = None  # where width is short the least is left out first, none stays
    easy: int = 22  # how wide a column that takes several lines should be, where there is room
    right: bool = False  # how its cells are aligned
    #: As `click.style` takes it; None: by the row's kind.
    style: Mapping[str, Any] | None = MappingProxyType({})


class Curve(NamedTuple):
    """A small picture of a law."""

    told: str  # for those who cannot see it
    heights: tuple[float, ...]


class Row(NamedTuple):
    """A row of a table."""

    cells: tuple[str, ...]  # one for each column
    kind: str = ""  # decides its colour
    members: tuple[str, ...] = ()  # the names of what shares it, where these are several
    curve: Curve | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under headings, and what they come to; no cell holds what could steer a terminal.

    Args:
        title: in a few words what it is of.
        columns: those that it may have. The first one names the rows.
        rows: with a cell for each column.
        notes: lines below it.

    Example:
        >>> names = Column("name", SEGMENTS)
        >>> rows = [Row(("encoder.h.{0..5}.w", "(8, 8)")), Row(("encoder.h.{0..5}.b", "(8,)"))]
        >>> table = Table("a plan", (names, Column("shape")), rows, ["2 parameters"])
        >>> print(table.text(24))
        name  shape
        encoder.h.{0..5}.
          w   (8, 8)
          b   (8,)
        <BLANKLINE>
        2 parameters
    """

    title: str
    columns: Sequence[Column]
    rows: Sequence[Row]
    notes: Sequence[str] = ()

    def text(self, width: int | None = None, paint: Paint | None = None) -> str:
        """The table, a blank line, the notes, and the columns that the width has no room for.

        Where names are longer than there is room for, neighbours of one layer stand under its name. Where
        that is too little cells take several lines and columns are left out, so that no word is broken.
        """
        paint = paint or _plain
        lines, left_out = self.lines(width, paint)
        told = f"not shown at {width} columns: {'; '.join(left_out)}"
        rest = [paint(told, dim=True)] if left_out else []
        notes = [*self.notes, *rest]
        return "\n".join([*lines, *([""] if lines and notes else []), *notes])

    def lines(self, width: int | None = None, paint: Paint | None = None) -> tuple[list[str], list[str]]:
        """The lines without the notes, and the headings of the columns left out."""
        columns, rows = self._filled()
        headings = tuple(column.heading for column in columns)
        heads = [Row(headings, "heading")] if any(headings) else []
        layout = _fitted(columns, [*heads, *rows], width)
        if columns and columns[0].parts == SEGMENTS and layout.widths[0] < layout.natural:
            rows = _under_layers(rows)
            layout = _fitted(columns, [*heads, *rows], width)
        lines = [
            line
            for row in [*heads, *rows]
            for line in _lines_of(row, columns, layout, width, paint or _plain)
        ]
        shown = set(layout.shown)
        return lines, [text for rank, text in enumerate(headings) if text and rank not in shown]

    def _filled(self) -> tuple[list[Column], list[Row]]:
        """The columns that have something in them, and the rows with these cells."""
        ranks = [
            rank
            for rank in range(len(self.columns))
            if not self.rows or any(row.cells[rank] for row in self.rows)
        ]
        rows = [row._replace(cells=tuple(row.cells[rank] for rank in ranks)) for row in self.rows]
        return [self.columns[rank] for rank in ranks], rows

    def markdown(self) -> str:
        """The table with all columns, for a page or a comment."""
        columns, rows = self._filled()
        lines = [[column.heading for column in columns], *(row.cells for row in rows)]
        rules = ["---:" if column.right else "---" for column in columns]
        text = [f"| {' | '.join(map(markdown_text, cells))} |" for cells in lines]
        text.insert(1, f"| {' | '.join(rules)} |")
        return "\n".join([*text, "", *(f"{markdown_text(note.strip())}  " for note in self.notes)])

    def html(self, *, whole: bool = False) -> str:
        """The table as HTML that folds, with a small picture of each law; a page of its own if `whole`."""
        page: str = load("initcfg.tables.html").rendered(self, *self._filled(), whole=whole)
        return page


def _plain(text: str, **_: Any) -> str:
    return text


class _Layout(NamedTuple):
    """Which columns are shown, how wide each is, and how wide the first would be alone."""

    shown: list[int]
    widths: list[int]
    natural: int


# The name of a layer, to the first segment that is a number or a span of numbers.
_LAYER = re.compile(r"(?:[^.{ ]+\.)*?(?:\{[^{}]*\}|[0-9]+)\.(?=[^.])|(?:[^.{ ]+\.)+(?=[^.])")


def _under_layers(rows: Sequence[Row]) -> list[Row]:
    """Rows whose neighbours are of the same layer stand under a row with its name, without it."""
    placed: list[Row] = []
    for layer, run in itertools.groupby(rows, _layer_of):
        members = list(run)
        if len(members) == 1 or not layer:
            placed += members
            continue
        placed.append(Row((layer,), "layer"))
        for row in members:
            name, *others = row.cells
            placed.append(row._replace(cells=(f"  {name.removeprefix(layer)}", *others)))
    return placed


def _layer_of(row: Row) -> str:
    found = _LAYER.match(row.cells[0])
    return found[0] if found else ""


def _lines_of(
    row: Row, columns: Sequence[Column], layout: _Layout, width: int | None, paint: Paint
) -> list[str]:
    """The lines that a row takes."""
    if row.kind == "layer":
        style = columns[0].style or {}
        return [
            paint(part, **style)
            for part in _broken(row.cells[0], SEGMENTS, width or text_width(row.cells[0]))
        ]
    cells = [_broken(row.cells[rank], columns[rank].parts, layout.widths[rank]) for rank in layout.shown]
    lines = []
    for line in itertools.zip_longest(*cells, fillvalue=""):
        padded = []
        for cell, rank in zip(line, layout.shown, strict=True):
            column = columns[rank]
            style = _KINDS.get(row.kind, {}) if column.style is None else column.style
            if row.kind == "heading":
                style = {"bold": True}
            blanks = " " * (layout.widths[rank] - text_width(cell))
            styled = paint(cell, **style) if cell and style else cell
            padded.append(blanks + styled if column.right else styled + blanks)
        lines.append(_GAP.join(padded).rstrip())
    return lines


def _fitted(columns: Sequence[Column], rows: Sequence[Row], width: int | None) -> _Layout:
    """The ranks of the columns that fit a width without a broken word, and how wide each may be."""
    cells = list(zip(*(row.cells for row in rows if row.kind != "layer"), strict=True))
    widths = [max(map(text_width, column)) for column in cells]
    shown = list(range(len(widths)))
    natural = widths[0] if widths else 0

    def is_wide(floor: Sequence[int]) -> bool:
        return width is not None and sum(floor[rank] for rank in shown) + len(_GAP) * (len(shown) - 1) > width

    if not is_wide(widths):
        return _Layout(shown, widths, natural)
    longest = [
        alone
        if column.parts is None
        else max(
            map(text_width, itertools.chain.from_iterable(_broken(cell, column.parts, 0) for cell in own))
        )
        for column, own, alone in zip(columns, cells, widths, strict=True)
    ]
    least = [
        max(parts, min(alone, column.easy))
        for column, parts, alone in zip(columns, longest, widths, strict=True)
    ]
    for _, rank in sorted((each.weight, rank) for rank, each in enumerate(columns) if each.weight):
        if is_wide(least):
            shown.remove(rank)
    for floor in (least, longest):
        for rank in sorted(shown, key=lambda rank: -widths[rank]):
            while widths[rank] > floor[rank] and is_wide(widths):
                widths[rank] -= 1
    return _Layout(shown, widths, natural)


def _broken(cell: str, parts: str | None, width: int) -> list[str]:
    """A cell in lines that end where one of its parts does; those of a name go on further in."""
    if parts is None or text_width(cell) <= width:
        return [cell]
    inner = " " * (len(cell) - len(cell.lstrip()) + 2) if parts == SEGMENTS else ""
    lines = [""]
    for part in re.findall(parts, cell):
        if lines[-1].strip() and text_width((lines[-1] + part).rstrip()) > width:
            lines.append(inner)
        lines[-1] += part
    return [line.rstrip() for line in lines]


# What means something in a line of GitHub's Markdown, or begins a mention, a link or the name of a picture.
_SIGNS = re.compile(r"[^\w\s.(){}/,='\"-]|_(?![^\W_])|(?<![^\W_])_|(?<=www)\.", re.ASCII | re.IGNORECASE)


def markdown_text(text: str) -> str:
    """Text for a cell of a table in GitHub's Markdown, where punctuation means nothing but itself.

    Example:
        >>> print(markdown_text("h.*.ln_1|b <i>"))
        h.&#42;.ln_1&#124;b &#60;i&#62;
    """
    return _SIGNS.sub(lambda sign: f"&#{ord(sign[0])};", printable(text))


def csv_text(heads: Sequence[str], records: Iterable[Mapping[str, Any]]) -> str:
    """Records as CSV under their keys; shapes are ``768x2304``, and formulas begin with an apostrophe."""
    file = io.StringIO()
    writer = csv.DictWriter(file, heads, lineterminator="\n")
    for record in ({head: head for head in heads}, *records):
        writer.writerow({key: _csv_cell(value) for key, value in record.items()})
    return file.getvalue()


def _csv_cell(value: object) -> object:
    if isinstance(value, tuple | list):
        return "x".join(map(str, value))
    if isinstance(value, str):
        shown = printable(value)
        return f"'{shown}" if shown.startswith(("=", "+", "-", "@")) else shown
    return value


def in_order(rows: Iterable[_T], value: Callable[[_T], Any], *, largest_first: bool) -> list[_T]:
    """Rows sorted by what `value` gives of each; those of which it gives None come last."""
    known = [(row, value(row)) for row in rows]
    found = [each for each in known if each[1] is not None]
    found.sort(key=lambda each: each[1], reverse=largest_first)
    return [row for row, _ in found] + [row for row, each in known if each is None]
