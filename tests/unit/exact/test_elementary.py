"""Elementary functions are correctly rounded, and end in bounded time."""

from __future__ import annotations

import math

import mpmath
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from initcfg import exact
from initcfg.exact import exp, log, log2, power

positive = st.floats(min_value=1e-300, max_value=1e300)


def nearest(compute) -> float:
    """An mpmath result as a double, from far more digits than a double has."""
    with mpmath.workdps(90):
        return float(compute())


@given(st.floats(min_value=-700, max_value=700))
def test_exp_is_the_nearest_double(x: float) -> None:
    assert exp(x) == nearest(lambda: mpmath.exp(mpmath.mpf(x)))


@given(positive)
def test_log_is_the_nearest_double(x: float) -> None:
    assert log(x) == nearest(lambda: mpmath.log(mpmath.mpf(x)))


@given(positive)
def test_log2_is_the_nearest_double(x: float) -> None:
    assert log2(x) == nearest(lambda: mpmath.log(mpmath.mpf(x)) / mpmath.log(2))


ANY_SIZE = st.floats(min_value=-(2.0**30), max_value=2.0**30)
NEAR_RIGHT_ANGLES = st.integers(-(2**29), 2**29).map(lambda n: n * 1.5707963267948966)


@pytest.mark.parametrize("name", ["expm1", "log1p", "tanh", "atan", "sin", "cos", "tan"])
@settings(max_examples=4 * settings().max_examples)
@given(
    st.one_of(ANY_SIZE, ANY_SIZE.map(lambda x: x * 2.0**-30), NEAR_RIGHT_ANGLES, st.integers(-(10**9), 10**9))
)
def test_other_functions_give_the_nearest_double(name: str, x: float) -> None:
    if name == "log1p":
        x = abs(x) - 1 if abs(x) > 1 else abs(x) - 0.5
    if name == "expm1":
        x %= 1400
        x -= 700
    with mpmath.workdps(400):
        assert getattr(exact, name)(x) == float(getattr(mpmath, name)(mpmath.mpf(x)))


@pytest.mark.parametrize("name", ["expm1", "log1p", "tanh", "atan", "sin", "tan"])
@pytest.mark.parametrize("x", [5e-324, -1e-300, 1e-20, -(2.0**-53), 2.0**-27])
def test_near_zero_other_functions_give_the_nearest_double(name: str, x: float) -> None:
    with mpmath.workdps(800):
        assert getattr(exact, name)(x) == float(getattr(mpmath, name)(mpmath.mpf(x)))


def test_ends_of_other_functions() -> None:
    assert (exact.expm1(-1e308), exact.tanh(1e308), exact.tanh(-30)) == (-1.0, 1.0, -1.0)
    assert exact.atan(-(10**300)) == -math.pi / 2
    assert exact.cos(-(2**30)) == exact.cos(2.0**30)
    for function in (exact.sin, exact.cos, exact.tan):
        with pytest.raises(exact.ReachError, match="2\\*\\*30"):
            function(2**30 + 1)
    with pytest.raises(OverflowError):
        exact.expm1(710)
    with pytest.raises(ValueError, match="above 0"):
        exact.log1p(-1)


@given(st.floats(min_value=1e-20, max_value=1e20), st.floats(min_value=-14, max_value=14))
def test_power_is_the_nearest_double(base: float, exponent: float) -> None:
    assert power(base, exponent) == nearest(lambda: mpmath.power(mpmath.mpf(base), mpmath.mpf(exponent)))


@given(st.integers(-300, 300), st.integers(-40, 40).filter(bool))
def test_whole_powers_round_ties_to_even(base: int, exponent: int) -> None:
    if base == 0 and exponent < 0:
        return
    exact = base**exponent if exponent > 0 else 1 / base**-exponent
    assert power(base, exponent) == float(exact)


@pytest.mark.parametrize("exponent", range(-1074, 1024, 37))
def test_log2_is_exact_for_powers_of_two(exponent: int) -> None:
    assert log2(2.0**exponent) == exponent


@pytest.mark.parametrize(
    ("function", "arguments", "expected"),
    [
        (exp, (0,), 1.0),
        (exp, (-1e308,), 0.0),
        (exp, (-745.0,), 5e-324),
        (log, (1,), 0.0),
        (log, (10**300,), 690.7755278982137),
        (power, (0, 0), 1.0),
        (power, (0.0, 5), 0.0),
        (power, (-2, 3), -8.0),
        (power, (-2.0, -1), -0.5),
        (power, (-1, 1e300), 1.0),
        (power, (-1, 2**53 + 1), -1.0),
        (power, (3, 35), float(3**35)),
        (power, (16, 0.25), 2.0),
        (power, (1e-200, 2), 0.0),
        (power, (1, 1e308), 1.0),
    ],
)
def test_edge_values(function, arguments, expected) -> None:
    assert function(*arguments) == expected


@pytest.mark.parametrize(
    ("function", "arguments", "error"),
    [
        (log, (0,), ValueError),
        (log, (-1.0,), ValueError),
        (log2, (0.0,), ValueError),
        (log, (float("inf"),), ValueError),
        (exp, (float("nan"),), ValueError),
        (exp, (710,), OverflowError),
        (exp, (10**4000,), OverflowError),
        (power, (0, -1), ValueError),
        (power, (-8, 1 / 3), ValueError),
        (power, (9, 9**81), OverflowError),
        (power, (1.0000000000000002, 1e308), OverflowError),
        (power, (10, 400), OverflowError),
    ],
)
def test_what_has_no_value_is_refused_at_once(function, arguments, error) -> None:
    with pytest.raises(error):
        function(*arguments)
