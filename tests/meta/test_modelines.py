"""Editors find the schema of every config: its first line names a schema file that is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

CONFIGS = sorted((Path(__file__).parents[2] / "configs").rglob("*.yaml"))
MODELINE = re.compile(r"# yaml-language-server: \$schema=(\S+)\n")


def schema_of(config: Path) -> Path | None:
    """The schema file that a config names for the YAML language server, if it is there."""
    found = MODELINE.match(config.read_text(encoding="utf-8"))
    schema = config.parent / found[1] if found else None
    return schema.resolve() if schema and schema.is_file() else None


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_the_first_line_names_the_schema_of_specs(config: Path) -> None:
    schema = schema_of(config)
    assert schema
    assert schema.name == "spec.v1.schema.json"


@pytest.mark.parametrize(
    "line", ["", "# yaml-language-server: $schema=../spec.v0.schema.json\n", "# $schema=config.yaml\n"]
)
def test_a_modeline_that_leads_nowhere_is_noticed(line: str, tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(f"{line}initcfg: 1\n", encoding="utf-8")
    assert schema_of(config) is None
