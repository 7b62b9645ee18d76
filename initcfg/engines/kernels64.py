"""The float64 kernels: 64-bit words to standard variates, on whole arrays.

Only integer operations and IEEE ``+ - * / sqrt``, in the order written here: the bits are a contract. Every
function overwrites its arguments and returns arrays among the scratch it is given.
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

    from initcfg.engines.recipe import Tails

Words: TypeAlias = NDArray[np.uint64]
Doubles: TypeAlias = NDArray[np.float64]

_EXPONENT = -0x10000000000000
_ONE = 2**53


def uniform(words: Words, scratch: Sequence[Doubles]) -> Doubles:
    """Uniform on (-1, 1): the odd multiples of 2**-53."""
    x = scratch[0]
    np.copyto(x, _odd(words, 10), casting="unsafe")
    np.multiply(x, 2.0**-53, out=x)
    return x


def normal(words_a: Words, words_b: Words, scratch: Sequence[Doubles]) -> tuple[Doubles, Doubles]:
    """Two standard normals from each pair of words, by Box and Muller (1958), as in float32."""
    radius = _radius(words_a, scratch[:5])
    theta, square, cos, sin, other = scratch[1:6]

    np.left_shift(words_b, 2, out=words_a)
    np.copyto(theta, _odd(words_a, 11), casting="unsafe")
    np.multiply(theta, 2.0**-52, out=theta)
    np.multiply(theta, k.HALF_PI, out=theta)
    np.multiply(theta, 0.5, out=theta)
    np.multiply(theta, theta, out=square)
    _sine(theta, square, sin, other)
    _cosine(square, cos, other, theta)

    turn(cos, sin, words_b, words_a)
    np.multiply(cos, radius, out=cos)
    np.multiply(sin, radius, out=sin)
    return cos, sin


def inverse(words: Words, tails: Tails, scratch: Sequence[Doubles]) -> Doubles:
    """Standard normal between any two points: the inverse CDF, from the nearer tail.

    x is uniform on (-1, 1), and p = centre + half * x is the distribution function less one half. Up to
    0.425 the inverse is taken in p. Elsewhere it is taken in the mass of the tail, above + half * (1 - x) or
    below + half * (1 + x): sums of positive terms, which keep their digits however small they are.
    """
    p, z = scratch[:2]
    steps = _odd(words, 10)
    np.copyto(p, steps, casting="unsafe")
    np.multiply(p, 2.0**-53, out=p)
    np.multiply(p, tails.half, out=p)
    np.add(p, tails.centre, out=p)
    _centre(p, z, scratch[2:4])

    (above,) = np.nonzero(p > k.CENTRE_END)
    (below,) = np.nonzero(p < -k.CENTRE_END)
    z[above] = _point(_mass(_ONE - steps[above], tails.half, tails.above))
    z[below] = np.negative(_point(_mass(_ONE + steps[below], tails.half, tails.below)))
    return z


def _odd(words: Words, shift: int) -> NDArray[np.int64]:
    """The words as signed numbers, shifted right and made odd; overwrites them."""
    signed = words.view(np.int64)
    np.right_shift(signed, shift, out=signed)
    np.bitwise_or(signed, 1, out=signed)
    return signed


def _radius(words: Words, scratch: Sequence[Doubles]) -> Doubles:
    """sqrt(-2 log x) for x = (word // 2**11 + 1/2) * 2**-53."""
    out, x = scratch[:2]
    np.right_shift(words, 11, out=words)
    np.copyto(x, words.view(np.int64), casting="unsafe")
    np.add(x, 0.5, out=x)
    np.multiply(x, 2.0**-53, out=x)
    _negative_log(x, out, scratch[2:5])
    np.maximum(out, k.NORMAL64_FLOOR, out=out)
    np.add(out, out, out=out)
    np.sqrt(out, out=out)
    return out


def _negative_log(x: Doubles, out: Doubles, scratch: Sequence[Doubles]) -> None:
    """-log x into `out`, for normal x, after fdlibm: x = 2**k * (1 + f), s = f / (2 + f)."""
    exponent, s, series = scratch
    bits, shift = x.view(np.int64), exponent.view(np.int64)
    np.subtract(bits, k.LOG64_SPLIT, out=shift)
    np.bitwise_and(shift, _EXPONENT, out=shift)
    np.subtract(bits, shift, out=bits)
    f = np.subtract(x, 1.0, out=x)
    np.add(f, 2.0, out=s)
    np.divide(f, s, out=s)
    np.multiply(s, s, out=out)
    polynomial(k.LOG64, out, series)
    np.multiply(series, out, out=series)
    # From here `out` is f * f / 2, and k * ln(2) comes in two parts, the small one first.
    np.multiply(f, 0.5, out=out)
    np.multiply(out, f, out=out)
    np.add(series, out, out=series)
    np.multiply(series, s, out=series)
    np.right_shift(shift, 52, out=shift)
    np.copyto(s, shift, casting="unsafe")
    np.multiply(s, k.LN2_LOW, out=exponent)
    np.add(series, exponent, out=series)
    np.subtract(out, series, out=out)
    np.subtract(out, f, out=out)
    np.multiply(s, k.LN2_HIGH, out=s)
    np.subtract(out, s, out=out)


def _sine(theta: Doubles, square: Doubles, out: Doubles, other: Doubles) -> None:
    """The sine, theta + theta**3 * S(theta**2), into `out`."""
    polynomial(k.SIN64, square, out)
    np.multiply(theta, square, out=other)
    np.multiply(out, other, out=out)
    np.add(out, theta, out=out)


def _cosine(square: Doubles, out: Doubles, other: Doubles, rest: Doubles) -> None:
    """The cosine, w + ((1 - w - h) + theta**4 * C(theta**2)) with h = theta**2 / 2, w = 1 - h, into `out`."""
    polynomial(k.COS64, square, out)
    np.multiply(out, square, out=out)
    np.multiply(out, square, out=out)
    half = np.multiply(square, 0.5, out=square)
    np.subtract(1.0, half, out=other)
    np.subtract(1.0, other, out=rest)
    np.subtract(rest, half, out=rest)
    np.add(out, rest, out=out)
    np.add(out, other, out=out)


def _centre(p: Doubles, out: Doubles, scratch: Sequence[Doubles]) -> None:
    """The inverse, p * P(r) / Q(r) with r = 0.425**2 - p**2, into `out`; finite beyond, and overwritten."""
    r, q = scratch
    np.multiply(p, p, out=r)
    np.subtract(k.CENTRE_SQUARE, r, out=r)
    polynomial(k.CENTRE_P, r, out)
    polynomial(k.CENTRE_Q, r, q)
    np.multiply(out, p, out=out)
    np.divide(out, q, out=out)


def _mass(steps: NDArray[np.int64], half: float, end: float) -> Doubles:
    """The mass beyond a draw: that beyond the bound, and the part of the interval between."""
    return np.add(np.multiply(np.multiply(steps.astype(np.float64), 2.0**-53), half), end)


def _point(mass: Doubles) -> Doubles:
    """The point with so much mass above it, for masses up to 0.075."""
    r, *scratch = (np.empty_like(mass) for _ in range(4))
    _negative_log(mass, r, scratch)
    np.sqrt(r, out=r)
    z = _rational(np.subtract(r, k.TAIL_SHIFT), k.TAIL_P, k.TAIL_Q)
    (far,) = np.nonzero(r > k.FAR_START)
    z[far] = _rational(np.subtract(r[far], k.FAR_START), k.FAR_P, k.FAR_Q)
    return z


def _rational(x: Doubles, over: Sequence[float], under: Sequence[float]) -> Doubles:
    p, q = np.empty_like(x), np.empty_like(x)
    polynomial(over, x, p)
    polynomial(under, x, q)
    return np.divide(p, q, out=p)
