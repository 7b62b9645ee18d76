"""Every code block of the documentation runs, and prints what the page says it prints.

In a Markdown file a comment directly above a fenced block says what it is:

    <!-- file: spec.yaml -->   the block is written to that file
    <!-- skip: why -->         the block is not run
    <!-- ci: name -->          the block is not run here: it makes an environment of its own

Of the others, ``python`` blocks run in order in one namespace a page, with ``>>>`` examples compared
as doctest compares them, and ``console`` blocks run the lines after ``$ `` and compare the output.
Each page has a folder of its own that starts with copies of ``configs/`` and ``schemas/``. ``...`` in
expected output stands for anything.
"""

from __future__ import annotations

import contextlib
import doctest
import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from initcfg.cli import main

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/**/*.md")])
# What changes the output of a command where these tests themselves run in CI.
ON_CI = ("FORCE_COLOR", "GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY", "GITHUB_WORKSPACE")
# A command of this project's in which nothing is for the shell to do.
PLAIN = re.compile(r"initcfg( (?!--(ray|plugin|threads))[\w./=:,@%+-]+| '[^']*')*")
KNOWN = {"python", "console", "yaml", "json", "text", "toml", ""}

FENCE = re.compile(
    r"""
    (?: ^<!--[ ] (?P<directive> file | skip | ci ) : [ ]? (?P<argument> [^\n]*? ) [ ]? -->\n )?
    ^``` (?P<language> [\w-]* ) \n
    (?P<body> .*? )
    ^```$
    """,
    re.MULTILINE | re.DOTALL | re.VERBOSE,
)


@dataclass(frozen=True)
class Block:
    """One fenced block of a page."""

    language: str
    body: str
    line: int
    directive: str | None
    argument: str | None


def blocks(text: str) -> list[Block]:
    return [
        Block(
            language=found["language"],
            body=found["body"],
            line=text.count("\n", 0, found.start("body")) + 1,
            directive=found["directive"],
            argument=found["argument"],
        )
        for found in FENCE.finditer(text)
    ]


def run_python(block: Block, namespace: dict[str, object], page: Path) -> None:
    if ">>>" not in block.body:
        exec(compile(block.body, f"{page}:{block.line}", "exec"), namespace)
        return
    parser = doctest.DocTestParser()
    test = parser.get_doctest(block.body, namespace, f"{page.name}:{block.line}", str(page), block.line)
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS, verbose=False)
    report: list[str] = []
    runner.run(test, out=report.append, clear_globs=False)
    namespace.update(test.globs)
    assert runner.failures == 0, "".join(report)


def commands(body: str) -> Iterator[tuple[str, str]]:
    """The commands of a console block, each with the output that is expected of it."""
    for part in re.split(r"^\$ ", body, flags=re.MULTILINE)[1:]:
        command, _, expected = part.partition("\n")
        while command.endswith("\\"):
            more, _, expected = expected.partition("\n")
            command = command[:-1] + more
        yield command, expected


def printed_by(command: str, folder: Path) -> str:
    """What a command prints at a width of 80 columns, errors last."""
    setting = {**dict.fromkeys(ON_CI, ""), "COLUMNS": "80"}
    if PLAIN.fullmatch(command):
        # In this process: a start takes longer than what most commands do.
        with contextlib.chdir(folder):
            result = CliRunner().invoke(main, shlex.split(command)[1:], prog_name="initcfg", env=setting)
        return result.stdout + result.stderr
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env={**os.environ, **setting, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


def tidy(output: str) -> str:
    """Output without the spaces at the ends of its lines and the empty lines around it."""
    return "\n".join(line.rstrip() for line in output.splitlines()).strip() + "\n"


def run_console(block: Block, folder: Path) -> None:
    for command, expected in commands(block.body):
        printed, wanted = tidy(printed_by(command, folder)), tidy(expected)
        agree = doctest.OutputChecker().check_output(wanted, printed, doctest.ELLIPSIS)
        assert agree, f"$ {command}\nprinted\n{printed}\nnot\n{wanted}"


def write_file(block: Block, folder: Path) -> None:
    assert block.argument
    target = folder / block.argument
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(block.body, encoding="utf-8")


def run_page(page: Path, folder: Path) -> None:
    namespace: dict[str, object] = {"__name__": "docs"}
    for block in blocks(page.read_text(encoding="utf-8")):
        assert block.language in KNOWN, f"{page}:{block.line}: what is a {block.language!r} block?"
        match block.directive, block.language:
            case "file", _:
                write_file(block, folder)
            case (("skip" | "ci"), _):
                pass
            case None, "python":
                run_python(block, namespace, page)
            case None, "console":
                run_console(block, folder)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    shutil.copytree(ROOT / "schemas", tmp_path / "schemas")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_code_blocks_run_and_print_what_the_page_says(page: Path, folder: Path) -> None:
    run_page(page, folder)


@pytest.mark.parametrize(
    "text",
    [
        "```python\nassert 1 == 2\n```\n",
        "```python\n>>> 1 + 1\n3\n```\n",
        "```console\n$ echo yes\nno\n```\n",
        "```ruby\nputs 1\n```\n",
    ],
    ids=["python", "doctest", "console", "language"],
)
def test_a_wrong_block_is_found(text: str, folder: Path) -> None:
    page = folder / "page.md"
    page.write_text(text, encoding="utf-8")
    with pytest.raises(AssertionError):
        run_page(page, folder)
