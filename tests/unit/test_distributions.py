"""Distributions: moments, support and distribution functions, against scipy."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from initcfg.distributions import (
    ComplexNormal,
    Disk,
    Distribution,
    Fill,
    Normal,
    Square,
    TruncatedNormal,
    Uniform,
    cdf,
    moments,
    point,
    support,
)
from initcfg.errors import Code, InitializerError

# (distribution, the same law in scipy)
LAWS: list[tuple[Distribution, Any]] = [
    (Uniform(-1.0, 1.0), stats.uniform(-1, 2)),
    (Uniform(0.25, 0.75), stats.uniform(0.25, 0.5)),
    (Normal(0.0, 0.02), stats.norm(0, 0.02)),
    (Normal(-3.0, 5.0), stats.norm(-3, 5)),
    (TruncatedNormal(0.0, 1.0, -2.0, 2.0), stats.truncnorm(-2, 2)),
    (TruncatedNormal(1.0, 0.5, 0.0, 1.25), stats.truncnorm(-2, 0.5, 1, 0.5)),
    (TruncatedNormal(0.0, 1.0, 4.0, 5.0), stats.truncnorm(4, 5)),
]


@pytest.mark.parametrize(("distribution", "law"), LAWS, ids=[str(law) for law, _ in LAWS])
def test_moments_are_those_of_the_law(distribution, law) -> None:
    got = moments(distribution)
    assert got.mean == pytest.approx(law.mean(), rel=1e-9, abs=1e-12)
    assert got.std == pytest.approx(law.std(), rel=1e-7)


@pytest.mark.parametrize(("distribution", "law"), LAWS, ids=[str(law) for law, _ in LAWS])
def test_cdf_and_support_are_those_of_the_law(distribution, law) -> None:
    assert support(distribution) == law.support()
    for at in (-4.0, -1.0, -0.01, 0.0, 0.3, 1.0, 1.25, 4.2, 10.0):
        assert cdf(distribution, at) == pytest.approx(law.cdf(at), rel=1e-9, abs=1e-14)


@pytest.mark.parametrize(
    ("distribution", "square"),
    [
        (Disk(0.5), 0.5**2 * stats.uniform().mean()),
        (ComplexNormal(0.5), 0.5**2 * stats.expon().mean()),
        (ComplexNormal(0.5, 1.0), 0.5**2 * stats.truncexpon(4).mean()),
        (ComplexNormal(2.0, 0.5), 2.0**2 * stats.truncexpon(0.0625).mean()),
    ],
    ids=str,
)
def test_complex_moments_are_those_of_the_modulus(distribution: Distribution, square: float) -> None:
    assert moments(distribution).mean == 0
    assert moments(distribution).std ** 2 == pytest.approx(square, rel=1e-9)
    radius = distribution.radius
    assert support(distribution) == (-radius, radius)


def test_a_cut_whose_square_no_float_holds_leaves_all() -> None:
    law = ComplexNormal(1e-200, 1.0)
    assert (law.mass, law.moment) == (1, 1)


def test_a_square_has_the_moments_and_bounds_of_its_parts() -> None:
    law = Square(0.0, 0.5)
    assert (moments(law).mean, support(law)) == (0.25, (0.0, 0.5))
    assert moments(law).std ** 2 == pytest.approx(2 * stats.uniform(0, 0.5).var(), rel=1e-12)


POINTS = [
    (Fill(0.5), 0.5),
    (Fill(2**60 + 1), 2**60 + 1),
    (Uniform(3.0, 3.0), 3.0),
    (Normal(0.5, 0.0), 0.5),
    (TruncatedNormal(0.5, 0.0, 0.0, 1.0), 0.5),
    (TruncatedNormal(0.0, 1.0, 0.25, 0.25), 0.25),
]


@pytest.mark.parametrize(("distribution", "value"), POINTS, ids=str)
def test_a_distribution_without_spread_is_a_point(distribution, value) -> None:
    assert point(distribution) == value
    assert (moments(distribution).mean, moments(distribution).std) == (float(value), 0.0)
    assert support(distribution) == (float(value), float(value))
    assert cdf(distribution, math.nextafter(value, -math.inf)) == 0.0
    assert cdf(distribution, float(value)) == 1.0


def test_a_distribution_with_spread_is_no_point() -> None:
    assert [point(distribution) for distribution, _ in LAWS] == [None] * len(LAWS)


@given(st.floats(0.01, 6), st.floats(-3, 3), st.floats(0.01, 100))
def test_truncation_narrows_and_keeps_inside(width: float, mean: float, std: float) -> None:
    left = moments(TruncatedNormal(mean, std, mean - width * std, mean + width * std))
    assert 0 < left.std < std
    assert left.mean == pytest.approx(mean, abs=1e-9 * std + 1e-12)


def test_integers_become_floats_and_minus_zero_zero() -> None:
    assert repr(Normal(0, 1)) == "Normal(mean=0.0, std=1.0)"
    assert math.copysign(1.0, Uniform(-0.0, 1).low) == 1.0


def test_a_fill_keeps_its_type() -> None:
    assert [type(Fill(value).value) for value in (True, 1, 1.0)] == [bool, int, float]


@pytest.mark.parametrize(
    ("build", "code"),
    [
        (lambda: Fill(math.nan), Code.NOT_FINITE),
        (lambda: Fill("1"), Code.WRONG_TYPE),  # type: ignore[arg-type]
        (lambda: Uniform(0.0, math.inf), Code.NOT_FINITE),
        (lambda: Uniform(0, 10**400), Code.NOT_FINITE),
        (lambda: Uniform(1.0, 0.0), Code.OUT_OF_RANGE),
        (lambda: Normal(0.0, -1.0), Code.OUT_OF_RANGE),
        (lambda: Normal(math.nan, 1.0), Code.NOT_FINITE),
        (lambda: TruncatedNormal(0.0, 1.0, 2.0, -2.0), Code.OUT_OF_RANGE),
        (lambda: TruncatedNormal(0.0, -1.0, -2.0, 2.0), Code.OUT_OF_RANGE),
        (lambda: TruncatedNormal(0.0, 0.0, 1.0, 2.0), Code.DISTRIBUTION),
        (lambda: moments(TruncatedNormal(0.0, 1.0, 1e300, 2e300)), Code.DISTRIBUTION),
    ],
)
def test_numbers_that_make_no_distribution_are_refused(build, code: Code) -> None:
    with pytest.raises(InitializerError) as caught:
        build()
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.code is code
    assert diagnostic.hint


@pytest.mark.parametrize("distribution", [law for law, _ in [*LAWS, *POINTS]], ids=str)
def test_the_cdf_reaches_both_ends(distribution) -> None:
    assert cdf(distribution, -math.inf) == 0.0
    assert cdf(distribution, math.inf) == 1.0
    assert math.isnan(cdf(distribution, math.nan))


LARGEST, LEAST = 1.7976931348623157e308, 5e-324


@pytest.mark.parametrize(
    ("distribution", "x", "expected"),
    [
        (Uniform(0.0, 4 * LEAST), LEAST, 0.25),
        (Uniform(0.0, LEAST), 0.0, 0.0),
        (Uniform(-LARGEST, LARGEST), 0.0, 0.5),
        (Normal(0.0, LEAST), LEAST, stats.norm.cdf(1)),
        (Normal(-LARGEST, 1.0), LARGEST, 1.0),
        (Normal(LARGEST, LEAST), -LARGEST, 0.0),
        (Normal(0.0, LARGEST), -LARGEST, stats.norm.cdf(-1)),
        (Normal(0.0, 1.0), -38.0, stats.norm.cdf(-38)),
        (TruncatedNormal(0.0, 1.0, -1e5, 1.0), -5e4, 0.0),
        (TruncatedNormal(0.0, 1.0, -1e300, 0.0), -1.0, 2 * stats.norm.cdf(-1)),
        (TruncatedNormal(0.0, LEAST, -LARGEST, LARGEST), 0.0, 0.5),
        (TruncatedNormal(0.0, LARGEST, 0.0, LEAST), LEAST, 1.0),
        (TruncatedNormal(0.0, 1.0, -1.0, 1.0), math.nextafter(-1.0, 0.0), 3.935e-17),
    ],
)
def test_the_cdf_is_right_at_extreme_ratios(distribution, x, expected) -> None:
    assert cdf(distribution, x) == pytest.approx(expected, rel=1e-3 if expected == 3.935e-17 else 1e-9)
