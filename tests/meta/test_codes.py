"""The codes of diagnostics: each is used, each has a case, and none is there for nothing.

Pages are held by tests/unit/test_explanations.py.
"""

from __future__ import annotations

import re
from pathlib import Path

from initcfg.errors import Code
from initcfg.explanations import load_explanations

TESTS = Path(__file__).parents[1]
PACKAGE = TESTS.parent / "initcfg"

# No document of a reasonable size gives these alone: they are about programs, files, plans and command lines.
# The page of each is a program or a session, which a test runs.
NOT_OF_A_DOCUMENT = {
    Code.TOO_LARGE,
    Code.NOT_SERIALIZABLE,
    Code.UNKNOWN_PARAMETER,
    Code.FORMAT,
    Code.OUTPUT,
    Code.OTHER_PLAN,
    Code.UNFINISHED,
    Code.EDITED_PLAN,
    Code.PLUGIN,
    Code.FINGERPRINT,
    Code.MISSING_TENSOR,
    Code.UNEXPECTED_TENSOR,
    Code.TENSOR_FORM,
    Code.DTYPE_MISMATCH,
    Code.VALUES,
    Code.LAW,
    Code.EQUAL_COPIES,
    Code.SETTING,
    Code.NEVER_WRITTEN,
    Code.PARTLY_WRITTEN,
    Code.LOST_WRITE,
    Code.HALF_PARAMETRIZATION,
    Code.BROKEN_TIE,
    Code.OTHER_PATH,
    Code.IDLE_SETTING,
}


def codes_in_cases(cases: Path) -> set[str]:
    """The codes that the corpus says its files give."""
    found: set[str] = set()
    for path in cases.rglob("*"):
        if path.is_file() and path.suffix in (".yaml", ".yml", ".json", ".toml"):
            text = path.read_text("utf-8", errors="replace")
            lines = text.splitlines() if path.suffix == ".toml" else re.findall(r"^# expect: .*", text, re.M)
            found.update(word for line in lines for word in re.findall(r"[a-z][a-z0-9-]+", line))
    return found


def unused(package: Path) -> set[Code]:
    """The codes that no module names."""
    paths = (path for path in package.rglob("*.py") if path.name != "errors.py")
    text = "\n".join(path.read_text("utf-8") for path in paths)
    return {code for code in Code if not re.search(rf"\bCode\.{code.name}\b", text)}


def test_every_code_of_a_document_has_a_case() -> None:
    named = codes_in_cases(TESTS / "cases")
    assert {code for code in Code if code not in named} - NOT_OF_A_DOCUMENT == set()


def test_a_code_without_a_case_has_a_page_that_is_run_as_a_program() -> None:
    pages = load_explanations()
    assert {code for code in NOT_OF_A_DOCUMENT if pages[code].language in ("yaml", "json")} == set()


def test_no_code_is_unused() -> None:
    assert unused(PACKAGE) == set()


def test_a_code_that_nothing_uses_or_shows_is_found(tmp_path: Path) -> None:
    (tmp_path / "module.py").write_text("Code.SYNTAX", "utf-8")
    (tmp_path / "case.yaml").write_text("# expect: syntax 1:1\n# unknown-key\n", "utf-8")
    assert unused(tmp_path) == set(Code) - {Code.SYNTAX}
    assert "syntax" in codes_in_cases(tmp_path)
    assert "unknown-key" not in codes_in_cases(tmp_path)
