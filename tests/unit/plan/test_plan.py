"""The plan as a value: looking parameters up, and ties."""

from __future__ import annotations

import gc
import pickle
import re
from dataclasses import FrozenInstanceError, fields, replace

import numpy as np
import pytest

import initcfg
from initcfg.errors import SpecError, UnknownParameterError
from initcfg.plan import PlannedParameter, require_plan

TIED = """
layout: in_out
params:
  owner: {shape: [4, 6], initializer: orthogonal}
  alias: {shape: [4, 6], tied_to: owner}
"""


def test_parameters_are_found_by_name_and_by_position(plan) -> None:
    found = plan(TIED)
    assert found["owner"] is found[0] is found[-2] is found[np.int64(0)]
    assert "alias" in found
    assert "nobody" not in found
    assert all(each in found for each in found)
    assert found["owner"] not in initcfg.make_plan({"initcfg": 1})


def test_a_parameter_shows_itself_in_a_line(plan) -> None:
    shown = repr(plan(TIED)["owner"])
    assert "dtype=DType('float32')" in shown
    assert "Location" not in shown
    assert len(shown) < 400


def test_numpy_makes_no_array_of_a_parameter_or_a_slice(plan) -> None:
    for each in (plan(TIED)["owner"], plan(TIED)["owner"][:1]):
        with pytest.raises(TypeError, match=re.escape("initcfg.materialize makes")):
            np.asarray(each)


def test_a_plan_that_was_written_is_no_spec(plan, tmp_path) -> None:
    (tmp_path / "plan.json").write_text(plan(TIED).to_json(), "utf-8")
    for given in (tmp_path / "plan.json", plan(TIED).to_dict()):
        with pytest.raises(SpecError) as caught:
            initcfg.make_plan(given)
        (problem,) = caught.value.diagnostics
        assert problem.hint.startswith("initcfg.read_plan reads it")


def test_a_missing_name_says_which_one_is_near(plan) -> None:
    with pytest.raises(UnknownParameterError, match="did you mean 'owner'"):
        plan(TIED)["ownr"]


@pytest.mark.parametrize("index", [None, 1.5, True, ["owner"], slice(0, 1)])
def test_anything_else_is_no_index(plan, index) -> None:
    with pytest.raises(TypeError, match=re.escape("indexed by a name or a position")):
        plan(TIED)[index]
    assert index not in plan(TIED)


def test_a_tied_parameter_made_alone_is_its_targets_array(plan) -> None:
    found = plan(TIED)
    weights = initcfg.materialize(found)
    assert weights["alias"] is weights["owner"]
    assert np.array_equal(initcfg.materialize(found["alias"]), weights["owner"])
    assert np.array_equal(initcfg.materialize(found["alias"][1:, ::2]), weights["owner"][1:, ::2])
    assert (found["alias"].layout, found["alias"].fans) == (found["owner"].layout, found["owner"].fans)


def test_a_planned_parameter_is_the_frozen_value_that_its_class_makes(plan) -> None:
    found = plan(TIED)["owner"]
    made = PlannedParameter(**{each.name: getattr(found, each.name) for each in fields(PlannedParameter)})
    assert (made, hash(made), repr(made)) == (found, hash(found), repr(found))
    assert type(found) is PlannedParameter
    assert pickle.loads(pickle.dumps(found)) == found
    assert replace(found, name="other").name == "other"
    with pytest.raises(FrozenInstanceError):
        found.name = "other"  # type: ignore[misc]


def test_planning_leaves_the_collector_as_it_was(plan, problems) -> None:
    for enabled in (False, True):
        (gc.enable if enabled else gc.disable)()
        try:
            plan(TIED)
            problems("params: {w: {shape: [x], initializer: ones}}")
            assert gc.isenabled() is enabled
        finally:
            gc.enable()


def test_a_plan_says_in_one_short_line_what_it_is() -> None:
    params = {"w": {"shape": [40, 30], "initializer": "ones"}}
    plan = initcfg.make_plan({"initcfg": 1, "name": "n", "seed": 3, "params": params})
    assert repr(plan) == "<Plan 'n', parameters=1, elements=1,200, seed=3>"
    assert repr(initcfg.make_plan({"initcfg": 1})) == "<Plan parameters=0, elements=0, seed=0>"


@pytest.mark.parametrize("wrong", ["mlp.yaml", None, {"initcfg": 1}])
def test_what_is_no_plan_is_told_how_one_is_made(wrong: object) -> None:
    kind = type(wrong).__name__
    with pytest.raises(TypeError, match=rf"f takes a plan, not {kind}: make_plan\(spec\) makes one"):
        require_plan(wrong, "f", "make_plan(spec)")
