"""The float64 kernels, one element at a time: the operations of `engines.kernels64`, in the same order."""

from __future__ import annotations

from typing import Any

import numpy as np

from initcfg.engines import constants as k
from initcfg.engines.compiled.bits import float64_of, inner, int64_of, polynomial, square_root, uint64_of

__all__ = ["inverse", "normal", "uniform"]

_f64, _i64, _u64 = np.float64, np.int64, np.uint64

_UNIT52, _UNIT53 = 2.0**-52, 2.0**-53
_SIGN, _EXPONENT, _ONE = _u64(1 << 63), _i64(-0x10000000000000), _i64(2**53)

_log, _sin, _cos = map(polynomial, (k.LOG64, k.SIN64, k.COS64))
_centre_p, _centre_q = map(polynomial, (k.CENTRE_P, k.CENTRE_Q))
_tail_p, _tail_q = map(polynomial, (k.TAIL_P, k.TAIL_Q))
_far_p, _far_q = map(polynomial, (k.FAR_P, k.FAR_Q))


@inner
def uniform(word: Any) -> Any:
    """Uniform on (-1, 1)."""
    return _f64(_odd(word, 10)) * _UNIT53


@inner
def normal(a: Any, b: Any) -> Any:
    """Two elements, from two words."""
    n = _negative_log((_f64(_i64(a >> _u64(11))) + 0.5) * _UNIT53)
    n = n if n > k.NORMAL64_FLOOR else k.NORMAL64_FLOOR
    radius = square_root(n + n)
    theta = ((_f64(_odd(b << _u64(2), 11)) * _UNIT52) * k.HALF_PI) * 0.5
    square = theta * theta
    cos = uint64_of(_cosine(square)) ^ (b & _SIGN)
    sin = uint64_of(_sin(square) * (theta * square) + theta)
    # Bit 62 as a mask of 64.
    exchange = _u64(_i64(b << _u64(1)) >> _i64(63))
    differ = (cos ^ sin) & exchange
    return float64_of(cos ^ differ) * radius, float64_of(sin ^ differ) * radius


@inner
def inverse(word: Any, centre: Any, half: Any, below: Any, above: Any) -> Any:
    """All three approximations, and then the one that counts: a vector has no branches."""
    steps = _odd(word, 10)
    p = (_f64(steps) * _UNIT53) * half + centre
    r = k.CENTRE_SQUARE - p * p
    upper = p > 0.0
    mass = (_f64(_ONE - (steps if upper else -steps)) * _UNIT53) * half + (above if upper else below)
    # Not a number where the mass is more than one; never chosen there.
    root = square_root(_negative_log(mass))
    near, far = root - k.TAIL_SHIFT, root - k.FAR_START
    over, under = _tail_p(near), _tail_q(near)
    if root > k.FAR_START:
        over, under = _far_p(far), _far_q(far)
    over = over if upper else -over
    if -k.CENTRE_END <= p <= k.CENTRE_END:
        over, under = _centre_p(r) * p, _centre_q(r)
    return over / under


@inner
def _odd(word: Any, shift: Any) -> Any:
    return _i64(word) >> _i64(shift) | _i64(1)


@inner
def _negative_log(x: Any) -> Any:
    bits = int64_of(x)
    shift = (bits - _i64(k.LOG64_SPLIT)) & _EXPONENT
    f = float64_of(bits - shift) - 1.0
    s = f / (f + 2.0)
    square = s * s
    series = _log(square) * square
    h = (f * 0.5) * f
    exponent = _f64(shift >> _i64(52))
    series = (series + h) * s + exponent * k.LN2_LOW
    return ((h - series) - f) - exponent * k.LN2_HIGH


@inner
def _cosine(square: Any) -> Any:
    series = (_cos(square) * square) * square
    half = square * 0.5
    w = 1.0 - half
    return (series + ((1.0 - w) - half)) + w
