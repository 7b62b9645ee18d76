"""Reports for people: text for a terminal, workflow commands and a job summary for GitHub Actions."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import click

from initcfg.cli.renderers import command_data, command_property, source_path
from initcfg.errors import Diagnostic, Location, fold_copies, printable
from initcfg.names import counted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from initcfg.cli.report import Report

_SEVERITY_COLOR = {"error": "red", "warning": "yellow", "note": "cyan"}


def render_text(report: Report) -> str:
    """The diagnostics one after the other, those of copies of a layer as one."""
    return "\n".join(painted(diagnostic) for diagnostic in fold_copies(report.diagnostics))


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


#: How many annotations of one level GitHub shows of a step.
SHOWN = 10

# GitHub refuses a summary of more than a mebibyte, and drops it whole.
_SUMMARY_BYTES = 900_000
_LEVELS = {"error": "error", "warning": "warning", "note": "notice"}
_TABLE = "| | place | problem | help | code |\n|---|---|---|---|---|"


def render_github(report: Report) -> str:
    """One command a diagnostic, each in a line."""
    return "\n".join(_command(diagnostic) for diagnostic in report.diagnostics)


def _command(diagnostic: Diagnostic) -> str:
    where = diagnostic.where or Location()
    known = {
        "file": where.file and (source_path(where.file) or where.file),
        "line": where.line,
        "col": where.column,
        "endColumn": where.end_column,
        "title": diagnostic.code,
    }
    properties = ",".join(
        f"{name}={command_property(printable(str(value)))}" for name, value in known.items() if value
    )
    return f"::{_LEVELS[diagnostic.severity]} {properties}::{command_data(_log_message(diagnostic))}"


def _log_message(diagnostic: Diagnostic) -> str:
    """The problem, its place and the help: the log shows the message and none of the properties."""
    place = f"{diagnostic.where}: " if diagnostic.where else ""
    help_ = f"\nhelp: {printable(diagnostic.hint)}" if diagnostic.hint else ""
    return f"{place}{printable(diagnostic.message)}{help_}"


def shows_all(report: Report) -> bool:
    """Whether GitHub shows every annotation."""
    return max(report.errors, report.warnings, report.notes) <= SHOWN


def step_summary(report: Report) -> str:
    """The totals and everything that was found, as Markdown for the summary of a job."""
    counts = [counted(report.errors, "error"), counted(report.warnings, "warning")]
    heading = f"### initcfg: {', '.join(counts)} in {counted(len(report.files), 'file')}"
    rows = [_row(diagnostic) for diagnostic in report.diagnostics]
    kept = list(_fitting(rows, _SUMMARY_BYTES))
    left = len(rows) - len(kept)
    rest = f"\n\nThe log has {counted(left, 'problem')} more." if left else ""
    return "\n".join([heading, "", _TABLE, *kept]) + f"{rest}\n"


def _row(diagnostic: Diagnostic) -> str:
    from initcfg.tables import markdown_text

    place = str(diagnostic.where or "")
    cells = (diagnostic.severity, place, diagnostic.message, diagnostic.hint or "", diagnostic.code)
    return f"| {' | '.join(map(markdown_text, cells))} |"


def _fitting(rows: list[str], nbytes: int) -> Iterator[str]:
    """The first rows, as many as fit."""
    sizes = itertools.accumulate(len(row.encode()) + 1 for row in rows)
    return (row for row, size in zip(rows, sizes, strict=True) if size <= nbytes)
