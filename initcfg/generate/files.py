"""Weights on disk: a plan is written as a stream, in the memory of a few chunks."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from initcfg.engines import get_engine
from initcfg.errors import Code, FormatError, SpecError
from initcfg.formats import TensorInfo, format_of
from initcfg.formats.base import PLAN_KEY, SELECT_KEY, SPEC_KEY, TIED_KEY, little_endian, make_little_endian
from initcfg.generate.pool import Task, Workers, counting
from initcfg.generate.work import batches, fill_elements, is_for_caller, is_made_whole, make_whole
from initcfg.plan.plan import owner, selected

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from os import PathLike

    from initcfg.engines import FillFunction
    from initcfg.formats import Array, WriteAt
    from initcfg.generate.pool import Progress
    from initcfg.generate.work import Piece
    from initcfg.plan import Plan, PlannedParameter

MAX_SPEC_BYTES = 1 << 16
"""The longest spec that weights carry: some readers take a header of a few MB only."""

_OURS = "initcfg."


def carried_spec(plan: Plan) -> str | None:
    """The spec that weights of a plan carry; None where there is none, or it is longer than they carry."""
    text = plan.spec_text
    return text if text is not None and len(text.encode()) <= MAX_SPEC_BYTES else None


def file_metadata(
    digest: str | None,
    select: str | None,
    tied: Mapping[str, str],
    given: Mapping[str, str],
    spec: str | None = None,
) -> dict[str, str]:
    """All texts that go into a file; a FormatError where a key of the caller's is kept for this package."""
    taken = [key for key in given if key.startswith(_OURS)]
    if taken:
        raise FormatError.of(
            Code.FORMAT,
            f"the metadata key {taken[0]!r} is kept for this package",
            hint=f"choose a key that does not begin with {_OURS!r}",
        )
    ours = {
        PLAN_KEY: digest,
        SELECT_KEY: select,
        SPEC_KEY: spec,
        TIED_KEY: json.dumps(tied, sort_keys=True, ensure_ascii=False) if tied else None,
    }
    return {**given, **{key: text for key, text in ours.items() if text is not None}}


@dataclass(frozen=True, slots=True)
class PlannedElements:
    """The elements of tensors that are parameters of a plan, by names; an `initcfg.formats.Elements`."""

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
        tell = counting(self.progress, total)
        for arrays in self.workers.in_order(tasks):
            yield from arrays
            tell(sum(array.nbytes for array in arrays))

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


def _made(batch: list[Piece], fill: FillFunction) -> list[Array]:
    if is_made_whole(batch[0].parameter):
        return [make_whole(piece.parameter, fill).reshape(-1) for piece in batch]
    arrays = [np.empty(piece.stop - piece.start, piece.parameter.dtype.numpy) for piece in batch]
    _fill_batch(batch, arrays, fill)
    return arrays


def _fill_batch(batch: list[Piece], arrays: Sequence[Array], fill: FillFunction) -> None:
    pairs = zip(batch, arrays, strict=True)
    fill_elements(((piece.parameter, piece.start, array) for piece, array in pairs), fill)


def _placed(parameters: Sequence[PlannedParameter], offset: int) -> Iterator[tuple[list[Piece], int]]:
    """Batches, each with the place of its first byte; parameters follow each other without a gap."""
    for batch in batches(parameters):
        yield batch, offset
        offset += sum(piece.nbytes for piece in batch)


def _write(batch: list[Piece], offset: int, fill: FillFunction, memory: _Memory, write: WriteAt) -> int:
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


@dataclass(frozen=True, slots=True)
class Written:
    """What was written."""

    path: Path
    nbytes: int  # the size of the file
    tensors: int  # how many it holds
    tied: Mapping[str, str]  # names that were left out: they share the tensor of another name, which is here
    fingerprint: str | None  # the plan's, as the file carries it; None for a plan that holds code


def write(
    plan: Plan,
    path: str | PathLike[str],
    *,
    select: str | None = None,
    threads: int | None = None,
    engine: str | None = None,
    progress: Progress | None = None,
    write_tied: bool = False,
    metadata: Mapping[str, str] | None = None,
    carry_spec: bool = True,
) -> Written:
    """Writes a plan's weights to a file, as `initcfg.save` says.

    Memory is bounded by threads times chunks, and by the largest parameter that cannot be cut if any.
    """
    fmt = format_of(path)
    chosen = selected(plan, select)
    tied = left_out(chosen) if fmt.lists_aliases and not write_tied else {}
    sources = {p.name: owner(plan, p) for p in chosen if p.name not in tied}
    tensors = [TensorInfo(name, source.dtype, source.shape) for name, source in sources.items()]
    digest = _fingerprint(plan)
    spec = carried_spec(plan) if carry_spec else None
    told = file_metadata(digest, select, tied, metadata or {}, spec)
    fill = get_engine(engine)
    with Workers(threads) as workers:
        elements = PlannedElements(sources, fill, workers, progress)
        nbytes = fmt.module.write(Path(path), tensors, elements, told)
    return Written(Path(path), nbytes, len(tensors), tied, digest)


def left_out(chosen: list[PlannedParameter]) -> dict[str, str]:
    """Tied names whose target is among the chosen, with that target."""
    names = {parameter.name for parameter in chosen}
    return {p.name: p.tied_to for p in chosen if p.tied_to is not None and p.tied_to in names}


def _fingerprint(plan: Plan) -> str | None:
    try:
        return plan.fingerprint
    except SpecError as error:
        if all(problem.code == Code.NOT_SERIALIZABLE for problem in error.diagnostics):
            return None
        raise
