"""SARIF 2.1.0, which code hosts show as code scanning results."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import initcfg
from initcfg.cli.exits import IO_CODES, Exit
from initcfg.cli.renderers.escapes import json_text
from initcfg.cli.renderers.places import file_uri, source_path
from initcfg.errors import WARNINGS, printable
from initcfg.explanations import load_explanations

if TYPE_CHECKING:
    from initcfg.cli.report import Report
    from initcfg.errors import Code, Diagnostic, Location

_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_ROOT = "%SRCROOT%"


def render(report: Report) -> str:
    """One run, with a rule for every code that occurs; what could not be read is told of the run itself."""
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
        "level": diagnostic.severity,
        "message": _message(diagnostic),
        **_locations(diagnostic.where),
        "partialFingerprints": {"initcfg/v1": _fingerprint(diagnostic)},
    }


def _notification(diagnostic: Diagnostic, rules: list[Code]) -> dict[str, Any]:
    return {
        "associatedRule": {"id": diagnostic.code, "index": rules.index(diagnostic.code)},
        "level": diagnostic.severity,
        "message": _message(diagnostic),
        **_locations(diagnostic.where),
    }


def _message(diagnostic: Diagnostic) -> dict[str, str]:
    help_ = f"\nhelp: {printable(diagnostic.hint)}" if diagnostic.hint else ""
    # "[text](target)" is a link in SARIF, also where it comes from a name.
    return {"text": f"{printable(diagnostic.message)}{help_}".replace("](", "] (")}


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
