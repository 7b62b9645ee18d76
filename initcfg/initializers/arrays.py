"""The arrays that initializers make. Imported when the first one is made, so that planning needs no numpy."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from initcfg.distributions import Fill
from initcfg.engines.casting import round_all
from initcfg.engines.rounding import round_once
from initcfg.errors import Code, Diagnostic, InitializerError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from initcfg.distributions import Distribution
    from initcfg.dtypes import DType
    from initcfg.engines import FillFunction
    from initcfg.initializers.values import ArrayValue
    from initcfg.stream import Stream

__all__ = ["diagonal", "drawn", "repeated", "side_by_side"]

# Up to here every integer is a float64.
_EXACT = 2**53


def drawn(
    shape: tuple[int, ...], dtype: DType, distribution: Distribution, stream: Stream, fill: FillFunction
) -> np.ndarray[Any, Any]:
    """An array whose elements are draws from one distribution."""
    out = np.empty(math.prod(shape), dtype.numpy)
    fill(out, distribution, stream, 0)
    return out.reshape(shape)


def diagonal(
    shape: tuple[int, int], dtype: DType, value: float, stream: Stream, fill: FillFunction
) -> np.ndarray[Any, Any]:
    """A matrix with `value` on its main diagonal and 0 elsewhere."""
    matrix = np.zeros(shape, dtype.numpy)
    if matrix.size:
        np.fill_diagonal(matrix, drawn((min(shape),), dtype, Fill(value), stream, fill))
    return matrix


def side_by_side(
    parts: Iterable[np.ndarray[Any, Any]], shape: tuple[int, ...], axis: int, dtype: DType
) -> np.ndarray[Any, Any]:
    """The parts, one after the other along `axis`, of which each is needed only until the next."""
    whole = np.empty(shape, dtype.numpy)
    along = np.moveaxis(whole, axis, 0)
    start = 0
    for part in parts:
        stop = start + part.shape[axis]
        along[start:stop] = np.moveaxis(part, axis, 0)
        start = stop
    return whole


def repeated(value: ArrayValue, shape: tuple[int, ...], dtype: DType) -> np.ndarray[Any, Any]:
    """The constant array in `dtype`, as a read-only view that numpy broadcasts to `shape`.

    Raises:
        InitializerError: an element cannot be held in `dtype`, or the array does not fit the shape.
    """
    array = _held(value, dtype)
    try:
        return np.broadcast_to(array, shape)
    except ValueError:
        raise InitializerError(
            Diagnostic(
                Code.INITIALIZER_SHAPE,
                f"a constant array of shape {value.shape} does not fit shape {shape}",
                hint="give an array of the parameter's shape, or one that numpy broadcasts to it",
            )
        ) from None


def _held(value: ArrayValue, dtype: DType) -> np.ndarray[Any, Any]:
    """Every element as a constant of that one number would be."""
    try:
        array = _exact(value, dtype) if dtype.drawn is None else _rounded(value, dtype)
    except ValueError:
        raise InitializerError(
            Diagnostic(
                Code.DTYPE_VALUE,
                f"an element of the constant array of shape {value.shape} cannot be held in {dtype}",
                hint="give a dtype that holds every element",
            )
        ) from None
    return array.reshape(value.shape)


def _exact(value: ArrayValue, dtype: DType) -> np.ndarray[Any, Any]:
    whole = list(map(int, value.numbers))
    low, high = dtype.bounds
    if whole != list(value.numbers) or min(whole, default=low) < low or max(whole, default=high) > high:
        raise ValueError("an element is not exact")
    return np.array(whole, dtype.numpy)


def _rounded(value: ArrayValue, dtype: DType) -> np.ndarray[Any, Any]:
    wide = np.array(value.numbers, np.float64)
    array = round_all(wide, dtype)
    for at in np.flatnonzero(np.abs(wide) > _EXACT):
        if isinstance(value.numbers[at], int):
            try:
                array[at] = round_once(value.numbers[at], dtype)
            except OverflowError as error:
                raise ValueError(str(error)) from error
    if not np.isfinite(array).all():
        raise ValueError("an element overflows")
    return array
