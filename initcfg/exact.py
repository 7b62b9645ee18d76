"""Real functions in decimal arithmetic, rounded once to float64: the same number on every machine.

The C library's ``exp``, ``log`` and ``pow`` differ in the last bit between systems, so nothing that ends up
in a weight may come from them. Here each function is evaluated to 50 digits and more, and rounded once.
"""

from __future__ import annotations

import decimal
import math
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

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
PI = Decimal(
    "3.14159265358979323846264338327950288419716939937510"
    "582097494459230781640628620899862803482534211706798214808651"
)
# Digits to spare where an angle loses up to 27: 10 before the point, and 17 by lying near a right angle.
_WIDE = decimal.Context(prec=100, rounding=decimal.ROUND_HALF_EVEN)
_ANGLE_END = 2**30
# Up to here exp(x) - 1 and log(1 + x) are series, which lose no digits.
_NEAR_ZERO = Decimal("0.25")
# From 20 on the nearest double is 1.
_TANH_END = Decimal(20)


def exp(x: Number) -> float:
    """The exponential function, correctly rounded."""
    return to_float(_exp(to_decimal(x)))


def log(x: Number) -> float:
    """The natural logarithm of a number above 0, correctly rounded."""
    return to_float(_ln(to_decimal(x)))


def log2(x: Number) -> float:
    """The logarithm to base 2 of a number above 0, correctly rounded; exact for powers of two."""
    return to_float(CONTEXT.divide(_ln(to_decimal(x)), _LN2))


def power(base: Number, exponent: Number) -> float:
    """`base` to the power `exponent`, in the reals, correctly rounded."""
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


def expm1(x: Number) -> float:
    """The exponential function less 1, correctly rounded near 0 too."""
    return to_float(_expm1(to_decimal(x)))


def log1p(x: Number) -> float:
    """The natural logarithm of 1 + x, correctly rounded near 0 too."""
    value = to_decimal(x)
    if value.copy_abs() > _NEAR_ZERO:
        return to_float(_ln(CONTEXT.add(value, Decimal(1))))
    return to_float(CONTEXT.multiply(Decimal(2), _atan_series(_over_two_more(value), Decimal(1))))


def tanh(x: Number) -> float:
    """The hyperbolic tangent, correctly rounded."""
    value = to_decimal(x)
    if value.copy_abs() > _TANH_END:
        return math.copysign(1.0, x)
    return to_float(_over_two_more(_expm1(CONTEXT.multiply(value, Decimal(2)))))


def atan(x: Number) -> float:
    """The arc tangent, correctly rounded."""
    c, value = CONTEXT, to_decimal(x)
    if value.copy_abs() > 1:
        rest = c.divide(Decimal(1), value)
        return to_float(c.subtract(c.divide(PI, Decimal(2)).copy_sign(value), _atan(rest)))
    return to_float(_atan(value))


def sin(x: Number) -> float:
    """The sine, correctly rounded; `ReachError` beyond 2**30."""
    return to_float(_sine_and_cosine(x)[0])


def cos(x: Number) -> float:
    """The cosine, correctly rounded; `ReachError` beyond 2**30."""
    return to_float(_sine_and_cosine(x)[1])


def tan(x: Number) -> float:
    """The tangent, correctly rounded; `ReachError` beyond 2**30."""
    return to_float(CONTEXT.divide(*_sine_and_cosine(x)))


class ReachError(ValueError):
    """An angle is beyond 2**30, where a double says little of where in the circle it is."""


def to_decimal(x: Number) -> Decimal:
    """The exact value of a finite number."""
    if isinstance(x, int):
        if x.bit_length() > _MAX_BITS:
            raise OverflowError("the number is beyond the largest float64")
        return Decimal(x)
    if not math.isfinite(x):
        raise ValueError("the number is not finite")
    return Decimal(x)


def to_float(value: Decimal) -> float:
    """The double nearest to `value`, ties to even; an OverflowError beyond the largest."""
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


def _expm1(x: Decimal) -> Decimal:
    if x.copy_abs() > _NEAR_ZERO:
        return CONTEXT.subtract(_exp(x), Decimal(1))
    return series(x, lambda n: CONTEXT.divide(x, Decimal(n + 1)))


