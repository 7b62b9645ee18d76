"""One warning for what is alike, in the order of the document, without what is allowed."""

from __future__ import annotations

import cProfile
import dataclasses
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from initcfg.checks import check_plan
from initcfg.errors import Code, SpecError
from initcfg.plan import Plan, plan_of
from initcfg.plan.scope import PART
from initcfg.spec import Allow, Layer, Param, Spec, load, loads

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

LAYER = """
layers:
  h.{{i}}:
    repeat: {{i: {}}}
    params:
      bias: {{shape: [4], initializer: random_normal}}
"""


def biases(names: Sequence[str]) -> Spec:
    return Spec(params={name: Param(shape=[4], initializer="random_normal") for name in names})


def test_the_copies_of_a_layer_are_told_once_by_the_first_and_their_number(warnings) -> None:
    (one,) = warnings(LAYER.format(1))
    (many,) = warnings(LAYER.format(96))
    assert one.message.startswith("'h.0.bias': a bias")
    assert many.message.startswith("'h.0.bias' and 95 more like it: a bias")
    assert many.where == one.where


def test_copies_whose_numbers_differ_are_told_once_with_those_of_the_first(warnings) -> None:
    (warning,) = warnings("""
        layout: in_out
        layers:
          h.{i}:
            repeat: {i: 12}
            params: {w: {shape: [512, 512], initializer: {random_normal: {stddev: 0.01 / (i + 1)}}}}
    """)
    assert warning.message.startswith("'h.0.w' and 11 more like it: a std of 0.01, where")


def test_a_plan_without_places_is_grouped_by_names_without_their_numbers() -> None:
    spec = loads("initcfg: 1" + LAYER.format(12))
    plan = plan_of(spec)
    bare = Plan(
        plan.name,
        plan.seed,
        tuple(dataclasses.replace(parameter, where=None) for parameter in plan.parameters),
    )
    (warning,) = check_plan(bare)
    assert warning.message.startswith("'h.0.bias' and 11 more like it")
    assert warning.where is None


def test_entries_that_one_rule_initializes_are_told_apart() -> None:
    names = [f"h.{i}.{part}.bias" for i in range(3) for part in "ab"]
    plan = plan_of(biases(names))
    ruled = tuple(dataclasses.replace(each, rule="**", where=plan[0].where) for each in plan.parameters)
    assert [each.message.partition(":")[0] for each in check_plan(Plan(None, 0, ruled))] == [
        "'h.0.a.bias' and 2 more like it",
        "'h.0.b.bias' and 2 more like it",
    ]


def test_warnings_come_in_the_order_of_their_places(warnings) -> None:
    found = warnings("""
        params:
          a.bias: {shape: [4], initializer: random_normal}
          b.position: {shape: [4], initializer: he_normal}
          c.bias: {shape: [4], initializer: random_normal}
    """)
    assert [each.code.value for each in found] == ["random-bias", "vector-scaling", "random-bias"]


@given(st.lists(st.sampled_from(["a.bias", "b.bias", "x.y.bias", "c.weight"]), min_size=1, unique=True))
def test_an_allow_silences_what_it_matches_and_nothing_else(names: list[str]) -> None:
    plan = plan_of(biases(names))
    allow = [Allow(code="random-bias", match="*.bias", reason="for this test")]
    told = {each.message.split("'")[1] for each in check_plan(plan, allow) if each.code == Code.RANDOM_BIAS}
    assert told == {"x.y.bias"} & set(names)
    unused = [each for each in check_plan(plan, allow) if each.code == Code.UNUSED_ALLOW]
    assert bool(unused) == (not {"a.bias", "b.bias"} & set(names))


def test_an_allow_for_some_copies_leaves_the_others_and_names_the_first_of_them() -> None:
    spec = Spec(
        layers={
            "h.{i}": Layer(repeat={"i": 12}, params={"bias": Param(shape=[4], initializer="random_normal")})
        },
        allow=[Allow(code="random-bias", match="h.[0-2].bias", reason="for this test")],
    )
    (warning,) = check_plan(plan_of(spec), spec.allow, spec)
    assert warning.message.startswith("'h.3.bias' and 8 more like it")


