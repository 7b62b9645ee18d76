"""The formats for programs, on values alone: JSON, GitHub's commands and summary, SARIF, JUnit."""

from __future__ import annotations

import dataclasses
import json
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from initcfg.cli.renderers import render, shows_all, step_summary
from initcfg.cli.renderers.documents import json_schema
from initcfg.cli.report import Checked, Contents, Report
from initcfg.errors import Code, Diagnostic, Location
from initcfg.explanations import load_explanations

SARIF_SCHEMA = Path(__file__).parents[1] / "data" / "sarif" / "sarif-schema-2.1.0.json"

ERROR = Diagnostic(
    Code.UNKNOWN_KEY,
    "unknown key 'initialiser'",
    Location(
        "configs/a b.yaml", 3, 23, 34, "  weight: {shape: [4], initialiser: zeros}", ("params", "weight")
    ),
    "did you mean 'initializer'?",
)
WARNING = Diagnostic(Code.DISTRIBUTION, "100% cut", Location("b:c,d.yaml", 7, 2), severity="warning")
NOTE = Diagnostic(Code.TOO_LARGE, "and more", Location("b:c,d.yaml"), severity="note")
UNREADABLE = Diagnostic(Code.INPUT, "cannot read the file", Location("gone.yaml"))
UNPLACED = Diagnostic(Code.OUTPUT, "cannot write 'x'")

GOOD = Checked("good.yaml", contents=Contents(2, 1_500, 6_000))
BAD = Checked("configs/a b.yaml", (ERROR, ERROR))
WARNED = Checked("b:c,d.yaml", (WARNING, NOTE), Contents(2, 1_500, 6_000))
GONE = Checked("gone.yaml", (UNREADABLE, UNPLACED))
ALL = Report((GOOD, BAD, WARNED, GONE))


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def sarif(report: Report) -> dict[str, Any]:
    """The one run of a report's SARIF log, which fits the published schema."""
    log = json.loads(render(report, "sarif"))
    jsonschema.Draft4Validator(json.loads(SARIF_SCHEMA.read_text(encoding="utf-8"))).validate(log)
    (run,) = log["runs"]
    return run


def suites(report: Report) -> ET.Element:
    return ET.fromstring(render(report, "junit"))


def test_the_json_report_fits_its_schema() -> None:
    jsonschema.validate(json.loads(render(ALL, "json")), json_schema())


@pytest.mark.parametrize("key", ["report", "files", "diagnostics"])
def test_the_schema_of_a_report_refuses_one_that_lacks_a_part(key: str) -> None:
    document = json.loads(render(ALL, "json"))
    del document[key]
    with pytest.raises(jsonschema.ValidationError, match=key):
        jsonschema.validate(document, json_schema())


def test_a_github_command_has_the_place_as_properties_and_the_text_as_its_message() -> None:
    assert render(Report((BAD,)), "github").splitlines()[0] == (
        "::error file=configs/a b.yaml,line=3,col=23,endColumn=34,title=unknown-key"
        "::configs/a b.yaml:3:23: unknown key 'initialiser'%0Ahelp: did you mean 'initializer'?"
    )


def test_github_gets_its_own_word_for_each_severity_and_its_escapes() -> None:
    assert render(Report((WARNED, GONE)), "github").splitlines() == [
        "::warning file=b%3Ac%2Cd.yaml,line=7,col=2,title=distribution::b:c,d.yaml:7:2: 100%25 cut",
        "::notice file=b%3Ac%2Cd.yaml,title=too-large::b:c,d.yaml: and more",
        "::error file=gone.yaml,title=input::gone.yaml: cannot read the file",
        "::error title=output::cannot write 'x'",
    ]


def test_github_is_given_paths_from_the_root_of_the_checkout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_WORKSPACE", str(tmp_path))
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path / "sub")
    for given in ("a.yaml", "./a.yaml", str(tmp_path / "sub" / "a.yaml")):
        report = Report((Checked(given, (Diagnostic(Code.SHAPE, "x", Location(given, 1)),)),))
        assert render(report, "github").startswith("::error file=sub/a.yaml,line=1,")
        (result,) = sarif(report)["results"]
        assert result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "sub/a.yaml"


@pytest.mark.parametrize(
    ("errors", "warnings", "shown"), [(10, 10, True), (11, 0, False), (0, 11, False), (6, 6, True)]
)
def test_more_than_ten_of_one_severity_are_more_than_github_shows(
    errors: int, warnings: int, shown: bool
) -> None:
    assert shows_all(Report((Checked("a", (ERROR,) * errors + (WARNING,) * warnings),))) is shown


def test_the_summary_has_the_totals_and_a_row_for_everything_found() -> None:
    heading, _, *table = step_summary(ALL).splitlines()
    assert heading == "### initcfg: 4 errors, 1 warning in 4 files"
    assert table[:2] == ["| | place | problem | help | code |", "|---|---|---|---|---|"]
    assert len(table) - 2 == len(ALL.diagnostics)
    assert table[2] == (
        "| error | configs/a b.yaml&#58;3&#58;23 | unknown key 'initialiser' "
        "| did you mean 'initializer'&#63; | unknown-key |"
    )


