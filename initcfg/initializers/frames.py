"""Orthogonal arrays: one random frame for each index of the batch axes, laid out in the axes' own order."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from initcfg.initializers.householder import draw_frames
from initcfg.process import ForkSafeLock

if TYPE_CHECKING:
    from collections.abc import Sequence

    from initcfg.dtypes import DType
    from initcfg.engines import FillFunction
    from initcfg.layout import Axes
    from initcfg.stream import Stream

__all__ = ["orthogonal"]

# Elements of small matrices that are drawn side by side: a call for many costs about what one for one does.
_GROUP = 1 << 16
# BLAS takes every core for one product; two threads that call it at once are slower than one after the other.
_BLAS = ForkSafeLock()


def orthogonal(  # noqa: PLR0917
    shape: tuple[int, ...], dtype: DType, axes: Axes, gain: float, stream: Stream, fill: FillFunction
) -> np.ndarray[Any, Any]:
    """`gain` times a matrix with orthonormal columns, or rows where it is wide, or a stack of such matrices.

    Args:
        shape: of the array.
        dtype: a floating type.
        axes: outputs are the columns, batch axes the stack; all others are the rows, in their order.
        gain: the factor.
        stream: of the matrix; each of a stack has the child of its index.
        fill: an engine.
    """
    rest = tuple(axis for axis in range(len(shape)) if axis not in axes.outputs and axis not in axes.batch)
    copies, rows, columns = (
        math.prod(shape[axis] for axis in group) for group in (axes.batch, rest, axes.outputs)
    )
    whole = np.empty(shape, dtype.numpy)
    ordered = whole.transpose(*axes.batch, *rest, *axes.outputs)
    stacked = ordered.reshape(copies, rows, columns)  # the same memory, where the order of the axes allows it
    streams = [stream.child(str(index)) for index in range(copies)] if axes.batch else [stream]
    step = max(1, _GROUP // max(1, rows * columns))
    # Numbers may underflow on their way; that is rounding, whatever the caller's settings.
    with _BLAS, np.errstate(under="ignore"):
        for at in range(0, copies, step):
            _fill(stacked[at : at + step], np.dtype(dtype.drawn), gain, streams[at : at + step], fill)
    if not np.may_share_memory(stacked, whole):
        ordered[...] = stacked.reshape(ordered.shape)
    return whole


def _fill(
    matrices: np.ndarray[Any, Any],
    drawn: np.dtype[Any],
    gain: float,
    streams: Sequence[Stream],
    fill: FillFunction,
) -> None:
    """Fill a stack of matrices, in place where their memory and dtype are fit for BLAS."""
    tall = matrices if matrices.shape[1] >= matrices.shape[2] else matrices.swapaxes(1, 2)
    by_column = tall.strides[1] < tall.strides[2]
    fit = tall.dtype == drawn and tall.strides[1 if by_column else 2] == tall.itemsize
    frames = tall if fit else _empty(tall.shape, drawn, by_column)
    draw_frames(frames, streams, fill)
    if gain != 1:
        frames *= drawn.type(gain)
    if frames is not tall:
        tall[...] = frames


def _empty(shape: tuple[int, ...], dtype: np.dtype[Any], by_column: bool) -> np.ndarray[Any, Any]:
    """A stack of matrices in memory of its own, row by row or column by column."""
    copies, rows, columns = shape
    return np.empty((copies, columns, rows), dtype).swapaxes(1, 2) if by_column else np.empty(shape, dtype)
