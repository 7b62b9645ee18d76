"""Basic indexing as a value: which elements of a shape an index takes, and the shape of what it takes."""

from __future__ import annotations

import math
import operator
from types import EllipsisType
from typing import NamedTuple, SupportsIndex

from initcfg.dtypes import is_bool

BasicIndex = SupportsIndex | slice | EllipsisType | None


class Selection(NamedTuple):
    """What a basic index takes from a shape.

    Args:
        ranges: for each axis of the shape, the positions taken from it, in order.
        shape: the shape of the result: integers have taken their axis away, each None has put one in.
    """

    ranges: tuple[range, ...]
    shape: tuple[int, ...]

    @classmethod
    def of(cls, shape: tuple[int, ...], index: BasicIndex | tuple[BasicIndex, ...]) -> Selection:
        """What ``array[index]`` takes from an array of this shape, by NumPy's rules for basic indexing.

        Args:
            shape: any shape.
            index: integers, slices, one ellipsis and Nones; negative ones count from the end.

        Raises:
            IndexError: an integer is out of bounds, there are too many indices, a step is zero, or one of
                them is no basic index (an array, a list, a bool).

        Example:
            >>> Selection.of((4, 6), (-1, slice(None, None, 2)))
            Selection(ranges=(range(3, 4), range(0, 6, 2)), shape=(3,))
        """
        ranges: list[range] = []
        result: list[int] = []
        for part in _one_an_axis(shape, index if isinstance(index, tuple) else (index,)):
            if part is None:
                result.append(1)
            elif isinstance(part, slice):
                ranges.append(_slice(part, len(ranges), shape))
                result.append(len(ranges[-1]))
            else:
                ranges.append(_position(part, len(ranges), shape))
        return cls(tuple(ranges), tuple(result))

    @property
    def numel(self) -> int:
        """The number of elements taken."""
        return math.prod(self.shape)

    @property
    def slices(self) -> tuple[slice | EllipsisType, ...]:
        """The same elements as one slice an axis, which keeps the axes that integers take away."""
        # With an ellipsis NumPy gives an array even where there are no axes, not a scalar.
        return (*map(_as_slice, self.ranges), ...)


def _one_an_axis(shape: tuple[int, ...], index: tuple[BasicIndex, ...]) -> list[SupportsIndex | slice | None]:
    """The index with its ellipsis, written or implied, spelled out as full slices."""
    missing = len(shape) - sum(part is not None and part is not Ellipsis for part in index)
    if missing < 0:
        raise IndexError(
            f"too many indices: the shape {shape} has {len(shape)} axes, {len(shape) - missing} are indexed"
        )
    parts: list[SupportsIndex | slice | None] = []
    seen = False
    for part in index:
        if isinstance(part, EllipsisType):
            if seen:
                raise IndexError("an index can hold one ellipsis ('...') only")
            parts += [slice(None)] * missing
            seen = True
        else:
            parts.append(part)
    return parts if seen else parts + [slice(None)] * missing


def _position(part: SupportsIndex, axis: int, shape: tuple[int, ...]) -> range:
    try:
        # A bool is an integer to Python and a mask to NumPy; neither reading is what its writer can rely on.
        position = operator.index(part) if not is_bool(part) else None
    except TypeError:
        position = None
    if position is None:
        raise IndexError(f"{type(part).__name__} is no basic index: use integers, slices, '...' and None")
    length = shape[axis]
    if not -length <= position < length:
        raise IndexError(f"index {position} is out of bounds for axis {axis} of shape {shape}")
    position %= length
    return range(position, position + 1)


def _slice(part: slice, axis: int, shape: tuple[int, ...]) -> range:
    try:
        return range(*part.indices(shape[axis]))
    except (TypeError, ValueError) as error:
        raise IndexError(f"bad slice for axis {axis} of shape {shape}: {error}") from None


def _as_slice(taken: range) -> slice:
    if not taken:
        return slice(0, 0)
    # A stop below zero would count from the end; None is how a slice says "through the first element".
    return slice(taken.start, taken.stop if taken.stop >= 0 else None, taken.step)
