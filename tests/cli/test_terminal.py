"""What only a terminal gets to see: colour, the fitted table, the progress bar."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from typing import TYPE_CHECKING

import click
import pytest

if TYPE_CHECKING:
    from pathlib import Path

OnTerminal = Callable[..., tuple[int, str]]
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
    piped = spawn("plan", "good.yaml").stdout
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
