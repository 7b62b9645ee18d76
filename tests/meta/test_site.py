"""The site of docs/, without building it: its one address, and a place for every page.

`tests/interop/test_site.py` builds it.
"""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest
import yaml

from initcfg.explanations import DOCUMENTATION

ROOT = Path(__file__).parents[2]
SCHEMAS = sorted((ROOT / "schemas").iterdir())


SITE = yaml.safe_load((ROOT / "mkdocs.yml").read_text("utf-8"))


def test_the_metadata_and_the_site_name_the_address() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["urls"]["Documentation"] == SITE["site_url"] == DOCUMENTATION


def test_every_page_has_its_place_in_the_navigation() -> None:
    [first, *sections] = SITE["nav"]
    entries = [entry for section in sections for pages in section.values() for entry in pages]
    listed = [page for entry in entries for page in (entry.values() if isinstance(entry, dict) else [entry])]
    docs = ROOT / "docs"
    assert first == {"Home": "index.md"}
    assert {page for page in listed if "/" in page} == {
        path.relative_to(docs).as_posix() for path in docs.rglob("*.md")
    }
    assert len(listed) == len(set(listed))


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda path: path.name)
def test_a_schema_is_named_by_where_it_is_served(schema: Path) -> None:
    document = json.loads(schema.read_text("utf-8"))
    assert document["$id"] == f"{DOCUMENTATION}schemas/{schema.name}"