def _over_two_more(x: Decimal) -> Decimal:
    return CONTEXT.divide(x, CONTEXT.add(x, Decimal(2)))


def _atan(x: Decimal) -> Decimal:
    """The arc tangent of up to 1, as 8 times that of an eighth of the angle."""
    c = CONTEXT
    for _ in range(3):
        x = c.divide(x, c.add(Decimal(1), c.sqrt(c.add(Decimal(1), c.multiply(x, x)))))
    return c.multiply(Decimal(8), _atan_series(x, Decimal(-1)))


def _atan_series(x: Decimal, sign: Decimal) -> Decimal:
    """The sum of sign**n x**(2n+1) / (2n+1): the arc tangent, or with a sign of 1 its hyperbolic sister."""
    c = CONTEXT
    square = c.multiply(sign, c.multiply(x, x))
    return series(x, lambda n: c.divide(c.multiply(square, Decimal(2 * n - 1)), Decimal(2 * n + 1)))


def _sine_and_cosine(x: Number) -> tuple[Decimal, Decimal]:
    value = to_decimal(x)
    if value.copy_abs() > _ANGLE_END:
        raise ReachError("an angle is at most 2**30")
    right_angle = _WIDE.divide(PI, Decimal(2))
    turns = _WIDE.to_integral_value(_WIDE.divide(value, right_angle))
    r = _WIDE.subtract(value, _WIDE.multiply(turns, right_angle))
    minus = CONTEXT.multiply(r, r).copy_negate()
    sine = series(r, lambda n: CONTEXT.divide(minus, Decimal(2 * n * (2 * n + 1))))
    cosine = series(Decimal(1), lambda n: CONTEXT.divide(minus, Decimal(2 * n * (2 * n - 1))))
    for _ in range(int(turns) % 4):
        sine, cosine = cosine, sine.copy_negate()
    return sine, cosine


def series(first: Decimal, factor: Callable[[int], Decimal]) -> Decimal:
    """The sum of a series up to the term that adds nothing; `factor` of n is term n over the one before."""
    term = total = first
    before, n = Decimal("NaN"), 0
    while total != before:
        n += 1
        term = CONTEXT.multiply(term, factor(n))
        before, total = total, CONTEXT.add(total, term)
    return total


_ROOT_2 = CONTEXT.sqrt(Decimal(2))
_ROOT_PI = CONTEXT.sqrt(PI)
_ROOT_2PI = CONTEXT.multiply(_ROOT_2, _ROOT_PI)
# Below, the series costs erfc five digits at most; above, 300 terms of the fraction give sixty.
_SERIES_END = Decimal(3)
_FRACTION_TERMS = 300
# From here erfc is below 10**-43_000_000, and so is every difference of two of its values.
_TAIL_END = Decimal(10_000)


def erf(x: Number) -> float:
    """The error function, correctly rounded."""
    return to_float(_erf(to_decimal(x)))


def erfc(x: Number) -> float:
    """The complement of the error function, correctly rounded in the far tail too."""
    return to_float(_erfc(to_decimal(x)))


def normal_cdf(z: Number) -> float:
    """The standard normal distribution function, correctly rounded."""
    return to_float(_upper_tail(to_decimal(z).copy_negate()))


class Truncation(NamedTuple):
    """What is left of a standard normal between two points, to 50 digits."""

    mass: Decimal  # the probability between them
    centre: Decimal  # the mean of the distribution function at the two, minus one half
    below: Decimal  # the probability below the lower point
    above: Decimal  # the probability above the upper one
    mean: Decimal  # of what is left, as the variance is
    variance: Decimal


# Closer points leave no digits in the formula for the variance, and the density between them is flat.
_FLAT = Decimal("1e-12")


