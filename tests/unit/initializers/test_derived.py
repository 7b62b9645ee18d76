"""Values that follow from another parameter: those that it has, in whatever order they are made."""

from __future__ import annotations

import pickle
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import initcfg
from initcfg.errors import Code, InitializerError, SpecError
from initcfg.initializers import NormOf, Parameter


def spec(**params: tuple[list[int], object]) -> dict[str, Any]:
    """A document in which each parameter has a shape and an initializer."""
    entries = {name: {"shape": shape, "initializer": made} for name, (shape, made) in params.items()}
    return {"initcfg": 1, "layout": "out_in", "params": entries}


def norm(axes: list[int], parameter: str = "v") -> dict[str, object]:
    return {"norm_of": {"parameter": parameter, "axes": axes}}


SHAPES = st.lists(st.integers(0, 5), min_size=1, max_size=4)


@given(shape=SHAPES, data=st.data())
def test_a_norm_is_that_of_the_values(shape, data):
    axes = data.draw(
        st.lists(st.integers(-len(shape), len(shape) - 1), unique_by=lambda axis: axis % len(shape))
    )
    positive = tuple(axis % len(shape) for axis in axes)
    kept = [1 if axis in positive else size for axis, size in enumerate(shape)]
    left = [size for axis, size in enumerate(shape) if axis not in positive]
    weights = initcfg.materialize(
        spec(v=(shape, "random_normal"), kept=(kept, norm(axes)), left=(left, norm(axes)))
    )
    squares = weights["v"].astype(np.float64) ** 2
    wanted = np.sqrt(squares.sum(positive)) if axes else np.abs(weights["v"])
    np.testing.assert_allclose(weights["left"], wanted, rtol=2**-23)
    np.testing.assert_array_equal(weights["kept"].reshape(left), weights["left"])


def test_a_norm_over_no_elements_is_zero():
    weights = initcfg.materialize(spec(v=([0, 4], "random_normal"), g=([1, 4], norm([0]))))
    assert weights["g"].tolist() == [[0, 0, 0, 0]]
    assert initcfg.materialize(spec(v=([0, 4], "ones"), g=([0, 1], norm([1]))))["g"].shape == (0, 1)


def test_sums_are_in_float64():
    large = initcfg.materialize(spec(v=([10**6, 1], {"constant": {"value": 0.1}}), g=([1], norm([0]))))
    assert large["g"] == np.float32(np.sqrt(10**6 * np.float64(np.float32(0.1)) ** 2))


def test_a_copy_has_the_values_in_its_own_dtype():
    document = spec(v=([5, 3], {"random_normal": {"stddev": 2}}), w=([5, 3], {"parameter": "v"}))
    document["params"]["v"]["dtype"] = "bfloat16"
    weights = initcfg.materialize(document)
    assert weights["w"].dtype == np.float32
    np.testing.assert_array_equal(weights["w"], weights["v"].astype(np.float32))


def test_a_slice_and_a_part_are_those_of_the_whole():
    parts = {"concatenate": {"axis": 0, "sizes": [1, 5], "initializers": ["zeros", {"parameter": "v"}]}}
    plan = initcfg.make_plan(spec(big=([6, 3], parts), v=([5, 3], "random_normal"), g=([5], norm([1]))))
    weights = initcfg.materialize(plan)
    np.testing.assert_array_equal(weights["big"][1:], weights["v"])
    np.testing.assert_array_equal(initcfg.materialize(plan["big"][2:4, 1:]), weights["v"][1:3, 1:])
    np.testing.assert_array_equal(initcfg.materialize(plan["g"][2:4]), weights["g"][2:4])
    np.testing.assert_array_equal(initcfg.materialize(plan, "big")["big"], weights["big"])


