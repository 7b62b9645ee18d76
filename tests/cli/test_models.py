"""Models that a command line names: which callable, what goes wrong with it, and where."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
import pytest
from click.testing import CliRunner

from initcfg.cli.models import ModelSource, with_model
from initcfg.errors import Code, SpecError

if TYPE_CHECKING:
    from pathlib import Path


@click.command()
@with_model
def show(model: ModelSource) -> int:
    click.echo(f"{model.name} makes {model.build()!r}")
    return 0


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return lambda *arguments: CliRunner().invoke(show, arguments)


def test_a_callable_of_the_current_folder_makes_the_model(run, tmp_path: Path) -> None:
    (tmp_path / "toy_models.py").write_text(
        "class GPT:\n    @staticmethod\n    def tiny():\n        return 7\n"
    )
    assert run("toy_models:GPT.tiny").output == "toy_models:GPT.tiny makes 7\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "give either MODULE:CALLABLE or --config FOLDER"),
        (("a:b", "--config", "."), "give either MODULE:CALLABLE or --config FOLDER"),
        (("models",), "'models' is not MODULE:CALLABLE"),
        (("math:sinus",), "'math' has no 'sinus'"),
        (("math:sqr",), "did you mean 'sqrt'?"),
        (("models/gpt.py:GPT",), "name the module, as in models.gpt:GPT"),
        (("math:pi",), "'math:pi' is a float"),
    ],
)
def test_what_names_no_callable_is_a_wrong_command_line(run, arguments, message: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert message in result.output


def test_what_the_code_raises_is_told_with_its_line(run, tmp_path: Path) -> None:
    (tmp_path / "failing_models.py").write_text("def build():\n    return 1 / 0\n")
    error = run("failing_models:build").exception
    assert isinstance(error, SpecError)
    (problem,) = error.diagnostics
    assert (problem.code, problem.where.line) == (Code.INPUT, 2)
    assert problem.where.file.endswith("failing_models.py")
    assert problem.message == "build() raises ZeroDivisionError: division by zero"


def test_a_module_that_is_not_there_is_told_without_a_line_of_python_itself(run) -> None:
    (problem,) = run("no_such_models:build").exception.diagnostics
    assert problem.where is None
    assert "No module named 'no_such_models'" in problem.message