def truncation(mean: float, std: float, low: float, high: float) -> Truncation:
    """The part of Normal(mean, std), std > 0, between `low` and `high` above it.

    Its moments, in units of std from the mean, are those of Johnson, Kotz and Balakrishnan, Continuous
    Univariate Distributions 1, 13.10.1.
    An OverflowError where both bounds lie so far to one side that no digits of the mass are left.

    Example:
        >>> part = truncation(0.0, 1.0, -2.0, 2.0)
        >>> float(part.variance.sqrt())
        0.8796256610342398
    """
    c = CONTEXT
    centre, scale = to_decimal(mean), to_decimal(std)
    a = c.divide(c.subtract(to_decimal(low), centre), scale)
    b = c.divide(c.subtract(to_decimal(high), centre), scale)
    mass = _mass(a, b)
    if mass <= 0:
        raise OverflowError("the bounds are too far from the mean")
    first, variance = _moments(a, b, mass)
    middle = c.divide(c.add(_erf(c.divide(a, _ROOT_2)), _erf(c.divide(b, _ROOT_2))), Decimal(4))
    return Truncation(mass, middle, _upper_tail(a.copy_negate()), _upper_tail(b), first, variance)


def _mass(a: Decimal, b: Decimal) -> Decimal:
    """The probability between `a` and `b`, from whichever functions do not cancel."""
    c = CONTEXT
    if max(a.copy_abs(), b.copy_abs()) < _SERIES_END:
        ends = c.subtract(_erf(c.divide(b, _ROOT_2)), _erf(c.divide(a, _ROOT_2)))
        return c.divide(ends, Decimal(2))
    if a > 0:
        return c.subtract(_upper_tail(a), _upper_tail(b))
    if b < 0:
        return _mass(b.copy_negate(), a.copy_negate())
    return c.subtract(c.subtract(Decimal(1), _upper_tail(a.copy_negate())), _upper_tail(b))


def _moments(a: Decimal, b: Decimal, mass: Decimal) -> tuple[Decimal, Decimal]:
    c = CONTEXT
    width = c.subtract(b, a)
    if width < _FLAT:
        return c.divide(c.add(a, b), Decimal(2)), c.divide(c.multiply(width, width), Decimal(12))
    at_a, at_b = c.divide(_density(a), mass), c.divide(_density(b), mass)
    first = c.subtract(at_a, at_b)
    lean = c.subtract(c.multiply(a, at_a), c.multiply(b, at_b))
    return first, c.subtract(c.add(Decimal(1), lean), c.multiply(first, first))


def _density(z: Decimal) -> Decimal:
    return CONTEXT.divide(CONTEXT.exp(CONTEXT.multiply(Decimal("-0.5"), CONTEXT.multiply(z, z))), _ROOT_2PI)


def _upper_tail(z: Decimal) -> Decimal:
    return CONTEXT.divide(_erfc(CONTEXT.divide(z, _ROOT_2)), Decimal(2))


def _erf(x: Decimal) -> Decimal:
    if x.copy_abs() < _SERIES_END:
        return _erf_series(x)
    return CONTEXT.subtract(Decimal(1), _erfc(x.copy_abs())).copy_sign(x)


def _erfc(x: Decimal) -> Decimal:
    if x < 0:
        return CONTEXT.subtract(Decimal(2), _erfc(x.copy_negate()))
    if x < _SERIES_END:
        return CONTEXT.subtract(Decimal(1), _erf_series(x))
    return _erfc_fraction(x) if x < _TAIL_END else Decimal(0)


def _erf_series(x: Decimal) -> Decimal:
    """2 exp(-x**2) / sqrt(pi) times the sum of 2**n x**(2n+1) / (2n+1)!! (DLMF 7.6.2): no cancellation."""
    c = CONTEXT
    doubled = c.multiply(Decimal(2), c.multiply(x, x))
    total = series(x, lambda n: c.divide(doubled, Decimal(2 * n + 1)))
    return c.multiply(c.divide(c.multiply(Decimal(2), _gauss(x)), _ROOT_PI), total)


def _erfc_fraction(x: Decimal) -> Decimal:
    """exp(-x**2) / sqrt(pi) over the continued fraction of DLMF 7.9.1, summed from its far end."""
    c = CONTEXT
    value = x
    for n in range(_FRACTION_TERMS, 0, -1):
        value = c.add(x, c.divide(c.divide(Decimal(n), Decimal(2)), value))
    return c.divide(c.divide(_gauss(x), _ROOT_PI), value)


def _gauss(x: Decimal) -> Decimal:
    return CONTEXT.exp(CONTEXT.multiply(x, x).copy_negate())
