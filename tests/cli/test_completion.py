"""What a shell is given to complete commands, options, codes and names."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

PROGRAM = "from initcfg.cli import main; main(prog_name='initcfg')"


def completed(words: str, shell: str = "bash_complete") -> list[str]:
    """What the program offers for the last of the words."""
    environment = os.environ | {
        "_INITCFG_COMPLETE": shell,
        "COMP_WORDS": words,
        "COMP_CWORD": str(words.count(" ")),
    }
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=True
    )
    return [line.rpartition(",")[2] for line in done.stdout.splitlines()]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_shell_has_its_script(shell: str) -> None:
    assert any("_INITCFG_COMPLETE" in line for line in completed("initcfg", f"{shell}_source"))


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("initcfg mat", {"materialize"}),
        ("initcfg validate --stri", {"--strict"}),
        ("initcfg explain unknown-i", {"unknown-initializer"}),
        ("initcfg initializers glorot", {"glorot_normal", "glorot_uniform"}),
    ],
)
def test_commands_options_codes_and_names_are_completed(words: str, offered: set[str]) -> None:
    assert set(completed(words)) == offered
