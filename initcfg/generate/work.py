"""Work: the pieces that parameters are cut into, and how a piece becomes values."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

from initcfg.engines import fill_many
from initcfg.errors import InitializerError
from initcfg.initializers import BuiltIn, Initializer, draw, is_built_in, is_cut, make

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from initcfg.engines import FillFunction
    from initcfg.formats import Array
    from initcfg.plan.parameters import PlannedParameter

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


def batches(parameters: Iterable[PlannedParameter]) -> Iterator[tuple[Piece, ...]]:
    """The parameters in their order, cut where they are large and put together where they are small.

    A batch has at most `CHUNK` elements, or is one parameter that is made whole. Empty ones have no piece.
    """
    batch: list[Piece] = []
    size = 0
    for piece in _pieces(parameters):
        # What is made whole counts as a full batch: how long it takes does not follow from its size.
        length = CHUNK if is_made_whole(piece.parameter) else piece.stop - piece.start
        if batch and size + length > CHUNK:
            yield tuple(batch)
            batch, size = [], 0
        batch.append(piece)
        size += length
    if batch:
        yield tuple(batch)


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
            form = (parameter.shape, parameter.dtype, parameter.layout)
            draw(parameter.initializer, out, start, *form, parameter.stream, fill)
    fill_many(fill, calls)


def is_made_whole(parameter: PlannedParameter) -> bool:
    """Whether no part of it can be made alone: an orthogonal matrix, or what custom code makes."""
    made = parameter.initializer
    return parameter.distribution is None and (is_foreign(made) or not is_cut(made))


def make_whole(parameter: PlannedParameter, fill: FillFunction) -> Array:
    """The whole array of any parameter, in C order.

    Raises:
        InitializerError: custom code returned something else than it was asked for; the parameter is named.
    """
    try:
        return make(
            parameter.initializer,
            parameter.shape,
            parameter.dtype,
            parameter.layout,
            parameter.stream,
            fill,
        )
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


def is_for_caller(batch: tuple[Piece, ...]) -> bool:
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


def is_foreign(value: object) -> bool:
    """An initializer whose class is not in the list of built-ins, or a built-in with such a part."""
    if isinstance(value, tuple):
        return any(map(is_foreign, value))
    if isinstance(value, BuiltIn) and is_built_in(type(value)):
        return any(is_foreign(getattr(value, field.name)) for field in dataclasses.fields(value))
    return isinstance(value, Initializer)
