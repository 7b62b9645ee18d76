"""The numbers a type can hold: rounding to it once, and its nearest values on either side of a bound.

In ratios of integers, so that no intermediate type rounds first: float64 to bfloat16 through float32 would
round twice.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable
    from fractions import Fraction

    from initcfg.dtypes import DType

# Numerator and denominator, the latter above 0.
Ratio: TypeAlias = tuple[int, int]

# 2**-1200 is smaller than any distance between two numbers of any type.
_INFINITESIMAL = 1200


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
    rounded = _on_grid(value.as_integer_ratio(), dtype, _nearest)
    if abs(rounded) > dtype.bounds[1]:
        raise OverflowError(f"{value!r} is beyond the largest {dtype}")
    return rounded


def at_least(bound: float, dtype: DType) -> float | None:
    """The least number of the type that is not below `bound`, if there is one.

    Example:
        >>> from initcfg.dtypes import as_dtype
        >>> at_least(0.1, as_dtype("float8_e4m3fn"))
        0.1015625
    """
    return _least(bound.as_integer_ratio(), dtype)


def at_most(bound: float, dtype: DType) -> float | None:
    """The greatest number of the type that is not above `bound`, if there is one."""
    return _negated(_least((-bound).as_integer_ratio(), dtype))


def strictly_above(bound: float, dtype: DType) -> float | None:
    """The least number of the type above `bound`, if there is one."""
    return _least(_just_above(bound), dtype)


def strictly_below(bound: float, dtype: DType) -> float | None:
    """The greatest number of the type below `bound`, if there is one."""
    return _negated(_least(_just_above(-bound), dtype))


def _just_above(bound: float) -> Ratio:
    numerator, denominator = bound.as_integer_ratio()
    return (numerator << _INFINITESIMAL) + denominator, denominator << _INFINITESIMAL


def _least(bound: Ratio, dtype: DType) -> float | None:
    """The least number not below `bound`; every floating type is symmetric about 0."""
    least, greatest = dtype.bounds
    numerator, denominator = greatest.as_integer_ratio()
    if bound[0] * denominator > numerator * bound[1]:
        return None
    # Adding 0.0 turns a negative zero into a positive one, which no maximum or minimum can tell apart.
    return max(_on_grid(bound, dtype, _ceiling), least) + 0.0


def _negated(number: float | None) -> float | None:
    return None if number is None else 0.0 - number


def _on_grid(value: Ratio, dtype: DType, whole: Callable[[int, int], int]) -> float:
    """`value` in units of the type's spacing there, made whole; of a type without an end above."""
    numerator, denominator = value
    assert dtype.format is not None  # noqa: S101
    if numerator == 0:
        return 0.0
    exponent = max(_exponent(abs(numerator), denominator), dtype.format.least_exponent)
    spacing = exponent - dtype.format.digits
    units = whole(numerator << max(0, -spacing), denominator << max(0, spacing))
    try:
        return math.ldexp(units, spacing)
    except OverflowError:
        return math.copysign(math.inf, units)


def _nearest(numerator: int, denominator: int) -> int:
    below, rest = divmod(numerator, denominator)
    return below + (2 * rest > denominator or (2 * rest == denominator and below % 2 == 1))


def _ceiling(numerator: int, denominator: int) -> int:
    return -(-numerator // denominator)


def _exponent(numerator: int, denominator: int) -> int:
    """The largest e with 2**e <= numerator / denominator, which is above 0."""
    guess = numerator.bit_length() - denominator.bit_length()
    fits = denominator << max(0, guess) <= numerator << max(0, -guess)
    return guess if fits else guess - 1
