"""From a `Report` to text: for people, in a terminal or on GitHub, and by `documents` for programs.

GitHub shows ten errors, ten warnings and ten notices of a step. Where there are more the log has all of
them, and so has the summary.
"""

from __future__ import annotations

import itertools
import os
import re
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import click

from initcfg.errors import Diagnostic, Location, fold_copies, printable
from initcfg.names import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from initcfg.cli.report import Report

__all__ = ["FORMATS", "FOR_PEOPLE", "render"]

_PEOPLE, _PROGRAMS = "initcfg.cli.renderers", "initcfg.cli.renderers.documents"
# Each format with the module that has its function `render_NAME`, which is loaded when it is asked for.
FORMATS = {"text": _PEOPLE, "json": _PROGRAMS, "github": _PEOPLE, "sarif": _PROGRAMS, "junit": _PROGRAMS}

#: The formats that a person reads as they come, in a terminal or a log; the others are documents.
FOR_PEOPLE = frozenset(name for name, module in FORMATS.items() if module == _PEOPLE)


def render(report: Report, style: str) -> str:
    """A report in one of `FORMATS`."""
    renderer: Callable[[Report], str] = getattr(import_module(FORMATS[style]), f"render_{style}")
    return renderer(report)


# GitHub's runner takes "##[name]" for a command anywhere in a line, and "::name::" at its beginning; Azure
# Pipelines and TeamCity have words of their own. A colour may stand before.
_MARKERS = re.compile(r"##(?=\[|vso\[|teamcity\[)")
_BEGINNINGS = re.compile(r"^((?:[^\S\n]|\x1b\[[0-9;]*m)*):(?=:)", re.MULTILINE)


def defused(text: str) -> str:
    r"""Text for a person, with what the log of a CI system would take for a command escaped.

    Example:
        >>> print(defused("::error::x"), defused("a ##[group]"))
        \x3a:error::x a #\x23[group]
    """
    return _BEGINNINGS.sub(r"\1\\x3a", _MARKERS.sub(r"#\\x23", text))


def defused_xml(document: str) -> str:
    """The same XML document, without a command for a log in it: ``##[group]`` becomes ``#&#35;[group]``."""
    # Both signs stand only in texts and attributes, so that a reference means the same.
    return _BEGINNINGS.sub(r"\1&#58;", document.replace("##", "#&#35;"))


def command_data(text: str) -> str:
    """The message of a GitHub workflow command."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def command_property(text: str) -> str:
    """The value of a property of a GitHub workflow command."""
    return command_data(text).replace(":", "%3A").replace(",", "%2C")


def json_text(document: object) -> str:
    """A JSON document in ASCII, without a command for a log in it."""
    import json

    # "#" stands only inside JSON's strings, so that the escape means the same.
    return json.dumps(document, indent=2).replace("##", "#\\u0023")


def xml_text(text: str) -> str:
    """Text with what XML 1.0 has no way to write as escapes; the writer of XML does the rest."""
    lines = (printable(line) for line in text.split("\n"))
    return "\n".join(lines).replace("\ufffe", r"\ufffe").replace("\uffff", r"\uffff")


# os.fsdecode writes bytes that are not UTF-8 as these surrogates; others stand for nothing.
_FOREIGN_SURROGATES = "[\ud800-\udc7f\udd00-\udfff]"


def source_path(file: str) -> str | None:
    """The path from the root of the checkout (``GITHUB_WORKSPACE``, else here); None for a file outside."""
    root = os.environ.get("GITHUB_WORKSPACE") or Path.cwd()
    try:
        path = os.path.relpath(file, root)
    except ValueError:  # another drive
        return None
    return None if Path(path).parts[:1] == (os.pardir,) else path.replace(os.sep, "/")


def file_uri(path: str) -> str:
    """A path as the path of a URI, its bytes percent-encoded where they must be."""
    return quote(re.sub(_FOREIGN_SURROGATES, "\ufffd", path).encode("utf-8", "surrogateescape"))


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
