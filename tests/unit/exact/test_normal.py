"""The normal distribution in decimal arithmetic, against mpmath."""

from __future__ import annotations

import decimal
from fractions import Fraction

import mpmath
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from initcfg.exact import erf, erfc, normal_cdf, truncation

DIGITS = 90


def nearest(compute) -> float:
    with mpmath.workdps(DIGITS):
        sign, mantissa, exponent, _ = compute()._mpf_
    # mpmath's own float() rounds twice where the result is subnormal.
    return float((-1) ** sign * int(mantissa) * Fraction(2) ** exponent)


@given(st.floats(min_value=-30, max_value=30))
@example(1.1125369292536007e-308)
def test_erf_is_the_nearest_double(x: float) -> None:
    assert erf(x) == nearest(lambda: mpmath.erf(mpmath.mpf(x)))


@given(st.floats(min_value=-7, max_value=26))
def test_erfc_is_the_nearest_double_in_the_far_tail_too(x: float) -> None:
    assert erfc(x) == nearest(lambda: mpmath.erfc(mpmath.mpf(x)))


@pytest.mark.parametrize("x", [2.9999999999999996, 3.0, 3.0000000000000004])
def test_series_and_fraction_meet(x: float) -> None:
    assert erfc(x) == nearest(lambda: mpmath.erfc(mpmath.mpf(x)))


@given(st.floats(min_value=-37, max_value=9))
def test_normal_cdf_is_the_nearest_double(z: float) -> None:
    assert normal_cdf(z) == nearest(lambda: mpmath.ncdf(mpmath.mpf(z)))


@pytest.mark.parametrize("x", [1e9, 1e308])
def test_far_arguments_end_at_the_limits(x: float) -> None:
    assert (erfc(x), erfc(-x), erf(x), erf(-x)) == (0.0, 2.0, 1.0, -1.0)
    assert (normal_cdf(x), normal_cdf(-x)) == (1.0, 0.0)


def test_results_do_not_depend_on_the_callers_decimal_context() -> None:
    before = normal_cdf(-5), erfc(4.5), truncation(0.1, 0.02, 0.0, 0.5)
    with decimal.localcontext(prec=3, rounding=decimal.ROUND_UP):
        assert (normal_cdf(-5), erfc(4.5), truncation(0.1, 0.02, 0.0, 0.5)) == before


CASES = [
    (0.0, 1.0, -2.0, 2.0),
    (0.0, 0.02, -0.04, 0.04),
    (0.0, 1.0, -1.0, 3.0),
    (1.0, 2.0, -0.5, 0.5),
    (0.0, 1.0, 5.0, 6.0),
    (0.0, 1.0, -36.0, -35.0),
    (0.0, 1.0, 30.0, 1e3),
    (0.0, 1.0, 1.0, 1.0 + 2**-30),
    (0.0, 1e6, -1.0, 1.0),
    (20.0, 1.0, 0.0, 1.0),
]


def integrals(mean: float, std: float, low: float, high: float) -> list[mpmath.mpf]:
    """Mass, mean and variance of what is left, from the closed forms at twice the digits."""
    with mpmath.workdps(2 * DIGITS):
        a, b = ((mpmath.mpf(bound) - mean) / std for bound in (low, high))
        tail = lambda z: mpmath.erfc(z / mpmath.sqrt(2)) / 2  # noqa: E731
        mass = tail(a) - tail(b) if a > 0 else tail(-b) - tail(-a)
        first = (mpmath.npdf(a) - mpmath.npdf(b)) / mass
        second = 1 + (a * mpmath.npdf(a) - b * mpmath.npdf(b)) / mass - first**2
        return [mass, first, second]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_truncation_keeps_thirty_digits(case: tuple[float, float, float, float]) -> None:
    left = truncation(*case)
    for got, expected in zip((left.mass, left.mean, left.variance), integrals(*case), strict=True):
        with mpmath.workdps(DIGITS):
            error = abs(mpmath.mpf(str(got)) - expected)
            assert error <= mpmath.mpf(10) ** -30 * max(abs(expected), mpmath.mpf(10) ** -30)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_mass_and_tails_add_up_to_one(case: tuple[float, float, float, float]) -> None:
    left = truncation(*case)
    assert abs(left.below + left.mass + left.above - 1) < decimal.Decimal("1e-27")
    assert abs(left.below + left.mass / 2 - left.centre - decimal.Decimal("0.5")) < decimal.Decimal("1e-27")


def test_a_very_narrow_interval_is_flat() -> None:
    left = truncation(0.0, 1.0, 0.5, 0.5 + 2**-50)
    assert float(left.variance) == pytest.approx(2.0**-100 / 12)


def test_bounds_beyond_any_mass_are_refused() -> None:
    with pytest.raises(OverflowError):
        truncation(0.0, 1.0, 1e300, 2e300)
