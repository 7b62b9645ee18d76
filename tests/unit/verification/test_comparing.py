"""The first element that differs, bit for bit or within a tolerance."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

from initcfg.initializers import Concatenate, Orthogonal, Zeros
from initcfg.verification.comparing import TOLERANCE, mismatch, tolerance_of

DTYPES = [
    "float32",
    "float64",
    "float16",
    ml_dtypes.bfloat16,
    ml_dtypes.float8_e4m3fn,
    "int8",
    "uint64",
    "bool",
]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_the_first_difference_and_their_number_are_found(dtype: Any) -> None:
    expected = np.zeros(7, dtype)
    found = expected.copy()
    assert mismatch(found, expected) is None
    found[[2, 5]] = 1
    difference = mismatch(found, expected)
    assert difference is not None
    assert (difference.at, difference.count) == (2, 2)
    assert float(eval(difference.found)) == 1
    assert float(eval(difference.expected)) == 0


def test_an_empty_array_is_equal_to_another() -> None:
    assert mismatch(np.zeros(0, "float32"), np.zeros(0, "float32")) is None


@pytest.mark.parametrize(
    ("found", "expected", "texts"),
    [
        (0.1, np.nextafter(np.float32(0.1), np.float32(1)), ("0.1", "0.10000001")),
        (-0.0, 0.0, ("-0.0", "0.0")),
        (np.nan, 0.0, ("nan", "0.0")),
        (np.inf, 0.0, ("inf", "0.0")),
    ],
)
def test_values_are_shown_in_full_precision(found: float, expected: float, texts: tuple[str, str]) -> None:
    difference = mismatch(np.array([found], "float32"), np.array([expected], "float32"))
    assert difference is not None
    assert (difference.found, difference.expected) == texts


def test_values_that_read_alike_are_shown_by_their_bits() -> None:
    one, two = (np.array([bits], "uint32").view("float32") for bits in (0x7FC00000, 0x7FC00001))
    difference = mismatch(one, two)
    assert difference is not None
    assert (difference.found, difference.expected) == ("nan (bits 0x7fc00000)", "nan (bits 0x7fc00001)")
    assert mismatch(one, one) is None


@pytest.mark.parametrize("dtype", DTYPES[:5], ids=str)
def test_a_tolerance_takes_neighbours_and_no_more(dtype: Any) -> None:
    expected = np.array([0.5, -0.25, 0.0], dtype)
    near = (expected.astype("float64") + 0.9 * TOLERANCE).astype(dtype)
    assert mismatch(near, expected, TOLERANCE) is None
    far = expected.copy()
    far[1] = 0.25
    difference = mismatch(far, expected, TOLERANCE)
    assert difference is not None
    assert (difference.at, difference.count) == (1, 1)
    assert mismatch(np.array([np.nan], dtype), np.array([0.0], dtype), TOLERANCE) is not None


def test_only_what_is_made_with_blas_has_a_tolerance() -> None:
    assert tolerance_of(Zeros(), (2, 2)) == 0
    assert tolerance_of(Orthogonal(gain=-2), (2, 2)) == 2 * TOLERANCE
    assert tolerance_of(Concatenate(axis=0, sizes=[1, 1], initializers=["zeros", "ones"]), (2, 2)) == 0


def test_of_a_concatenation_each_part_has_its_own() -> None:
    inner = Concatenate(axis=0, sizes=[1, 2], initializers=["zeros", Orthogonal(gain=3)])
    outer = Concatenate(axis=1, sizes=[2, 2], initializers=["ones", inner])
    expected = np.zeros((3, 4))
    expected[1:, 2:] = 3 * TOLERANCE
    np.testing.assert_array_equal(tolerance_of(outer, (3, 4)), expected)


def test_a_part_that_is_exact_is_compared_by_its_bits_beside_one_that_is_not() -> None:
    tolerance = np.array([0.0, TOLERANCE])
    expected = np.zeros(2)
    assert mismatch(np.array([0.0, 1e-6]), expected, tolerance) is None
    difference = mismatch(np.array([-0.0, 1e-6]), expected, tolerance)
    assert difference is not None
    assert (difference.at, difference.count) == (0, 1)
