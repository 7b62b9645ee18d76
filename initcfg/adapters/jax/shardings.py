"""Regions of an array: those that devices hold, and those that are made so that the former can be had."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias, TypeGuard

import jax
from jax.sharding import Mesh, NamedSharding, PartitionSpec, Sharding

from initcfg.errors import Code, Diagnostic, SpecError
from initcfg.generate.memory import empty
from initcfg.generate.work import is_made_whole, slice_effort
from initcfg.globs import GlobSet
from initcfg.names import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from initcfg.errors import Location
    from initcfg.formats import Array
    from initcfg.plan import Plan, PlannedParameter

# JAX's CPU devices take over numpy's memory as it is where it begins at a multiple of this.
ALIGNMENT = 64

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


def cut(array: Array, at: Region, region: Region) -> Array:
    """A copy of a region of an array that is itself at a region around it."""
    inner = tuple((start - base, stop - base) for (start, stop), (base, _) in zip(region, at, strict=True))
    made = empty(shape_of(region), array.dtype, ALIGNMENT)
    made[...] = array[slices_of(inner)]
    return made


def on_devices(sharding: Sharding | None) -> Sharding | None:
    """The same sharding, over the mesh that is set where its own mesh is abstract."""
    if not _is_abstract(sharding):
        return sharding
    return NamedSharding(jax.sharding.get_mesh(), sharding.spec, memory_kind=sharding.memory_kind)


def over_set_mesh(sharding: Any) -> Any:
    """A ``PartitionSpec`` as a sharding over the mesh that is set, which there must be; all else as it is."""
    if not isinstance(sharding, PartitionSpec):
        return sharding
    mesh = jax.sharding.get_mesh()
    if not mesh.shape:
        message = f"{sharding} says how to shard over the mesh that is set, and none is"
        raise SpecError.of(
            Code.SHAPE, message, hint="set one, with jax.set_mesh(mesh), or give a NamedSharding"
        )
    return NamedSharding(mesh, sharding)


def mesh_problem(name: str, sharding: Sharding | None, where: Location | None) -> Diagnostic | None:
    """The problem with an abstract mesh that no mesh of devices stands for, or None."""
    if not _is_abstract(sharding):
        return None
    # Names and sizes of axes decide which device holds what; types of axes, which may differ, do not.
    axes, found = dict(sharding.mesh.shape), dict(jax.sharding.get_mesh().shape)
    if axes == found:
        return None
    cause = f"and the mesh that is set has the axes {found}" if found else "and no mesh is set"
    return Diagnostic(
        Code.SHAPE,
        f"the sharding of {name!r} is over an abstract mesh of the axes {axes}, without devices, {cause}",
        where=where,
        hint="make the arrays where the mesh of devices is set: with jax.set_mesh(mesh), as the shapes were",
    )


def _is_abstract(sharding: Sharding | None) -> TypeGuard[NamedSharding]:
    return isinstance(sharding, NamedSharding) and not isinstance(sharding.mesh, Mesh)


Shardings: TypeAlias = "Sharding | Mapping[str, Any] | Callable[[PlannedParameter], Sharding | None] | None"
"""What `to_jax` takes; a mapping holds shardings, None, and mappings again."""


def sharding_of(plan: Plan, shardings: Shardings) -> Callable[[PlannedParameter], Sharding | None]:
    """The function from a parameter of the plan to its sharding, with the errors that `to_jax` tells."""
    if shardings is None or isinstance(shardings, Sharding):
        return lambda _: shardings
    if isinstance(shardings, Mapping):
        chosen = _by_glob(plan, dict(_flat(shardings)))
        return lambda parameter: chosen[parameter.name]
    if callable(shardings):
        return shardings
    raise TypeError(
        "shardings are a jax.sharding.Sharding, a mapping from globs over names to shardings, or a function "
        f"from a planned parameter to its sharding, not {shardings!r}"
    )


def _flat(shardings: Mapping[Any, Any], prefix: str = "") -> Iterator[tuple[str, Sharding | None]]:
    """Patterns in their order; a mapping inside a mapping continues the name, as in nested parameters."""
    for key, value in shardings.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _by_glob(plan: Plan, shardings: Mapping[str, Sharding | None]) -> dict[str, Sharding | None]:
    """By parameter; the first pattern that matches wins."""
    patterns = list(shardings)
    globs = GlobSet((pattern, None) for pattern in patterns)
    won = {parameter.name: globs.first(parameter.name, 0) for parameter in plan}
    winners = set(won.values())
    problems = [_unused(pattern, plan) for at, pattern in enumerate(patterns) if at not in winners]
    problems += [_without(plan[name]) for name, at in won.items() if at is None]
    if problems:
        raise SpecError(*problems)
    return {name: shardings[patterns[at]] for name, at in won.items() if at is not None}


def _unused(pattern: str, plan: Plan) -> Diagnostic:
    near = did_you_mean(pattern, (parameter.name for parameter in plan))
    return Diagnostic(
        Code.UNUSED_RULE,
        f"the sharding pattern {pattern!r} wins no parameter",
        hint=near or "mend it, put it before the one that shadows it, or delete it",
    )


def _without(parameter: PlannedParameter) -> Diagnostic:
    return Diagnostic(
        Code.MISSING_KEY,
        f"no sharding pattern matches {parameter.name!r}",
        where=parameter.where,
        hint="end the mapping with '**' and the sharding of the rest: NamedSharding(mesh, PartitionSpec())",
    )
