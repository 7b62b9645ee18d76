"""A table as HTML that needs no script: for a cell of a notebook, or as a page of its own."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, StrictUndefined, Template

from initcfg.errors import printable
from initcfg.names import count

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from initcfg.tables import Column, Row, Table

#: A table of more rows is shut until somebody opens it, and has no more rows than the second.
_OPEN_ROWS, _MOST_ROWS = 60, 2_000
# The names that a row of copies unfolds to.
_MOST_NAMES = 200
_WIDTH, _HEIGHT = 72.0, 18.0


def rendered(table: Table, columns: Sequence[Column], rows: Sequence[Row], *, whole: bool) -> str:
    """The table with these of its columns; everything in it is escaped."""
    text: str = _template().render(
        table=table,
        columns=columns,
        rows=rows[:_MOST_ROWS],
        left_out=max(0, len(rows) - _MOST_ROWS),
        has_curves=any(row.curve for row in rows),
        is_open=len(rows) <= _OPEN_ROWS or whole,
        most_names=_MOST_NAMES,
        whole=whole,
        width=_WIDTH,
        height=_HEIGHT,
    )
    return text


def _outline(heights: Sequence[float]) -> str:
    """The points of a filled line as high as these heights, in a box of `_WIDTH` by `_HEIGHT`."""
    step, top = _WIDTH / len(heights), max(heights) or 1.0
    points = [
        (x, _HEIGHT - (_HEIGHT - 2) * height / top)
        for rank, height in enumerate(heights)
        for x in (rank * step, (rank + 1) * step)
    ]
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in ((0.0, _HEIGHT), *points, (_WIDTH, _HEIGHT)))


def template_of(source: str, **filters: Callable[..., Any]) -> Template:
    """A template of HTML that escapes what it is given; characters that control or turn a text are shown."""
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"count": count, **filters}
    environment.finalize = lambda value: printable(value) if type(value) is str else value
    return environment.from_string(source)


@cache
def _template() -> Template:
    source = (files("initcfg.tables") / "table.html").read_text(encoding="utf-8")
    return template_of(source, outline=_outline)
