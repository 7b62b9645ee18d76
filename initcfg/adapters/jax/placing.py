"""A plan as JAX arrays: by name, or as a pytree with the structure of a model."""

from __future__ import annotations

import dataclasses
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import jax
from jax.sharding import Sharding
from jax.tree_util import GetAttrKey, keystr

from initcfg.adapters.jax.shardings import (
    ALIGNMENT,
    cut,
    mesh_problem,
    on_devices,
    regions_to_make,
    shape_of,
    sharding_of,
    slices_of,
    to_region,
    whole,
)
from initcfg.adapters.matching import require_match
from initcfg.errors import Code, Diagnostic, InitializerError, SpecError
from initcfg.generate.memory import Target, empty, fill_targets
from initcfg.generate.pool import in_groups, onward
from initcfg.manifest import Manifest, ManifestEntry
from initcfg.plan import require_plan
from initcfg.plan.plan import owner, selected

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from jax.tree_util import KeyPath

    from initcfg.adapters.jax.shardings import Region, Shardings
    from initcfg.dtypes import DType
    from initcfg.formats import Array
    from initcfg.generate.pool import Progress
    from initcfg.plan import ParameterSlice, Plan, PlannedParameter


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
        select, threads, engine: as in `initcfg.materialize`.
        progress: called with the bytes made and the bytes to be made by this process. What it raises, such as
            a KeyboardInterrupt, ends the call, which then gives nothing.

    Returns:
        Arrays by name, in the plan's order. Tied names hold one and the same array, unless they are given
        different shardings; JAX does not donate such an array twice. `nest` makes nested dicts of them.

    Raises:
        InitializerError: an element type is one that JAX would change, such as float64 while
            ``jax_enable_x64`` is off (code ``unknown-dtype``); or custom code failed.
        SpecError: a sharding does not divide a shape, or is over an abstract mesh where no mesh of its axes
            is set (code ``shape``); a pattern has no effect, or a parameter has none (codes ``unused-rule``,
            ``missing-key``). The error lists all of them, and nothing is made.
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


# Host memory that is filled before it goes to the devices.
_GROUP_BYTES = 1 << 30


@dataclass(frozen=True, slots=True)
class Wanted:
    """A parameter, and over which devices its array is to be; None for the default one."""

    source: PlannedParameter
    sharding: Sharding | None

    @property
    def key(self) -> tuple[str, Sharding | None]:
        """What is equal for those that share one array."""
        return self.source.name, self.sharding


def place(
    wanted: Mapping[str, Wanted],
    *,
    threads: int | None = None,
    engine: str | None = None,
    progress: Progress | None = None,
) -> dict[str, jax.Array]:
    """The arrays by the same names; one parameter with one sharding is one array under all its names.

    Nothing is made before all of it is known to be possible; the errors are those of `to_jax`.
    """
    _require_possible(wanted)
    wanted = {
        name: dataclasses.replace(each, sharding=on_devices(each.sharding)) for name, each in wanted.items()
    }
    arrays = {each.key: _Array(each) for each in wanted.values()}
    total = sum(each.nbytes for each in arrays.values())
    made: dict[tuple[str, Sharding | None], jax.Array] = {}
    done = 0
    for group in in_groups(arrays, lambda key: arrays[key].nbytes, _GROUP_BYTES):
        targets = [target for key in group for target in arrays[key].targets()]
        fill_targets(targets, threads=threads, engine=engine, progress=onward(progress, done, total))
        del targets
        made |= {key: arrays[key].placed() for key in group}
        # Until an array has arrived, JAX holds the memory that it comes from.
        jax.block_until_ready([made[key] for key in group])
        done += sum(arrays[key].nbytes for key in group)
    return {name: made[each.key] for name, each in wanted.items()}


def dtype_problem(dtype: DType, subject: str) -> Diagnostic | None:
    """The problem with an element type that JAX would change without being asked, or None."""
    kept = jax.dtypes.canonicalize_dtype(dtype.numpy)
    if kept == dtype.numpy:
        return None
    return Diagnostic(
        Code.UNKNOWN_DTYPE,
        f"{subject} is {dtype}, which JAX would make {kept.name}",
        hint='call jax.config.update("jax_enable_x64", True) first, or choose a narrower dtype',
    )


