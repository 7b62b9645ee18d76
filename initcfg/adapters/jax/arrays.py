"""A plan as JAX arrays by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from initcfg.adapters.jax.placing import Wanted, place
from initcfg.adapters.jax.shardings import sharding_of
from initcfg.adapters.matching import require_plan
from initcfg.generate.selecting import owner, selected

if TYPE_CHECKING:
    import jax

    from initcfg.adapters.jax.shardings import Shardings
    from initcfg.generate import Progress
    from initcfg.plan import Plan

__all__ = ["to_jax"]


def to_jax(
    plan: Plan,
    shardings: Shardings = None,
    *,
    select: str | None = None,
    threads: int | None = None,
    engine: str | None = None,
    progress: Progress | None = None,
) -> dict[str, jax.Array]:
    """The values of a plan as JAX arrays, with the bits of `initcfg.materialize` however they are sharded.

    Of each array this process makes the slices that its own devices hold, each of them once; or, where
    that is faster, as for columns, the block around them, which it cuts. What cannot be cut, such as an
    orthogonal matrix, it builds whole, once. On many hosts every process calls this alike.

    Args:
        plan: the plan.
        shardings: a ``jax.sharding.Sharding`` for all; or a mapping from globs over names to shardings, of
            which the first that matches wins, and which may be nested as parameters are
            (``{"mlp": {"*.kernel": sharding}}``); or a function from a planned parameter to its sharding.
            None, there too, is the default device, uncommitted, as ``jax.numpy.asarray`` has it.
        select: a glob over names; None makes all.
        threads: how many; None means one a CPU. They do not change a bit.
        engine: the name of an engine; None chooses one.
        progress: called with the bytes made and the bytes to be made by this process. What it raises, such as
            a KeyboardInterrupt, ends the call, which then gives nothing.

    Returns:
        Arrays by name, in the plan's order. Tied names hold one and the same array, unless they are given
        different shardings; JAX does not donate such an array twice. `nest` makes nested dicts of them.

    Raises:
        InitializerError: an element type is one that JAX would change, such as float64 while
            ``jax_enable_x64`` is off (code ``unknown-dtype``); or custom code failed.
        SpecError: a sharding does not divide a shape, or is over an abstract mesh where no mesh of its axes
            is set (code ``shape``); a pattern wins nothing, or a parameter has none (codes ``unused-rule``,
            ``missing-key``). All of them are told, and nothing is made.
        UnknownParameterError: `select` matches nothing.
        TypeError: `plan` or `shardings` are of another kind.

    Example:
        >>> import initcfg, jax
        >>> from jax.sharding import NamedSharding, PartitionSpec
        >>> plan = initcfg.make_plan(
        ...     {"initcfg": 1, "params": {"w": {"shape": [512, 256], "initializer": "random_normal"}}}
        ... )
        >>> mesh = jax.make_mesh((1,), ("model",))
        >>> weights = to_jax(plan, {"**": NamedSharding(mesh, PartitionSpec(None, "model"))})
        >>> (weights["w"] == initcfg.materialize(plan)["w"]).all()
        Array(True, dtype=bool)
    """
    require_plan(plan, "to_jax", "initcfg.make_plan(spec)")
    chosen = sharding_of(plan, shardings)
    wanted = {each.name: Wanted(owner(plan, each), chosen(each)) for each in selected(plan, select)}
    return place(wanted, threads=threads, engine=engine, progress=progress)