def test_an_allow_of_another_code_silences_nothing_and_is_told_at_its_place() -> None:
    spec = loads(
        "initcfg: 1\n"
        "params: {a.bias: {shape: [4], initializer: random_normal}}\n"
        "allow:\n"
        "  - {code: vector-scaling, reason: for this test}\n"
    )
    bias, unused = check_plan(plan_of(spec), spec.allow, spec)
    assert (bias.code, unused.code) == (Code.RANDOM_BIAS, Code.UNUSED_ALLOW)
    assert (unused.where.line, unused.where.column) == (4, 5)
    assert "vector-scaling" in unused.message


def test_without_the_spec_an_allow_about_expressions_is_left_alone() -> None:
    allow = [Allow(code="integer-expression", reason="for this test")]
    spec = biases(["a"])
    assert check_plan(plan_of(spec), allow) == ()
    assert [each.code for each in check_plan(plan_of(spec), allow, spec)] == [Code.UNUSED_ALLOW]


def test_two_entries_that_allow_the_same_are_both_used() -> None:
    allow = [Allow(code="random-bias", match=match, reason="for this test") for match in ("**", "a.*")]
    assert check_plan(plan_of(biases(["a.bias"])), allow) == ()


def test_looking_at_a_plan_loads_no_numpy() -> None:
    program = """
import sys
from initcfg.checks import check_plan
assert "numpy" not in sys.modules
from initcfg.plan import plan_of
from initcfg.spec import Param, Spec
spec = Spec(params={"bias": Param(shape=[4], initializer="he_normal", dtype="float16")})
plan = plan_of(spec)
sys.modules["numpy"] = None
assert len(check_plan(plan, spec.allow, spec)) == 2
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")


def test_patterns_of_allow_are_paid_for(monkeypatch) -> None:
    monkeypatch.setattr("initcfg.checks.MATCHING", 2**25)
    allow = [{"code": "vector-scaling", "match": "**.*a*b*", "reason": "a test"}]
    document = {
        "initcfg": 1,
        "allow": allow,
        "params": {"x.ab": {"shape": [2], "initializer": "glorot_uniform"}},
    }
    read = load(document)
    with pytest.raises(SpecError) as caught:
        check_plan(plan_of(read), read.allow, read)
    [found] = caught.value.diagnostics
    assert (found.code, found.where.path) == ("too-large", ())


def test_a_plan_of_more_laws_than_a_spec_may_have_is_not_looked_at(monkeypatch) -> None:
    spec = loads("initcfg: 1\nparams:" + "".join(PARAM.format(at + 1) for at in range(10)))
    plan = plan_of(spec)
    assert check_plan(plan) == ()
    monkeypatch.setattr("initcfg.plan.scope.MAX_STEPS", 9 * PART)
    with pytest.raises(SpecError, match="to check this plan takes more than 3,600 steps") as caught:
        check_plan(plan)
    assert caught.value.diagnostics[0].code == "too-large"


PARAM = "\n  w{0}: {{shape: [{0}], initializer: zeros}}"
# Masses below a normal curve were computed to forty digits, to tell three.
NARROW = """
layers:
  h.{i}:
    repeat: {i: 300}
    params: {w: {shape: [i + 1, 2], dtype: float16, initializer: {orthogonal: {gain: 1e-3 + i / 1e6}}}}
"""


def test_to_look_at_a_plan_takes_no_longer_than_planning() -> None:
    def calls(function: Callable[[], object]) -> int:
        profile = cProfile.Profile()
        profile.runcall(function)
        return sum(entry.callcount for entry in profile.getstats())

    read = loads("initcfg: 1\nlayout: in_out" + NARROW)
    plan = plan_of(read)
    check_plan(plan, read.allow, read)
    checks, planning = calls(lambda: check_plan(plan, read.allow, read)), calls(lambda: plan_of(read))
    assert checks < 1.5 * planning