def _require_possible(wanted: Mapping[str, Wanted]) -> None:
    dtypes = [dtype_problem(each.source.dtype, f"the parameter {name!r}") for name, each in wanted.items()]
    found = [problem for problem in dtypes if problem is not None]
    if found:
        raise InitializerError(*found)
    shapes = [_misfit(name, each) for name, each in wanted.items()]
    meshes = [mesh_problem(name, each.sharding, each.source.where) for name, each in wanted.items()]
    found = [problem for problem in (*shapes, *meshes) if problem is not None]
    if found:
        raise SpecError(*found)


def _misfit(name: str, wanted: Wanted) -> Diagnostic | None:
    if wanted.sharding is None:
        return None
    if not isinstance(wanted.sharding, Sharding):
        hint = "use a jax.sharding.Sharding, such as NamedSharding(mesh, PartitionSpec('data'))"
        raise TypeError(f"the sharding of {name!r} is {wanted.sharding!r}; {hint}")
    try:
        wanted.sharding.shard_shape(wanted.source.shape)
    except (ValueError, IndexError):
        return Diagnostic(
            Code.SHAPE,
            f"the parameter {name!r} of shape {wanted.source.shape} cannot be cut as {wanted.sharding} says",
            where=wanted.source.where,
            hint="JAX cuts an axis into equal parts only: shard another axis, or none, with PartitionSpec()",
        )
    return None


class _Array:
    """One array to be made: of the regions that devices of this process hold, or of one around them."""

    def __init__(self, wanted: Wanted) -> None:
        self._source, self._sharding = source, sharding = wanted.source, wanted.sharding
        regions: tuple[Region, ...] = (whole(source.shape),)
        if sharding is not None:
            held = sharding.addressable_devices_indices_map(source.shape).values()
            regions = regions_to_make(source, (to_region(source.shape, index) for index in held))
        self._parts: dict[Region, PlannedParameter | ParameterSlice] = {
            region: source if shape_of(region) == source.shape else source[slices_of(region)]
            for region in regions
        }
        self._memory: dict[Region, Array] = {}
        self.nbytes = sum(part.nbytes for part in self._parts.values())

    def targets(self) -> list[Target]:
        """Host memory for the regions, to be filled."""
        dtype = self._source.dtype.numpy
        self._memory = {region: empty(part.shape, dtype, ALIGNMENT) for region, part in self._parts.items()}
        return [Target(part, self._memory[region]) for region, part in self._parts.items()]

    def placed(self) -> jax.Array:
        """The array on its devices; JAX may keep the memory as it is, because nobody else has it."""
        if self._sharding is None:
            made = jax.device_put(self._memory[whole(self._source.shape)])
        else:
            dtype = self._source.dtype.numpy
            made = jax.make_array_from_callback(self._source.shape, self._sharding, self._part, dtype=dtype)
        self._memory = {}
        return made

    def _part(self, index: Any) -> Array:
        region = to_region(self._source.shape, index)
        if region not in self._memory:
            around, array = next(iter(self._memory.items()))
            self._memory[region] = cut(array, around, region)
        return self._memory[region]


Tree = TypeVar("Tree")


def manifest(tree: Any) -> Manifest:
    """The names, shapes and dtypes of the leaves of a pytree, in the order in which JAX flattens it.

    A name is the keys, attributes and positions on the way to the leaf, joined by dots. The attribute
    ``value`` of a box that holds nothing else, such as Flax's ``nnx.Param`` and ``nn.Partitioned``, is left
    out.

    Args:
        tree: of arrays or of ``jax.ShapeDtypeStruct``, such as ``jax.eval_shape(model.init, ...)["params"]``
            of a Flax model, or ``nnx.state(model, nnx.Param)``; the parameters, and nothing else.

    Raises:
        SpecError: a leaf has no shape or no plain dtype (code ``manifest``), or two leaves have one name
            (code ``duplicate-parameter``); the error lists all such leaves.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> tree = jax.eval_shape(lambda: {"fc": {"kernel": jnp.ones((784, 256)), "bias": jnp.ones(256)}})
        >>> {name: entry.shape for name, entry in manifest(tree).entries.items()}
        {'fc.bias': (256,), 'fc.kernel': (784, 256)}
    """
    return Flat.of(tree).manifest


