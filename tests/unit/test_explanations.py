"""The pages of the codes: one for each, and examples that do what the page says."""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

import initcfg
from initcfg.checks import check_plan
from initcfg.cli import main
from initcfg.errors import Code, InitcfgError
from initcfg.explanations import Explanation, load_explanations

if TYPE_CHECKING:
    from pathlib import Path

PAGES = load_explanations()
EVERY = pytest.mark.parametrize("page", PAGES.values(), ids=lambda page: str(page.code))
# Programs that need another package are run by tests/interop.
RUN = pytest.mark.parametrize(
    "page", [page for page in PAGES.values() if page.needs is None], ids=lambda page: str(page.code)
)
SPEC = "initcfg: 1\nparams:\n  weight: {shape: [4], initializer: zeros}\n"


def codes_of(page: Explanation, example: str, folder: Path) -> set[str]:
    """Runs an example in `folder` and gives the codes of what it meets."""
    if page.language == "console":
        (folder / "spec.yaml").write_text(SPEC, encoding="utf-8")
        commands = [line.removeprefix("$ initcfg ").split() for line in example.strip().splitlines()]
        output = "\n".join(CliRunner().invoke(main, command).output for command in commands)
        return set(re.findall(r"^(?:\S+: )?error\[([a-z-]+)\]", output, re.MULTILINE))
    try:
        if page.language == "python":
            exec(example, {})
        else:
            path = folder / f"spec.{page.language}"
            path.write_text(example, encoding="utf-8")
            spec = initcfg.load_spec(path)
            warnings = check_plan(initcfg.make_plan(path), spec.allow, spec)
            return {str(diagnostic.code) for diagnostic in warnings}
    except InitcfgError as error:
        return {str(diagnostic.code) for diagnostic in error.diagnostics}
    return set()


def test_every_code_has_a_page_and_every_page_a_code() -> None:
    assert list(PAGES) == list(Code)


@EVERY
def test_a_page_is_written_in_whole_sentences(page: Explanation) -> None:
    assert not page.title.endswith(".")
    assert page.cause.endswith(".")
    assert page.remedy.endswith(".")
    assert page.language in ("yaml", "json", "python", "console")
    assert page.needs is None or page.language == "python"


@RUN
def test_the_wrong_example_gives_the_code_and_nothing_else(page: Explanation, tmp_path: Path) -> None:
    with contextlib.chdir(tmp_path):
        assert codes_of(page, page.wrong, tmp_path) == {page.code}


@RUN
def test_the_right_example_is_right(page: Explanation, tmp_path: Path) -> None:
    with contextlib.chdir(tmp_path):
        assert codes_of(page, page.right, tmp_path) == set()


@pytest.mark.parametrize(
    ("language", "example", "codes"),
    [
        ("yaml", SPEC, set()),
        ("yaml", SPEC.replace("zeros", "zeroes"), {"unknown-initializer"}),
        ("yaml", SPEC.replace("shape", "shap"), {"unknown-key", "missing-key"}),
        ("python", "import initcfg\ninitcfg.load_spec('nowhere.yaml')", {"input"}),
        ("console", "$ initcfg validate spec.yaml", set()),
        ("console", "$ initcfg plan nowhere.yaml", {"input"}),
    ],
)
def test_running_an_example_sees_what_it_gives(
    language: str, example: str, codes: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    page = Explanation(Code.SYNTAX, "", "", "", example, example, language)  # type: ignore[arg-type]
    assert codes_of(page, example, tmp_path) == codes


@EVERY
def test_the_two_examples_differ_in_few_lines(page: Explanation) -> None:
    changed = set(page.wrong.splitlines()) ^ set(page.right.splitlines())
    limit = 12 if page.language == "python" else 5
    assert 0 < len(changed) <= limit
