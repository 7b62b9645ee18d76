"""The table ``[tool.initcfg]`` of a pyproject.toml."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from click.testing import Result

if TYPE_CHECKING:
    from pathlib import Path

Run = Callable[..., Result]
WARNED = """\
initcfg: 1
params:
  w: {shape: [8, 4], layout: in_out, initializer: he_normal}
  bias: {shape: [4], initializer: random_normal}
"""
EXTENDING = "initcfg: 1\nextends: ../base.yaml\n"
BASE = "initcfg: 1\nparams: {w: {shape: [2], initializer: ones}}\n"


def project(folder: Path, table: str) -> None:
    (folder / "pyproject.toml").write_text(f"[tool.initcfg]\n{table}\n", encoding="utf-8")


def test_the_table_of_a_folder_above_leaves_out_warnings_and_files(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project(folder, 'exclude = ["deep/old"]\nignore = ["random-bias"]')
    (folder / "deep" / "old").mkdir(parents=True)
    (folder / "deep" / "old" / "bad.yaml").write_text("- 1", encoding="utf-8")
    (folder / "deep" / "warned.yaml").write_text(WARNED, encoding="utf-8")
    monkeypatch.chdir(folder / "deep")
    result = run("validate", "--strict", "**/*.yaml")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "1 warning ignored (random-bias), 1 file excluded" in result.stderr


def test_a_document_on_stdout_leaves_nothing_out_in_silence(run: Run, folder: Path) -> None:
    project(folder, 'ignore = ["random-bias"]')
    (folder / "warned.yaml").write_text(WARNED, encoding="utf-8")
    assert "1 warning ignored" in run("validate", "--format", "json", "warned.yaml").stderr


def test_the_table_narrows_the_root_and_the_command_line_outweighs_it(run: Run, folder: Path) -> None:
    (folder / "specs").mkdir()
    (folder / "base.yaml").write_text(BASE, encoding="utf-8")
    (folder / "specs" / "net.yaml").write_text(EXTENDING, encoding="utf-8")
    assert run("validate", "specs/net.yaml").exit_code == 0
    project(folder, 'root = "specs"')
    for command in ("validate", "plan"):
        refused = run(command, "specs/net.yaml")
        assert refused.exit_code == 1
        assert "outside-root" in refused.output
    assert run("validate", "--root", ".", "specs/net.yaml").exit_code == 0


def test_the_table_does_not_widen_the_root(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project(folder, 'root = "."')
    (folder / "specs").mkdir()
    (folder / "base.yaml").write_text(BASE, encoding="utf-8")
    (folder / "specs" / "net.yaml").write_text(EXTENDING, encoding="utf-8")
    monkeypatch.chdir(folder / "specs")
    assert "outside-root" in run("validate", "net.yaml").stdout


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ('excludes = ["a"]', "tool.initcfg.excludes: unknown key; did you mean 'exclude'?"),
        ('exclude = "a"', "tool.initcfg.exclude: Input should be a valid list"),
        ('ignore = ["random-bias", "random-bais"]', "tool.initcfg.ignore.1: no code is named 'random-bais'"),
        ('root = ".."', "tool.initcfg.root: '..' leads out of the project"),
        ('root = "gone"', "tool.initcfg.root: 'gone' is no folder"),
        ("ignore = [", "pyproject.toml cannot be read: "),
    ],
)
def test_a_malformed_table_is_a_wrong_command_line(run: Run, folder: Path, table: str, said: str) -> None:
    project(folder, table)
    result = run("validate", "good.yaml")
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr


def test_every_problem_of_a_table_is_told(run: Run, folder: Path) -> None:
    project(folder, "exclude = 1\nignore = 2")
    assert run("validate", "good.yaml").stderr.count("tool.initcfg.") == 2
