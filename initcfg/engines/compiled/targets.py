"""From a variate to an element: location, scale, clamp, and one rounding to the type of the array."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numba import extending
from numba.core import types

from initcfg.engines.compiled.bits import OPTIONS, float32_of, inner, shifted_right, uint32_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from initcfg.dtypes import DType

__all__ = ["GRID", "grid_of", "rounded", "value"]

_overload: Callable[..., Callable[[Any], Any]] = extending.overload
_u32 = np.uint32
_SIGN = _u32(0x80000000)

# How many numbers `grid_of` gives.
GRID = 6


def grid_of(dtype: DType) -> tuple[int, ...]:
    """What rounding a float32 to a narrow type takes; zeros for a type that is drawn as it is.

    Returns:
        the bits of a float32 below the last digit, half of that digit less one unit, the distance of the
        exponents, the bits of the least normal number, those of a float32 whose last digit is that of the
        type's subnormal numbers, and what tells that there is a negative zero.
    """
    if dtype.itemsize > 2 or dtype.format is None:
        return (0,) * GRID
    digits, least, _ = dtype.format
    dropped = 23 - digits
    return (
        dropped,
        (1 << (dropped - 1)) - 1,
        (126 + least) << digits,
        (127 + least) << 23,
        (127 + least + dropped) << 23,
        0 if dtype.name.endswith("fnuz") else 1,
    )


@inner
def value(out: Any, variate: Any, affine: Any, grid: Any) -> Any:
    """What is stored in `out`: location + scale * variate, clamped and rounded."""
    location, scale, low, high = affine
    number = variate * scale + location
    number = number if number > low else low
    number = number if number < high else high
    return rounded(out, number, grid)


@inner
def _narrowed(number: Any, grid: Any) -> Any:
    """The bits of a narrow type: ties to even, subnormals kept."""
    bits = uint32_of(number)
    size = _u32(bits & _u32(0x7FFFFFFF))
    odd = _u32(shifted_right(size, _u32(grid[0])) & _u32(1))
    normal = _u32(shifted_right(_u32(size + _u32(grid[1]) + odd), _u32(grid[0])) - _u32(grid[2]))
    # The sum rounds to the last digit of a subnormal number, and ends in its bits.
    unit = _u32(grid[4])
    small = _u32(uint32_of(float32_of(size) + float32_of(unit)) - unit)
    return small if size < _u32(grid[3]) else normal


@inner
def _signed(narrow: Any, number: Any, drop: Any, grid: Any) -> Any:
    sign = shifted_right(_u32(uint32_of(number) & _SIGN), drop)
    return _u32(narrow | (sign if _u32(narrow | _u32(grid[5])) != _u32(0) else _u32(0)))


def rounded(out: Any, number: Any, grid: Any) -> Any:
    """A number in the type of the array; narrow types are stored as integers."""
    raise NotImplementedError


@_overload(rounded, jit_options={"forceinline": True, **OPTIONS}, strict=False)
def _rounded_compiled(out: Any, number: Any, grid: Any) -> Any:
    if out.dtype == types.float64:
        return lambda out, number, grid: number
    if out.dtype == types.float32:
        return lambda out, number, grid: np.float32(number)
    drop = _u32(32 - out.dtype.bitwidth)

    def narrow(out: Any, number: Any, grid: Any) -> Any:
        single = np.float32(number)
        return _signed(_narrowed(single, grid), single, drop, grid)

    return narrow
