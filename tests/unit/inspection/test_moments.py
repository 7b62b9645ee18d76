"""Counts, bounds, mean and spread: of a stretch, and of stretches put together."""

from __future__ import annotations

import functools
import math
import statistics

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from initcfg.dtypes import DTYPES
from initcfg.inspection.moments import Moments, merged, moments_of

# Squares of these are normal numbers of float64.
FINITE = st.floats(-1e100, 1e100).filter(lambda value: value == 0 or abs(value) > 1e-100)
VALUES = st.lists(FINITE | st.sampled_from([0.0, -0.0, math.inf, -math.inf, math.nan]))


def cut(values: np.ndarray, places: list[int]) -> list[np.ndarray]:
    return np.split(values, sorted(min(place, values.size) for place in places))


@given(VALUES, st.lists(st.integers(0, 40), max_size=6))
def test_moments_are_those_of_exact_arithmetic_however_the_values_are_cut(
    values: list[float], places: list[int]
) -> None:
    found = functools.reduce(merged, map(moments_of, cut(np.array(values), places)), Moments())
    finite = [value for value in values if math.isfinite(value)]
    assert found.count == len(finite)
    assert found.non_finite == len(values) - len(finite)
    assert found.zeros == finite.count(0.0)
    if finite:
        assert (found.low, found.high) == (min(finite), max(finite))
        scale = max(map(abs, finite))
        assert found.mean == pytest.approx(statistics.fmean(finite), rel=1e-12, abs=1e-14 * scale)
        assert found.std == pytest.approx(statistics.pstdev(finite), rel=1e-12, abs=1e-14 * scale)


def test_a_small_spread_around_a_great_mean_is_not_lost() -> None:
    values = 1e9 + np.tile([0.0, 1.0, 2.0], 3000)
    found = functools.reduce(merged, map(moments_of, np.split(values, 90)))
    assert found.std == pytest.approx(math.sqrt(2 / 3), rel=1e-9)
    # What sums of squares would have given:
    assert math.sqrt(abs(np.square(values).mean() - values.mean() ** 2)) != pytest.approx(0.8165, rel=0.1)


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype_has_moments(dtype: str) -> None:
    values = np.array([0, 1, 1, 0], DTYPES[dtype].numpy)
    found = moments_of(values)
    assert (found.count, found.zeros, found.mean, found.std, found.low, found.high) == (4, 2, 0.5, 0.5, 0, 1)


def test_the_bounds_of_wide_integers_are_exact() -> None:
    for dtype in ("int64", "uint64"):
        limits = np.iinfo(dtype)
        found = moments_of(np.array([limits.min, limits.max], dtype))
        assert (found.low, found.high) == (limits.min, limits.max)


def test_narrow_floats_without_infinities_are_counted_too() -> None:
    found = moments_of(np.array([math.nan, -0.0, 2.0], ml_dtypes.float8_e4m3fnuz))
    assert found.count + found.non_finite == 3
    assert found.high == 2.0


def test_nothing_comes_to_nothing() -> None:
    assert moments_of(np.zeros(0, "float32")) == Moments()
    assert moments_of(np.full(2, np.nan)) == Moments(non_finite=2)
    assert merged(Moments(), Moments()) == Moments()
    assert Moments().std == 0.0


def test_squares_beyond_float64_are_no_error() -> None:
    assert moments_of(np.array([1e300, -1e300])).std == math.inf
