"""Work: the pieces that parameters are cut into, the runs of a slice, and how they become values.

A slice is an arithmetic progression on each axis: ``base + i * spacing[0] + j * spacing[1] + ...``, in
elements of the whole. Drawing what lies between wanted elements costs time for what is thrown away, drawing
each stretch on its own costs a call for each; the cheaper is chosen, in pieces of bounded size either way.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from initcfg.engines import fill_many
from initcfg.errors import InitializerError
from initcfg.generate.pool import in_groups
from initcfg.initializers import Initializer, Request, draw, is_built_in, is_cut, make, parts_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from initcfg.engines import FillFunction
    from initcfg.formats import Array
    from initcfg.plan.parameters import PlannedParameter, Selection

# A multiple of every block size, so that no piece draws a block that its neighbour draws too.
CHUNK = 1 << 20

# Of pieces that are smaller than this on average, most time goes into Python, under the interpreter's lock: a
# second thread would only make them wait for each other.
_CRUMB = 1 << 11


@dataclass(frozen=True, slots=True)
class Piece:
    """The elements [start, stop) of a parameter, in C order; of one that is made whole all of them."""

    parameter: PlannedParameter
    start: int
    stop: int

    @property
    def nbytes(self) -> int:
        """The bytes of these elements."""
        return (self.stop - self.start) * self.parameter.dtype.itemsize


def batches(parameters: Iterable[PlannedParameter]) -> Iterator[list[Piece]]:
    """The parameters in their order, cut where they are large and put together where they are small.

    A batch has at most `CHUNK` elements, or is one parameter that is made whole. Empty ones have no piece.
    """
    # What is made whole counts as a full batch: how long it takes does not follow from its size.
    return in_groups(
        _pieces(parameters),
        lambda piece: CHUNK if is_made_whole(piece.parameter) else piece.stop - piece.start,
        CHUNK,
    )


def _pieces(parameters: Iterable[PlannedParameter]) -> Iterator[Piece]:
    for parameter in parameters:
        numel = parameter.numel
        step = numel if is_made_whole(parameter) else CHUNK
        for start in range(0, numel, step or 1):
            yield Piece(parameter, start, min(start + step, numel))


def fill_elements(pieces: Iterable[tuple[PlannedParameter, int, Array]], fill: FillFunction) -> None:
    """Draws elements of parameters that can be cut: of each those from a position on, into a flat array."""
    calls = []
    for parameter, start, out in pieces:
        if parameter.distribution is not None:
            calls.append((out, parameter.distribution, parameter.stream, start))
        else:
            draw(parameter.initializer, out, start, _request(parameter, fill))
    fill_many(fill, calls)


def is_made_whole(parameter: PlannedParameter) -> bool:
    """Whether no part of it can be made alone: an orthogonal matrix, or what custom code makes."""
    made = parameter.initializer
    return parameter.distribution is None and (is_foreign(made) or not is_cut(made))


def make_whole(parameter: PlannedParameter, fill: FillFunction) -> Array:
    """The whole array of any parameter, in C order; an error of custom code names it."""
    try:
        return make(parameter.initializer, _request(parameter, fill))
    except InitializerError as error:
        raise InitializerError(
            *(
                dataclasses.replace(
                    problem,
                    message=f"parameter {parameter.name!r}: {problem.message}",
                    where=problem.where or parameter.where,
                )
                for problem in error.diagnostics
            )
        ) from error
    except Exception as error:
        error.add_note(f"while parameter {parameter.name!r} was being made")
        raise


def _request(parameter: PlannedParameter, fill: FillFunction) -> Request:
    return Request(parameter.shape, parameter.dtype, parameter.layout, parameter.stream, fill)


def is_for_caller(batch: Sequence[Piece]) -> bool:
    """Whether the calling thread is to make a batch, in its turn.

    Code of somebody else may not stand a second thread beside it, or another order.
    """
    first = batch[0].parameter
    if is_made_whole(first):
        return is_foreign(first.initializer)
    return is_crumbs(sum(piece.stop - piece.start for piece in batch), len(batch))


def is_crumbs(numel: int, calls: int) -> bool:
    """Whether so many calls for so many elements in all gain nothing from a second thread."""
    return numel < calls * _CRUMB


def is_foreign(initializer: Initializer) -> bool:
    """Whether its class is not in the list of built-ins, or that of one of its parts."""
    return not is_built_in(type(initializer)) or any(map(is_foreign, parts_of(initializer)))


# A run takes about as long as this many elements besides what it draws.
CALL_COST = 1 << 11


class Run(NamedTuple):
    """Elements to draw, and which of them go where, one after another in the flat result."""

    start: int  # the first element to draw, counted in the whole parameter
    length: int  # how many to draw
    offset: int  # the first one wanted, counted from `start`
    counts: tuple[int, ...]  # how many are wanted, along each axis
    spacings: tuple[int, ...]  # the distance between them, along each axis
    at: int  # where they go in the flat result

    @property
    def size(self) -> int:
        """How many elements are wanted."""
        return math.prod(self.counts)

    @property
    def is_solid(self) -> bool:
        """Whether all that is drawn is wanted, in its order."""
        return self.length == self.size and min(self.spacings, default=1) > 0

    @property
    def cost(self) -> int:
        """The time it takes, in elements."""
        return CALL_COST + self.length


def runs(shape: tuple[int, ...], selection: Selection) -> Iterator[Run]:
    """The runs that make a slice, in the order of the result."""
    if selection.numel == 0:
        return
    base, counts, spacings = _progressions(shape, selection)
    spans = _spans(counts, spacings)
    split = _cheapest_split(counts, spans)
    outer = itertools.product(*(range(count) for count in counts[:split]))
    at = 0
    for position in outer:
        first = base + sum(map(int.__mul__, position, spacings))
        for run in _stretches(first, at, counts[split:], spacings[split:], spans[split:]):
            yield run
            at += run.size


# Cached, because a model has many parameters of few sizes.
@lru_cache(maxsize=256)
def whole_runs(numel: int) -> tuple[Run, ...]:
    """The runs that make a whole parameter of so many elements."""
    lengths = ((start, min(CHUNK, numel - start)) for start in range(0, numel, CHUNK))
    return tuple(Run(start, length, 0, (length,), (1,), start) for start, length in lengths)


def slice_effort(shape: tuple[int, ...], selection: Selection) -> int:
    """How many elements take as long to draw as a slice does, what is drawn and thrown away included."""
    if selection.numel == 0:
        return 0
    _, counts, spacings = _progressions(shape, selection)
    spans = _spans(counts, spacings)
    return _cost(counts, spans, _cheapest_split(counts, spans))


def _progressions(
    shape: tuple[int, ...], selection: Selection
) -> tuple[int, tuple[int, ...], tuple[int, ...]]:
    """The base, and counts and spacings of as few axes as describe the slice, outermost first."""
    base = 0
    stride = 1
    axes: list[tuple[int, int]] = []
    for length, taken in zip(reversed(shape), reversed(selection.ranges), strict=True):
        base += taken[0] * stride
        count, spacing = len(taken), taken.step * stride
        if axes and spacing == axes[-1][0] * axes[-1][1]:
            axes[-1] = (count * axes[-1][0], axes[-1][1])
        elif count > 1:
            axes.append((count, spacing))
        stride *= length
    axes.reverse()
    return base, tuple(count for count, _ in axes), tuple(spacing for _, spacing in axes)


def _spans(counts: tuple[int, ...], spacings: tuple[int, ...]) -> tuple[int, ...]:
    """For each axis, the elements from the first to the last over it and all further ones; then 1."""
    spans = [1]
    for count, spacing in zip(reversed(counts), reversed(spacings), strict=True):
        spans.append(spans[-1] + (count - 1) * abs(spacing))
    return tuple(reversed(spans))


def _cheapest_split(counts: tuple[int, ...], spans: tuple[int, ...]) -> int:
    """The axis along which runs go: one run or more for each position on the axes before it.

    An axis whose steps are longer than a chunk is never run along, so that a run stays within a chunk.
    """
    possible = [axis for axis in range(len(spans)) if axis >= len(counts) - 1 or spans[axis + 1] <= CHUNK]
    return min(possible, key=partial(_cost, counts, spans))


def _cost(counts: tuple[int, ...], spans: tuple[int, ...], axis: int) -> int:
    """The time that runs along an axis take, in elements."""
    calls = -(-spans[axis] // CHUNK)
    return math.prod(counts[:axis]) * (calls * CALL_COST + spans[axis])


def _stretches(
    first: int, at: int, counts: tuple[int, ...], spacings: tuple[int, ...], spans: tuple[int, ...]
) -> Iterator[Run]:
    """Runs along the first of these axes, each within a chunk where one step of it is."""
    if not counts:
        yield Run(first, 1, 0, (), (), at)
        return
    inner = spans[1]
    # Where the wanted elements begin inside a run: axes that go backwards begin at their far end.
    backwards = sum(
        (count - 1) * -spacing for count, spacing in zip(counts[1:], spacings[1:], strict=True) if spacing < 0
    )
    step = abs(spacings[0])
    steps = max(1, (CHUNK - inner) // step + 1)
    size = math.prod(counts[1:])
    for done in range(0, counts[0], steps):
        count = min(steps, counts[0] - done)
        offset = backwards + ((count - 1) * step if spacings[0] < 0 else 0)
        start = first + done * spacings[0] - offset
        length = (count - 1) * step + inner
        yield Run(start, length, offset, (count, *counts[1:]), spacings, at + done * size)


def draw_run(parameter: PlannedParameter, run: Run, out: Array, fill: FillFunction) -> None:
    """Draws one run and puts what is wanted of it into a flat array of its size."""
    drawn = np.empty(run.length, out.dtype)
    fill_elements([(parameter, run.start, drawn)], fill)
    itemsize = drawn.itemsize
    # numpy checks that the view stays inside the buffer.
    wanted: Array = np.ndarray(
        run.counts,
        drawn.dtype,
        buffer=drawn.view(np.uint8).data,
        offset=run.offset * itemsize,
        strides=tuple(spacing * itemsize for spacing in run.spacings),
    )
    out.reshape(run.counts)[...] = wanted
