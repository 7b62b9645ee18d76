"""Shardings over meshes that have no devices yet, such as those of ``jax.eval_shape`` where a mesh is set."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeGuard

import jax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from initcfg.errors import Code, Diagnostic, SpecError

if TYPE_CHECKING:
    from jax.sharding import Sharding

    from initcfg.errors import Location

__all__ = ["mesh_problem", "on_devices", "over_set_mesh"]


def on_devices(sharding: Sharding | None) -> Sharding | None:
    """The sharding itself, or the same over the mesh that is set, where its own mesh is abstract.

    Args:
        sharding: one that `mesh_problem` finds no fault with.
    """
    if not _is_abstract(sharding):
        return sharding
    return NamedSharding(jax.sharding.get_mesh(), sharding.spec, memory_kind=sharding.memory_kind)


def over_set_mesh(sharding: Any) -> Any:
    """A ``PartitionSpec`` as a sharding over the mesh that is set; anything else as it is.

    Raises:
        SpecError: no mesh is set (code ``shape``).
    """
    if not isinstance(sharding, PartitionSpec):
        return sharding
    mesh = jax.sharding.get_mesh()
    if not mesh.shape:
        message = f"{sharding} says how to shard over the mesh that is set, and none is"
        raise SpecError(
            Diagnostic(Code.SHAPE, message, hint="set one, with jax.set_mesh(mesh), or give a NamedSharding")
        )
    return NamedSharding(mesh, sharding)


def mesh_problem(name: str, sharding: Sharding | None, where: Location | None) -> Diagnostic | None:
    """The problem with an abstract mesh that no mesh of devices stands for, or None.

    Args:
        name: of the parameter that is to be sharded.
        sharding: any.
        where: the parameter is in the spec.
    """
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
