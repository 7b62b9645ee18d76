"""What the tests of the command line share: a folder with specs, and two ways to run the program."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from initcfg.cli import main

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from click.testing import Result

GOOD = """\
initcfg: 1
name: tiny
seed: 7
layout: in_out
vars: {d: 8}
layers:
  h.{i}:
    repeat: {i: 2}
    params:
      kernel: {shape: [d, 2 * d], initializer: glorot_uniform}
      bias: {shape: [2 * d], initializer: zeros}
params:
  embedding: {shape: [32, d], initializer: {random_normal: {stddev: 0.02}}}
  head: {shape: [32, d], tied_to: embedding}
allow:
  - {code: unusual-variance, match: embedding, reason: an embedding is read by its rows}
"""
BAD = """\
initcfg: 1
params:
  kernel: {shape: [4, 2], initializer: glorot_unifrom}
  bias: {shape: [2], initialiser: zeros}
"""
TYPO = GOOD.replace("glorot_uniform", "glorot_unifrom")


@pytest.fixture(autouse=True)
def _away_from_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of a CI system or a terminal that these tests run in reaches a command."""
    for name in (
        "COLUMNS",
        "NO_COLOR",
        "FORCE_COLOR",
        "GITHUB_ACTIONS",
        "GITHUB_STEP_SUMMARY",
        "GITHUB_WORKSPACE",
    ):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with good.yaml, bad.yaml (a wrong name and key), typo.yaml (a wrong name)."""
    for name, text in (("good", GOOD), ("bad", BAD), ("typo", TYPO)):
        (tmp_path / f"{name}.yaml").write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run() -> Callable[..., Result]:
    """Runs a command line in this process; gives its exit code, stdout and stderr."""

    def run(*args: str, **settings: Any) -> Result:
        return CliRunner().invoke(main, args, catch_exceptions=False, prog_name="initcfg", **settings)

    return run


@pytest.fixture
def spawn() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs a command line in a process of its own."""

    def spawn(*args: str, **environment: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "initcfg", *args]
        return subprocess.run(
            command, env=os.environ | environment, capture_output=True, text=True, check=False, timeout=60
        )

    return spawn


@pytest.fixture
def on_terminal() -> Callable[..., tuple[int, str]]:
    """Runs a command line with all streams on a terminal; gives the exit code and what it showed."""
    pty = pytest.importorskip("pty", reason="pseudo-terminals are POSIX")

    def on_terminal(*args: str, **environment: str) -> tuple[int, str]:
        ours, theirs = pty.openpty()
        settings = os.environ | {"TERM": "xterm-256color", "COLUMNS": "120"} | environment
        command = [sys.executable, "-m", "initcfg", *args]
        with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=settings) as process:
            os.close(theirs)
            shown = b""
            # Linux answers EIO, others an empty read, when the last writer has closed the terminal.
            with contextlib.suppress(OSError):
                while chunk := os.read(ours, 65536):
                    shown += chunk
        os.close(ours)
        return process.returncode, shown.decode().replace("\r\n", "\n")

    return on_terminal
