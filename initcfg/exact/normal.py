"""The normal distribution in decimal arithmetic, rounded once to float64: what truncated laws are made of."""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

from initcfg.exact import CONTEXT, PI, Number, series, to_decimal, to_float

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
    """The complement of the error function, correctly rounded in the far tail too.

    Example:
        >>> erfc(10)
        2.088487583762545e-45
    """
    return to_float(_erfc(to_decimal(x)))


def normal_cdf(z: Number) -> float:
    """The standard normal distribution function, correctly rounded.

    Example:
        >>> normal_cdf(-2)
        0.02275013194817921
    """
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
