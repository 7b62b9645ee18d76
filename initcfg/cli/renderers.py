"""One function a format, each from a `Report` to text.

To add a format, write one function and give it a row in `RENDERERS`: ``--format`` offers it everywhere.
"""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Callable

    from initcfg.cli.report import Checked, Report
    from initcfg.errors import Diagnostic

__all__ = ["RENDERERS", "REPORT_VERSION", "painted"]

REPORT_VERSION = 1

_SEVERITY_COLOR = {"error": "red", "warning": "yellow", "note": "cyan"}


def painted(diagnostic: Diagnostic) -> str:
    """The diagnostic's text with ANSI colours; without them it is exactly ``str(diagnostic)``."""
    headline, *rest = str(diagnostic).split("\n")
    color = _SEVERITY_COLOR[diagnostic.severity]
    label = f"{diagnostic.severity}[{diagnostic.code}]:"
    place, _, message = headline.partition(label)
    lines = [click.style(place, bold=True) + click.style(label, fg=color, bold=True) + message]
    for line in rest:
        head, separator, tail = line.partition("help:" if line.startswith("  help:") else "|")
        if separator == "help:":
            lines.append(head + click.style(separator, fg="cyan", bold=True) + tail)
        else:
            caret = click.style(tail, fg=color, bold=True) if not head.strip() else tail
            lines.append(click.style(head + separator, fg="blue") + caret)
    return "\n".join(lines)


def _text(report: Report) -> str:
    return "\n".join(painted(diagnostic) for diagnostic in report.diagnostics)


def _json(report: Report) -> str:
    document = {
        "report": REPORT_VERSION,
        "valid": report.errors == 0,
        "errors": report.errors,
        "warnings": report.warnings,
        "files": [_file(file) for file in report.files],
        "diagnostics": [_diagnostic(diagnostic) for diagnostic in report.diagnostics],
    }
    return json.dumps(document, indent=2)


def _file(file: Checked) -> dict[str, object]:
    contents = dataclasses.asdict(file.contents) if file.contents else {}
    return {"file": file.file, "valid": file.errors == 0, **contents}


def _diagnostic(diagnostic: Diagnostic) -> dict[str, object]:
    """The fields of the diagnostic and of its place, side by side; null where one is not known."""
    row = dataclasses.asdict(diagnostic)
    where = row.pop("where") or {"file": None, "line": None, "column": None, "end_column": None, "path": ()}
    where.pop("text", None)
    return row | where


RENDERERS: dict[str, Callable[[Report], str]] = {"text": _text, "json": _json}
