"""Reports for programs: JSON with its schema, SARIF 2.1.0 for code hosts, JUnit's XML for CI systems."""

from __future__ import annotations

import dataclasses
import hashlib
import xml.etree.ElementTree as ET
from collections import Counter
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

import initcfg
from initcfg.cli.renderers import defused_xml, file_uri, json_text, source_path, xml_text
from initcfg.cli.report import IO_CODES, Checked, Exit, Report
from initcfg.errors import WARNINGS, Code, Diagnostic, Location, printable
from initcfg.explanations import load_explanations, published
from initcfg.names import counted

REPORT_VERSION = 1


def render_json(report: Report) -> str:
    """Everything that was found, and what the valid files hold."""
    return json_text(
        {
            "report": REPORT_VERSION,
            "valid": report.errors == 0,
            "errors": report.errors,
            "warnings": report.warnings,
            "notes": report.notes,
            "ignored": dict(sorted(Counter(map(str, report.ignored)).items())),
            "excluded": report.excluded,
            "files": [_file_row(file) for file in report.files],
            "diagnostics": [_diagnostic_row(diagnostic) for diagnostic in report.diagnostics],
        }
    )


def _file_row(file: Checked) -> dict[str, object]:
    contents = file.contents._asdict() if file.contents else {}
    return {
        "file": file.file,
        "valid": file.errors == 0,
        "errors": file.errors,
        "warnings": file.warnings,
        "base": file.is_base,
        **contents,
    }


def _diagnostic_row(diagnostic: Diagnostic) -> dict[str, object]:
    """The fields of the diagnostic and of its place, side by side; null where one is not known."""
    row = dataclasses.asdict(diagnostic)
    where = row.pop("where") or {"file": None, "line": None, "column": None, "end_column": None, "path": ()}
    where.pop("text", None)
    return row | where


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FileDocument(_Model):
    """One file that was checked, with what it holds where it could be planned."""

    file: str = Field(description="The name as it was given; - is standard input.")
    valid: bool = Field(description="Whether it has no errors.")
    errors: int = Field(ge=0)
    warnings: int = Field(ge=0)
    base: bool = Field(default=False, description="Whether others extend it, and nothing is planned.")
    parameters: int = Field(default=0, ge=0, description="Parameters that it plans.")
    elements: int = Field(default=0, ge=0, description="Their elements; tied ones are counted once.")
    bytes: int = Field(default=0, ge=0, description="Their bytes; tied ones are counted once.")


class DiagnosticDocument(_Model):
    """One problem: what it is, where, and the way out."""

    code: str = Field(description="The kind of problem, a word that stays; initcfg explain CODE says more.")
    severity: Literal["error", "warning", "note"]
    message: str
    hint: str | None = Field(description="The way out.")
    file: str | None = Field(description="Null for what no file has.")
    line: int | None = Field(description="Counted from 1.")
    column: int | None = Field(description="Counted in characters from 1.")
    end_column: int | None = Field(description="The column after the last character.")
    path: list[str | int] = Field(description="Keys and indices from the root of the file's document.")


class ReportDocument(_Model):
    """What checking some files has found."""

    report: Literal[1] = Field(description="The version of this format.")
    valid: bool = Field(description="Whether there are no errors.")
    errors: int = Field(ge=0)
    warnings: int = Field(ge=0)
    notes: int = Field(ge=0)
    ignored: dict[str, int] = Field(default={}, description="Warnings left out on demand, by their code.")
    excluded: int = Field(default=0, ge=0, description="Files left out on demand.")
    files: list[FileDocument] = Field(description="The files in the order given, each once.")
    diagnostics: list[DiagnosticDocument] = Field(
        description="What was found, file by file: all errors, and at most 100 warnings and notes of a file."
    )


