"""LSUV without a framework: what it takes, which layers it scales, and the spec that it writes."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import initcfg
from initcfg.errors import Code, SpecError
from initcfg.manifest import Manifest, ManifestEntry
from initcfg.probe.lsuv import Layer, Passed, find_scale, layers_of, require_limits, spec_of
from initcfg.spec import dump_yaml, loads

NOT_POSITIVE = [math.nan, math.inf, -1, 0, True, "0.01", None, 1j]
NOT_WHOLE = [0, -1, 2.5, True, "3", None, math.nan]


def planned(**params: Any) -> initcfg.Plan:
    """A plan of parameters whose names have dots in the place of two underscores."""
    named = {name.replace("__", "."): each for name, each in params.items()}
    return initcfg.make_plan({"initcfg": 1, "layout": "out_in", "params": named})


@pytest.mark.parametrize("tolerance", NOT_POSITIVE)
def test_a_tolerance_is_a_number_above_0(tolerance: object) -> None:
    with pytest.raises(ValueError, match=r"tolerance must be a number above 0, such as 0.01, not"):
        require_limits(tolerance, 10)


@pytest.mark.parametrize("rounds", NOT_WHOLE)
def test_rounds_are_a_whole_number_of_1_or_more(rounds: object) -> None:
    with pytest.raises(ValueError, match="max_rounds must be a whole number of 1 or more, such as 10, not"):
        require_limits(0.01, rounds)


@pytest.mark.parametrize("limits", [(1, 1), (np.float32(0.1), np.int64(3)), (1e-9, 1000)])
def test_numbers_of_numpy_are_limits_too(limits: tuple[object, object]) -> None:
    require_limits(*limits)


def test_what_a_layer_gives_has_a_mean_and_a_variance_unless_it_is_nothing() -> None:
    assert Passed.of("fc", np.array([[1, 3], [5, 7]], np.int32)) == Passed(4.0, 5.0)
    with pytest.raises(SpecError, match="'fc' gives no numbers on this batch"):
        Passed.of("fc", np.zeros((0, 3)))


def test_weights_whose_scale_is_undone_are_refused() -> None:
    layer = Layer("fc", "fc.weight")
    with pytest.raises(SpecError, match=r"scaling 'fc.weight' does not change the variance"):
        find_scale(layer, Passed(0, 0.25), lambda *_: Passed(0, 0.25), 0.01, 10)


def test_a_bias_of_several_axes_is_no_matrix() -> None:
    random = {"shape": [8, 8], "initializer": "orthogonal"}
    plan = planned(query__kernel=random, query__bias=random | {"initializer": "zeros"})
    found = layers_of(plan, Manifest({}), [("query", ["query.kernel", "query.bias"])], None, center=True)
    assert found == {"query": Layer("query", "query.kernel", "query.bias", 0.0)}


@pytest.mark.parametrize(("skipped", "made"), [("norm.*", "fc.*"), ("fc.*", "norm.*")])
def test_only_a_matrix_that_is_skipped_is_missed(skipped: str, made: str) -> None:
    entries = {name: ManifestEntry(shape) for name, shape in (("fc.weight", (4, 4)), ("norm.weight", (4,)))}
    rules = [{"match": skipped, "skip": True}, {"match": made, "initializer": "ones"}]
    held = [("fc", ["fc.weight"]), ("norm", ["norm.weight"])]
    plan = initcfg.make_plan({"initcfg": 1, "rules": rules}, manifest=Manifest(entries))
    if skipped == "norm.*":
        assert [*layers_of(plan, Manifest(entries), held, None, center=False)] == ["fc"]
    else:
        with pytest.raises(SpecError, match=r"the plan skips 'fc.weight', so that nothing scales the output"):
            layers_of(plan, Manifest(entries), held, None, center=False)


def test_a_weight_that_follows_one_that_is_scaled_too_is_refused() -> None:
    own = {"shape": [8, 8], "initializer": "orthogonal"}
    follows = {"scaled": {"of": {"parameter": "a.weight"}, "factor": 0.5}}
    plan = planned(a__weight=own, b__weight=own | {"initializer": follows})
    held = [("a", ["a.weight"]), ("b", ["b.weight"])]
    with pytest.raises(SpecError, match=r"'b.weight' follows 'a.weight', and the scale of one would be that"):
        layers_of(plan, Manifest({}), held, None, center=False)
    assert [*layers_of(plan, Manifest({}), held, "a.weight", center=False)] == ["a"]


@pytest.mark.parametrize("name", ["h*.weight", "h.[0].weight", "h.?", "a{y}.weight", "a,{b}.{w}"])
def test_names_with_signs_of_patterns_and_braces_come_back(name: str) -> None:
    entries = {name: ManifestEntry((4, 4)), "other": ManifestEntry((4,))}
    rules = [{"match": "other", "initializer": "ones"}, {"match": "**", "skip": True}]
    skipping = initcfg.make_plan({"initcfg": 1, "rules": rules}, manifest=Manifest(entries))
    making = [{"match": "other", "skip": True}, {"match": "**", "initializer": "orthogonal"}]
    spec = {"initcfg": 1, "layout": "out_in", "rules": making}
    for plan in (skipping, initcfg.make_plan(spec, manifest=Manifest(entries))):
        again = initcfg.make_plan(loads(dump_yaml(spec_of(plan, Manifest(entries), {}))))
        assert again.fingerprint == plan.fingerprint
        assert [each.name for each in again.skipped] == [each.name for each in plan.skipped]
        assert [each.name for each in again] == [each.name for each in plan]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["a{y}"], "the name 'a{y}' has braces, and no layer to be written in"),
        (["l.a{y}", "b"], "'b' refers to 'l.a{y}', whose braces a spec reads as an expression"),
    ],
)
def test_names_with_braces_that_no_spec_can_write_are_refused(names: list[str], message: str) -> None:
    manifest = Manifest(dict.fromkeys(names, ManifestEntry((4,))))
    spec = {"initcfg": 1, "rules": [{"match": "**", "initializer": "ones"}]}
    first, *others = initcfg.make_plan(spec, manifest=manifest)
    tied = (first, *(replace(each, tied_to=first.name) for each in others))
    plan = replace(initcfg.make_plan(spec, manifest=manifest), parameters=tied)
    with pytest.raises(SpecError, match=re.escape(message)) as raised:
        spec_of(plan, manifest, {})
    assert raised.value.diagnostics[0].code is Code.BAD_NAME


def test_a_parameter_of_the_layer_lends_its_fans_under_a_name_with_braces() -> None:
    entries = {"a{y}.weight": ManifestEntry((8, 4)), "a{y}.bias": ManifestEntry((8,))}
    rules = [
        {"match": "**.bias", "initializer": "lecun_uniform", "fans_of": "weight"},
        {"match": "**", "initializer": "lecun_uniform"},
    ]
    manifest = Manifest(entries)
    plan = initcfg.make_plan({"initcfg": 1, "layout": "out_in", "rules": rules}, manifest=manifest)
    again = initcfg.make_plan(loads(dump_yaml(spec_of(plan, manifest, {}))))
    assert again.fingerprint == plan.fingerprint
