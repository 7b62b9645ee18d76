"""A warning of identical values, held against the values."""

from __future__ import annotations

import itertools
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import initcfg
from initcfg.checks import check_plan
from initcfg.errors import Code
from initcfg.plan import plan_of
from initcfg.spec import Param, Spec

# Arrays large enough that none is equal to another by chance.
SHAPES = [(16, 12), (12, 16), (192,)]
SEEDED = ["random_normal", "random_uniform", "he_normal", "truncated_normal", "orthogonal"]


def parameter(draw: st.DrawFn) -> Param:
    shape = draw(st.sampled_from(SHAPES))
    name = draw(st.sampled_from([*SEEDED, "zeros", "identity", "constant"]))
    if len(shape) == 1 and name in ("orthogonal", "identity"):
        name = "random_normal"
    config: dict[str, object] = {}
    if name in SEEDED:
        config = draw(st.sampled_from([{}, {"seed": 1}, {"seed": 2}]))
    if name in ("random_normal", "truncated_normal"):
        # A hair more, which float32 does not hold, and a number of its own.
        config |= draw(
            st.sampled_from([{}, {"stddev": 0.05 + 1e-17}, {"stddev": 0.05 + 1e-12}, {"stddev": 0.1}])
        )
    if name == "truncated_normal":
        config |= draw(st.sampled_from([{}, {"low": -8, "high": 8}, {"low": -9, "high": 9}]))
    return Param(
        shape=list(shape),
        initializer={name: config} if config else name,
        stream=draw(st.sampled_from([None, None, "same"])),
        layout=draw(st.sampled_from(["in_out", "out_in", "IO"])) if len(shape) == 2 else None,
        dtype=draw(st.sampled_from([None, "bfloat16"])),
    )


@st.composite
def specs(draw: st.DrawFn) -> Spec:
    return Spec(params={name: parameter(draw) for name in "abcd"[: draw(st.integers(2, 4))]})


