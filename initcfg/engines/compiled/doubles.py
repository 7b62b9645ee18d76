"""The float64 kernels over vectors: the operations of `engines.kernels64`, in the same order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from initcfg.engines import constants as k
from initcfg.engines.compiled.vectors import F64, I64

if TYPE_CHECKING:
    from initcfg.engines.compiled.vectors import Vector

__all__ = ["inverse", "normal", "uniform"]

_SIGN, _EXPONENT = 1 << 63, -0x10000000000000


def uniform(word: Vector) -> Vector:
    """Uniform on (-1, 1)."""
    return _odd(word, 10).signed_float(F64) * 2.0**-53


def normal(a: Vector, b: Vector) -> tuple[Vector, Vector]:
    """Two elements, from two words."""
    n = _negative_log(((a >> 11).signed_float(F64) + 0.5) * 2.0**-53).at_least(k.NORMAL64_FLOOR)
    radius = (n + n).root()
    theta = ((_odd(b << 2, 11).signed_float(F64) * 2.0**-52) * k.HALF_PI) * 0.5
    square = theta * theta
    cos = _cosine(square).bits_as(I64) ^ (b & _SIGN)
    sin = (square.horner(k.SIN64) * (theta * square) + theta).bits_as(I64)
    # Bit 62 as a mask of 64.
    differ = (cos ^ sin) & (b << 1).signed_shift(63)
    return (cos ^ differ).bits_as(F64) * radius, (sin ^ differ).bits_as(F64) * radius


def inverse(word: Vector, centre: Vector, half: Vector, below: Vector, above: Vector) -> Vector:
    """All three approximations, and then the one that counts: a vector has no branches."""
    steps = _odd(word, 10)
    p = (steps.signed_float(F64) * 2.0**-53) * half + centre
    r = k.CENTRE_SQUARE - p * p
    upper = p.above(0.0)
    towards = 2**53 - steps.where(upper, 0 - steps)
    mass = (towards.signed_float(F64) * 2.0**-53) * half + above.where(upper, below)
    # Not a number where the mass is more than one; never chosen there.
    root = _negative_log(mass).root()
    near, far = root - k.TAIL_SHIFT, root - k.FAR_START
    is_far = root.above(k.FAR_START)
    over = far.horner(k.FAR_P).where(is_far, near.horner(k.TAIL_P))
    under = far.horner(k.FAR_Q).where(is_far, near.horner(k.TAIL_Q))
    over = over.where(upper, over.negated())
    in_centre = p.within(-k.CENTRE_END, k.CENTRE_END)
    return (r.horner(k.CENTRE_P) * p).where(in_centre, over) / r.horner(k.CENTRE_Q).where(in_centre, under)


def _odd(word: Vector, shift: int) -> Vector:
    return word.signed_shift(shift) | 1


def _negative_log(x: Vector) -> Vector:
    bits = x.bits_as(I64)
    shift = (bits - k.LOG64_SPLIT) & _EXPONENT
    f = (bits - shift).bits_as(F64) - 1.0
    s = f / (f + 2.0)
    square = s * s
    series = square.horner(k.LOG64) * square
    h = (f * 0.5) * f
    exponent = shift.signed_shift(52).signed_float(F64)
    series = (series + h) * s + exponent * k.LN2_LOW
    return ((h - series) - f) - exponent * k.LN2_HIGH


def _cosine(square: Vector) -> Vector:
    series = (square.horner(k.COS64) * square) * square
    half = square * 0.5
    w = 1.0 - half
    return (series + ((1.0 - w) - half)) + w
