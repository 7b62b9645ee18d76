"""Reports and their renderers, on values alone."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import click
import jsonschema
import pytest

from initcfg.cli.renderers import FORMATS, painted, render
from initcfg.cli.renderers.documents import json_schema
from initcfg.cli.report import Checked, Contents, Exit, Report
from initcfg.errors import Code, Diagnostic, Location, Severity

SARIF_SCHEMA = Path(__file__).parents[1] / "data" / "sarif" / "sarif-schema-2.1.0.json"

ERROR = Diagnostic(
    Code.UNKNOWN_KEY,
    "'initialiser' is not a key of a parameter",
    Location(
        "a.yaml", 3, 23, 34, "  weight: {shape: [4], initialiser: zeros}", ("params", "weight", "initialiser")
    ),
    "did you mean 'initializer'?",
)
WARNING = Diagnostic(
    Code.DISTRIBUTION, "bounds cut nothing", Location("b.yaml", path=("params", 0)), severity="warning"
)
UNREADABLE = Diagnostic(Code.INPUT, "there is no file 'c.yaml'")
FULL = Contents(parameters=2, elements=1_500, bytes=6_000)

GOOD = Checked("good.yaml", contents=FULL)
BAD = Checked("a.yaml", (ERROR, ERROR))
WARNED = Checked("b.yaml", (WARNING,), FULL)
GONE = Checked.placed("c.yaml", [UNREADABLE])


@pytest.mark.parametrize(
    ("files", "summary", "code"),
    [
        ([GOOD], "good.yaml: valid, 2 parameters, 1,500 elements, 5.9 KiB", Exit.FINE),
        ([BAD], "a.yaml: 2 errors", Exit.PROBLEMS),
        ([WARNED], "b.yaml: valid, 1 warning, 2 parameters, 1,500 elements, 5.9 KiB", Exit.FINE),
        ([GONE], "c.yaml: 1 error", Exit.USAGE),
        ([GOOD, GOOD], "2 files valid", Exit.FINE),
        ([GOOD, GOOD, BAD], "2 files valid, 1 with 2 errors", Exit.PROBLEMS),
        ([BAD, GONE, WARNED], "1 file valid, 2 with 3 errors, 1 warning", Exit.USAGE),
    ],
)
def test_the_summary_and_the_exit_code_say_what_was_found(
    files: list[Checked], summary: str, code: Exit
) -> None:
    report = Report(tuple(files))
    assert (report.summary(), report.exit) == (summary, code)


def many(number: int, severity: Severity = "warning") -> tuple[Diagnostic, ...]:
    return tuple(
        Diagnostic(
            Code.UNUSED_ALLOW,
            "silences nothing",
            Location("b.yaml", at + 1, path=("allow", at)),
            severity=severity,
        )
        for at in range(number)
    )


def test_a_hundred_warnings_are_all_told() -> None:
    assert Checked("b.yaml", many(100), FULL).listed == many(100)


def test_of_very_many_warnings_the_first_hundred_are_told_and_how_many_more_there_are() -> None:
    checked = Checked("b.yaml", (*many(4000), *many(1, "note")), FULL)
    assert checked.listed[:100] == many(100)
    (rest,) = checked.listed[100:]
    assert (rest.severity, rest.where) == ("note", many(101)[-1].where)
    assert "3,900 warnings and 1 note more" in rest.message


def test_how_many_problems_were_not_told_is_itself_told() -> None:
    """Of a plan with 100,000 faults the note of 99,900 more was counted as a note beyond the hundred."""
    untold = Diagnostic(Code.TOO_LARGE, "99,900 more problems are not shown", severity="note")
    found = (*many(100, "error"), untold)
    assert Checked("b.yaml", found).listed == found


@pytest.mark.parametrize("style", list(FORMATS))
def test_every_format_says_how_many_warnings_are_not_told(style: str) -> None:
    report = Report((Checked("b.yaml", many(4000), FULL),))
    text = render(report, style)
    assert "3,900 warnings more" in text
    assert len(text) < 100_000
    if style in ("json", "sarif"):
        schema = json_schema() if style == "json" else json.loads(SARIF_SCHEMA.read_text(encoding="utf-8"))
        jsonschema.validate(json.loads(text), schema)


def test_what_was_found_is_counted_and_not_what_is_listed() -> None:
    report = Report((Checked("b.yaml", (*many(299), *many(2, "note")), FULL),))
    assert (report.warnings, report.notes, len(report.diagnostics)) == (299, 2, 101)
    assert ", 299 warnings, " in report.summary()
    strict = report.strict()
    assert (strict.errors, len(strict.diagnostics)) == (299, 101)
    document = json.loads(render(report, "json"))
    assert (document["warnings"], document["files"][0]["warnings"], document["notes"]) == (299, 299, 2)


def test_codes_are_ignored_before_the_list_is_cut() -> None:
    other = Diagnostic(Code.RANDOM_BIAS, "random", Location("b.yaml", 1), severity="warning")
    report = Report((Checked("b.yaml", (*many(299), other), FULL),), excluded=3).ignoring({Code.UNUSED_ALLOW})
    assert report.diagnostics == (other,)
    document = json.loads(render(report, "json"))
    assert (document["ignored"], document["excluded"]) == ({"unused-allow": 299}, 3)


def test_a_problem_without_a_place_is_given_the_name_of_its_file() -> None:
    (placed,) = Checked.placed("c.yaml", [Diagnostic(Code.SHAPE, "too large")]).diagnostics
    assert str(placed) == "c.yaml: error[shape]: too large"


def test_what_cannot_be_read_or_written_names_itself() -> None:
    assert str(GONE.diagnostics[0]) == "error[input]: there is no file 'c.yaml'"


@pytest.mark.parametrize("diagnostic", [ERROR, WARNING, UNREADABLE], ids=lambda each: each.code)
def test_colour_changes_nothing_but_the_colour(diagnostic: Diagnostic) -> None:
    colored = painted(diagnostic)
    assert "\x1b[" in colored
    assert click.unstyle(colored) == str(diagnostic)


def test_a_pipe_in_the_source_line_and_a_label_in_the_message_do_not_confuse_the_colours() -> None:
    where = Location("error[syntax]: x", 1, 1, 3, "| a || help: |")
    diagnostic = Diagnostic(Code.SYNTAX, "error[syntax]: again | help:", where, hint="help: | help:")
    assert click.unstyle(painted(diagnostic)) == str(diagnostic)


def test_text_is_the_diagnostics_one_after_the_other() -> None:
    assert click.unstyle(render(Report((BAD, WARNED)), "text")) == f"{ERROR}\n{ERROR}\n{WARNING}"


def test_json_says_everything_the_text_says() -> None:
    document = json.loads(render(Report((GOOD, BAD, WARNED)), "json"))
    full = {"parameters": 2, "elements": 1500, "bytes": 6000}
    assert document == {
        "report": 1,
        "valid": False,
        "errors": 2,
        "warnings": 1,
        "notes": 0,
        "ignored": {},
        "excluded": 0,
        "files": [
            {"file": "good.yaml", "valid": True, "errors": 0, "warnings": 0, "base": False, **full},
            {"file": "a.yaml", "valid": False, "errors": 2, "warnings": 0, "base": False},
            {"file": "b.yaml", "valid": True, "errors": 0, "warnings": 1, "base": False, **full},
        ],
        "diagnostics": [
            *[
                {
                    "code": "unknown-key",
                    "severity": "error",
                    "message": "'initialiser' is not a key of a parameter",
                    "hint": "did you mean 'initializer'?",
                    "file": "a.yaml",
                    "line": 3,
                    "column": 23,
                    "end_column": 34,
                    "path": ["params", "weight", "initialiser"],
                }
            ]
            * 2,
            {
                "code": "distribution",
                "severity": "warning",
                "message": "bounds cut nothing",
                "hint": None,
                "file": "b.yaml",
                "line": None,
                "column": None,
                "end_column": None,
                "path": ["params", 0],
            },
        ],
    }


def test_a_strict_report_has_errors_in_the_place_of_warnings_and_keeps_the_rest() -> None:
    note = dataclasses.replace(WARNING, severity="note")
    strict = Report((Checked("b.yaml", (WARNING, note, ERROR), FULL),)).strict()
    assert strict.diagnostics == (dataclasses.replace(WARNING, severity="error"), note, ERROR)
    assert (strict.errors, strict.warnings, strict.notes, strict.exit) == (2, 0, 1, Exit.PROBLEMS)
    assert strict.files[0].contents == FULL
