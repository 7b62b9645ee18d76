"""Weights in memory: a dict of arrays for a plan, one array for a parameter or a slice of it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, overload

import numpy as np

from initcfg.engines import get_engine
from initcfg.generate.pool import Progress, Task, Workers
from initcfg.generate.selecting import owner, selected
from initcfg.generate.slices import draw, runs, slice_effort
from initcfg.generate.work import CHUNK, batches, effort, fill_elements, is_for_caller, make_whole
from initcfg.plan import Plan, PlannedParameter

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from initcfg.formats import Array
    from initcfg.generate.slices import Run
    from initcfg.generate.work import Piece
    from initcfg.plan.parameters import ParameterSlice

__all__ = ["materialize"]


@overload
def materialize(
    source: Plan,
    select: str | None = None,
    *,
    threads: int | None = None,
    engine: str | None = None,
    progress: Progress | None = None,
) -> dict[str, Array]: ...
@overload
def materialize(
    source: PlannedParameter | ParameterSlice,
    select: None = None,
    *,
    threads: int | None = None,
    engine: str | None = None,
    progress: Progress | None = None,
) -> Array: ...
def materialize(
    source: Plan | PlannedParameter | ParameterSlice,
    select: str | None = None,
    *,
    threads: int | None = None,
    engine: str | None = None,
    progress: Progress | None = None,
) -> dict[str, Array] | Array:
    """The values of a plan, of one of its parameters, or of a slice of one.

    Values depend on the seed, the parameter's name and the position of the element only. A slice is
    made without the rest of its parameter, unless the initializer is structured, and equals the slice of the
    whole, bit for bit.

    Args:
        source: a plan, ``plan["name"]``, or ``plan["name"][2:5, ::2]``.
        select: with a plan, a glob over names, such as ``"h.*.attn.**"``; None takes all.
        threads: how many; None means one a CPU. They do not change a bit.
        engine: the name of an engine; None chooses one.
        progress: called with the bytes done and the bytes in all.

    Returns:
        For a plan, arrays by name in the plan's order; tied names hold one and the same array. Otherwise one
        C-contiguous array.

    Raises:
        UnknownParameterError: `select` matches nothing.
        InitializerError: custom code returned something else than it was asked for.
        SpecError: `select` is malformed.
        ValueError: `threads` is no positive integer.
        TypeError: `select` is given with something else than a plan.

    Example:
        >>> import initcfg
        >>> plan = initcfg.make_plan(
        ...     {"initcfg": 1, "params": {"w": {"shape": [512, 256], "initializer": "random_normal"}}}
        ... )
        >>> materialize(plan)["w"].std()
        np.float32(0.049870122)
        >>> materialize(plan["w"][-1, :3])
        array([ 0.00448714, -0.06129222, -0.00109693], dtype=float32)
    """
    with Workers(threads) as workers:
        if isinstance(source, Plan):
            return _plan(source, select, engine, workers, progress)
        if select is not None:
            raise TypeError("select chooses among the parameters of a plan; it goes with nothing else")
        if isinstance(source, PlannedParameter):
            return _parameters([source], engine, workers, progress)[source.name]
        return _slice(source, engine, workers, progress)


def _plan(
    plan: Plan, select: str | None, engine: str | None, workers: Workers, progress: Progress | None
) -> dict[str, Array]:
    owners = {parameter.name: owner(plan, parameter) for parameter in selected(plan, select)}
    distinct = {parameter.name: parameter for parameter in owners.values()}
    made = _parameters(list(distinct.values()), engine, workers, progress)
    return {name: made[parameter.name] for name, parameter in owners.items()}


def _parameters(
    parameters: list[PlannedParameter], engine: str | None, workers: Workers, progress: Progress | None
) -> dict[str, Array]:
    """Arrays by name, in any order."""
    fill = get_engine(engine, numel=effort(parameters))
    arrays = {
        parameter.name: np.empty(parameter.shape, parameter.dtype.numpy)
        for parameter in parameters
        if parameter.distribution is not None or parameter.numel == 0
    }

    def make(batch: tuple[Piece, ...]) -> int:
        for piece in batch:
            parameter = piece.parameter
            if parameter.distribution is None:
                arrays[parameter.name] = make_whole(parameter, fill)
            else:
                elements = arrays[parameter.name].reshape(-1)[piece.start : piece.stop]
                fill_elements(parameter, piece.start, elements, fill)
        return sum(piece.nbytes for piece in batch)

    tasks = (Task(partial(make, batch), here=is_for_caller(batch)) for batch in batches(parameters))
    workers.run(tasks, sum(parameter.nbytes for parameter in parameters), progress)
    return arrays


def _slice(part: ParameterSlice, engine: str | None, workers: Workers, progress: Progress | None) -> Array:
    parameter, selection = part.parameter, part.selection
    if parameter.distribution is None:
        whole = make_whole(parameter, get_engine(engine, numel=effort([parameter])))
        if progress is not None:
            progress(part.nbytes, part.nbytes)
        return whole[selection.slices].reshape(selection.shape).copy()
    fill = get_engine(engine, numel=slice_effort(parameter.shape, selection))
    result = np.empty(selection.numel, parameter.dtype.numpy)

    def make(group: tuple[Run, ...]) -> int:
        for run in group:
            draw(parameter, run, result, fill)
        return sum(run.size for run in group) * result.itemsize

    tasks = (Task(partial(make, group)) for group in _groups(runs(parameter.shape, selection)))
    workers.run(tasks, result.nbytes, progress)
    return result.reshape(selection.shape)


def _groups(drawn: Iterable[Run]) -> Iterator[tuple[Run, ...]]:
    """Runs put together until a thread has something to do."""
    group: list[Run] = []
    cost = 0
    for run in drawn:
        group.append(run)
        cost += run.cost
        if cost >= CHUNK:
            yield tuple(group)
            group, cost = [], 0
    if group:
        yield tuple(group)
