"""Elementary functions of float64 arrays, with one set of bits everywhere.

Only integer operations and IEEE ``+ - * / sqrt``, in the order written here: the bits are a contract, and
``native/elementary.c`` follows line by line. Every function is within 1 ulp of the exact value, `power`
within 2, and ends as C99 says at zeros, infinities and NaN; each NaN is the same one.

A name with ``_low`` is what its number lacks: the two stand for their sum, which has about 105 bits.
docs/explanation/streams.md has the methods and the errors.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from initcfg.engines import constants as k
from initcfg.engines.polynomial import polynomial
from initcfg.engines.target import checked_arguments

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Doubles: TypeAlias = NDArray[np.float64]
Whole: TypeAlias = NDArray[np.int64]
Pair: TypeAlias = tuple[Doubles, Doubles]

# Elements that are made at a time: the steps of so many stay in a processor's nearest memory.
_BLOCK = 8192
# Adding this to a number below 2**51 and taking it away rounds to an integer, half to even; in between the
# lowest bits are that integer's.
_MAGIC = 1.5 * 2.0**52
_MAGIC_BITS = 0x4338000000000000
_EXPONENT = -0x10000000000000
_UPPER_HALF = -0x8000000
_LEAST_NORMAL = 2.0**-1022


def _exp(x: Doubles) -> Doubles:
    n, high, low = _expm1_of_rest(_clipped(x, -800.0, 800.0), 0.0)
    return _where_nan(x, _exp_of_parts(n, high, low))


def _expm1(x: Doubles) -> Doubles:
    n, high, low = _expm1_parts(_clipped(x, -60.0, 800.0))
    return _where_nan(x, np.where(x == 0.0, x, _scaled(high + low, n)))


def _log(x: Doubles) -> Doubles:
    high, low = _log_pair(x)
    return _log_ends(x, high + low)


def _log2(x: Doubles) -> Doubles:
    exponent, high, low = _log_of_mantissa(x)
    scaled, scaled_low = _product(high, k.INVERSE_LN2)
    scaled_low = scaled_low + (high * k.INVERSE_LN2_LOW + low * k.INVERSE_LN2)
    out, out_low = _quick_sum(exponent, scaled)
    return _log_ends(x, out + (out_low + scaled_low))


def _log1p(x: Doubles) -> Doubles:
    """log(u + rest) = log(u) + rest / u, where u is 1 + x rounded and rest what that lost."""
    u, rest = _sum(1.0, x)
    high, low = _log_pair(u)
    out = _log_ends(u, high + (low + rest / u))
    # There 1 + x is x, or x is the result.
    return np.where((x == 0.0) | (x == np.inf), x, out)


def _sin(x: Doubles) -> Doubles:
    n, r, r_low = _rest_of_right_angle(x)
    return _where_far(x, np.where(x == 0.0, x, _sin_of_quadrant(n, r, r_low)))


def _cos(x: Doubles) -> Doubles:
    n, r, r_low = _rest_of_right_angle(x)
    return _where_far(x, _sin_of_quadrant(n + 1, r, r_low))


def _tan(x: Doubles) -> Doubles:
    n, r, r_low = _rest_of_right_angle(x)
    square, square_low = _product(r, r)
    (sin, sin_low), (cos, cos_low) = _sin_cos(r, r_low, square)
    sin, sin_low = _quick_sum(sin, sin_low)
    cos, cos_low = _quick_sum(cos, cos_low - 0.5 * square_low)
    odd = (n & 1) != 0
    over, over_low = np.where(odd, -cos, sin), np.where(odd, -cos_low, sin_low)
    under, under_low = np.where(odd, sin, cos), np.where(odd, sin_low, cos_low)
    out, out_low = _quotient(over, over_low, under, under_low)
    return _where_far(x, np.where(x == 0.0, x, out + out_low))


def _tanh(x: Doubles) -> Doubles:
    """E / (E + 2) with E = exp(2 |x|) - 1; from 30 on that is 1."""
    half = _clipped(np.absolute(x), 0.0, 30.0)
    n, high, low = _expm1_parts(half + half)
    over, over_low = _scaled(high, n), _scaled(low, n)
    under, under_low = _sum(2.0, over)
    out, out_low = _quotient(over, over_low, under, under_low + over_low)
    return _where_nan(x, np.copysign(out + out_low, x))


def _atan(x: Doubles) -> Doubles:
    """After fdlibm: atan(c) + atan((x - c) / (1 + c x)), where c is 0, 1/2, 1, 3/2 or infinity."""
    size = np.absolute(x)
    over, under = size, np.ones_like(x)
    base, base_low = np.zeros_like(x), np.zeros_like(x)
    for n, start in enumerate(k.ATAN_STARTS):
        beyond = size >= start
        if n < len(k.ATAN_CENTRES):
            over = np.where(beyond, size - k.ATAN_CENTRES[n], over)
            under = np.where(beyond, 1.0 + k.ATAN_CENTRES[n] * size, under)
        else:
            over, under = np.where(beyond, -1.0, over), np.where(beyond, size, under)
        base = np.where(beyond, k.ATAN_HIGH[n], base)
        base_low = np.where(beyond, k.ATAN_LOW[n], base_low)
    t = over / under
    z = t * t
    out = base - ((t * (z * _polynomial(k.ATAN64, z)) - base_low) - t)
    return _where_nan(x, np.copysign(out, x))


def _power(x: Doubles, y: Doubles) -> Doubles:
    """exp(y log|x|), with the sign and the ends of C99."""
    size = np.absolute(x)
    log, log_low = _log_pair(size)
    # Beyond the clip every power but those of 1 overflows, or is 0.
    factor = _clipped(y, -(2.0**70), 2.0**70)
    product, product_low = _product(factor, log)
    product_low = product_low + factor * log_low
    clipped = _clipped(product, -800.0, 800.0)
    out = _exp_of_parts(*_expm1_of_rest(clipped, np.where(clipped == product, product_low, 0.0)))

    end = (size == 0.0) | (size == np.inf) | (np.absolute(y) == np.inf)
    out = np.where(end, np.where((size > 1.0) == (y > 0.0), np.inf, 0.0), out)
    whole = _is_whole(y)
    negative = np.signbit(x)
    out = np.where(negative & whole & ~_is_whole(0.5 * y), -out, out)
    no_number = np.isnan(x) | np.isnan(y) | (negative & ~whole & (size != 0.0) & (size != np.inf))
    out = np.where(no_number, np.nan, out)
    return np.where((y == 0.0) | (x == 1.0) | ((x == -1.0) & (np.absolute(y) == np.inf)), 1.0, out)


# ---- Pairs of numbers, after Dekker (1971) and Knuth ----------------------------------------------------


def _sum(a: Doubles | float, b: Doubles) -> Pair:
    total = a + b
    rest = total - a
    return total, (a - (total - rest)) + (b - rest)


def _quick_sum(a: Doubles | float, b: Doubles) -> Pair:
    """As `_sum`, where b does not exceed a in size, or a is 0."""
    total = a + b
    return total, b - (total - a)


def _halves(x: Doubles) -> Pair:
    """The upper 26 bits, and the others."""
    upper = (x.view(np.int64) & _UPPER_HALF).view(np.float64)
    return upper, x - upper


def _product(a: Doubles, b: Doubles | float) -> Pair:
    product = a * b
    (a_upper, a_lower), (b_upper, b_lower) = _halves(a), _halves(np.asarray(b))
    low = ((a_upper * b_upper - product) + a_upper * b_lower + a_lower * b_upper) + a_lower * b_lower
    return product, low


def _quotient(a: Doubles, a_low: Doubles | float, b: Doubles, b_low: Doubles) -> Pair:
    quotient = a / b
    product, product_low = _product(quotient, b)
    return quotient, ((((a - product) - product_low) + a_low) - quotient * b_low) / b


# ---- Bits ------------------------------------------------------------------------------------------------


def _rounded(x: Doubles) -> tuple[Whole, Doubles]:
    """The nearest integer, as an integer and as a double."""
    shifted = x + _MAGIC
    return shifted.view(np.int64) - _MAGIC_BITS, shifted - _MAGIC


def _two_to(n: Whole) -> Doubles:
    return ((n + 1023) << 52).view(np.float64)


def _scaled(x: Doubles, n: Whole) -> Doubles:
    """The product x * 2**n in two steps; only the second can round, to a subnormal number or to infinity."""
    half = n >> 1
    return x * _two_to(half) * _two_to(n - half)


def _is_whole(x: Doubles) -> NDArray[np.bool_]:
    size = np.absolute(x)
    return np.asarray((size >= 2.0**52) | ((size + 2.0**52) - 2.0**52 == size))


def _clipped(x: Doubles, least: float, greatest: float) -> Doubles:
    return np.minimum(np.maximum(x, least), greatest)


def _where_nan(x: Doubles, out: Doubles) -> Doubles:
    return np.where(np.isnan(x), np.nan, out)


def _where_far(x: Doubles, out: Doubles) -> Doubles:
    """NaN where x is beyond the reach of `_rest_of_right_angle`, or NaN."""
    return np.where(np.absolute(x) <= k.CIRCULAR_REACH, out, np.nan)


def _polynomial(coefficients: Sequence[float], x: Doubles) -> Doubles:
    out = np.empty_like(x)
    polynomial(coefficients, x, out)
    return out


# ---- What the functions share ----------------------------------------------------------------------------


def _expm1_of_rest(x: Doubles, x_low: Doubles | float) -> tuple[Whole, Doubles, Doubles]:
    """The integer n and the pair exp(r) - 1, where x + x_low = n ln(2) + r with r up to ln(2) / 2 in size."""
    n, multiple = _rounded(x * k.INVERSE_LN2)
    r, r_low = _sum(x - multiple * k.LN2_HIGH, x_low - multiple * k.LN2_LOW)
    square, square_low = _product(r, r)
    cubic = r * square * _polynomial(k.EXP64, r)
    high, low = _quick_sum(r, 0.5 * square)
    return n, high, low + (r_low * (1.0 + r) + (0.5 * square_low + cubic))


def _exp_of_parts(n: Whole, high: Doubles, low: Doubles) -> Doubles:
    out, out_low = _quick_sum(1.0, high)
    return _scaled(out + (out_low + low), n)


def _expm1_parts(x: Doubles) -> tuple[Whole, Doubles, Doubles]:
    """An integer n, and a pair that times 2**n is exp(x) - 1: (1 - 2**-n) + (exp(r) - 1)."""
    n, high, low = _expm1_of_rest(x, 0.0)
    # 2**-64 is as little beside 1 as what it stands for.
    one, one_low = _sum(1.0, -_two_to(np.maximum(-n, -64)))
    out, out_low = _sum(one, high)
    return n, *_quick_sum(out, out_low + (one_low + low))


def _log_of_mantissa(x: Doubles) -> tuple[Doubles, Doubles, Doubles]:
    """The exponent n and the pair log(m), for finite x = 2**n * m above 0, with m from sqrt(1/2) to sqrt(2).

    With s = (m - 1) / (m + 1), log(m) = 2 s + s (2/3 s**2 + 2/5 s**4 + ...).
    """
    subnormal = x < _LEAST_NORMAL
    bits = np.where(subnormal, x * 2.0**54, x).view(np.int64)
    shift = (bits - k.LOG64_SPLIT) & _EXPONENT
    exponent = (shift >> 52).astype(np.float64) - np.where(subnormal, 54.0, 0.0)
    m = (bits - shift).view(np.float64)
    s, s_low = _quotient(m - 1.0, 0.0, *_quick_sum(1.0, m))
    z, z_low = _product(s, s)
    z_low = z_low + 2.0 * s * s_low
    series, series_low = _quick_sum(k.TWO_THIRDS, z * _polynomial(k.LOG64_SERIES, z))
    u, u_low = _product(z, series)
    u_low = u_low + (z * (series_low + k.TWO_THIRDS_LOW) + z_low * series)
    v, v_low = _product(s, u)
    v_low = v_low + (s * u_low + s_low * u)
    high, low = _quick_sum(2.0 * s, v)
    return exponent, *_quick_sum(high, low + (v_low + 2.0 * s_low))


def _log_pair(x: Doubles) -> Pair:
    exponent, high, low = _log_of_mantissa(x)
    out, out_low = _quick_sum(exponent * k.LN2_HIGH, high)
    return _quick_sum(out, out_low + (low + exponent * k.LN2_LOW))


def _log_ends(x: Doubles, out: Doubles) -> Doubles:
    out = np.where(x == 0.0, -np.inf, np.where(x == np.inf, np.inf, out))
    return np.where(x >= 0.0, out, np.nan)


def _rest_of_right_angle(x: Doubles) -> tuple[Whole, Doubles, Doubles]:
    """The integer n and the pair r, where x = n pi/2 + r with r up to pi/4 in size, for |x| up to 2**30.

    After Cody and Waite (1980): the first four parts of pi/2 have 23 bits, so that n times each is exact.
    """
    n, multiple = _rounded(x * k.TWO_OVER_PI)
    first, second, third, fourth, rest = k.HALF_PI_PARTS
    r, lost = _sum((x - multiple * first) - multiple * second, -(multiple * third))
    r, more = _sum(r, -(multiple * fourth))
    return n, *_quick_sum(r, (lost + more) - multiple * rest)


def _sin_cos(r: Doubles, r_low: Doubles, square: Doubles) -> tuple[Pair, Pair]:
    """The sine, r + ..., and the cosine, (1 - r**2 / 2) + ..., as pairs."""
    half = 0.5 * square
    one = 1.0 - half
    sin_low = r * square * _polynomial(k.SIN64, square) + r_low * one
    cos_low = ((1.0 - one) - half) + (square * square * _polynomial(k.COS64, square) - r * r_low)
    return (r, sin_low), (one, cos_low)


def _sin_of_quadrant(n: Whole, r: Doubles, r_low: Doubles) -> Doubles:
    """The sine of r and n right angles."""
    sin, cos = _sin_cos(r, r_low, r * r)
    out = np.where((n & 1) != 0, cos[0] + cos[1], sin[0] + sin[1])
    return ((n & 2) << 62 ^ out.view(np.int64)).view(np.float64)


# ---- The table -------------------------------------------------------------------------------------------


def _apply(kernel: Callable[..., Doubles], *arguments: Doubles, out: Doubles | None = None) -> Doubles:
    """`kernel` over whole arrays, block by block."""
    *flat, made = checked_arguments(arguments, out)
    # Lanes that the last step overwrites may overflow on the way there.
    with np.errstate(all="ignore"):
        for start in range(0, made.size, _BLOCK):
            block = slice(start, start + _BLOCK)
            made[block] = kernel(*(each[block] for each in flat))
    return made.reshape(arguments[0].shape) if out is None else out


_KERNELS: dict[str, Callable[..., Doubles]] = {
    "exp": _exp,
    "log": _log,
    "log2": _log2,
    "expm1": _expm1,
    "log1p": _log1p,
    "sin": _sin,
    "cos": _cos,
    "tan": _tan,
    "tanh": _tanh,
    "atan": _atan,
    "pow": _power,
}
#: Each takes contiguous float64 arrays of one shape (``pow`` two, base and exponent) and gives a new one, or
#: the contiguous ``out`` of that shape, which may be one of them.
FUNCTIONS: dict[str, Callable[..., Doubles]] = {
    name: partial(_apply, kernel) for name, kernel in _KERNELS.items()
}
