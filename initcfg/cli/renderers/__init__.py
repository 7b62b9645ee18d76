"""One module a format, each with one function from a `Report` to text.

To add a format, write one module with a function `render`, a function here that loads it when it is asked
for, and a row in `RENDERERS`: ``--format`` offers it in every command that checks something.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from initcfg.cli.report import Report

__all__ = ["FOR_PEOPLE", "RENDERERS"]


def _text(report: Report) -> str:
    from initcfg.cli.renderers.text import render

    return render(report)


def _json(report: Report) -> str:
    from initcfg.cli.renderers.json_report import render

    return render(report)


def _github(report: Report) -> str:
    from initcfg.cli.renderers.github import render

    return render(report)


def _sarif(report: Report) -> str:
    from initcfg.cli.renderers.sarif import render

    return render(report)


def _junit(report: Report) -> str:
    from initcfg.cli.renderers.junit import render

    return render(report)


RENDERERS: dict[str, Callable[[Report], str]] = {
    "text": _text,
    "json": _json,
    "github": _github,
    "sarif": _sarif,
    "junit": _junit,
}

#: The formats that a person reads as they come, in a terminal or a log; the others are documents.
FOR_PEOPLE = frozenset({"text", "github"})
