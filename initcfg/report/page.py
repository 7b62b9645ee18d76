"""A report as one HTML file: nothing of it is from elsewhere, and no name can break it."""

from __future__ import annotations

import base64
import hashlib
import json
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from initcfg.names import counted, number, size
from initcfg.probe.values import average
from initcfg.report.frames import cut
from initcfg.report.pictures import law_picture, pictures_of, signal_picture, spectrum_picture
from initcfg.tables.html import template_of

if TYPE_CHECKING:
    from jinja2 import Template

    from initcfg.report.values import Figures, Model

#: How many rows a page draws at once; more follow where a reader comes to the end of these.
DRAWN_ROWS = 200


def page_of(figures: Figures) -> str:
    """The page. Names are escaped, control characters are shown as escapes, and no code but its own runs.

    Example:
        >>> import initcfg
        >>> from initcfg.report import Source, figures_of, page_of
        >>> plan = initcfg.make_plan({"initcfg": 1, "params": {"<b>": {"shape": [2], "initializer": "ones"}}})
        >>> "<b>" in page_of(figures_of([Source("a.yaml", plan)]))
        False
    """
    style, script = _asset("style.css"), _asset("script.js")
    page: str = _template().render(
        figures=figures,
        models=[_Shown(model) for model in figures.models],
        signals=[
            (what, text)
            for what, is_back in (("forward", False), ("backward", True))
            if figures.probe is not None
            and (text := signal_picture(figures.probe, backward=is_back)) is not None
        ],
        style=style,
        script=script,
        policy=f"default-src 'none'; style-src {_digest(style)}; script-src {_digest(script)}",
        drawn_rows=DRAWN_ROWS,
        data=_json([_rows_of(model) for model in figures.models]),
    )
    return page


# The table of parameters; the page's script fills the cells.
_COLUMNS = (
    *("name", "copies", "shape", "dtype", "initializer", "law"),
    *("fan_in", "std", "elements", "rule", "place"),
)


class _Shown:
    """A model with its pictures."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.pictures = list(pictures_of(model))
        laws = model.weights.laws if model.weights else ()
        drawn = sorted(
            (law for law in laws if law.counts), key=lambda law: (law.problem is None, -law.elements)
        )
        self.drawn = [(law, law_picture(law)) for law in drawn]
        self.spectra = [(spectrum, spectrum_picture(spectrum)) for spectrum in model.spectra]
        self.fixed = [law for law in laws if not law.counts]
        self.differing = sum(law.copies for law in laws if law.problem is not None)
        self.held = sum(law.copies for law in laws)
        self.columns = [
            key
            for key in _COLUMNS
            if any(getattr(row, key) not in (None, "") for row in model.rows)
            if key != "copies" or any(row.copies > 1 for row in model.rows)
        ]


def _rows_of(model: Model) -> dict[str, Any]:
    """The rows of a model in few bytes: what rows share is written once; the page's script joins them."""
    kinds: dict[tuple[Any, ...], int] = {}
    rows, before = [], ""
    for row in model.rows:
        kind = (row.shape, row.dtype, row.initializer, row.law, row.kind, row.fan_in, row.std, row.rule)
        place = (row.place or "").removeprefix(f"{model.file}:")
        pairs = zip(before, row.name, strict=False)
        same = next(
            (at for at, (old, new) in enumerate(pairs) if old != new), min(len(before), len(row.name))
        )
        shared = kinds.setdefault(kind, len(kinds))
        rows.append((same, row.name[same:], shared, row.copies, place, *filter(None, [row.tied_to])))
        before = row.name
    return {"kinds": list(kinds), "rows": rows}


def _json(value: object) -> str:
    """JSON that may stand in a script element."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=True)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _signed(value: float) -> str:
    """A number of standard errors."""
    return f"{value:{'+.1f' if abs(value) < 1000 else '+.0e'}}".replace("-", "\u2212")


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _asset(name: str) -> str:
    return (files("initcfg.report") / "templates" / name).read_text(encoding="utf-8")


@cache
def _template() -> Template:
    return template_of(
        _asset("page.html"),
        cut=lambda text: cut(text, 200),
        counted=counted,
        size=size,
        number=number,
        signed=_signed,
        average=average,
    )
