"""Weights in memory: arrays for a plan, a parameter or a slice, or put into memory that is there already."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from itertools import chain
from operator import attrgetter
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from initcfg.engines import get_engine
from initcfg.generate.pool import Task, Workers, in_groups
from initcfg.generate.work import (
    CHUNK,
    draw_run,
    fill_elements,
    is_crumbs,
    is_foreign,
    is_made_whole,
    make_whole,
    runs,
    whole_runs,
)
from initcfg.plan import Plan, PlannedParameter
from initcfg.plan.plan import owner, selected

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from initcfg.engines import FillFunction
    from initcfg.formats import Array
    from initcfg.generate.pool import Progress
    from initcfg.generate.work import Run
    from initcfg.plan.parameters import ParameterSlice


# Of most systems with 64 bits.
_HUGE_PAGE = 1 << 21


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """A parameter or a slice to be made, and the C-contiguous array of its shape and dtype that takes it."""

    source: PlannedParameter | ParameterSlice
    out: Array

    def __post_init__(self) -> None:
        """Holds the memory against what it is to take."""
        source, out = self.source, self.out
        if out.shape != source.shape or out.dtype != source.dtype.numpy:
            found, wanted = f"{out.shape} {out.dtype.name}", f"{source.shape} {source.dtype}"
            raise ValueError(f"the target of {self.parameter.name!r} is {found}, and should be {wanted}")
        flags = out.flags
        if not (flags.c_contiguous and flags.writeable):
            raise ValueError(f"the target of {self.parameter.name!r} is not C-contiguous and writeable")

    @property
    def parameter(self) -> PlannedParameter:
        """The parameter, or the one that the slice is of."""
        return self.source if isinstance(self.source, PlannedParameter) else self.source.parameter


def fill_targets(
    targets: Sequence[Target],
    *,
    threads: int | None = None,
    engine: str | None = None,
    progress: Progress | None = None,
) -> None:
    """Makes values where they are wanted, one pool of threads over all of them.

    What needs code that is not this package's is made first, in the calling thread and in memory of its own:
    if that code fails, no target has been touched. What cannot be cut is made whole once.
    """
    wanted = [target for target in targets if target.out.size]
    fill = get_engine(engine)
    drawn = [target for target in wanted if not is_made_whole(target.parameter)]
    foreign, own = by_parameter(
        (each for each in wanted if is_made_whole(each.parameter)), attrgetter("parameter")
    )
    pieces = ((target, run) for target in drawn for run in _runs(target.source))
    held: list[list[Array]] = []
    tasks: Iterator[Task[int]] = chain(
        (Task(partial(_hold, group, held, fill), here=True) for group in foreign),
        (Task(partial(_release, group, held), here=True) for group in foreign),
        (Task(partial(_build, group, fill)) for group in own),
        (_task(group, fill) for group in in_groups(pieces, lambda piece: piece[1].cost, CHUNK)),
    )
    with Workers(threads) as workers:
        workers.run(tasks, sum(target.out.nbytes for target in wanted), progress)


Part = TypeVar("Part")


def by_parameter(
    parts: Iterable[Part], of: Callable[[Part], PlannedParameter]
) -> tuple[list[list[Part]], list[list[Part]]]:
    """What is of one parameter together, in the order of the first of each: code of others makes, and not."""
    groups: dict[int, list[Part]] = {}
    for part in parts:
        # Parameters compare by initializers, which need not be hashable.
        groups.setdefault(id(of(part)), []).append(part)
    foreign: list[list[Part]] = []
    own: list[list[Part]] = []
    for group in groups.values():
        (foreign if is_foreign(of(group[0]).initializer) else own).append(group)
    return foreign, own


def _hold(group: list[Target], held: list[list[Array]], fill: FillFunction) -> int:
    """Makes what a group wants, and touches no target."""
    whole = make_whole(group[0].parameter, fill)
    held.append([_part(target, whole) for target in group])
    return sum(target.out.nbytes for target in group)


def _release(group: list[Target], held: list[list[Array]]) -> int:
    """Puts what was made first of all that is held where it is wanted, and lets it go."""
    for target, part in zip(group, held.pop(0), strict=True):
        np.copyto(target.out, part)
    return 0


def _build(group: list[Target], fill: FillFunction) -> int:
    whole = make_whole(group[0].parameter, fill)
    for target in group:
        np.copyto(target.out, _part(target, whole))
    return sum(target.out.nbytes for target in group)


def _part(target: Target, whole: Array) -> Array:
    """What a target wants of its parameter; a slice does not keep the rest in memory."""
    if isinstance(target.source, PlannedParameter):
        return whole
    selection = target.source.selection
    return whole[selection.slices].reshape(selection.shape).copy()


def _task(group: list[tuple[Target, Run]], fill: FillFunction) -> Task[int]:
    """One thread's work; the calling thread's, where a second one would only wait for it."""
    return Task(partial(_draw, group, fill), here=is_crumbs(sum(run.length for _, run in group), len(group)))


def _draw(group: list[tuple[Target, Run]], fill: FillFunction) -> int:
    solid: list[tuple[PlannedParameter, int, Array]] = []
    nbytes = 0
    for target, run in group:
        wanted = target.out.reshape(-1)[run.at : run.at + run.size]
        nbytes += wanted.nbytes
        if run.is_solid:
            solid.append((target.parameter, run.start, wanted))
        else:
            draw_run(target.parameter, run, wanted, fill)
    fill_elements(solid, fill)
    return nbytes


def _runs(source: PlannedParameter | ParameterSlice) -> Iterable[Run]:
    if isinstance(source, PlannedParameter):
        return whole_runs(source.numel)
    return runs(source.parameter.shape, source.selection)


def materialize(
    source: Plan | PlannedParameter | ParameterSlice,
    select: str | None = None,
    *,
    threads: int | None = None,
    engine: str | None = None,
    progress: Progress | None = None,
) -> dict[str, Array] | Array:
    """The values of a plan, of one of its parameters, or of a slice of one, as `initcfg.materialize` says."""
    fill = partial(fill_targets, threads=threads, engine=engine, progress=progress)
    if isinstance(source, Plan):
        owners = {parameter.name: owner(source, parameter) for parameter in selected(source, select)}
        targets = {parameter.name: new_target(parameter) for parameter in owners.values()}
        fill(list(targets.values()))
        return {name: targets[parameter.name].out for name, parameter in owners.items()}
    if select is not None:
        raise TypeError("select chooses among the parameters of a plan; it goes with nothing else")
    target = new_target(source)
    fill([target])
    return target.out


def new_target(source: PlannedParameter | ParameterSlice) -> Target:
    """A parameter or a slice, and new memory for it."""
    return Target(source, empty(source.shape, source.dtype.numpy))


def empty(shape: tuple[int, ...], dtype: np.dtype[Any], alignment: int = 1) -> Array:
    """A new array whose memory begins at a multiple of `alignment` bytes, a power of two.

    That of a large one begins at a huge page. numpy asks the system for those, and here all of it is made of
    them, at times with up to one of them more.

    Example:
        >>> empty((300, 3000), np.dtype("float32")).ctypes.data % 2**21
        0
    """
    nbytes = math.prod(shape) * dtype.itemsize
    if nbytes >= _HUGE_PAGE:
        alignment = _HUGE_PAGE
    if alignment == 1:
        return np.empty(shape, dtype)
    memory = np.empty(nbytes + alignment, np.uint8)
    start = -memory.ctypes.data % alignment
    return memory[start : start + nbytes].view(dtype).reshape(shape)
