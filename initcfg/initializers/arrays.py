"""The arrays that initializers make. Imported when the first one is made, so that planning needs no numpy."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from initcfg.distributions import Uniform
from initcfg.engines.casting import round_all
from initcfg.engines.rounding import round_once
from initcfg.errors import Code, InitializerError
from initcfg.initializers.values import misfit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from initcfg.distributions import Distribution
    from initcfg.dtypes import DType
    from initcfg.initializers.custom import Request
    from initcfg.initializers.values import ArrayValue

_KEYS = Uniform(0.0, 1.0)
# Up to here every integer is a float64.
_EXACT = 2**53


def drawn(request: Request, distribution: Distribution) -> np.ndarray[Any, Any]:
    """An array whose elements are draws from one distribution."""
    out = np.empty(math.prod(request.shape), request.dtype.numpy)
    request.fill(out, distribution, request.stream, 0)
    return out.reshape(request.shape)


def converted(values: np.ndarray[Any, Any], dtype: DType, what: str) -> np.ndarray[Any, Any]:
    """Values of another dtype of the same kind: floats rounded once, integers exactly."""
    if values.dtype == dtype.numpy:
        return values
    if dtype.kind == "float":
        wide = values.astype(np.float64)
        made = round_all(wide, dtype)
        is_lost = np.isfinite(wide) & ~np.isfinite(made)
    else:
        made = values.astype(dtype.numpy)
        is_lost = made.astype(values.dtype) != values
        if values.dtype.kind != made.dtype.kind:  # a sign may be lost and come back
            is_lost |= (values < 0) != (made < 0)
    if is_lost.any():
        message = f"{what}: the value {values[is_lost][0]} cannot be held in {dtype}"
        raise InitializerError.of(Code.DTYPE_VALUE, message, hint="give a dtype that holds every value")
    return made


def summed(rows: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The sum over the first axis, by halves: in an order that no processor chooses. Overwrites `rows`."""
    count = len(rows)
    while count > 1:
        half = count // 2
        rows[:half] += rows[count - half : count]
        count -= half
    return rows[0] if count else np.zeros(rows.shape[1:])


