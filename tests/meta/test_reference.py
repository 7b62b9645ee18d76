"""The generated reference and the schemas are what `docs/generate.py` makes of today's code."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from initcfg.cli import COMMANDS, main
from initcfg.errors import Code
from initcfg.initializers import BUILTINS

if TYPE_CHECKING:
    from types import ModuleType

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", DOCS / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def outdated(folder: Path, pages: dict[str, str]) -> list[str]:
    """The pages of a folder that are missing, too many, or not as generated."""
    written = {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir()}
    return sorted(name for name in {*written, *pages} if written.get(name) != pages.get(name))


def test_the_reference_is_up_to_date(generate: ModuleType) -> None:
    assert outdated(DOCS / "reference", generate.pages()) == [], "run: python docs/generate.py"


def test_the_schemas_are_up_to_date(generate: ModuleType) -> None:
    assert outdated(DOCS.parent / "schemas", generate.schemas()) == [], "run: python docs/generate.py"


def test_the_pictures_are_up_to_date_small_and_legible_in_the_dark(generate: ModuleType) -> None:
    for name, text in generate.assets().items():
        assert (DOCS / "assets" / name).read_text(encoding="utf-8") == text, "run: python docs/generate.py"
        assert len(text) < 60_000
        assert "prefers-color-scheme: dark" in text
        assert {*re.findall(r'class="(?:\w+ )?(\w+)"', text)} <= {*re.findall(r"\.(\w+)", text), "legend"}


def test_the_command_prints_what_is_published(generate: ModuleType) -> None:
    for name, text in generate.schemas().items():
        assert CliRunner().invoke(main, ["schema", name.partition(".")[0]]).stdout == text


def test_a_page_that_differs_is_found(tmp_path: Path) -> None:
    for name in ("same", "changed", "extra"):
        (tmp_path / name).write_text(name, encoding="utf-8")
    assert outdated(tmp_path, {"same": "same", "changed": "now", "new": "new"}) == ["changed", "extra", "new"]


def test_every_command_initializer_and_code_has_its_section(generate: ModuleType) -> None:
    headings = {
        line[3:] for page in generate.pages().values() for line in page.splitlines() if line.startswith("## ")
    }
    wanted = {
        *Code,
        *(cls.__name__ for cls in BUILTINS),
        *(f"initcfg {name}" for name in COMMANDS),
    }
    assert wanted - headings == set()


def test_sections_of_a_docstring_are_told_apart(generate: ModuleType) -> None:
    docstring = "One line.\n\nFormula:\n    a = b\n\nNote: this is prose.\n\nArgs:\n    x: one\n        two."
    assert list(generate.sections(docstring)) == [
        ("", "One line."),
        ("Formula", "a = b"),
        ("", "Note: this is prose."),
        ("Args", "x: one\n    two."),
    ]
