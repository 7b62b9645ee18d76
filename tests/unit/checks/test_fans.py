"""Fans that mean nothing, and standard deviations that disagree with them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from initcfg.checks import check_plan
from initcfg.checks.laws import moments_of
from initcfg.distributions import Normal, TruncatedNormal, Uniform, moments
from initcfg.errors import Code
from initcfg.plan import plan_of
from initcfg.spec import Param, Spec


def codes(initializer: Any, shape: list[int], layout: str | None = "in_out") -> set[Code]:
    spec = Spec(params={"w": Param(shape=shape, layout=layout, initializer=initializer)})
    return {each.code for each in check_plan(plan_of(spec))}


@given(
    st.sampled_from(
        ["glorot_normal", "glorot_uniform", "he_normal", "he_uniform", "lecun_normal", "lecun_uniform"]
    ),
    st.lists(st.integers(1, 60_000), min_size=2, max_size=2),
    st.sampled_from(["in_out", "out_in"]),
)
def test_the_named_schemes_give_no_warning_for_any_matrix(name: str, shape: list[int], layout: str) -> None:
    assert codes(name, shape, layout) == set()


@given(st.floats(1e-4, 1e4), st.integers(2, 4096))
def test_a_std_is_unusual_where_its_variance_is_off_by_more_than_ten(ratio: float, fan_in: int) -> None:
    # Not at the limits, where rounding decides.
    if min(abs(ratio - 10), abs(ratio - 0.1)) < 1e-6:
        return
    found = codes({"random_normal": {"stddev": (ratio / fan_in) ** 0.5}}, [fan_in, 7])
    assert (Code.UNUSUAL_VARIANCE in found) == (not 0.1 <= ratio <= 10)


@pytest.mark.parametrize(
    ("initializer", "shape", "layout"),
    [
        ({"random_normal": {"stddev": 0.02}}, [768, 3072], "in_out"),
        ({"random_normal": {"stddev": 0.02}}, [50257, 768], "out_in"),
        ({"random_normal": {"stddev": 1e-5}}, [512], "in_out"),
        ({"random_normal": {"stddev": 1e-5}}, [1, 1, 768], "in_out"),
        ({"random_normal": {"stddev": 1e-5}}, [512, 512], None),
        ({"random_normal": {"stddev": 0.0}}, [512, 512], "in_out"),
        ("orthogonal", [512, 512], "in_out"),
        ("zeros", [512, 512], "in_out"),
    ],
)
def test_what_is_usual_or_cannot_be_known_is_left_alone(
    initializer: Any, shape: list[int], layout: str | None
) -> None:
    assert codes(initializer, shape, layout) == set()


def test_the_message_names_both_standard_deviations_and_the_bounds(warnings) -> None:
    (normal, uniform, scaled) = warnings("""
        layout: in_out
        params:
          a: {shape: [10000, 8], initializer: {random_normal: {stddev: 0.05}}}
          b: {shape: [10000, 8], initializer: {random_uniform: {minval: -0.3, maxval: 0.3}}}
          c: {shape: [10000, 8], initializer: {variance_scaling: {scale: 0.01}}}
    """)
    assert "a std of 0.05, where LeCun's for a fan_in of 10,000 is 0.01" in normal.message
    assert "25 times the variance" in normal.message
    assert "bounds of ±0.3, a std of 0.173, where LeCun's for a fan_in of 10,000 is 0.01" in uniform.message
    assert "a scale of 0.01 gives a std of 0.001, where 1 gives 0.01" in scaled.message


def test_a_part_is_judged_by_its_own_fans(warnings) -> None:
    (warning,) = warnings("""
        layout: in_out
        params:
          w:
            shape: [1010, 8]
            initializer:
              concatenate:
                axis: 0
                sizes: [10, 1000]
                initializers: [{random_normal: {stddev: 0.3}}, {random_normal: {stddev: 0.3}}]
    """)
    assert warning.message.startswith("part 1 of 'w': a std of 0.3")


def test_letters_and_axes_say_what_a_vector_is() -> None:
    assert codes("he_normal", [512], "in_out") == {Code.VECTOR_SCALING}
    assert codes("he_normal", [512], None) == {Code.VECTOR_SCALING}
    assert codes("he_normal", [512], "O") == set()
    assert codes({"he_normal": {"input_axes": [0], "output_axes": [0]}}, [512]) == set()
    assert codes({"random_normal": {"stddev": 0.02}}, [512]) == set()


def test_a_receptive_field_is_large_beyond_1024_positions_of_a_named_layout() -> None:
    assert codes("he_normal", [32, 32, 8, 8]) == set()
    assert codes("he_normal", [32, 33, 8, 8]) == {Code.LARGE_RECEPTIVE_FIELD}
    assert codes("he_normal", [8, 8, 32, 33], "out_in") == {Code.LARGE_RECEPTIVE_FIELD}
    assert codes("he_normal", [32, 33, 8, 8], "HWIO") == set()
    assert codes("zeros", [32, 33, 8, 8]) == set()


def test_wrong_fans_are_told_once_and_not_as_an_unusual_variance_too() -> None:
    assert codes({"random_normal": {"stddev": 0.1}}, [64, 64, 64, 64]) == {Code.LARGE_RECEPTIVE_FIELD}


@given(
    st.floats(-3, 3),
    st.floats(1e-3, 10),
    st.floats(-9, 8.5),
    st.floats(0.01, 18),
)
def test_moments_at_little_cost_are_the_moments(mean: float, std: float, low: float, width: float) -> None:
    truncated = TruncatedNormal(mean, std, mean + low * std, mean + (low + width) * std)
    for law in (Normal(mean, std), Uniform(mean, mean + std), truncated):
        found, exact = moments_of(law), moments(law)
        assert found.std == pytest.approx(exact.std, rel=1e-6)
        assert found.mean == pytest.approx(exact.mean, rel=1e-6, abs=1e-6 * std)