def test_a_summary_stays_below_what_github_takes_and_says_what_it_leaves_out() -> None:
    long = dataclasses.replace(ERROR, message="é" * 400)
    text = step_summary(Report((Checked("a", (long,) * 3_000),)))
    assert len(text.encode()) < 2**20
    kept = text.count("\n| error")
    assert text.endswith(f"\n\nThe log has {3_000 - kept:,} problems more.\n")


def test_sarif_places_a_result_in_characters_from_the_root() -> None:
    run = sarif(ALL)
    assert run["columnKind"] == "unicodeCodePoints"
    first = run["results"][0]
    assert (first["ruleId"], first["level"]) == ("unknown-key", "error")
    assert first["message"]["text"] == "unknown key 'initialiser'\nhelp: did you mean 'initializer'?"
    assert first["locations"][0]["physicalLocation"] == {
        "artifactLocation": {"uri": "configs/a%20b.yaml", "uriBaseId": "%SRCROOT%"},
        "region": {"startLine": 3, "startColumn": 23, "endColumn": 34},
    }
    assert [result["level"] for result in run["results"]] == ["error", "error", "warning", "note"]


def test_sarif_explains_each_code_that_occurs_once() -> None:
    run = sarif(ALL)
    rules = run["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in rules] == ["unknown-key", "distribution", "too-large", "input", "output"]
    page = load_explanations()[Code.UNKNOWN_KEY]
    assert rules[0]["help"]["text"] == page.remedy
    for example in (page.wrong, page.right):
        assert example in rules[0]["help"]["markdown"]
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]


def test_sarif_tells_what_could_not_be_read_of_the_run_and_not_of_the_code() -> None:
    (invocation,) = sarif(ALL)["invocations"]
    assert (invocation["executionSuccessful"], invocation["exitCode"]) == (False, 2)
    told = [each["message"]["text"] for each in invocation["toolExecutionNotifications"]]
    assert told == ["cannot read the file", "cannot write 'x'"]
    (invocation,) = sarif(Report((BAD,)))["invocations"]
    assert (invocation["executionSuccessful"], invocation["exitCode"]) == (True, 1)


def test_a_sarif_fingerprint_outlives_lines_added_above() -> None:
    def fingerprint(where: Location) -> str:
        (result,) = sarif(Report((Checked("a", (dataclasses.replace(ERROR, where=where),)),)))["results"]
        return result["partialFingerprints"]["initcfg/v1"]

    here = fingerprint(Location("a.yaml", 3, 4, path=("params", "w")))
    assert fingerprint(Location("a.yaml", 9, 4, path=("params", "w"))) == here
    assert fingerprint(Location("a.yaml", 3, 4, path=("params", "v"))) != here
    assert fingerprint(Location("b.yaml", 3, 4, path=("params", "w"))) != here


def test_a_sarif_message_holds_no_link() -> None:
    report = Report((Checked("a", (Diagnostic(Code.SHAPE, "name '[x](https://evil)'", Location("a")),)),))
    assert "](" not in sarif(report)["results"][0]["message"]["text"]


def test_a_file_outside_of_the_checkout_keeps_its_own_place(tmp_path: Path) -> None:
    outside = str(tmp_path.parent / "other" / "a.yaml")
    report = Report((Checked(outside, (Diagnostic(Code.SHAPE, "x", Location(outside, 1)),)),))
    (result,) = sarif(report)["results"]
    artifact = result["locations"][0]["physicalLocation"]["artifactLocation"]
    assert artifact == {"uri": Path(outside).as_uri()}
    assert f"file={outside},".replace(":", "%3A") in render(report, "github")


def test_the_published_sarif_schema_refuses_a_planted_fault() -> None:
    log = json.loads(render(ALL, "sarif"))
    log["runs"][0]["results"][0]["level"] = "fatal"
    with pytest.raises(jsonschema.ValidationError, match="fatal"):
        jsonschema.Draft4Validator(json.loads(SARIF_SCHEMA.read_text(encoding="utf-8"))).validate(log)


def test_junit_has_a_test_case_a_file_and_counts_them() -> None:
    root = suites(ALL)
    (suite,) = root
    assert root.tag == "testsuites"
    assert suite.tag == "testsuite"
    for element in (root, suite):
        assert {name: element.get(name) for name in ("tests", "failures", "errors")} == {
            "tests": "4",
            "failures": "1",
            "errors": "1",
        }
    assert [(case.get("name"), [child.tag for child in case]) for case in suite] == [
        ("good.yaml", []),
        ("configs/a b.yaml", ["failure"]),
        ("b:c,d.yaml", ["system-out"]),
        ("gone.yaml", ["error"]),
    ]


def test_a_junit_failure_has_the_whole_text() -> None:
    failure = suites(Report((BAD,))).find("testsuite/testcase/failure")
    assert failure is not None
    assert failure.text == f"{ERROR}\n{ERROR}"
    assert failure.attrib == {
        "type": "unknown-key",
        "message": "unknown key 'initialiser' (and 1 error more)",
    }
