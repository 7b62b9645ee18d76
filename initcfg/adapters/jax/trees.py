"""Pytrees of arrays, or of shapes: what their leaves are called, and the same tree with a plan's values."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import jax
from jax.tree_util import GetAttrKey, keystr

from initcfg.adapters.jax.placing import Wanted, place
from initcfg.adapters.matching import require_match, require_plan
from initcfg.errors import Code, Diagnostic, SpecError
from initcfg.generate.memory import owner
from initcfg.manifest import Manifest, ManifestEntry

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from jax.sharding import Sharding
    from jax.tree_util import KeyPath

    from initcfg.generate.pool import Progress
    from initcfg.plan import Plan

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
            (code ``duplicate-parameter``); all such leaves are told.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> tree = jax.eval_shape(lambda: {"fc": {"kernel": jnp.ones((784, 256)), "bias": jnp.ones(256)}})
        >>> {name: entry.shape for name, entry in manifest(tree).entries.items()}
        {'fc.bias': (256,), 'fc.kernel': (784, 256)}
    """
    return _Flat.of(tree).manifest


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
            of its axes is set (code ``shape``). All of them are told, and nothing is made.
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
    flat = _Flat.of(tree)
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
class _Flat:
    """A tree, flattened."""

    names: list[str]
    leaves: list[Any]
    structure: Any

    @classmethod
    def of(cls, tree: Any) -> _Flat:
        found, structure = jax.tree.flatten_with_path(tree)
        return cls(_names([path for path, _ in found]), [leaf for _, leaf in found], structure)

    @property
    def manifest(self) -> Manifest:
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
        f"the leaf {name!r} is {kind}, which is no parameter",
        hint="give the parameters only: variables['params'], or nnx.state(model, nnx.Param)",
    )
