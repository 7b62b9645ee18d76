"""A report as one HTML file: nothing of it is from elsewhere, and no name can break it."""

from __future__ import annotations

import base64
import hashlib
import json
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, NamedTuple

from jinja2 import Environment, StrictUndefined, Template

from initcfg.errors import printable
from initcfg.report.pictures import pictures_of
from initcfg.wording import count, counted, number, size

if TYPE_CHECKING:
    from collections.abc import Callable

    from initcfg.report.figures import Figures, Model, Row

#: How many rows a page shows before a filter asks for others.
SHOWN_ROWS = 400


def page_of(figures: Figures) -> str:
    """The page. Names are escaped, control characters are shown as escapes, and no code but its own runs.

    Example:
        >>> import initcfg
        >>> from initcfg.report import figures_of, page_of
        >>> plan = initcfg.make_plan({"initcfg": 1, "params": {"<b>": {"shape": [2], "initializer": "ones"}}})
        >>> "<b>" in page_of(figures_of([("a.yaml", plan, ())]))
        False
    """
    style, script = _asset("style.css"), _asset("script.js")
    page: str = _template().render(
        figures=figures,
        pictures={at: list(pictures_of(model)) for at, model in enumerate(figures.models)},
        columns={at: _columns(model) for at, model in enumerate(figures.models)},
        shown=SHOWN_ROWS,
        style=style,
        script=script,
        policy=f"default-src 'none'; style-src {_digest(style)}; script-src {_digest(script)}",
        data=_json(figures),
    )
    return page


class _Column(NamedTuple):
    """A column of the table of parameters; the page's script makes the same cells."""

    key: str
    heading: str
    cell: Callable[[Row], str]
    right: bool = False


def _columns(model: Model) -> list[_Column]:
    """The columns in which a row of the model has something to say."""
    columns = [
        _Column("name", "name", lambda row: f"{row.name} = {row.tied_to}" if row.tied_to else row.name),
        _Column("copies", "copies", lambda row: count(row.copies) if row.copies > 1 else "", right=True),
        _Column("shape", "shape", lambda row: " \u00d7 ".join(map(str, row.shape))),
        _Column("dtype", "dtype", lambda row: row.dtype),
        _Column("initializer", "initializer", lambda row: row.initializer),
        _Column("law", "law", lambda row: row.law),
        _Column("fan_in", "fan_in", lambda row: _fan(row.fan_in), right=True),
        _Column("std", "std", lambda row: "" if row.std is None else number(row.std), right=True),
        _Column("elements", "elements", lambda row: count(row.elements), right=True),
        _Column("rule", "rule", lambda row: row.rule or ""),
        _Column("place", "line", lambda row: (row.place or "").replace(f"{model.file}:", "", 1)),
    ]
    return [column for column in columns if any(map(column.cell, model.rows))]


def _fan(value: float | None) -> str:
    if value is None:
        return ""
    return count(int(value)) if value == int(value) else number(value)


def _json(figures: Figures) -> str:
    """The figures as JSON that may stand in a script element."""
    text = json.dumps(figures.model_dump(mode="json"), separators=(",", ":"), ensure_ascii=True)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _asset(name: str) -> str:
    return (files("initcfg.report") / "templates" / name).read_text(encoding="utf-8")


@cache
def _template() -> Template:
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"count": count, "counted": counted, "size": size}
    environment.finalize = lambda value: printable(value) if type(value) is str else value
    return environment.from_string(_asset("page.html"))