def test_names_mean_the_layer_first():
    document = spec(w=([2], "ones"))
    made = {"shape": [2], "initializer": {"parameter": "w"}}
    zeros = {"shape": [2], "initializer": "zeros"}
    document["layers"] = {"a": {"params": {"w": zeros, "near": made}}, "b": {"params": {"far": made}}}
    weights = initcfg.materialize(document)
    assert weights["a.near"].tolist() == [0, 0]
    assert weights["b.far"].tolist() == [1, 1]


def test_a_tied_parameter_is_followed_to_its_array():
    document = spec(v=([2], "random_normal"), w=([2], {"parameter": "t"}))
    document["params"]["t"] = {"shape": [2], "tied_to": "v"}
    weights = initcfg.materialize(document)
    np.testing.assert_array_equal(weights["w"], weights["v"])


def test_rules_take_them_too():
    document = spec(v=([4, 2], "random_normal"))
    document["params"] |= {"g": {"shape": [4, 1]}}
    document["rules"] = [{"match": "g", "initializer": norm([1])}]
    assert initcfg.materialize(document)["g"].shape == (4, 1)


def test_plan_files_and_pickled_plans_make_the_same():
    document = spec(g=([4], norm([1])), v=([4, 2], {"parameter": "u"}), u=([4, 2], "random_normal"))
    plan = initcfg.make_plan(document)
    weights = initcfg.materialize(plan)
    for other in (initcfg.read_plan(plan.to_dict()), pickle.loads(pickle.dumps(plan))):
        assert other.fingerprint == plan.fingerprint
        for name, array in initcfg.materialize(other).items():
            np.testing.assert_array_equal(array, weights[name])


def test_a_fingerprint_follows_what_is_followed():
    one = initcfg.make_plan(spec(v=([2], "random_normal"), w=([2], {"parameter": "v"})))
    two = initcfg.make_plan(spec(v=([2], "random_uniform"), w=([2], {"parameter": "v"})))
    from initcfg.plan.plan import deciding_facts

    assert deciding_facts(one["w"]) != deciding_facts(two["w"])


def test_a_plan_file_with_a_circle_is_refused():
    document = initcfg.make_plan(spec(v=([2], "random_normal"), w=([2], {"parameter": "v"}))).to_dict()
    document["parameters"][1]["initializer"]["config"]["parameter"] = "w"
    with pytest.raises(SpecError) as caught:
        initcfg.read_plan(document)
    assert [each.code for each in caught.value.diagnostics] == [Code.INITIALIZER_CYCLE]


def test_what_multiplies_without_end_is_refused():
    half = {"shape": [2], "initializer": "ones"}
    params: dict[str, object] = {"n0": half}
    for at in range(1, 30):
        parts = [norm([0], f"n{at - 1}")] * 2
        made = {"concatenate": {"axis": 0, "sizes": [1, 1], "initializers": parts}}
        params[f"n{at}"] = {"shape": [2], "initializer": made}
    with pytest.raises(SpecError) as caught:
        initcfg.make_plan({"initcfg": 1, "params": params})
    assert {each.code for each in caught.value.diagnostics} == {Code.TOO_LARGE}


@pytest.mark.parametrize("made", [Parameter("v"), NormOf("v", [0])])
def test_alone_it_says_what_it_needs(made):
    with pytest.raises(
        InitializerError, match=re.escape("follows 'v', a parameter of the plan that it is in")
    ):
        made((2,))


def test_integers_have_no_norm():
    document = spec(v=([2], "ones"), g=([], norm([0])))
    document["params"]["v"]["dtype"] = "int32"
    with pytest.raises(SpecError, match="norms are of floats"):
        initcfg.make_plan(document)


def test_a_norm_that_its_dtype_cannot_hold_is_an_error():
    document = spec(v=([4], {"constant": {"value": 60000}}), g=([1], norm([0])))
    document["params"]["g"]["dtype"] = "float16"
    with pytest.raises(InitializerError, match=r"norm of v over axes 0: the value 120000\.0 cannot be held"):
        initcfg.materialize(document)
