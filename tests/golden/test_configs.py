"""Every spec in configs/ is valid, and plans and makes what it made when its digest was written."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

import initcfg
from initcfg.cli import main

if TYPE_CHECKING:
    from types import ModuleType

HERE = Path(__file__).parent
CONFIGS = sorted((HERE.parents[1] / "configs").glob("*"))
GOLDEN = json.loads((HERE / "configs_v1.json").read_text(encoding="utf-8"))["configs"]


@pytest.fixture(scope="module")
def make() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_configs", HERE / "make_configs.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.name)
def test_a_config_makes_the_same_weights_for_ever(config: Path, make: ModuleType) -> None:
    assert make.facts(config) == GOLDEN[config.name], f"see {HERE.name}/make_configs.py"


def test_the_file_holds_no_config_that_is_gone() -> None:
    assert set(GOLDEN) == {config.name for config in CONFIGS}


def test_the_command_line_finds_all_configs_valid() -> None:
    result = CliRunner().invoke(main, ["validate", *map(str, CONFIGS)])
    assert (result.exit_code, result.stdout) == (0, "")


def test_every_config_names_the_schema_that_editors_use() -> None:
    for config in CONFIGS:
        first = config.read_text(encoding="utf-8").partition("\n")[0]
        schema = config.parent / first.removeprefix("# yaml-language-server: $schema=")
        assert schema.resolve().is_file(), first


def test_a_slice_of_an_eight_billion_parameter_model_is_made_alone() -> None:
    plan = initcfg.make_plan(HERE.parents[1] / "configs" / "llama3-8b.yaml")
    rows = initcfg.materialize(plan["lm_head.weight"][100_000:100_004, ::512])
    again = initcfg.materialize(plan["lm_head.weight"][100_000:100_004])
    assert rows.shape == (4, 8)
    assert (rows == again[:, ::512]).all()