def places(
    start: int, size: int, shape: tuple[int, ...], axes: Sequence[int]
) -> tuple[np.ndarray[Any, Any], ...]:
    """Where the elements from `start` on, in C order, stand along each of `axes`."""
    flat = np.arange(start, start + size)
    return tuple(flat // math.prod(shape[axis + 1 :]) % shape[axis] for axis in axes)


def draw_sparse(request: Request, law: Distribution, along: int, zeros: int) -> np.ndarray[Any, Any]:
    """A matrix of draws, with the same number of zeros at random places of each line.

    A line, which runs along an axis, has its zeros at its smallest keys, the first of equal ones: uniform
    float64 draws of the child stream ``zeros``, numbered line after line.
    """
    whole = drawn(request, law)
    lines = whole if along else whole.T
    keys = np.empty(lines.size)
    request.fill(keys, _KEYS, request.stream.child("zeros"), 0)
    smallest = np.argsort(keys.reshape(lines.shape), axis=1, kind="stable")[:, :zeros]
    np.put_along_axis(lines, smallest, 0, axis=1)
    return whole


def draw_box(
    out: np.ndarray[Any, Any],
    start: int,
    shape: tuple[int, ...],
    box: tuple[range, ...],
    draw_part: Callable[[np.ndarray[Any, Any], int], None],
) -> None:
    """Write those elements of a box in an array that lie in a flat stretch of it, which begins at `start`.

    `draw_part` writes the box's elements from a position on into an array, where there are some.
    """
    if not out.size:
        return
    low, high = (_elements_before(end, shape, box) for end in (start, start + out.size))
    if low == high:
        return
    long = next((axis for axis, taken in enumerate(box) if len(taken) > 1), len(shape))
    if all(len(taken) == size for taken, size in zip(box[long + 1 :], shape[long + 1 :], strict=True)):
        # Its elements lie side by side.
        strides = (math.prod(shape[axis + 1 :]) for axis in range(len(shape)))
        first = sum(taken.start * stride for taken, stride in zip(box, strides, strict=True)) - start
        draw_part(out[first + low : first + high], low)
    else:
        part = np.empty(high - low, out.dtype)
        draw_part(part, low)
        _paste(out, start, shape, box, part)


def _elements_before(end: int, shape: tuple[int, ...], box: tuple[range, ...]) -> int:
    """How many elements of a box come before a position of the array, in C order."""
    count = 0
    for axis, taken in enumerate(box):
        at, end = divmod(end, math.prod(shape[axis + 1 :]))
        passed = min(max(at - taken.start, 0), len(taken))
        count += passed * math.prod(map(len, box[axis + 1 :]))
        if at not in taken:
            return count
    # Nothing is left over but of an array without axes, which is its one element.
    return count + end


def _paste(
    out: np.ndarray[Any, Any],
    start: int,
    shape: tuple[int, ...],
    box: tuple[range, ...],
    part: np.ndarray[Any, Any],
) -> int:
    """Write elements of a box, those in a stretch of the array and perhaps more; gives how many were used."""
    if not shape:
        out[...] = part[:1]
        return 1
    used, row = 0, math.prod(shape[1:])
    inside = tuple(slice(taken.start, taken.stop) for taken in box[1:])
    for begin, end in stretches(start, start + out.size, row):
        stretch, first, rows = out[begin - start : end - start], begin // row, (end - begin) // row
        if rows:
            low, high = max(first, box[0].start), min(first + rows, box[0].stop)
            target = stretch.reshape(rows, *shape[1:])[low - first : max(low, high) - first, *inside]
            target[...] = part[used : used + target.size].reshape(target.shape)
            used += target.size
        elif first in box[0]:
            used += _paste(stretch, begin % row, shape[1:], box[1:], part[used:])
    return used


def copy_stretch(view: np.ndarray[Any, Any], start: int, out: np.ndarray[Any, Any]) -> None:
    """Write the elements from `start` on of an array that may be a view, in C order, into a flat `out`."""
    if view.ndim == 0:
        out[...] = view
        return
    row = math.prod(view.shape[1:])
    for begin, end in stretches(start, start + out.size, row):
        stretch, first, rows = out[begin - start : end - start], begin // row, (end - begin) // row
        if rows:
            stretch.reshape(rows, *view.shape[1:])[...] = view[first : first + rows]
        else:
            copy_stretch(view[first], begin % row, stretch)


def stretches(start: int, stop: int, row: int) -> Iterator[tuple[int, int]]:
    """The parts of a stretch that consist of whole rows, or lie within one."""
    while start < stop:
        skipped = start % row
        is_whole = not skipped and stop - start >= row
        end = stop - stop % row if is_whole else min(stop, start - skipped + row)
        yield start, end
        start = end


def repeated(value: ArrayValue, shape: tuple[int, ...], dtype: DType) -> np.ndarray[Any, Any]:
    """The constant array in `dtype`, as a read-only view that numpy broadcasts to `shape`."""
    if dtype.name not in value.held:
        value.held[dtype.name] = _held(value, dtype)
    array = value.held[dtype.name]
    try:
        return np.broadcast_to(array, shape)
    except ValueError:
        message = f"a constant array of shape {value.shape} does not fit shape {shape}"
        hint = "give an array of the parameter's shape, or one that numpy broadcasts to it"
        raise misfit(message, hint) from None


def _held(value: ArrayValue, dtype: DType) -> np.ndarray[Any, Any]:
    """Every element as a constant of that one number would be."""
    try:
        array = _exact(value, dtype) if dtype.drawn is None else _rounded(value, dtype)
    except ValueError:
        raise InitializerError.of(
            Code.DTYPE_VALUE,
            f"an element of the constant array of shape {value.shape} cannot be held in {dtype}",
            hint="give a dtype that holds every element",
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
