"""Number literals."""

from __future__ import annotations

import sys

import pytest

from initcfg.errors import Code
from initcfg.text.numbers import LARGEST, LiteralError, read_float, read_integer


@pytest.mark.parametrize(
    ("digits", "base", "value"),
    [("0", 10, 0), ("-12", 10, -12), ("+3", 10, 3), ("007", 10, 7), ("ff", 16, 255), ("17", 8, 15)],
)
def test_integers_are_exact(digits, base, value):
    assert read_integer(digits, base) == value


def test_every_integer_that_is_read_has_a_float_beside_it():
    assert read_integer(str(LARGEST)) == LARGEST
    assert float(LARGEST) == sys.float_info.max
    with pytest.raises(LiteralError) as raised:
        read_integer(str(LARGEST + 1))
    assert raised.value.code is Code.OUT_OF_RANGE


def test_leading_zeros_do_not_count():
    assert read_integer("0" * 5000 + "1") == 1


def test_a_million_digits_are_refused_before_they_are_converted():
    with pytest.raises(LiteralError, match="1000000 digits"):
        read_integer("9" * 1_000_000)


def test_a_float_beyond_the_range_is_refused():
    assert read_float("1e308") == 1e308
    with pytest.raises(LiteralError) as raised:
        read_float("1e309")
    assert raised.value.code is Code.NOT_FINITE


def test_a_long_literal_is_shortened_in_the_message():
    with pytest.raises(LiteralError) as raised:
        read_float("1" * 100_000 + "e9")
    assert len(str(raised.value)) < 120
