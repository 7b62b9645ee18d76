"""The four verbs: load a spec, make its plan, materialize the weights, save them to a file.

Each takes what the one before it gives, or what that one would have been given.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, overload

from initcfg import generate, spec
from initcfg.plan import ParameterSlice, Plan, PlannedParameter, plan_of, plan_reading
from initcfg.spec import Spec

if TYPE_CHECKING:
    import numpy as np

    from initcfg.generate import Progress, Written

__all__ = ["load_spec", "make_plan", "materialize", "save"]

SpecLike = Spec | Mapping[str, Any] | str | os.PathLike[str]
PlanLike = Plan | SpecLike


def load_spec(source: SpecLike) -> Spec:
    """Read and check a spec.

    Args:
        source: a path that ends in ``.yaml``, ``.yml`` or ``.json``, or a mapping of the same content; a
            `Spec` is given back.

    Raises:
        SpecError: with every problem found, each with its place.

    Example:
        >>> load_spec({"initcfg": 1, "params": {"scale": {"shape": [], "initializer": "ones"}}}).dtype
        'float32'
    """
    return source if isinstance(source, Spec) else spec.load(source)


def make_plan(source: PlanLike) -> Plan:
    """Plan every parameter of a spec; nothing is allocated.

    Args:
        source: a `Spec`, or what `load_spec` takes; a `Plan` is given back.

    Raises:
        SpecError: with every problem found, each with its place.

    Example:
        >>> plan = make_plan({"initcfg": 1, "layout": "in_out", "layers": {"fc": {"params": {
        ...     "kernel": {"shape": [784, 256], "initializer": "he_normal"}}}}})
        >>> plan["fc.kernel"].fans
        Fans(fan_in=784, fan_out=256)
    """
    if isinstance(source, Plan):
        return source
    return plan_of(source) if isinstance(source, Spec) else plan_reading(spec.read(source))


@overload
def materialize(
    source: PlannedParameter | ParameterSlice,
    select: None = None,
    *,
    threads: int | None = None,
    engine: str | None = None,
    progress: Progress | None = None,
) -> np.ndarray[Any, Any]: ...
@overload
def materialize(
    source: PlanLike,
    select: str | None = None,
    *,
    threads: int | None = None,
    engine: str | None = None,
    progress: Progress | None = None,
) -> dict[str, np.ndarray[Any, Any]]: ...
def materialize(
    source: PlanLike | PlannedParameter | ParameterSlice,
    select: str | None = None,
    *,
    threads: int | None = None,
    engine: str | None = None,
    progress: Progress | None = None,
) -> dict[str, np.ndarray[Any, Any]] | np.ndarray[Any, Any]:
    """Make the weights of a plan, of one planned parameter, or of a slice of one.

    Args:
        source: a `Plan` or what `make_plan` takes, for a dict in the plan's order; ``plan["h.0.weight"]`` or
            a slice of it, such as ``plan["h.0.weight"][:128]``, for one array.
        select: a glob over full names: ``*`` inside one segment, ``**`` across segments.
        threads: how many; by default one for each available CPU. The values do not depend on it.
        engine: ``numpy``, or None to choose.
        progress: called with the number of bytes done and the number in all.

    Raises:
        SpecError: the spec has problems.
        UnknownParameterError: `select` matches nothing.
        InitializerError: no engine has that name, or a custom initializer returned something else than it was
            asked for.
        ValueError: `threads` is below 1.

    Example:
        >>> spec = {"initcfg": 1, "params": {"w": {"shape": [2, 3], "initializer": "random_normal"}}}
        >>> plan = make_plan(spec)
        >>> bool((materialize(plan)["w"][1] == materialize(plan["w"][1])).all())
        True
    """
    if isinstance(source, PlannedParameter | ParameterSlice):
        return generate.materialize(source, threads=threads, engine=engine, progress=progress)
    plan = make_plan(source)
    return generate.materialize(plan, select, threads=threads, engine=engine, progress=progress)


def save(
    source: PlanLike,
    path: str | os.PathLike[str],
    *,
    select: str | None = None,
    threads: int | None = None,
    engine: str | None = None,
    progress: Progress | None = None,
    write_tied: bool = False,
    metadata: Mapping[str, str] | None = None,
) -> Written:
    """Write the weights of a plan to a file, whole or not at all, in bounded memory.

    Args:
        source: a `Plan` or what `make_plan` takes.
        path: ends in ``.safetensors`` or ``.npz``; a file that is there is replaced.
        select: as in `materialize`.
        threads: as in `materialize`.
        engine: as in `materialize`.
        progress: as in `materialize`.
        write_tied: write tied parameters as tensors of their own; otherwise a safetensors file leaves them
            out and lists them in its metadata.
        metadata: texts to store in the file beside the plan's fingerprint; keys that begin with ``initcfg.``
            are kept for this package.

    Returns:
        What was written: path, bytes, tensors, the plan's fingerprint.

    Raises:
        SpecError: the spec has problems.
        FormatError: the format cannot hold a name or dtype of the plan.
        OutputError: the file could not be written; what stood there before is untouched.
    """
    plan = make_plan(source)
    return generate.write(
        plan,
        path,
        select=select,
        threads=threads,
        engine=engine,
        progress=progress,
        write_tied=write_tied,
        metadata=metadata,
    )
