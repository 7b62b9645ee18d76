"""``initcfg manifest``."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from click.testing import Result

from initcfg.formats.manifests import read_manifest

if TYPE_CHECKING:
    from pathlib import Path

Run = Callable[..., Result]


@pytest.fixture
def weights(run: Run, folder: Path) -> str:
    """A file of the weights that good.yaml describes."""
    assert run("materialize", "good.yaml", "-o", "w.safetensors").exit_code == 0
    return "w.safetensors"


@pytest.mark.parametrize("suffix", [".yaml", ".yml", ".json", ".JSON"])
def test_a_manifest_says_what_the_header_says(run: Run, weights: str, suffix: str) -> None:
    result = run("manifest", weights, "-o", f"shapes{suffix}")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == f"shapes{suffix}: 5 parameters\n"
    assert read_manifest(f"shapes{suffix}") == read_manifest(weights)


def test_without_a_file_it_goes_to_stdout(run: Run, weights: str) -> None:
    assert "  embedding: {shape: [32, 8], dtype: float32}\n" in run("manifest", weights).stdout
    document = json.loads(run("manifest", weights, "--format", "json").stdout)
    assert document["params"]["embedding"] == {"shape": [32, 8], "dtype": "float32"}


def test_a_manifest_of_a_manifest_is_the_same(run: Run, weights: str) -> None:
    run("manifest", weights, "-o", "one.yaml")
    run("manifest", "one.yaml", "-o", "two.json")
    assert read_manifest("two.json") == read_manifest("one.yaml")


def test_a_file_that_is_there_is_replaced_only_by_force(run: Run, folder: Path, weights: str) -> None:
    before = (folder / "good.yaml").read_bytes()
    result = run("manifest", weights, "-o", "good.yaml")
    assert result.exit_code == 2
    assert "--force" in result.stderr
    assert (folder / "good.yaml").read_bytes() == before
    assert run("manifest", weights, "-o", "good.yaml", "--force").exit_code == 0
    assert read_manifest("good.yaml") == read_manifest(weights)


def test_a_name_that_no_manifest_has_is_a_usage_error(run: Run, weights: str) -> None:
    result = run("manifest", weights, "-o", "shapes.txt")
    assert result.exit_code == 2
    assert ".yaml, .yml" in result.stderr


def test_what_are_no_weights_is_told_with_its_name(run: Run, folder: Path) -> None:
    (folder / "torn.safetensors").write_bytes(b"\x08")
    result = run("manifest", "torn.safetensors")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "torn.safetensors" in result.stderr
