"""The real Hydra: what it composes is a spec, and its plan is that of the plain spec."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import InterpolationKeyError, MissingMandatoryValue

import initcfg
from initcfg.errors import Code, SpecError

CONFIGS = Path(__file__).parents[2] / "configs"
SPEC = """\
initcfg: 1
layout: in_out
vars: {d: 8}
initializers: {base: {random_normal: {stddev: 0.02 / sqrt(d)}}}
layers:
  h.{i}.{name}:
    repeat: {i: 2, name: [q, k]}
    params: {w: {shape: [d, 4 * d], initializer: base}}
"""
GROUPED = """\
defaults: [{init: net}, _self_]
seed: 3
width: 32
init: {seed: "${seed}", vars: {d: "${width}"}}
"""


def composed(folder: Path, name: str, *overrides: str) -> DictConfig:
    with initialize_config_dir(str(folder), version_base=None):
        return compose(name, list(overrides))


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    (tmp_path / "init").mkdir()
    (tmp_path / "init/net.yaml").write_text(SPEC)
    (tmp_path / "config.yaml").write_text(GROUPED)
    return tmp_path


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_config_is_the_same_spec_when_hydra_reads_it(path: Path) -> None:
    config = composed(CONFIGS, path.stem)
    assert initcfg.make_plan(config).fingerprint == initcfg.make_plan(path).fingerprint


def test_an_override_is_a_setting() -> None:
    plan = initcfg.make_plan(composed(CONFIGS, "mlp", "vars.hidden=32", "seed=3"))
    plain = initcfg.make_plan(CONFIGS / "mlp.yaml", settings=["vars.hidden=32", "seed=3"])
    assert plan.fingerprint == plain.fingerprint
    assert plan.fingerprint != initcfg.make_plan(CONFIGS / "mlp.yaml").fingerprint
    for name, array in initcfg.materialize(plain).items():
        np.testing.assert_array_equal(initcfg.materialize(plan[name]), array)


@pytest.mark.parametrize("resolved", [False, True])
def test_interpolations_of_a_group_are_resolved(conf: Path, resolved: bool) -> None:
    config = composed(conf, "config", "width=16").init
    document: Any = OmegaConf.to_container(config, resolve=True) if resolved else config
    plain = initcfg.make_plan(conf / "init/net.yaml", settings={"seed": 3, "vars.d": 16})
    assert initcfg.make_plan(document).fingerprint == plain.fingerprint


def test_interpolations_left_as_text_are_refused_each_with_its_path(conf: Path) -> None:
    document: Any = OmegaConf.to_container(composed(conf, "config").init)
    with pytest.raises(SpecError) as caught:
        initcfg.make_plan(document)
    found = {(each.code, each.where.path) for each in caught.value.diagnostics if each.where}
    assert found == {(Code.WRONG_TYPE, ("seed",)), (Code.EXPRESSION_SYNTAX, ("vars", "d"))}


@pytest.mark.parametrize("override", ["init.seed=${nope}", "init.seed=???"])
def test_what_hydra_cannot_resolve_is_told_with_its_place(conf: Path, override: str) -> None:
    with pytest.raises(SpecError) as caught:
        initcfg.make_plan(composed(conf, "config", override).init)
    (problem,) = caught.value.diagnostics
    assert problem.where is not None
    assert problem.where.path == ("seed",)
    assert isinstance(caught.value.__cause__, InterpolationKeyError | MissingMandatoryValue)


def test_a_mistake_in_an_override_is_found(conf: Path) -> None:
    with pytest.raises(SpecError) as caught:
        initcfg.make_plan(composed(conf, "config", "+init.sede=1").init)
    assert [each.code for each in caught.value.diagnostics] == [Code.UNKNOWN_KEY]


@pytest.mark.parametrize("value", ["???", "${nope}"])
def test_a_value_that_omegaconf_does_not_give_is_told_with_its_place(value: str) -> None:
    config = OmegaConf.create({"initcfg": 1, "params": {"w": {"shape": [4, value], "initializer": "zeros"}}})
    with pytest.raises(SpecError) as caught:
        initcfg.make_plan(config)
    (problem,) = caught.value.diagnostics
    assert problem.where is not None
    assert problem.where.path == ("params", "w", "shape", 1)
