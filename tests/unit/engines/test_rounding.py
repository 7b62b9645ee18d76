"""The numbers of a type, against every number that narrow types have."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from initcfg.dtypes import DTYPES, DType
from initcfg.engines.casting import round_all
from initcfg.engines.rounding import at_least, at_most, round_once, strictly_above, strictly_below

FLOATS = [dtype for dtype in DTYPES.values() if dtype.kind == "float"]
NARROW = [dtype for dtype in FLOATS if dtype.itemsize <= 2]
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)


def every_number(dtype: DType) -> list[float]:
    """All finite numbers of a narrow type, in order."""
    bits = np.arange(2 ** (8 * dtype.itemsize), dtype=np.uint32).astype(f"u{dtype.itemsize}")
    with np.errstate(invalid="ignore"):
        values = bits.view(dtype.numpy).astype(np.float64)
    return np.unique(values[np.isfinite(values)]).tolist()


def probes(numbers: list[float]) -> list[float]:
    """Numbers of the type, midpoints, and points beside both."""
    chosen = numbers[:: max(1, len(numbers) // 300)]
    middles = [(a + b) / 2 for a, b in pairwise(numbers)][:: max(1, len(numbers) // 300)]
    beside = [math.nextafter(x, side) for x in chosen + middles for side in (-math.inf, math.inf)]
    inside = [x for x in chosen + middles + beside if numbers[0] <= x <= numbers[-1]]
    return [*inside, 0.0, numbers[0], numbers[-1]]


@pytest.mark.parametrize("dtype", NARROW, ids=str)
def test_neighbours_are_those_of_the_enumerated_type(dtype: DType) -> None:
    numbers = every_number(dtype)
    table = np.array(numbers)
    for x in probes(numbers):
        left, right = np.searchsorted(table, x, "left"), np.searchsorted(table, x, "right")
        assert at_least(x, dtype) == table[left]
        assert at_most(x, dtype) == table[right - 1]
        assert strictly_above(x, dtype) == (table[right] if right < len(table) else None)
        assert strictly_below(x, dtype) == (table[left - 1] if left else None)


@pytest.mark.parametrize("dtype", NARROW, ids=str)
def test_rounding_is_to_the_nearest_and_ties_to_even(dtype: DType) -> None:
    numbers = every_number(dtype)
    table = np.array(numbers)
    mantissas = {x: index for index, x in enumerate(x for x in numbers if x >= 0)}
    for x in probes(numbers):
        got = round_once(x, dtype)
        nearest = min(numbers[max(0, i) : i + 3] for i in [int(np.searchsorted(table, x)) - 1])
        best = min(abs(Fraction(y) - Fraction(x)) for y in nearest)
        tied = [y for y in nearest if abs(Fraction(y) - Fraction(x)) == best]
        assert got in tied
        # Non-negative numbers in order have even bit patterns at even places.
        assert len(tied) == 1 or mantissas[abs(got)] % 2 == 0


@pytest.mark.parametrize("dtype", [DTYPES["float32"], DTYPES["float16"], DTYPES["float64"]], ids=str)
@given(x=NUMBERS)
def test_rounding_agrees_with_the_processor(dtype: DType, x: float) -> None:
    with np.errstate(over="ignore", under="ignore"):
        expected = float(dtype.numpy.type(x))
    if math.isinf(expected):
        with pytest.raises(OverflowError):
            round_once(x, dtype)
    else:
        assert round_once(x, dtype) == expected


def test_bfloat16_is_not_rounded_twice() -> None:
    # Just above a tie of bfloat16, and by less than float32 can see: rounding there first makes it the tie.
    x = 1 + 2**-8 + 2**-30
    assert float(np.float32(x)) == 1 + 2**-8
    assert round_once(x, DTYPES["bfloat16"]) == 1 + 2**-7


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_the_ends_of_a_type(dtype: DType) -> None:
    least, greatest = dtype.bounds
    assert (round_once(least, dtype), round_once(greatest, dtype)) == (least, greatest)
    assert (at_least(-1e308, dtype), at_most(1e308, dtype)) == (max(-1e308, least), min(1e308, greatest))
    if dtype.name != "float64":
        assert at_least(math.nextafter(greatest, math.inf), dtype) is None
        assert at_most(math.nextafter(least, -math.inf), dtype) is None
    with pytest.raises(OverflowError):
        round_once(Fraction(greatest) * 2, dtype)


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_bounds_never_carry_a_negative_zero(dtype: DType) -> None:
    for neighbour in (at_least(-0.0, dtype), at_most(-0.0, dtype), at_most(1e-320, dtype)):
        assert neighbour is not None
        assert math.copysign(1.0, neighbour) == 1.0


def test_a_zero_keeps_its_sign_when_rounded() -> None:
    assert math.copysign(1.0, round_once(-0.0, DTYPES["float32"])) == -1.0


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_an_array_is_rounded_as_each_number_alone(dtype: DType) -> None:
    least, greatest = dtype.bounds
    values = [-1e-60, 1e-60, -0.0, 5e-324, least, greatest]
    normals = np.random.default_rng(0).normal(size=300).tolist()
    values += probes(every_number(dtype)) if dtype in NARROW else normals
    rounded = round_all(np.array(values), dtype)
    expected = np.array([round_once(value, dtype) for value in values]).astype(dtype.numpy)
    assert rounded.tobytes() == expected.tobytes()


@pytest.mark.parametrize("dtype", [dtype for dtype in FLOATS if dtype.name != "float64"], ids=str)
def test_an_array_beyond_the_type_is_not_finite(dtype: DType) -> None:
    beyond = np.array([2.0 * dtype.bounds[1], -1e300])
    assert not np.isfinite(round_all(beyond, dtype)).any()
