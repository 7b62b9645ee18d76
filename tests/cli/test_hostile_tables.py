"""Names from foreign files in tables of several: nothing of them runs, steers a terminal or forges a cell."""

from __future__ import annotations

import csv
import html
import io
import json
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from safetensors.numpy import save_file

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from click.testing import Result

    Run = Callable[..., Result]

# What a spec refuses, and a file of weights may have.
CONTROLS = [
    "bidi\u202e\u2066txt.exe",
    "esc\x1b[31mred\x1b]0;title\x07",
    "line\nbreak\r\u2028 two",
    "x" * 10_000,
]
NAMES = [
    "</script><script>alert(1)</script>",
    "\"><img src=x onerror='alert(1)'>",
    "a|b`c`<!--",
    "[text](javascript:alert(1)) @someone #1",
    "=1+1",
    "y" * 4_000,
]
#: What a name may not leave in any output.
STEERING = "\x1b\x07\r\u2028\u202e\u2066"


class Tags(HTMLParser):
    """Collects the names of elements, their attributes and the text between them."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.text.append(data)


@pytest.fixture
def shown(run: Run, folder: Path, request: pytest.FixtureRequest) -> Callable[[str], str]:
    """The output of a command over three files with these names, in a format."""
    files = []
    for rank in range(3):
        if request.param == "inspect":
            files.append(f"{rank}.safetensors")
            save_file({name: np.full(3, rank, "float32") for name in NAMES + CONTROLS}, files[-1])
        else:
            files.append(f"{rank}{'<b>|' if rank == 1 else ''}.json")
            made: dict[str, Any] = {"shape": [3], "initializer": {"constant": {"value": rank}}}
            spec = {"initcfg": 1, "params": dict.fromkeys(NAMES, made)}
            (folder / files[-1]).write_text(json.dumps(spec), encoding="utf-8")

    def output(style: str) -> str:
        result = run(request.param, *files, "--format", style)
        assert (result.exit_code, result.stderr) == (int(request.param == "diff"), "")
        assert not set(STEERING) & set(result.stdout)
        return result.stdout

    return output


both = pytest.mark.parametrize("shown", ["inspect", "diff"], indirect=True)


@both
def test_names_in_html_are_text(shown: Callable[[str], str]) -> None:
    page = Tags()
    page.feed(shown("html"))
    assert not page.tags & {"script", "img", "iframe", "a", "b", "link"}
    assert not {name for name in page.attributes if name.startswith("on") or name in ("src", "href")}
    told = "".join(page.text)
    for name in NAMES:
        assert name in told


@both
def test_names_in_markdown_are_one_cell_each(shown: Callable[[str], str]) -> None:
    lines = [line for line in shown("markdown").splitlines() if line.startswith("|")]
    assert len(lines) in (2 + len(NAMES), 2 + len(NAMES + CONTROLS))
    assert len({line.count("|") for line in lines}) == 1
    text = "\n".join(lines)
    assert not set("<>`@[#*") & set(text.replace("&#", ""))


@both
def test_names_in_csv_are_no_formulas_and_one_field_each(shown: Callable[[str], str]) -> None:
    rows = list(csv.reader(io.StringIO(shown("csv"))))
    at = rows[0].index("name")
    assert {len(row) for row in rows} == {len(rows[0])}
    names = {row[at] for row in rows[1:]}
    assert len(names) in (len(NAMES), len(NAMES + CONTROLS))
    assert "'=1+1" in names
    assert not [name for name in names if name.startswith(("=", "+", "-", "@"))]


@pytest.mark.parametrize("shown", ["inspect"], indirect=True)
@pytest.mark.parametrize("style", ["text", "csv", "html", "markdown"])
def test_control_and_direction_characters_of_names_are_shown(style: str, shown: Callable[[str], str]) -> None:
    text = html.unescape(shown(style))
    for told in ("bidi\\u202e\\u2066txt.exe", "esc\\x1b[31mred\\x1b]0;title\\x07", "line\\nbreak\\r\\u2028"):
        assert told in text


@pytest.mark.parametrize("style", ["text", "json", "csv", "markdown", "html"])
@pytest.mark.parametrize("args", [("plan",), ("inspect",), ("diff", "good.yaml", "good.yaml")])
def test_what_cannot_be_read_is_an_error_in_every_format(
    args: tuple[str, ...], style: str, run: Run, folder: Path
) -> None:
    result = run(*args, "nosuch.yaml", "--format", style)
    assert result.exit_code == 2
    told, silent = (result.stdout, result.stderr) if style == "json" else (result.stderr, result.stdout)
    assert "nosuch.yaml" in told
    assert silent == ""
