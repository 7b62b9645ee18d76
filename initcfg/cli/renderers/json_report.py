"""The report as a JSON document; `initcfg.cli.renderers.document` has its schema."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from initcfg.cli.renderers.escapes import json_text

if TYPE_CHECKING:
    from initcfg.cli.report import Checked, Report
    from initcfg.errors import Diagnostic

REPORT_VERSION = 1


def render(report: Report) -> str:
    """Everything that was found, and what the valid files hold."""
    return json_text(
        {
            "report": REPORT_VERSION,
            "valid": report.errors == 0,
            "errors": report.errors,
            "warnings": report.warnings,
            "notes": report.notes,
            "files": [_file(file) for file in report.files],
            "diagnostics": [_diagnostic(diagnostic) for diagnostic in report.diagnostics],
        }
    )


def _file(file: Checked) -> dict[str, object]:
    contents = file.contents._asdict() if file.contents else {}
    return {
        "file": file.file,
        "valid": file.errors == 0,
        "errors": file.errors,
        "warnings": file.warnings,
        **contents,
    }


def _diagnostic(diagnostic: Diagnostic) -> dict[str, object]:
    """The fields of the diagnostic and of its place, side by side; null where one is not known."""
    row = dataclasses.asdict(diagnostic)
    where = row.pop("where") or {"file": None, "line": None, "column": None, "end_column": None, "path": ()}
    where.pop("text", None)
    return row | where
