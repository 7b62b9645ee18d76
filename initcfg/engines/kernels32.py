"""The float32 kernels: 32-bit words to standard variates, on whole arrays.

Only integer operations and IEEE ``+ - * / sqrt``, each rounded to float32, in the order written here: the
bits are a contract. Every function overwrites its arguments and returns arrays among the scratch it is given.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from initcfg.engines import constants as k
from initcfg.engines.polynomial import polynomial
from initcfg.engines.quadrants import turn

if TYPE_CHECKING:
    from collections.abc import Sequence

Words: TypeAlias = NDArray[np.uint32]
Singles: TypeAlias = NDArray[np.float32]

_SIGN = 0x80000000
_EXPONENT = -0x800000


def uniform(words: Words, scratch: Sequence[Singles]) -> Singles:
    """Uniform on (-1, 1): the odd multiples of 2**-24."""
    x = scratch[0]
    signed = words.view(np.int32)
    np.right_shift(signed, 7, out=signed)
    np.bitwise_or(signed, 1, out=signed)
    np.copyto(x, signed, casting="unsafe")
    np.multiply(x, 2.0**-24, out=x)
    return x


def normal(words_a: Words, words_b: Words, scratch: Sequence[Singles]) -> tuple[Singles, Singles]:
    """Two standard normals from each pair of words, by Box and Muller (1958).

    The first word gives the radius, sqrt(-2 log x). The second gives an angle between -pi/4 and pi/4; then
    its bit 31 negates the cosine and its bit 30 exchanges cosine and sine, which covers the circle.
    """
    radius = _radius(words_a, scratch[:4])
    t, square, cos, sin = scratch[1:5]
    mirror = words_a.view(np.int32)

    np.left_shift(words_b, 2, out=words_a)
    np.right_shift(mirror, 2, out=mirror)
    np.bitwise_or(mirror, 1, out=mirror)
    np.copyto(t, mirror, casting="unsafe")
    np.multiply(t, 2.0**-30, out=t)
    np.multiply(t, t, out=square)
    polynomial(k.SIN32, square, sin)
    np.multiply(sin, t, out=sin)
    polynomial(k.COS32, square, cos)

    turn(cos, sin, words_b, words_a)
    np.multiply(cos, radius, out=cos)
    np.multiply(sin, radius, out=sin)
    return cos, sin


def two_sigma(words: Words, scratch: Sequence[Singles]) -> Singles:
    """Standard normal within two standard deviations: the inverse CDF as one rational function."""
    x, y, p, q = scratch[:4]
    signed = words.view(np.int32)
    np.bitwise_or(signed, 1, out=signed)
    np.copyto(x, signed, casting="unsafe")
    np.multiply(x, k.TWO_SIGMA_SCALE, out=x)
    np.multiply(x, x, out=y)
    np.subtract(1.0, y, out=y)
    polynomial(k.TWO_SIGMA_P, y, p)
    polynomial(k.TWO_SIGMA_Q, y, q)
    np.multiply(x, p, out=x)
    np.divide(x, q, out=x)
    return x


def cut(words: Words, scale: float, tail: float, scratch: Sequence[Singles]) -> Singles:
    """Standard normal within c standard deviations: the inverse CDF in -log((1 - x) * (1 + x)).

    Args:
        words: overwritten.
        scale: erf(c / sqrt(2)) * 2**-31, a float32.
        tail: erfc(c / sqrt(2)), a float32: 1 - x without cancellation.
        scratch: six arrays.
    """
    x, w, p, q, other = scratch[:5]
    signed, sign = words.view(np.int32), scratch[5].view(np.uint32)
    np.bitwise_or(signed, 1, out=signed)
    np.bitwise_and(words, _SIGN, out=sign)
    np.absolute(signed, out=signed)
    np.copyto(x, signed, casting="unsafe")
    np.multiply(x, scale, out=x)
    np.subtract(_SIGN, words, out=words)
    np.copyto(w, signed, casting="unsafe")
    np.multiply(w, scale, out=w)
    np.add(w, tail, out=w)
    np.add(x, 1.0, out=p)
    np.multiply(w, p, out=p)
    _negative_log(p, w, q, other)
    polynomial(k.CUT_P, w, p)
    polynomial(k.CUT_Q, w, q)
    np.multiply(x, p, out=x)
    np.divide(x, q, out=x)
    np.bitwise_or(x.view(np.uint32), sign, out=x.view(np.uint32))
    return x


def _radius(words: Words, scratch: Sequence[Singles]) -> Singles:
    """sqrt(-log x) for x = (word // 2 + 1/2) * 2**-31; the polynomials of the angle carry the sqrt(2)."""
    out, x, exponent, other = scratch
    np.right_shift(words, 1, out=words)
    np.copyto(x, words.view(np.int32), casting="unsafe")
    np.add(x, 0.5, out=x)
    np.multiply(x, 2.0**-31, out=x)
    _negative_log(x, out, exponent, other)
    np.maximum(out, k.NORMAL32_FLOOR, out=out)
    np.sqrt(out, out=out)
    return out


def _negative_log(x: Singles, out: Singles, exponent: Singles, other: Singles) -> None:
    """-log x into `out`, for normal x: x = 2**k * (1 + f), with 1 + f in [2/3, 4/3)."""
    bits, shift = x.view(np.int32), exponent.view(np.int32)
    np.subtract(bits, k.LOG32_SPLIT, out=shift)
    np.bitwise_and(shift, _EXPONENT, out=shift)
    np.subtract(bits, shift, out=bits)
    np.subtract(x, 1.0, out=x)
    polynomial(k.LOG32, x, out)
    np.multiply(x, x, out=other)
    np.multiply(out, other, out=out)
    np.subtract(out, x, out=out)
    np.copyto(other, shift, casting="unsafe")
    np.multiply(other, k.LOG32_EXPONENT, out=other)
    np.add(out, other, out=out)