def in_step(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether as many elements as both have are correlated."""
    size = min(one.size, other.size)
    return np.corrcoef(*(each.reshape(-1)[:size].astype(np.float64) for each in (one, other)))[0, 1] > 0.9  # type: ignore[call-overload]


def equal(one: np.ndarray, other: np.ndarray) -> bool:
    return one.dtype == other.dtype and one.shape == other.shape and bool((one == other).all())


@settings(max_examples=3 * settings().max_examples // 2)
@given(specs())
def test_whatever_equals_an_earlier_random_array_has_the_warning_and_nothing_else_has(spec: Spec) -> None:
    plan = plan_of(spec)
    arrays = initcfg.materialize(plan, threads=1)
    random = {name for name in arrays if hasattr(plan[name].initializer, "seed")}
    copied = {
        later
        for earlier, later in itertools.combinations(arrays, 2)
        if {earlier, later} <= random and equal(arrays[earlier], arrays[later])
    }
    following = {
        later
        for earlier, later in itertools.combinations(arrays, 2)
        if {earlier, later} <= random and in_step(arrays[earlier], arrays[later])
    }
    told = {
        re.match("'(.)': (the same|random values in step)", each.message).groups()
        for each in check_plan(plan)
        if each.code == Code.IDENTICAL_VALUES
    }
    assert {name for name, how in told if how == "the same"} == copied
    assert {name for name, _ in told} == following


@pytest.mark.parametrize(
    ("first", "second", "pairs"),
    [
        (["s", "s"], ["zeros", "zeros"], {(0, 0, 0, 1)}),
        (["s", "random_normal"], ["random_normal", "s"], {(0, 0, 1, 1)}),
        (["s", "zeros"], ["s", "zeros"], {(0, 0, 1, 0)}),
        (["random_normal", "random_normal"], ["random_normal", "random_normal"], set()),
    ],
)
def test_parts_are_told_where_their_slices_are_equal(
    first: list[str], second: list[str], pairs: set[tuple[int, ...]]
) -> None:
    def fused(parts: list[str]) -> Param:
        return Param(
            shape=[8, 16], initializer={"concatenate": {"axis": 1, "sizes": [8, 8], "initializers": parts}}
        )

    spec = Spec(
        initializers={"s": {"random_normal": {"seed": 1}}}, params={"0": fused(first), "1": fused(second)}
    )
    plan = plan_of(spec)
    arrays = initcfg.materialize(plan)
    halves = {(at, part): arrays[str(at)][:, 8 * part : 8 * part + 8] for at in (0, 1) for part in (0, 1)}
    found = {
        (*one, *other)
        for one, other in itertools.combinations(halves, 2)
        if equal(halves[one], halves[other]) and halves[one].any()
    }
    assert found == pairs
    told = [each.message for each in check_plan(plan) if each.code == Code.IDENTICAL_VALUES]
    assert len(told) == len(pairs)
    for one, part, other, other_part in pairs:
        assert told[0].startswith(
            f"part {other_part} of '{other}': the same random values as part {part} of '{one}'"
        )


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"low": -8, "high": 8}, {"low": -9, "high": 9}),
        ({"low": -8, "high": 8}, {"low": -2, "high": 2}),
        ({"stddev": 0.05}, {"stddev": 0.05 + 1e-17}),
        ({"stddev": 0.05}, {"stddev": 0.05 + 1e-12}),
        ({"stddev": 0.05}, {"stddev": 0.051}),
    ],
)
def test_laws_are_one_where_their_draws_are(first: dict[str, float], second: dict[str, float]) -> None:
    params = {
        name: Param(shape=[64], initializer={"truncated_normal": {"seed": 1, **config}})
        for name, config in (("a", first), ("b", second))
    }
    plan = plan_of(Spec(params=params))
    arrays = initcfg.materialize(plan)
    told = [each.message for each in check_plan(plan) if each.code == Code.IDENTICAL_VALUES]
    assert any("the same random values" in each for each in told) == equal(arrays["a"], arrays["b"])
    assert bool(told) == in_step(arrays["a"], arrays["b"])


@pytest.mark.parametrize("layout", ["in_out", "IO", "out_in", "OI"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_orthogonal_matrices_are_equal_under_layouts_that_mean_the_same(layout: str, dtype: str) -> None:
    orthogonal = {"orthogonal": {"seed": 1}}
    first = Param(shape=[8, 8], initializer=orthogonal, layout="in_out")
    second = Param(shape=[8, 8], initializer=orthogonal, layout=layout, dtype=dtype)
    plan = plan_of(Spec(params={"a": first, "b": second}))
    arrays = initcfg.materialize(plan)
    told = [each.message for each in check_plan(plan) if each.code == Code.IDENTICAL_VALUES]
    assert any("the same random values" in each for each in told) == equal(arrays["a"], arrays["b"])


def test_parts_of_one_law_differ_within_a_parameter_and_agree_between_two_of_one_stream(warnings) -> None:
    found = warnings("""
        initializers:
          fused: {concatenate: {axis: 0, sizes: [4, 4], initializers: [random_normal, random_normal]}}
        params:
          a: {shape: [8, 4], initializer: fused, stream: s}
          b: {shape: [8, 4], initializer: fused, stream: s}
    """)
    assert [each.message.partition(", because")[0] for each in found] == [
        "part 0 of 'b' and 1 more like it: the same random values as part 0 of 'a'"
    ]


def test_a_seed_in_a_part_gives_what_it_gives_in_a_whole(warnings) -> None:
    found = warnings("""
        initializers: {s: {random_normal: {seed: 1}}}
        params:
          whole: {shape: [4, 4], initializer: s}
          fused:
            shape: [8, 4]
            initializer: {concatenate: {axis: 0, sizes: [4, 4], initializers: [s, zeros]}}
    """)
    assert [each.code for each in found] == [Code.IDENTICAL_VALUES]
    assert found[0].message.startswith("part 0 of 'fused': the same random values as 'whole'")


def test_empty_and_tied_parameters_are_left_alone(warnings) -> None:
    assert not warnings("""
        params:
          a: {shape: [0, 4], initializer: {random_normal: {seed: 1}}}
          b: {shape: [0, 4], initializer: {random_normal: {seed: 1}}}
          c: {shape: [4, 4], initializer: {random_normal: {seed: 1}}}
          d: {shape: [4, 4], tied_to: c}
    """)
