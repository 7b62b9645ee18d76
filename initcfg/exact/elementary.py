"""exp, log, log2 and powers, correctly rounded to float64, in bounded time for any argument."""

from __future__ import annotations

import decimal
import math
from decimal import Decimal
from fractions import Fraction

__all__ = ["CONTEXT", "Number", "exp", "log", "log2", "power", "to_decimal", "to_float"]

Number = int | float

# 50 digits, and guard digits: no step in this package loses more than ten.
CONTEXT = decimal.Context(
    prec=66,
    rounding=decimal.ROUND_HALF_EVEN,
    Emin=-999_999_999,
    Emax=999_999_999,
    traps=[decimal.InvalidOperation, decimal.DivisionByZero, decimal.Overflow],
)
_LN2 = CONTEXT.ln(Decimal(2))
# exp of anything above is beyond the largest double; of anything below, less than half the smallest.
_EXP_OVERFLOW = Decimal(710)
_EXP_UNDERFLOW = Decimal(-746)
# Doubles end at 2**1024; without a bound a conversion could take for ever.
_MAX_BITS = 1100
# Only a short exact result can be a tie between two doubles, and such a power is below this.
_WHOLE_POWERS = 64


def exp(x: Number) -> float:
    """The exponential function, correctly rounded.

    Args:
        x: a finite number.

    Raises:
        ValueError: `x` is not finite.
        OverflowError: the result is beyond the largest double.

    Example:
        >>> exp(1)
        2.718281828459045
    """
    return to_float(_exp(to_decimal(x)))


def log(x: Number) -> float:
    """The natural logarithm, correctly rounded.

    Args:
        x: a finite number above 0.

    Raises:
        ValueError: `x` is not finite, or not above 0.

    Example:
        >>> log(50257)
        10.82490511970208
    """
    return to_float(_ln(to_decimal(x)))


def log2(x: Number) -> float:
    """The logarithm to base 2, correctly rounded; exact for powers of two.

    Args:
        x: a finite number above 0.

    Raises:
        ValueError: `x` is not finite, or not above 0.

    Example:
        >>> log2(4096)
        12.0
    """
    return to_float(CONTEXT.divide(_ln(to_decimal(x)), _LN2))


def power(base: Number, exponent: Number) -> float:
    """`base` to the power `exponent`, in the reals, correctly rounded.

    Args:
        base: a finite number.
        exponent: a finite number; whole where `base` is negative, not negative where `base` is 0.

    Raises:
        ValueError: the power is not a real number, or an argument is not finite.
        OverflowError: the result is beyond the largest double.

    Example:
        >>> power(768, -0.5)
        0.03608439182435161
        >>> power(-2, 3)
        -8.0
    """
    x, y = to_decimal(base), to_decimal(exponent)
    if not y:
        return 1.0
    if not x:
        if y < 0:
            raise ValueError("0 cannot be raised to a negative power")
        return 0.0
    whole = exponent == int(exponent)
    if x < 0 and not whole:
        raise ValueError("a negative number can only be raised to a whole power")
    size = CONTEXT.multiply(y, _ln(x.copy_abs()))
    if whole and y.copy_abs() <= _WHOLE_POWERS and _EXP_UNDERFLOW < size < _EXP_OVERFLOW:
        quotient = Fraction(base) ** int(exponent)
        # Division of integers rounds once, ties to even, and raises OverflowError by itself.
        return quotient.numerator / quotient.denominator
    sign = -1.0 if x < 0 and int(exponent) % 2 else 1.0
    return sign * to_float(_exp(size))


def to_decimal(x: Number) -> Decimal:
    """The exact value of `x`.

    Raises:
        ValueError: `x` is not finite.
        OverflowError: `x` is an integer far beyond the largest double.
    """
    if isinstance(x, int):
        if x.bit_length() > _MAX_BITS:
            raise OverflowError("the number is beyond the largest float64")
        return Decimal(x)
    if not math.isfinite(x):
        raise ValueError("the number is not finite")
    return Decimal(x)


def to_float(value: Decimal) -> float:
    """The double nearest to `value`, ties to even.

    Raises:
        OverflowError: it is beyond the largest double.
    """
    result = float(value)
    if math.isinf(result):
        raise OverflowError("the result is beyond the largest float64")
    return result


def _exp(x: Decimal) -> Decimal:
    if x > _EXP_OVERFLOW:
        raise OverflowError("the result is beyond the largest float64")
    return Decimal(0) if x < _EXP_UNDERFLOW else CONTEXT.exp(x)


def _ln(x: Decimal) -> Decimal:
    if x <= 0:
        raise ValueError("only a number above 0 has a logarithm")
    return CONTEXT.ln(x)
