"""Values lose numpy's types but never their numbers, and messages never show arrays."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from initcfg.dtypes import as_dtype
from initcfg.initializers.arrays import repeated
from initcfg.initializers.values import plain, read_value, shown


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.float32(0.5), 0.5),
        (np.int64(3), 3),
        (np.bool_(True), True),
        (np.array(2.5), 2.5),
        (ml_dtypes.bfloat16(1.5), 1.5),
        (3, 3),
        ("x", "x"),
        (None, None),
    ],
)
def test_scalars_become_pythons_own(value: object, expected: object) -> None:
    assert plain(value) == expected
    assert type(plain(value)) is type(expected)


def test_arrays_stay_arrays() -> None:
    array = np.ones(1)
    assert plain(array) is array


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.5, "1.5"),
        ("a\nb", r"'a\nb'"),
        (True, "True"),
        (None, "None"),
        ([1, 2], "a list"),
        ((1, 2), "a tuple"),
        ({"a": 1}, "a mapping"),
        (np.ones(3), "an object of type ndarray"),
        ("x" * 100, "'" + "x" * 59 + "..."),
        (10**100, "an integer of over 40 digits"),
    ],
)
def test_values_are_shown_briefly(value: object, text: str) -> None:
    assert shown(value) == text


@given(hnp.arrays(st.sampled_from(["int8", "uint64", "float64", "float32", "bool"]), hnp.array_shapes()))
def test_an_array_is_held_and_written_exactly(array: np.ndarray) -> None:
    value = read_value(np.where(np.isfinite(array), array, 0).astype(array.dtype))
    assert value.shape == array.shape
    assert read_value(value.to_config()) == value
    assert hash(read_value(value.to_config())) == hash(value)
    held = repeated(value, value.shape, as_dtype(array.dtype))
    assert held.tolist() == np.nan_to_num(array, posinf=0, neginf=0).tolist()


def test_lists_and_arrays_of_one_content_differ_in_how_they_are_written() -> None:
    held, listed = read_value(np.array([1, 2])), read_value([1, 2])
    assert held.numbers == listed.numbers
    assert held != listed
