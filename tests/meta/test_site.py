"""The documentation has one address: the schemas, the package's metadata and the site agree on it."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from initcfg.explanations import DOCUMENTATION

ROOT = Path(__file__).parents[2]
SCHEMAS = sorted((ROOT / "schemas").iterdir())


def test_the_metadata_names_the_address() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["urls"]["Documentation"] == DOCUMENTATION


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda path: path.name)
def test_a_schema_is_named_by_where_it_is_served(schema: Path) -> None:
    document = json.loads(schema.read_text("utf-8"))
    assert document["$id"] == f"{DOCUMENTATION}schemas/{schema.name}"
