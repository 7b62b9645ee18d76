"""Basic indexing takes what NumPy takes."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes

from initcfg.plan.parameters import Selection


@settings(max_examples=10 * settings().max_examples)
@given(data=st.data())
def test_a_selection_takes_what_numpy_takes(indices, data: st.DataObject) -> None:
    shape = data.draw(array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=7))
    index = data.draw(indices(shape))
    whole = np.arange(math.prod(shape)).reshape(shape)
    expected = whole[index]
    selection = Selection.of(shape, index)
    assert selection.shape == np.shape(expected)
    assert selection.numel == np.size(expected)
    np.testing.assert_array_equal(whole[np.ix_(*selection.ranges)].reshape(selection.shape), expected)
    np.testing.assert_array_equal(whole[selection.slices].reshape(selection.shape), expected)


@pytest.mark.parametrize(
    ("index", "message"),
    [
        (4, "index 4 is out of bounds for axis 0 of shape (4, 6)"),
        ((0, -7), "index -7 is out of bounds for axis 1 of shape (4, 6)"),
        ((0, 0, 0), "the shape (4, 6) has 2 axes, 3 are indexed"),
        ((..., 0, ...), "one ellipsis"),
        (slice(None, None, 0), "bad slice for axis 0 of shape (4, 6): slice step cannot be zero"),
        (slice("a", None), "bad slice for axis 0 of shape (4, 6)"),
        (slice(0.5), "bad slice for axis 0 of shape (4, 6)"),
        ([0, 1], "list is no basic index"),
        (np.array([0, 1]), "ndarray is no basic index"),
        (True, "bool is no basic index"),
        (np.bool_(True), "bool is no basic index"),
        (1.0, "float is no basic index"),
        ("0", "str is no basic index"),
    ],
)
def test_a_bad_index_is_an_index_error_that_says_why(index: object, message: str) -> None:
    with pytest.raises(IndexError) as caught:
        Selection.of((4, 6), index)  # type: ignore[arg-type]
    assert message in str(caught.value)


def test_numpy_integers_are_integers() -> None:
    assert Selection.of((4, 6), (np.int64(-1), np.array(2))) == Selection.of((4, 6), (3, 2))


def test_dimensions_beyond_64_bits_of_elements_are_only_numbers() -> None:
    selection = Selection.of((2**62, 2**62), (slice(-3, None), 2**61))
    assert selection.shape == (3,)
    assert selection.ranges[0] == range(2**62 - 3, 2**62)


def test_equal_selections_are_equal_and_hash_alike() -> None:
    one, two = Selection.of((4, 6), (slice(0, 2),)), Selection.of((4, 6), (slice(-4, -2), ...))
    assert one == two
    assert len({one, two}) == 1
