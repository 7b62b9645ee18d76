"""What only a terminal gets to see: colour, the fitted table, the progress bar."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click
import pytest

from initcfg.cli import COMMANDS, main

if TYPE_CHECKING:
    from pathlib import Path

OnTerminal = Callable[..., tuple[int, str]]
Run = Callable[..., Any]
Spawn = Callable[..., subprocess.CompletedProcess[str]]


@pytest.mark.parametrize(
    ("args", "environment", "colored"),
    [
        ((), {}, True),
        ((), {"NO_COLOR": "1"}, False),
        ((), {"NO_COLOR": ""}, True),  # no-color.org: an empty value does not count
        ((), {"TERM": "dumb"}, False),
        (("--color", "never"), {}, False),
        (("--color", "always"), {"NO_COLOR": "1"}, True),
    ],
)
def test_diagnostics_are_coloured_unless_that_is_not_wanted(
    args: tuple[str, ...], environment: dict[str, str], colored: bool, on_terminal: OnTerminal, folder: Path
) -> None:
    code, shown = on_terminal("validate", "bad.yaml", *args, **environment)
    assert code == 1
    assert ("\x1b[" in shown) is colored
    assert "error[unknown-key]" in click.unstyle(shown)


def test_the_plan_on_a_terminal_says_what_it_says_in_a_pipe(
    on_terminal: OnTerminal, spawn: Spawn, folder: Path
) -> None:
    code, shown = on_terminal("plan", "good.yaml")
    piped = spawn("plan", "good.yaml", COLUMNS="120").stdout
    assert code == 0
    assert "\x1b[" in shown
    assert "\x1b[" not in piped
    words = [word for word in click.unstyle(shown).split() if not set(word) <= set("─━ ")]
    assert words == piped.split()


def test_the_plan_fits_a_narrow_terminal_and_loses_nothing(on_terminal: OnTerminal, folder: Path) -> None:
    _, shown = on_terminal("plan", "good.yaml", COLUMNS="60")
    lines = click.unstyle(shown).splitlines()
    assert max(map(len, lines)) <= 60
    assert "…" not in shown


def test_the_plan_on_a_terminal_honours_no_color(on_terminal: OnTerminal, folder: Path) -> None:
    _, shown = on_terminal("plan", "good.yaml", "--color", "never")
    assert "\x1b[3" not in shown
    assert "embedding" in shown


def test_materialize_shows_a_progress_bar_on_a_terminal(on_terminal: OnTerminal, folder: Path) -> None:
    code, shown = on_terminal("materialize", "good.yaml", "-o", "out.safetensors")
    assert code == 0
    assert "━" in shown
    assert (folder / "out.safetensors").exists()


def test_materialize_shows_no_progress_bar_in_a_pipe(spawn: Spawn, folder: Path) -> None:
    done = spawn("materialize", "good.yaml", "-o", "out.safetensors")
    assert (done.returncode, done.stdout) == (0, "")
    assert "━" not in done.stderr
    assert "\x1b" not in done.stderr
    assert "\r" not in done.stderr


@pytest.mark.parametrize(("lines", "paged"), [("5", True), ("60", False)])
def test_a_table_longer_than_the_terminal_goes_through_the_pager(
    lines: str, paged: bool, on_terminal: OnTerminal, folder: Path
) -> None:
    (folder / "pager").write_text("#!/bin/sh\necho paged; cat\n")
    (folder / "pager").chmod(0o755)
    code, shown = on_terminal("plan", "good.yaml", PAGER=str(folder / "pager"), LINES=lines)
    assert code == 0
    assert ("paged" in shown) is paged
    assert "6 parameters, 544 elements" in click.unstyle(shown)


WEIGHTS = "made.safetensors"
SHOWN = [
    *(
        ("initializers",),
        ("initializers", "variance_scaling"),
        ("initializers", "--search", "he"),
        ("explain",),
        ("explain", "bad-name"),
    ),
    *(
        ("inspect", WEIGHTS),
        ("verify", WEIGHTS, "typo.yaml"),
        ("verify", WEIGHTS, "good.yaml", "--set", "seed=9"),
    ),
    *(("diff", "good.yaml", "narrow.yaml"), ("plan", "good.yaml")),
]


@pytest.mark.parametrize("width", [60, 80])
@pytest.mark.parametrize("args", SHOWN, ids=" ".join)
def test_lines_fit_and_no_word_is_broken(args: tuple[str, ...], width: int, run: Run, folder: Path) -> None:
    text = (folder / "good.yaml").read_text(encoding="utf-8")
    (folder / "narrow.yaml").write_text(text.replace("glorot_uniform", "he_normal"), encoding="utf-8")
    run("materialize", "good.yaml", "-o", WEIGHTS)
    whole = run(*args)
    fitted = run(*args, env={"COLUMNS": str(width)})
    assert fitted.exit_code == whole.exit_code
    source = re.compile(r" *[0-9]* \| ")
    lines = [line for line in fitted.output.splitlines() if not source.match(line)]
    # A name may take several lines, that each end after a dot; a longer word stays whole.
    assert [line for line in lines if len(line) > width and len(line.split()) > 1] == []
    known = set(whole.output.split())
    pieces = known | {piece for word in known for piece in re.findall(r"[^.]*\.+|[^.]+", word)}
    broken = [
        word for line in lines for word in line.split() if word not in known and word.strip(".") not in known
    ]
    assert [word for word in broken if not set(re.findall(r"[^.]*\.+|[^.]+", word)) <= pieces | OWN] == []


# What the note about the columns left out adds.
OWN = {
    "not",
    "shown",
    "at",
    "60",
    "80",
    "columns:",
    *["fan_in,", "fan_out;", "initializer;", "rule;", "dtype;", "size;"],
    *["mean;", "zeros;", "shard;", "min;", "max;", "max"],
}


@pytest.mark.parametrize("width", [50, 60, 80])
@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_fits_and_breaks_no_word(
    command: str, width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def shown(width: int) -> str:
        monkeypatch.setenv("COLUMNS", str(width))
        main([*filter(None, [command]), "--help"], prog_name="initcfg", standalone_mode=False)
        return capsys.readouterr().out

    text = shown(width)
    assert [line for line in text.splitlines() if len(line) > width] == []
    assert set(text.split()) - set(shown(400).split()) <= {"\\"}
