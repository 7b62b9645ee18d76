"""The float32 kernels over vectors: the operations of `engines.kernels32`, in the same order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from initcfg.engines import constants as k
from initcfg.engines.compiled.vectors import F32, I32

if TYPE_CHECKING:
    from initcfg.engines.compiled.vectors import Vector

__all__ = ["cut", "normal", "two_sigma", "uniform"]

_SIGN, _EXPONENT = 0x80000000, -0x800000


def uniform(word: Vector) -> Vector:
    """Uniform on (-1, 1)."""
    return (word.signed_shift(7) | 1).signed_float(F32) * 2.0**-24


def normal(a: Vector, b: Vector) -> tuple[Vector, Vector]:
    """Two elements, from two words."""
    n = _negative_log(((a >> 1).signed_float(F32) + 0.5) * 2.0**-31)
    radius = n.at_least(k.NORMAL32_FLOOR).root()
    t = ((b << 2).signed_shift(2) | 1).signed_float(F32) * 2.0**-30
    square = t * t
    cos = square.horner(k.COS32).bits_as(I32) ^ (b & _SIGN)
    sin = (square.horner(k.SIN32) * t).bits_as(I32)
    # Bit 30 as a mask of 32.
    differ = (cos ^ sin) & (b << 1).signed_shift(31)
    return (cos ^ differ).bits_as(F32) * radius, (sin ^ differ).bits_as(F32) * radius


def two_sigma(word: Vector) -> Vector:
    """Standard normal within two standard deviations."""
    x = (word | 1).signed_float(F32) * k.TWO_SIGMA_SCALE
    y = 1.0 - x * x
    return (x * y.horner(k.TWO_SIGMA_P)) / y.horner(k.TWO_SIGMA_Q)


def cut(word: Vector, scale: Vector, tail: Vector) -> Vector:
    """Standard normal within c standard deviations."""
    signed = word | 1
    # The absolute value: x ^ s - s, where s is 0 or -1.
    sign = signed.signed_shift(31)
    size = (signed ^ sign) - sign
    x = size.signed_float(F32) * scale
    w = _negative_log(((_SIGN - size).signed_float(F32) * scale + tail) * (x + 1.0))
    z = (x * w.horner(k.CUT_P)) / w.horner(k.CUT_Q)
    return (z.bits_as(I32) | (word & _SIGN)).bits_as(F32)


def _negative_log(x: Vector) -> Vector:
    bits = x.bits_as(I32)
    shift = (bits - k.LOG32_SPLIT) & _EXPONENT
    f = (bits - shift).bits_as(F32) - 1.0
    return (f.horner(k.LOG32) * (f * f) - f) + shift.signed_float(F32) * k.LOG32_EXPONENT
