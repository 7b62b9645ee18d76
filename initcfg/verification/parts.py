"""Which element of a tensor belongs to which component of its law."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from initcfg.initializers import Combined, Initializer, RepeatOf
from initcfg.initializers.arrays import draw_box
from initcfg.initializers.components import components_of

if TYPE_CHECKING:
    from initcfg.formats import Array
    from initcfg.layout import Layout
    from initcfg.plan import PlannedParameter

# A code is the rank of a component and the number of an element in it.
_SHIFT = 48


class Parts(NamedTuple):
    """The elements of a stretch by component: these, their numbers in it, and their places in the stretch."""

    parts: list[tuple[Array, Array, Array]]
    unequal: int  # repeated elements that are not what they repeat


def codes_of(parameter: PlannedParameter, start: int, stop: int) -> Array:
    """For each element of a stretch, in C order, its component and its number in that."""
    out = np.empty(stop - start, np.int64)
    _write(out, start, parameter.initializer, parameter.shape, parameter.layout, 0)
    return out


def _write(  # noqa: PLR0917  `draw_box` gives the first two
    out: Array, start: int, initializer: Initializer, shape: tuple[int, ...], layout: Layout | None, rank: int
) -> None:
    if isinstance(initializer, RepeatOf):
        ((part, share),) = initializer.parts(shape, layout)
        inner = math.prod(share.shape[initializer.axis % len(share.shape) + 1 :])
        at = np.arange(start, start + out.size)
        row, column = at // inner, at % inner
        sources = row // initializer.times * inner + column
        first = int(sources.min())
        codes = np.empty(int(sources.max()) + 1 - first, np.int64)
        _write(codes, first, part, share.shape, share.layout, rank)
        out[...] = codes[sources - first]
    elif isinstance(initializer, Combined):
        for part, share in initializer.parts(shape, layout):
            write = partial(_write, initializer=part, shape=share.shape, layout=share.layout, rank=rank)
            draw_box(out, start, shape, share.box, write)
            rank += sum(1 for _ in components_of(part, share.shape, share.layout))
    else:
        out[...] = (rank << _SHIFT) + np.arange(start, start + out.size)


def repeated_rows(parameter: PlannedParameter) -> int:
    """After how many elements all repetitions of those before have come; 0 where nothing is repeated."""
    made = parameter.initializer
    if not isinstance(made, RepeatOf) or not parameter.numel:
        return 0
    return made.times * math.prod(parameter.shape[made.axis % len(parameter.shape) + 1 :])


def split(elements: Array, codes: Array, count: int) -> Parts:
    """The elements of each component in their order, each number once."""
    ranks = codes >> _SHIFT
    parts, unequal = [], 0
    for rank in range(count):
        places = np.flatnonzero(ranks == rank)
        numbers = codes[places] & ((1 << _SHIFT) - 1)
        if numbers.size and not (np.diff(numbers) == 1).all():
            unique, firsts = np.unique(numbers, return_index=True)
            if unique.size < numbers.size:
                same = elements[places[firsts]][np.searchsorted(unique, numbers)]
                unequal += int(np.count_nonzero(same != elements[places]))
                places, numbers = places[firsts], unique
        parts.append((elements[places], numbers, places))
    return Parts(parts, unequal)
