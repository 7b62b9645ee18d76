"""Weights in memory: a dict of arrays for a plan, one array for a parameter or a slice of it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, overload

import numpy as np

from initcfg.generate.selecting import owner, selected
from initcfg.generate.targets import Target, fill_targets
from initcfg.plan import Plan

if TYPE_CHECKING:
    from initcfg.formats import Array
    from initcfg.generate.pool import Progress
    from initcfg.plan import PlannedParameter
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
    made without the rest of its parameter, unless that cannot be cut (an orthogonal matrix, or what custom
    code makes), and equals the slice of the whole, bit for bit.

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
    fill = partial(fill_targets, threads=threads, engine=engine, progress=progress)
    if isinstance(source, Plan):
        owners = {parameter.name: owner(source, parameter) for parameter in selected(source, select)}
        targets = {parameter.name: _target(parameter) for parameter in owners.values()}
        fill(list(targets.values()))
        return {name: targets[parameter.name].out for name, parameter in owners.items()}
    if select is not None:
        raise TypeError("select chooses among the parameters of a plan; it goes with nothing else")
    target = _target(source)
    fill([target])
    return target.out


def _target(source: PlannedParameter | ParameterSlice) -> Target:
    return Target(source, np.empty(source.shape, source.dtype.numpy))
