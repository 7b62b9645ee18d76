"""From a `Report` to text, one function a format: for people, or a document for programs.

To add a format, write a function ``render_NAME`` into a module here, and a row in `FORMATS`: ``--format``
offers it in every command that checks something.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from initcfg.cli.report import Report

__all__ = ["FORMATS", "FOR_PEOPLE", "render"]

# Each format with the module that has it, which is loaded when it is asked for.
FORMATS = {
    "text": "people",
    "json": "documents",
    "github": "people",
    "sarif": "documents",
    "junit": "documents",
}

#: The formats that a person reads as they come, in a terminal or a log; the others are documents.
FOR_PEOPLE = frozenset(name for name, module in FORMATS.items() if module == "people")


def render(report: Report, style: str) -> str:
    """A report in one of `FORMATS`."""
    module = import_module(f"initcfg.cli.renderers.{FORMATS[style]}")
    renderer: Callable[[Report], str] = getattr(module, f"render_{style}")
    return renderer(report)
