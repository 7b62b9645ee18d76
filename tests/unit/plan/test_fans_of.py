"""A parameter with the fans of another one: in expressions and in schemes, wherever that one is told."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import initcfg
from initcfg import SpecError
from initcfg.distributions import Uniform
from initcfg.layout import Fans
from initcfg.manifest import Manifest
from initcfg.spec import dump_tree, load

if TYPE_CHECKING:
    from initcfg.plan import Plan

BIAS = {"random_uniform": {"minval": "-1 / sqrt(fan_in)", "maxval": "1 / sqrt(fan_in)"}}


def spec(params: dict[str, Any], **others: Any) -> dict[str, Any]:
    return {"initcfg": 1, "layout": "out_in", "params": params} | others


def planned(params: dict[str, Any], **others: Any) -> Plan:
    return initcfg.make_plan(spec(params, **others))


WEIGHT = {"shape": [4, 25], "initializer": "he_normal"}


def test_expressions_and_schemes_take_the_fans_of_the_other_one() -> None:
    params: dict[str, Any] = {
        "fc.bias": {"shape": [4], "fans_of": "weight", "initializer": BIAS},
        "fc.scaled": {"shape": [4], "fans_of": "fc.weight", "initializer": "lecun_uniform"},
        "fc.of": {
            "shape": [4],
            "fans_of": "weight",
            "initializer": {"formula": {"value": "x / fan_in", "of": BIAS}},
        },
        "fc.weight": WEIGHT,
    }
    plan = planned(params)
    assert plan["fc.bias"].distribution == Uniform(-0.2, 0.2)
    assert plan["fc.scaled"].distribution == Uniform(-math.sqrt(3 / 25), math.sqrt(3 / 25))
    assert {plan[name].fans for name in ("fc.bias", "fc.scaled", "fc.of")} == {Fans(25, 4)}
    assert {plan[name].fans_of for name in ("fc.bias", "fc.scaled", "fc.of")} == {"fc.weight"}
    assert plan["fc.weight"].fans_of is None
    weights = initcfg.materialize(plan)
    assert 0.002 < abs(weights["fc.of"]).max() < 0.2 / 25
    np.testing.assert_array_equal(initcfg.materialize(plan["fc.of"][1:3]), weights["fc.of"][1:3])


def test_a_name_of_the_same_layer_goes_before_a_full_name() -> None:
    params: dict[str, Any] = {"weight": {"shape": [1, 100], "initializer": "zeros"}, "fc.weight": WEIGHT}
    params["fc.bias"] = params["other.bias"] = {"shape": [4], "fans_of": "weight", "initializer": BIAS}
    plan = planned(params)
    assert plan["fc.bias"].distribution == Uniform(-0.2, 0.2)
    assert plan["other.bias"].distribution == Uniform(-0.1, 0.1)


def test_a_rule_may_name_the_one_itself_and_captures() -> None:
    rule = {"match": "h.{i}.*", "fans_of": "h.{i}.weight", "initializer": BIAS}
    params = {
        f"h.{at}.{key}": {"shape": shape}
        for at, size in ((0, 25), (1, 100))
        for key, shape in (("bias", [4]), ("weight", [4, size]))
    }
    plan = planned(params, rules=[rule])
    bounds = {parameter.name: parameter.distribution for parameter in plan}
    assert bounds["h.0.bias"] == bounds["h.0.weight"] == Uniform(-0.2, 0.2)
    assert bounds["h.1.bias"] == bounds["h.1.weight"] == Uniform(-0.1, 0.1)


def test_the_parameters_own_goes_before_the_rules_and_its_layout_counts() -> None:
    params: dict[str, Any] = {
        "fc.weight": {"shape": [25, 4], "layout": "in_out", "initializer": "zeros"},
        "fc.other": {"shape": [4, 100], "initializer": "zeros"},
        "fc.bias": {"shape": [4]},
        "fc.own": {"shape": [4], "fans_of": "other"},
    }
    plan = planned(params, rules=[{"match": "fc.*", "fans_of": "weight", "initializer": BIAS}])
    assert plan["fc.bias"].distribution == Uniform(-0.2, 0.2)
    assert plan["fc.own"].distribution == Uniform(-0.1, 0.1)


def test_two_may_have_the_fans_of_each_other_and_those_are_their_own() -> None:
    params = {
        "a": {"shape": [4, 25], "fans_of": "b", "initializer": BIAS},
        "b": {"shape": [4, 100], "fans_of": "a", "initializer": BIAS},
    }
    plan = planned(params)
    assert (plan["a"].distribution, plan["b"].distribution) == (Uniform(-0.1, 0.1), Uniform(-0.2, 0.2))


def test_a_tied_weight_lends_what_its_target_is_by_its_layout() -> None:
    params = {
        "embed": {"shape": [4, 25], "layout": "in_out", "initializer": "zeros"},
        "head.weight": {"shape": [4, 25], "tied_to": "embed"},
        "head.bias": {"shape": [4], "fans_of": "weight", "initializer": BIAS},
        "head.tied": {"shape": [4], "tied_to": "head.bias"},
    }
    plan = planned(params)
    assert plan["head.bias"].fans == plan["head.tied"].fans == Fans(4, 25)
    assert plan["head.tied"].fans_of == "head.weight"


def test_a_manifest_tells_the_shapes() -> None:
    document = spec({}, rules=[{"match": "**.bias", "fans_of": "weight", "initializer": BIAS}])
    del document["params"]
    document["rules"].append({"match": "**", "initializer": "zeros"})
    manifest = Manifest({"fc.bias": (4,), "fc.weight": (4, 25)})
    plan = initcfg.make_plan(document, manifest=manifest)
    assert plan["fc.bias"].distribution == Uniform(-0.2, 0.2)


def test_settings_and_files_over_files_reach_it(tmp_path: Any) -> None:
    (tmp_path / "base.yaml").write_text(
        "{initcfg: 1, layout: out_in, vars: {d: 25}, params: {w: {shape: [4, d], initializer: zeros}, "
        "b: {shape: [4], initializer: {random_normal: {stddev: 1 / fan_in}}}}}",
        "utf-8",
    )
    (tmp_path / "over.yaml").write_text(
        "{initcfg: 1, extends: base.yaml, params: {b: {fans_of: w}}}", "utf-8"
    )
    plan = initcfg.make_plan(tmp_path / "over.yaml", settings={"vars.d": 50}, root=tmp_path)
    assert plan["b"].fans == Fans(50, 4)


@pytest.mark.parametrize(
    "law",
    [
        BIAS,
        {"patch": {"base": "he_normal", "patches": [{"at": [0], "initializer": "lecun_normal"}]}},
        {"formula": {"value": "x + index() / fan_out", "of": "he_normal"}},
    ],
)
def test_a_plan_file_keeps_it_and_the_fingerprint_depends_on_it(law: Any) -> None:
    params: dict[str, Any] = {"w": WEIGHT, "b": {"shape": [4], "fans_of": "w", "initializer": law}}
    plan = planned(params)
    document = plan.to_dict()
    again = initcfg.read_plan(document)
    assert again == plan
    assert again.fingerprint == plan.fingerprint
    weights = initcfg.materialize(plan)
    np.testing.assert_array_equal(initcfg.materialize(again)["b"], weights["b"])
    assert "fans_of" not in document["parameters"][0]
    params["w"] = WEIGHT | {"shape": [4, 26]}
    changes = initcfg.diff_plans(plan, planned(params)).changes
    assert [(change.name, change.aspects) for change in changes] == [("w", ("shape", "law")), ("b", ("law",))]


def test_a_plan_that_says_so_and_has_no_fans_was_edited() -> None:
    document = planned({"w": WEIGHT, "b": {"shape": [4], "fans_of": "w", "initializer": BIAS}}).to_dict()
    document["parameters"][1] |= {"fan_in": None, "fan_out": None}
    with pytest.raises(SpecError, match="fans of another parameter"):
        initcfg.read_plan(document)


def test_a_spec_with_it_is_written_back() -> None:
    rules = [{"match": "**", "fans_of": "w", "initializer": "he_normal"}]
    document = spec({"w": WEIGHT, "b": {"shape": [4], "fans_of": "w", "initializer": "zeros"}}, rules=rules)
    loaded = load(document)
    assert dump_tree(loaded) == document
    assert load(dump_tree(loaded)) == loaded


def test_each_place_is_told_once_and_what_depends_on_it_not_at_all() -> None:
    params = {
        "b": {"shape": [4], "fans_of": "nothing", "initializer": BIAS},
        "t": {"shape": [4], "tied_to": "b"},
        "c": {"shape": [4], "fans_of": "b", "initializer": BIAS},
    }
    with pytest.raises(SpecError) as caught:
        planned(params)
    [found] = caught.value.diagnostics
    assert found.message == "'b' takes the fans of 'nothing', which is not a parameter"
