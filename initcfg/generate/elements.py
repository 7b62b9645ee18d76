"""A plan's elements as formats ask for them: one after another, or each chunk at its place."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from initcfg.formats.base import little_endian, make_little_endian
from initcfg.generate.pool import Task
from initcfg.generate.work import batches, fill_elements, is_for_caller, is_made_whole, make_whole

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from initcfg.engines import FillFunction
    from initcfg.formats import Array, TensorInfo, WriteAt
    from initcfg.generate.pool import Progress, Workers
    from initcfg.generate.work import Piece
    from initcfg.plan.parameters import PlannedParameter

__all__ = ["PlannedElements"]


@dataclass(frozen=True, slots=True)
class PlannedElements:
    """The elements of tensors that are parameters of a plan; an `initcfg.formats.Elements`.

    Args:
        parameters: by the tensor's name.
        fill: an engine.
        workers: the threads.
        progress: told the bytes done and the bytes in all.
    """

    parameters: Mapping[str, PlannedParameter]
    fill: FillFunction
    workers: Workers
    progress: Progress | None

    def in_order(self, tensors: Sequence[TensorInfo]) -> Iterator[Array]:
        """Arrays in order; reports what the writer has taken and come back from."""
        parameters, total = self._ordered(tensors)
        tasks = (
            Task(partial(_made, batch, self.fill), sum(piece.nbytes for piece in batch), is_for_caller(batch))
            for batch in batches(parameters)
        )
        done = 0
        for arrays in self.workers.in_order(tasks):
            for array in arrays:
                yield array
                done += array.nbytes
            if self.progress is not None:
                self.progress(done, total)

    def write_at(self, tensors: Sequence[TensorInfo], offset: int, write: WriteAt) -> None:
        """Every batch is made by one thread in memory that it uses again, and written from there."""
        parameters, total = self._ordered(tensors)
        memory = _Memory()
        tasks = (
            Task(partial(_write, batch, at, self.fill, memory, write), here=is_for_caller(batch))
            for batch, at in _placed(parameters, offset)
        )
        self.workers.run(tasks, total, self.progress)

    def _ordered(self, tensors: Sequence[TensorInfo]) -> tuple[list[PlannedParameter], int]:
        parameters = [self.parameters[tensor.name] for tensor in tensors]
        return parameters, sum(parameter.nbytes for parameter in parameters)


class _Memory:
    """Buffers that threads borrow: to touch fresh memory for each chunk would cost as much as to fill it."""

    def __init__(self) -> None:
        self._free: list[Array] = []

    def borrow(self, nbytes: int) -> Array:
        """At least so many bytes, with anything in them."""
        # One step, because threads borrow at the same time.
        with contextlib.suppress(IndexError):
            buffer = self._free.pop()
            if buffer.nbytes >= nbytes:
                return buffer
        return np.empty(nbytes, np.uint8)

    def give_back(self, buffer: Array) -> None:
        """Lets another batch have them."""
        self._free.append(buffer)


def _made(batch: tuple[Piece, ...], fill: FillFunction) -> list[Array]:
    if is_made_whole(batch[0].parameter):
        return [make_whole(piece.parameter, fill).reshape(-1) for piece in batch]
    arrays = [np.empty(piece.stop - piece.start, piece.parameter.dtype.numpy) for piece in batch]
    _fill_batch(batch, arrays, fill)
    return arrays


def _fill_batch(batch: tuple[Piece, ...], arrays: Sequence[Array], fill: FillFunction) -> None:
    pairs = zip(batch, arrays, strict=True)
    fill_elements(((piece.parameter, piece.start, array) for piece, array in pairs), fill)


def _placed(parameters: Sequence[PlannedParameter], offset: int) -> Iterator[tuple[tuple[Piece, ...], int]]:
    """Batches, each with the place of its first byte; parameters follow each other without a gap."""
    for batch in batches(parameters):
        yield batch, offset
        offset += sum(piece.nbytes for piece in batch)


def _write(batch: tuple[Piece, ...], offset: int, fill: FillFunction, memory: _Memory, write: WriteAt) -> int:
    """Makes a batch and writes it at once; gives its bytes."""
    first = batch[0].parameter
    if is_made_whole(first):
        data = little_endian(make_whole(first, fill).reshape(-1))
        write(data, offset)
        return len(data)
    buffer = memory.borrow(sum(piece.nbytes for piece in batch))
    arrays, end = [], 0
    for piece in batch:
        begin, end = end, end + piece.nbytes
        arrays.append(buffer[begin:end].view(piece.parameter.dtype.numpy))
    _fill_batch(batch, arrays, fill)
    for elements in arrays:
        make_little_endian(elements)
    write(buffer[:end].data, offset)
    memory.give_back(buffer)
    return end
