"""From a variate to an element: location, scale, clamp, and one rounding to the type of the array."""

from __future__ import annotations

from typing import TYPE_CHECKING

from initcfg.engines.compiled.vectors import F32, I32

if TYPE_CHECKING:
    from collections.abc import Sequence

    from initcfg.dtypes import DType
    from initcfg.engines.compiled.vectors import Vector

__all__ = ["placed", "rounded"]

_SIGN, _SIZE = 0x80000000, 0x7FFFFFFF
# Of float32.
_DIGITS, _LEAST = 23, -126


def placed(variate: Vector, affine: Sequence[Vector]) -> Vector:
    """A variate at its location and scale, clamped."""
    location, scale, low, high = affine
    return (variate * scale + location).at_least(low).at_most(high)


def rounded(number: Vector, dtype: DType) -> Vector:
    """Floats in the type of the array, rounded once; those of a narrow type as unsigned integers.

    Args:
        number: finite, and in the range of the type.
        dtype: of the array.
    """
    if dtype.name == "float64":
        return number
    return number.single() if dtype.name == "float32" else _narrowed(number.single(), dtype)


def _narrowed(number: Vector, dtype: DType) -> Vector:
    """Ties to even, subnormals kept, all by integer operations."""
    assert dtype.format is not None  # noqa: S101 - only floats are drawn
    digits, least, _ = dtype.format
    dropped = _DIGITS - digits
    written = number.bits_as(I32)
    size = written & _SIZE
    rest = (size >> dropped) & 1
    narrow = ((size + ((1 << (dropped - 1)) - 1) + rest) >> dropped) - ((least - _LEAST) << digits)
    if least > _LEAST:
        # The sum rounds to the last digit of a subnormal number, and ends in its bits.
        unit = (least - _LEAST + 1 + dropped) << _DIGITS
        small = (size.bits_as(F32) + 2.0 ** (least + dropped)).bits_as(I32) - unit
        narrow = narrow.where(size.above(((least - _LEAST + 1) << _DIGITS) - 1), small)
    bits = 8 * dtype.itemsize
    sign = (written & _SIGN) >> (32 - bits)
    if dtype.name.endswith("fnuz"):
        # Its one zero has no sign.
        sign = sign.where(narrow.differs(0), 0)
    return (narrow | sign).narrowed(bits)
