"""JUnit's XML, which Jenkins, GitLab and most CI systems show as test results: a test case a file."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING

from initcfg.cli.exits import IO_CODES
from initcfg.cli.renderers.escapes import defused_xml, xml_text
from initcfg.cli.words import counted

if TYPE_CHECKING:
    from initcfg.cli.report import Checked, Report


def render(report: Report) -> str:
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
    text = xml_text("\n".join(str(diagnostic) for diagnostic in file.diagnostics))
    if kind is not None:
        first = next(diagnostic for diagnostic in file.diagnostics if diagnostic.severity == "error")
        more = f" (and {counted(file.errors - 1, 'error')} more)" if file.errors > 1 else ""
        attributes = {"type": first.code.value, "message": xml_text(first.message) + more}
        ET.SubElement(case, kind, attributes).text = text
    elif text:
        ET.SubElement(case, "system-out").text = text
