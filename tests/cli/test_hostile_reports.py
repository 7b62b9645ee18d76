"""Whatever a name, a text or a file name holds, it stays a text in every format."""

from __future__ import annotations

import json
import re
import unicodedata
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import click
import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from initcfg.cli.renderers import defused, render, step_summary
from initcfg.cli.renderers.documents import json_schema
from initcfg.cli.report import Checked, Report
from initcfg.errors import Code, Diagnostic, Location, printable

DATA = Path(__file__).parents[1] / "data"
SARIF_SCHEMA = json.loads((DATA / "sarif" / "sarif-schema-2.1.0.json").read_text(encoding="utf-8"))

TRICKS = [
    "\x1b[31m",
    "\x1b]0;title\x07",
    "\x9b31m",
    "\n",
    "\r",
    "\n::error::forged",
    "::stop-commands::x",
    "  ::add-mask::a",
    "##[add-mask]a",
    "##vso[task.setvariable variable=a]b",
    "]]>",
    "</failure>",
    "</script><script>",
    "<!--",
    "&amp;&#0;",
    "\u202e",
    "\u2066",
    "\u2028",
    "\0",
    "\ud800",
    "\udcff",
    "\ufffe\uffff",
    "%0A%0D%25",
    "a:b,c=d",
    "| a | b |",
    "`code`",
    "[link](https://example.org)",
    "![](x)",
    "{0}",
    "\\",
    "'\"",
    "幅广",
    "e\u0301",
    "\U0001f600",
]
TEXTS = st.lists(st.sampled_from(TRICKS) | st.text(max_size=4), max_size=4).map("".join)
LOCATIONS = st.builds(
    Location,
    file=st.none() | TEXTS.filter(bool),
    line=st.none() | st.integers(1, 9),
    column=st.none() | st.integers(1, 9),
    end_column=st.none() | st.integers(9, 12),
    text=st.none() | TEXTS,
    path=st.lists(TEXTS | st.integers(0, 9), max_size=3).map(tuple),
)
DIAGNOSTICS = st.builds(
    Diagnostic,
    code=st.sampled_from(Code),
    message=TEXTS,
    where=st.none() | LOCATIONS,
    hint=st.none() | TEXTS,
    severity=st.sampled_from(["error", "warning", "note"]),
)
REPORTS = st.lists(
    st.builds(Checked, TEXTS, st.lists(DIAGNOSTICS, max_size=3).map(tuple), st.none(), st.just("valid")),
    min_size=1,
    max_size=3,
).map(lambda files: Report(tuple(files)))


def steers(text: str) -> bool:
    """Whether a text has a character that steers a terminal; line breaks do not count."""
    return any(
        unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") or unicodedata.bidirectional(char) in BIDI
        for char in text
        if char != "\n"
    )


BIDI = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


def is_command(line: str) -> bool:
    """Whether GitHub's runner or Azure's agent takes a line of a log for a command."""
    return line.lstrip().startswith("::") or "##[" in line or "##vso[" in line


@settings(max_examples=settings().max_examples // 2)
@given(REPORTS)
def test_text_holds_no_character_that_steers_and_no_command(report: Report) -> None:
    shown = defused(click.unstyle(render(report, "text")))
    assert not steers(shown)
    assert not any(is_command(line) for line in shown.split("\n"))
    assert not any(is_command(line) for line in click.unstyle(defused(render(report, "text"))).split("\n"))
    assert not steers(report.summary())


@settings(max_examples=settings().max_examples // 2)
@given(REPORTS)
def test_github_gets_one_command_a_diagnostic_and_no_other_line(report: Report) -> None:
    rendered = render(report, "github")
    lines = rendered.split("\n") if rendered else []
    assert len(lines) == len(report.diagnostics)
    form = re.compile(r"::(error|warning|notice) ((?:[A-Za-z]+=[^,:]*)(?:,[A-Za-z]+=[^,:]*)*)::(.*)")
    for line, diagnostic in zip(lines, report.diagnostics, strict=True):
        found = form.fullmatch(line)
        assert found is not None
        keys = [pair.partition("=")[0] for pair in found[2].split(",")]
        assert len(keys) == len(set(keys))
        assert set(keys) <= {"file", "line", "col", "endColumn", "title"}
        assert decoded(found[3]).count(printable(diagnostic.message)) >= 1
        assert not steers(decoded(line))


def decoded(text: str) -> str:
    """What GitHub's runner makes of a message."""
    return text.replace("%0D", "\r").replace("%0A", "\n").replace("%25", "%")


@settings(max_examples=settings().max_examples // 2)
@given(REPORTS)
def test_documents_parse_and_hold_every_message(report: Report) -> None:
    for name, messages, validator in (
        ("json", json_messages, jsonschema.Draft202012Validator(json_schema())),
        ("sarif", sarif_messages, jsonschema.Draft4Validator(SARIF_SCHEMA)),
    ):
        rendered = render(report, name)
        assert rendered.isascii()
        assert not any(is_command(line) for line in rendered.split("\n"))
        document = json.loads(rendered)
        validator.validate(document)
        assert len(messages(document)) == len(report.diagnostics)
    assert json_messages(json.loads(render(report, "json"))) == [
        diagnostic.message for diagnostic in report.diagnostics
    ]


def json_messages(document: dict[str, list[dict[str, str]]]) -> list[str]:
    return [row["message"] for row in document["diagnostics"]]


def sarif_messages(log: Any) -> list[object]:
    (run,) = log["runs"]
    rows = [*run["results"], *run["invocations"][0]["toolExecutionNotifications"]]
    texts = [row["message"]["text"] for row in rows]
    assert not any(steers(text) or "](" in text for text in texts)
    return texts


@settings(max_examples=settings().max_examples // 2)
@given(REPORTS)
def test_junit_is_xml_and_the_texts_survive(report: Report) -> None:
    rendered = render(report, "junit")
    assert rendered.isascii()
    assert not any(is_command(line) for line in rendered.split("\n"))
    cases = ET.fromstring(rendered).findall("testsuite/testcase")
    assert len(cases) == len(report.files)
    for case, file in zip(cases, report.files, strict=True):
        text = "".join(case.itertext())
        assert not steers(text)
        for diagnostic in file.diagnostics:
            shown = printable(diagnostic.message).replace("\ufffe", r"\ufffe").replace("\uffff", r"\uffff")
            assert shown in text


@settings(max_examples=settings().max_examples // 2)
@given(REPORTS)
def test_the_summary_of_a_job_is_one_table_without_markup(report: Report) -> None:
    summary = step_summary(report)
    assert not steers(summary)
    assert not set(summary) & set("<>`[]*\\$")
    _, _, _, _, *rows = summary.removesuffix("\n").split("\n")
    assert len(rows) == len(report.diagnostics)
    assert {row.count("|") for row in rows} <= {6}


@pytest.mark.parametrize(
    "line", ["::error::x", "  ::error::x", "a ##[group]", "\x1b[1m::error::x", "##vso[a]"]
)
def test_the_check_sees_a_command(line: str) -> None:
    assert is_command(click.unstyle(line))
    assert not is_command(click.unstyle(defused(line)))