def json_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of a report."""
    return published("report", ReportDocument.model_json_schema(mode="validation"))


_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_ROOT = "%SRCROOT%"


def render_sarif(report: Report) -> str:
    """One run, with a rule for every code that occurs; what could not be read is its notification."""
    found = report.diagnostics
    rules = list(dict.fromkeys(diagnostic.code for diagnostic in found))
    invocation: dict[str, Any] = {
        "executionSuccessful": report.exit != Exit.USAGE,
        "exitCode": int(report.exit),
        "toolExecutionNotifications": [_notification(each, rules) for each in found if each.code in IO_CODES],
    }
    driver = {"name": "initcfg", "version": initcfg.__version__, "rules": [_rule(code) for code in rules]}
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "originalUriBaseIds": {_ROOT: {"description": {"text": "The root of the checkout."}}},
        "invocations": [invocation],
        "results": [_result(each, rules) for each in found if each.code not in IO_CODES],
    }
    return json_text({"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]})


def _rule(code: Code) -> dict[str, Any]:
    page = load_explanations()[code]
    examples = "\n\n".join(
        f"{label}:\n\n```{page.language}\n{example}\n```"
        for label, example in (("Wrong", page.wrong), ("Right", page.right))
    )
    return {
        "id": code,
        "shortDescription": {"text": page.title},
        "fullDescription": {"text": page.cause},
        "help": {"text": page.remedy, "markdown": f"{page.cause}\n\n{page.remedy}\n\n{examples}"},
        "defaultConfiguration": {"level": "warning" if code in WARNINGS else "error"},
    }


def _result(diagnostic: Diagnostic, rules: list[Code]) -> dict[str, Any]:
    return {
        "ruleId": diagnostic.code,
        "ruleIndex": rules.index(diagnostic.code),
        **_told(diagnostic),
        "partialFingerprints": {"initcfg/v1": _fingerprint(diagnostic)},
    }


def _notification(diagnostic: Diagnostic, rules: list[Code]) -> dict[str, Any]:
    return {
        "associatedRule": {"id": diagnostic.code, "index": rules.index(diagnostic.code)},
        **_told(diagnostic),
    }


def _told(diagnostic: Diagnostic) -> dict[str, Any]:
    help_ = f"\nhelp: {printable(diagnostic.hint)}" if diagnostic.hint else ""
    # "[text](target)" is a link in SARIF, also where it comes from a name.
    text = f"{printable(diagnostic.message)}{help_}".replace("](", "] (")
    return {"level": diagnostic.severity, "message": {"text": text}, **_locations(diagnostic.where)}


def _locations(where: Location | None) -> dict[str, Any]:
    if where is None or where.file is None:
        return {}
    physical = {"artifactLocation": _artifact(where.file), **_region(where)}
    return {"locations": [{"physicalLocation": physical}]}


def _region(where: Location) -> dict[str, Any]:
    if where.line is None:
        return {}
    region = {"startLine": where.line, "startColumn": where.column, "endColumn": where.end_column}
    return {"region": {name: value for name, value in region.items() if value is not None}}


def _artifact(file: str) -> dict[str, str]:
    path = source_path(file)
    if path is not None:
        return {"uri": file_uri(path), "uriBaseId": _ROOT}
    return {"uri": f"file:///{file_uri(Path(file).absolute().as_posix().lstrip('/'))}"}


def _fingerprint(diagnostic: Diagnostic) -> str:
    """Stays the same when lines are added above: made of what is wrong, and the path in the document."""
    where = diagnostic.where
    place = (where.file, where.path) if where else ()
    return hashlib.sha256(ascii((diagnostic.code.value, place, diagnostic.message)).encode()).hexdigest()


def render_junit(report: Report) -> str:
    """A file with errors is a failed test, one that could not be read a test with an error."""
    kinds = [_kind(file) for file in report.files]
    counts = {"tests": len(kinds), "failures": kinds.count("failure"), "errors": kinds.count("error")}
    attributes = {"name": "initcfg"} | {name: str(number) for name, number in counts.items()}
    suites = ET.Element("testsuites", attributes)
    suite = ET.SubElement(suites, "testsuite", attributes)
    for file, kind in zip(report.files, kinds, strict=True):
        _add_case(suite, file, kind)
    ET.indent(suites)
    return defused_xml(ET.tostring(suites, encoding="us-ascii", xml_declaration=True).decode("ascii"))


def _kind(file: Checked) -> str | None:
    """The element that says what is wrong with a file."""
    if not file.errors:
        return None
    return "error" if any(diagnostic.code in IO_CODES for diagnostic in file.diagnostics) else "failure"


def _add_case(suite: ET.Element, file: Checked, kind: str | None) -> None:
    name = xml_text(file.file)
    case = ET.SubElement(suite, "testcase", {"classname": "initcfg", "name": name, "file": name})
    text = xml_text("\n".join(str(diagnostic) for diagnostic in file.listed))
    if kind is not None:
        first = next(diagnostic for diagnostic in file.diagnostics if diagnostic.severity == "error")
        more = f" (and {counted(file.errors - 1, 'error')} more)" if file.errors > 1 else ""
        attributes = {"type": first.code.value, "message": xml_text(first.message) + more}
        ET.SubElement(case, kind, attributes).text = text
    elif text:
        ET.SubElement(case, "system-out").text = text
