"""Diagnostics as text: the source line with a caret under it, and colours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from initcfg.cli.report import Report
    from initcfg.errors import Diagnostic

_SEVERITY_COLOR = {"error": "red", "warning": "yellow", "note": "cyan"}


def render(report: Report) -> str:
    """The diagnostics one after the other."""
    return "\n".join(painted(diagnostic) for diagnostic in report.diagnostics)


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