def initialize(
    tree: Tree,
    plan: Plan,
    *,
    threads: int | None = None,
    engine: str | None = None,
    progress: Progress | None = None,
) -> Tree:
    """A pytree of the same structure with a plan's values, each leaf sharded as the given one is.

    The tree is not changed, and each leaf gets an array of its own. Leaves that the plan skips are handed on
    as they are. The sharding is that of a ``jax.ShapeDtypeStruct`` or of a committed ``jax.Array``; others go
    to the default device. Where its mesh is abstract, as in shapes that were made under ``jax.set_mesh``, the
    mesh that is set has the devices.

    Args:
        tree: as in `manifest`; its names, shapes and dtypes are the plan's.
        plan, threads, engine, progress: as in `to_jax`.

    Raises:
        SpecError: names, shapes or dtypes differ, or as in `manifest`; or two leaves are tied in the plan
            (code ``tied``); or a sharding does not divide a shape, or is over an abstract mesh where no mesh
            of its axes is set (code ``shape``). The error lists all of them, and nothing is made.
        InitializerError: as in `to_jax`.
        TypeError: `plan` is none; or it is called inside ``jit``.

    Example:
        >>> import initcfg, jax
        >>> plan = initcfg.make_plan(
        ...     {"initcfg": 1, "params": {"fc.bias": {"shape": [3], "initializer": "ones"}}}
        ... )
        >>> initialize({"fc": {"bias": jax.ShapeDtypeStruct((3,), "float32")}}, plan)
        {'fc': {'bias': Array([1., 1., 1.], dtype=float32)}}
    """
    require_plan(plan, "initialize", "initcfg.make_plan(spec, manifest=manifest(tree))")
    flat = Flat.of(tree)
    convert = "give leaves of {dtype} (in Flax: param_dtype=jnp.{dtype})"
    require_match(plan, flat.manifest, "the tree", convert)
    wanted = {
        name: Wanted(owner(plan, plan[name]), _sharding(leaf))
        for name, leaf in zip(flat.names, flat.leaves, strict=True)
        if name in plan
    }
    made = place(wanted, threads=threads, engine=engine, progress=progress)
    leaves = [made.get(name, leaf) for name, leaf in zip(flat.names, flat.leaves, strict=True)]
    whole: Tree = jax.tree.unflatten(flat.structure, leaves)
    return whole


def _sharding(leaf: Any) -> Sharding | None:
    if isinstance(leaf, jax.core.Tracer):
        raise TypeError("initialize makes arrays of its own: call it outside jit")
    if isinstance(leaf, jax.Array) and not leaf.committed:
        return None
    sharding: Sharding | None = getattr(leaf, "sharding", None)
    return sharding


@dataclass(frozen=True, slots=True)
class Flat:
    """A tree, flattened."""

    names: list[str]
    leaves: list[Any]
    structure: Any

    @classmethod
    def of(cls, tree: Any) -> Flat:
        """The leaves of a tree with their names."""
        found, structure = jax.tree.flatten_with_path(tree)
        return cls(_names([path for path, _ in found]), [leaf for _, leaf in found], structure)

    @property
    def manifest(self) -> Manifest:
        """As the function of this name has it."""
        named = list(zip(self.names, self.leaves, strict=True))
        problems = [_no_parameter(name, leaf) for name, leaf in named if not _is_parameter(leaf)]
        problems += [
            Diagnostic(
                Code.DUPLICATE_PARAMETER,
                f"two leaves of the tree are called {name!r}",
                hint="rename a key: dots in keys, and keys that differ in type only, give the same name",
            )
            for name, times in Counter(self.names).items()
            if times > 1
        ]
        if problems:
            raise SpecError(*problems)
        return Manifest({name: ManifestEntry(tuple(leaf.shape), str(leaf.dtype)) for name, leaf in named})


def _names(paths: Sequence[KeyPath]) -> list[str]:
    below = Counter(path[:end] for path in paths for end in range(len(path)))
    named = (path[:-1] if _is_boxed(path, below) else path for path in paths)
    return [keystr(path, simple=True, separator=".") for path in named]


def _is_boxed(path: KeyPath, below: Mapping[KeyPath, int]) -> bool:
    """Whether the last step goes into a box: an attribute `value`, and no other leaf beside it."""
    return len(path) > 1 and path[-1] == GetAttrKey("value") and below[path[:-1]] == 1


def _is_parameter(leaf: Any) -> bool:
    dtype = getattr(leaf, "dtype", None)
    return (
        hasattr(leaf, "shape") and dtype is not None and not jax.dtypes.issubdtype(dtype, jax.dtypes.extended)
    )


def _no_parameter(name: str, leaf: Any) -> Diagnostic:
    kind = f"of dtype {leaf.dtype}" if hasattr(leaf, "dtype") else f"of type {type(leaf).__name__}"
    return Diagnostic(
        Code.MANIFEST,
        f"the leaf {name!r} is {kind}, which is not a parameter",
        hint="give the parameters only: variables['params'], or nnx.state(model, nnx.Param)",
    )
