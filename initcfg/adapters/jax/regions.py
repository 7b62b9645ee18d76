"""Regions of an array: those that devices hold, and those that are made so that the former can be had."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from initcfg.generate.slices import slice_effort
from initcfg.generate.work import is_made_whole

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from initcfg.formats import Array
    from initcfg.plan import PlannedParameter

__all__ = ["Region", "aligned", "cut", "regions_to_make", "shape_of", "slices_of", "to_region", "whole"]

# JAX's CPU devices take over numpy's memory as it is where it begins at a multiple of this.
_ALIGNMENT = 64

Region = tuple[tuple[int, int], ...]
"""The first position and the one after the last, on each axis."""


def whole(shape: tuple[int, ...]) -> Region:
    """All of an array."""
    return tuple((0, length) for length in shape)


def to_region(shape: tuple[int, ...], index: Sequence[slice]) -> Region:
    """The region that JAX writes as slices, of which each may leave its bounds out."""
    return tuple(part.indices(length)[:2] for part, length in zip(index, shape, strict=True))


def shape_of(region: Region) -> tuple[int, ...]:
    """Its shape."""
    return tuple(stop - start for start, stop in region)


def slices_of(region: Region) -> tuple[Any, ...]:
    """An index that takes the region."""
    # With an ellipsis numpy gives an array even where there are no axes, not a scalar.
    return (*(slice(start, stop) for start, stop in region), ...)


def regions_to_make(source: PlannedParameter, held: Iterable[Region]) -> tuple[Region, ...]:
    """The held regions themselves, or one that holds them all.

    Elements are drawn in runs along the last axes, so that to draw columns takes as long as to draw what is
    between them. Where this process holds many, it is faster to draw all at once and copy them out, which
    counts as one more element each. What cannot be cut is built once, however many regions are asked for.
    """
    distinct = tuple(dict.fromkeys(held))
    if is_made_whole(source) or len(distinct) < 2:
        return distinct
    around = tuple((min(s for s, _ in axis), max(s for _, s in axis)) for axis in zip(*distinct, strict=True))
    copied = sum(math.prod(shape_of(region)) for region in distinct)
    apart = sum(_effort(source, region) for region in distinct)
    return (around,) if apart > _effort(source, around) + copied else distinct


def _effort(source: PlannedParameter, region: Region) -> int:
    return slice_effort(source.shape, source[slices_of(region)].selection)


def aligned(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Memory that JAX's CPU devices can take over."""
    nbytes = math.prod(shape) * dtype.itemsize
    memory = np.empty(nbytes + _ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % _ALIGNMENT
    return memory[start : start + nbytes].view(dtype).reshape(shape)


def cut(array: Array, at: Region, region: Region) -> Array:
    """A copy of a region of an array that is itself at a region around it."""
    inner = tuple((start - base, stop - base) for (start, stop), (base, _) in zip(region, at, strict=True))
    made = aligned(shape_of(region), array.dtype)
    made[...] = array[slices_of(inner)]
    return made
