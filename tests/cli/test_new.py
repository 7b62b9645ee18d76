"""``initcfg new``."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from click.testing import Result

if TYPE_CHECKING:
    from pathlib import Path

Run = Callable[..., Result]


@pytest.fixture
def shapes(folder: Path) -> str:
    """A manifest of three layers."""
    params = {f"h.{i}.fc.weight": {"shape": [768, 768]} for i in range(3)}
    (folder / "shapes.json").write_text(json.dumps({"params": params}), encoding="utf-8")
    return "shapes.json"


@pytest.mark.parametrize("options", [[], ["--manifest", "shapes.json"], ["--name", "a: {b"]])
def test_a_draft_validates_without_warnings(run: Run, folder: Path, shapes: str, options: list[str]) -> None:
    result = run("new", *options, "-o", "new.yaml")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "new.yaml" in result.stderr
    assert run("validate", "new.yaml", "--strict").exit_code == 0


def test_a_draft_of_a_manifest_has_its_parameters(run: Run, folder: Path, shapes: str) -> None:
    run("new", "--manifest", shapes, "-o", "new.yaml")
    planned = json.loads(run("plan", "new.yaml", "--format", "json").stdout)
    assert [each["name"] for each in planned["parameters"]] == [f"h.{i}.fc.weight" for i in range(3)]


def test_a_draft_goes_to_stdout_and_in_from_there(run: Run, shapes: str) -> None:
    text = run("new", "--manifest", shapes).stdout
    assert text.startswith("# ")
    assert run("validate", "-", input=text).exit_code == 0
    assert json.loads(run("new", "--manifest", shapes, "--format", "json").stdout)["vars"] == {"n_h": 3}


def test_a_spec_that_is_there_is_replaced_only_by_force(run: Run, folder: Path) -> None:
    before = (folder / "good.yaml").read_text(encoding="utf-8")
    result = run("new", "-o", "good.yaml")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "good.yaml" in result.stderr
    assert "--force" in result.stderr
    assert "None" not in result.stderr
    assert (folder / "good.yaml").read_text(encoding="utf-8") == before
    assert run("new", "-o", "good.yaml", "--force").exit_code == 0
    assert (folder / "good.yaml").read_text(encoding="utf-8") != before


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("-o", "new.json"), "ends in .yaml or .yml"),
        (("--manifest", "absent.json"), "absent.json"),
        (("--manifest", "good.yaml"), "this is a spec, and no manifest"),
    ],
)
def test_what_cannot_be_drafted_is_said(run: Run, folder: Path, args: tuple[str, ...], message: str) -> None:
    result = run("new", *args)
    assert result.exit_code in {1, 2}
    assert result.stdout == ""
    assert message in result.stderr
