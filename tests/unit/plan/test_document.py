"""A plan as JSON, its schema, and what its fingerprint does and does not depend on."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import numpy as np
import pytest

import initcfg
from initcfg import initializers
from initcfg.plan.document import PlanDocument, json_schema

ROOT = Path(__file__).parents[3]
CONFIGS = sorted((ROOT / "configs").glob("*.yaml"))

A = "  a: {shape: [4, 6], initializer: he_normal}"
B = "  b: {shape: [4, 6], initializer: orthogonal}"
BASE = f"""
seed: 1
layout: in_out
params:
{A}
{B}
"""


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_the_document_of_each_config_fits_the_schema(config) -> None:
    plan = initcfg.make_plan(config)
    document = json.loads(plan.to_json())
    jsonschema.Draft202012Validator(json_schema()).validate(document)
    assert [entry["name"] for entry in document["parameters"]] == [parameter.name for parameter in plan]
    assert document["nbytes"] == plan.nbytes
    assert PlanDocument.model_validate(document).model_dump(exclude_unset=True) == document


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(json_schema())


def test_a_document_says_what_was_resolved_and_where(plan) -> None:
    document = PlanDocument.model_validate(plan(BASE).to_dict())
    first, second = document.parameters
    assert first.distribution.kind == "truncated_normal"
    assert first.distribution.high == 2 * first.distribution.std
    assert first.initializer.class_name == "HeNormal"
    assert (first.fan_in, first.fan_out, first.layout) == (4, 6, "in_out")
    assert second.distribution is None


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (f"{A}\n{B}", f"{B}\n{A}"),
        ("he_normal", "{class_name: VarianceScaling, config: {scale: 2}}"),
        ("[4, 6], initializer: he", "[2 + 2, 2 * 3], stream: a, initializer: he"),
        ("seed: 1", "name: other\nseed: 1"),
    ],
    ids=["order", "spelling of an initializer", "spelling of a shape and a stream", "name"],
)
def test_the_fingerprint_depends_on_nothing_that_does_not_decide_values(plan, before, after) -> None:
    assert before in BASE
    assert plan(BASE).fingerprint == plan(BASE.replace(before, after)).fingerprint


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("seed: 1", "seed: 2"),
        ("seed: 1", "seed: 1\ndtype: float16"),
        ("  a:", "  c:"),
        ("a: {shape: [4, 6]", "a: {shape: [6, 4]"),
        ("he_normal", "he_uniform"),
        ("he_normal", "{he_normal: {seed: 1}}"),
        ("orthogonal", "{orthogonal: {gain: 2}}"),
        ("b: {shape: [4, 6], initializer", "b: {shape: [4, 6], layout: out_in, initializer"),
        ("b: {shape: [4, 6], initializer: orthogonal}", "b: {shape: [4, 6], tied_to: a}"),
    ],
)
def test_the_fingerprint_depends_on_all_that_decides_values(plan, before, after) -> None:
    assert before in BASE
    assert plan(BASE).fingerprint != plan(BASE.replace(before, after)).fingerprint


@pytest.mark.parametrize(
    "same", ["{constant: {value: 0}}", "{constant: {value: 0.0}}", "{random_uniform: {minval: 0, maxval: 0}}"]
)
def test_the_fingerprint_of_a_constant_is_that_of_its_value(plan, same) -> None:
    text = "seed: {seed}\nparams: {{w: {{shape: [3], initializer: {initializer}}}}}"
    zeros = plan(text.format(seed=1, initializer="zeros")).fingerprint
    assert plan(text.format(seed=2, initializer=same)).fingerprint == zeros
    assert plan(text.format(seed=1, initializer="{constant: {value: 1.0e-9}}")).fingerprint != zeros


def test_the_fingerprint_tells_a_tie_from_an_equal_parameter(plan) -> None:
    text = "params: {{a: {{shape: [3], initializer: zeros}}, b: {{shape: [3], {how}}}}}"
    tied, equal = (plan(text.format(how=how)) for how in ("tied_to: a", "initializer: zeros"))
    assert tied.fingerprint != equal.fingerprint


@pytest.mark.parametrize("value", [float("nan"), {1, 2}, object()])
def test_a_config_that_is_no_json_is_not_written_down(value) -> None:
    @initializers.register(package="tests", name="HoldsAnything")
    class HoldsAnything(initcfg.Initializer):
        def __init__(self, value):
            self.value = value

        def __call__(self, shape, dtype=None):
            return np.zeros(shape, dtype)

        def get_config(self):
            return {"value": self.value}

    spec = initcfg.Spec(params={"w": initcfg.Param(shape=[3], initializer=HoldsAnything(value))})
    plan = initcfg.make_plan(spec)
    assert initcfg.materialize(plan)["w"].tolist() == [0, 0, 0]
    with pytest.raises(initcfg.SpecError, match="parameter 'w' is made by code that a plan cannot hold"):
        plan.to_json()


def test_a_plan_that_holds_code_materializes_and_is_not_written_down() -> None:
    def ramp(shape, dtype=None):
        return np.arange(np.prod(shape), dtype=dtype).reshape(shape)

    spec = initcfg.Spec(params={"w": initcfg.Param(shape=[3], initializer=ramp)})
    plan = initcfg.make_plan(spec)
    assert initcfg.materialize(plan)["w"].tolist() == [0, 1, 2]
    for refused in (lambda: plan.fingerprint, plan.to_json):
        with pytest.raises(initcfg.SpecError, match="parameter 'w' is made by code"):
            refused()
