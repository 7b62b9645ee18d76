"""The numbers a type can hold: rounding to it once, and its nearest values on either side of a bound.

In rational arithmetic, so that no intermediate type rounds first: float64 to bfloat16 through float32 would
round twice.
"""

from __future__ import annotations

import math
from fractions import Fraction
from functools import cache
from typing import TYPE_CHECKING

import ml_dtypes
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from numpy.typing import NDArray

    from initcfg.dtypes import DType

__all__ = ["at_least", "at_most", "round_all", "round_once", "strictly_above", "strictly_below"]

# Smaller than any distance between two numbers of any type.
_INFINITESIMAL = Fraction(1, 2**1200)


def round_once(value: float | Fraction, dtype: DType) -> float:
    """The number of a floating type that is nearest to `value`, ties to even.

    Args:
        value: finite.
        dtype: a floating type.

    Raises:
        OverflowError: the nearest number is beyond the type's largest.

    Example:
        >>> from initcfg.dtypes import as_dtype
        >>> round_once(0.1, as_dtype("bfloat16"))
        0.10009765625
    """
    if value == 0:
        return float(value)
    rounded = _on_grid(Fraction(value), dtype, round)
    if abs(rounded) > dtype.bounds[1]:
        raise OverflowError(f"{value!r} is beyond the largest {dtype}")
    return float(rounded)


def round_all(values: NDArray[np.float64], dtype: DType) -> NDArray[Any]:
    """Each number as `round_once` gives it; one beyond the type comes out as none that is finite.

    Narrow types are reached through float32, rounded to odd there: where digits are lost the last bit is
    set, so that the second rounding never sees a tie that is none (Boldo and Melquiond 2008,
    https://doi.org/10.1109/TC.2007.70819).

    Args:
        values: finite.
        dtype: a floating type.
    """
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        wide = values if dtype.name in ("float32", "float64") else _rounded_to_odd(values)
        rounded = wide.astype(dtype.numpy)
    # Rational numbers have one zero: what was not -0.0 and becomes zero is 0.0.
    rounded[(rounded == 0) & (values != 0)] = 0
    return rounded


def _rounded_to_odd(values: NDArray[np.float64]) -> NDArray[np.float32]:
    nearest = values.astype(np.float32)
    bits = nearest.view(np.int32)
    back = nearest.astype(np.float64)
    outwards = np.where(np.absolute(back) < np.absolute(values), 1, -1)
    bits += np.where((back != values) & (bits & 1 == 0), outwards, 0).astype(np.int32)
    return nearest


def at_least(bound: float, dtype: DType) -> float | None:
    """The least number of the type that is not below `bound`, if there is one.

    Example:
        >>> from initcfg.dtypes import as_dtype
        >>> at_least(0.1, as_dtype("float8_e4m3fn"))
        0.1015625
    """
    return _least(Fraction(bound), dtype)


def at_most(bound: float, dtype: DType) -> float | None:
    """The greatest number of the type that is not above `bound`, if there is one."""
    return _negated(_least(-Fraction(bound), dtype))


def strictly_above(bound: float, dtype: DType) -> float | None:
    """The least number of the type above `bound`, if there is one."""
    return _least(Fraction(bound) + _INFINITESIMAL, dtype)


def strictly_below(bound: float, dtype: DType) -> float | None:
    """The greatest number of the type below `bound`, if there is one."""
    return _negated(_least(_INFINITESIMAL - Fraction(bound), dtype))


def _least(bound: Fraction, dtype: DType) -> float | None:
    """The least number not below `bound`; every floating type is symmetric about 0."""
    limit = dtype.bounds[1]
    if bound > limit:
        return None
    # Adding 0.0 turns a negative zero into a positive one, which no maximum or minimum can tell apart.
    return float(max(_on_grid(bound, dtype, math.ceil), Fraction(-limit))) + 0.0


def _negated(number: float | None) -> float | None:
    return None if number is None else 0.0 - number


def _on_grid(value: Fraction, dtype: DType, whole: Callable[[Fraction], int]) -> Fraction:
    """`value` in units of the type's spacing there, made whole; a type without an end above."""
    if not value:
        return value
    digits, least_exponent = _format(dtype)
    quantum = Fraction(2) ** (max(_exponent(abs(value)), least_exponent) - digits)
    return whole(value / quantum) * quantum


def _exponent(size: Fraction) -> int:
    """The largest e with 2**e <= size."""
    guess = size.numerator.bit_length() - size.denominator.bit_length()
    return guess if Fraction(2) ** guess <= size else guess - 1


@cache
def _format(dtype: DType) -> tuple[int, int]:
    """Stored mantissa bits, and the exponent of the smallest normal number."""
    info = ml_dtypes.finfo(dtype.numpy)  # type: ignore[no-untyped-call]
    return int(info.nmant), int(info.minexp)
