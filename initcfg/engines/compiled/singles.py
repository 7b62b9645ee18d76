"""The float32 kernels, one element at a time: the operations of `engines.kernels32`, in the same order.

numba computes with 64-bit integers unless told otherwise at every step; hence the conversions.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from initcfg.engines import constants as k
from initcfg.engines.compiled.bits import float32_of, inner, int32_of, polynomial, square_root, uint32_of

__all__ = ["cut", "normal", "two_sigma", "uniform"]

_f32, _i32, _u32 = np.float32, np.int32, np.uint32

_ONE, _HALF = _f32(1.0), _f32(0.5)
_UNIT24, _UNIT30, _UNIT31 = _f32(2.0**-24), _f32(2.0**-30), _f32(2.0**-31)
_SIGN, _EXPONENT = _u32(0x80000000), _i32(-0x800000)
_LOG_SPLIT, _LOG_EXPONENT = _i32(k.LOG32_SPLIT), _f32(k.LOG32_EXPONENT)
_FLOOR, _TWO_SIGMA_SCALE = _f32(k.NORMAL32_FLOOR), _f32(k.TWO_SIGMA_SCALE)

_log, _sin, _cos = map(polynomial, (k.LOG32, k.SIN32, k.COS32))
_two_sigma_p, _two_sigma_q = map(polynomial, (k.TWO_SIGMA_P, k.TWO_SIGMA_Q))
_cut_p, _cut_q = map(polynomial, (k.CUT_P, k.CUT_Q))


@inner
def uniform(word: Any) -> Any:
    """Uniform on (-1, 1)."""
    return _f32(_i32(_i32(_i32(word) >> _i32(7)) | _i32(1))) * _UNIT24


@inner
def normal(a: Any, b: Any) -> Any:
    """Two elements, from two words."""
    n = _negative_log((_f32(_i32(_u32(a) >> _u32(1))) + _HALF) * _UNIT31)
    radius = square_root(n if n > _FLOOR else _FLOOR)
    t = _f32(_i32(_i32(_i32(_u32(b << _u32(2))) >> _i32(2)) | _i32(1))) * _UNIT30
    square = t * t
    cos = _u32(uint32_of(_cos(square)) ^ _u32(b & _SIGN))
    sin = uint32_of(_sin(square) * t)
    # Bit 30 as a mask of 32.
    exchange = _u32(_i32(_i32(_u32(b << _u32(1))) >> _i32(31)))
    differ = _u32(_u32(cos ^ sin) & exchange)
    return float32_of(_u32(cos ^ differ)) * radius, float32_of(_u32(sin ^ differ)) * radius


@inner
def two_sigma(word: Any) -> Any:
    """Standard normal within two standard deviations."""
    x = _f32(_i32(_i32(word) | _i32(1))) * _TWO_SIGMA_SCALE
    y = _ONE - x * x
    return (x * _two_sigma_p(y)) / _two_sigma_q(y)


@inner
def cut(word: Any, scale: Any, tail: Any) -> Any:
    """Standard normal within c standard deviations."""
    signed = _i32(_i32(word) | _i32(1))
    size = _i32(-signed) if signed < 0 else signed
    x = _f32(size) * scale
    w = _negative_log((_f32(_i32(_SIGN - _u32(size))) * scale + tail) * (x + _ONE))
    z = (x * _cut_p(w)) / _cut_q(w)
    return float32_of(_u32(uint32_of(z) | _u32(word & _SIGN)))


@inner
def _negative_log(x: Any) -> Any:
    bits = int32_of(x)
    shift = _i32(_i32(bits - _LOG_SPLIT) & _EXPONENT)
    f = float32_of(_i32(bits - shift)) - _ONE
    return (_log(f) * (f * f) - f) + _f32(shift) * _LOG_EXPONENT
