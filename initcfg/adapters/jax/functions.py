"""One initializer as `jax.nn.initializers` has them: a function of a key, a shape and a dtype."""

from __future__ import annotations

import dataclasses
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from initcfg.adapters.jax.placing import Wanted, dtype_problem, place
from initcfg.adapters.jax.shardings import over_set_mesh
from initcfg.dtypes import as_dtype
from initcfg.errors import Code, InitializerError
from initcfg.generate.memory import materialize
from initcfg.initializers import BuiltIn, Initializer, check, get, parts_of, resolve
from initcfg.initializers.values import as_shape
from initcfg.layout import IN_OUT, Layout
from initcfg.plan import PlannedParameter
from initcfg.stream import Stream

if TYPE_CHECKING:
    from collections.abc import Iterable


_PERSON = b"initcfg.jax.key1"


# jax.jit keeps weak references to what it compiles.
@dataclass(frozen=True, slots=True, weakref_slot=True)
class JaxInitializer:
    """An initializer that takes its seed from a JAX key; `as_jax_initializer` makes it.

    Equal ones are equal and hash alike, as modules of Flax want it.

    Args:
        initializer: without a seed of its own.
        layout: the roles of the axes.
    """

    initializer: Initializer
    layout: Layout = IN_OUT

    def __call__(
        self, key: jax.Array, shape: Iterable[int], dtype: Any = jnp.float32, out_sharding: Any = None
    ) -> jax.Array:
        """An array on the default device, or as `out_sharding` says.

        Inside ``jit`` it is made when the compiled code runs.

        Args:
            key: one key, ``jax.random.key(0)`` or the older ``jax.random.PRNGKey(0)``.
            shape: a sequence of integers >= 0.
            dtype: any dtype of `initcfg.dtypes.DTYPES` that JAX holds; None means float32.
            out_sharding: a ``NamedSharding``, a ``PartitionSpec`` over the mesh that is set, or None. Inside
                ``jit`` the array is made whole and then spread.

        Raises:
            InitializerError: the scheme cannot make this shape or dtype, or JAX would change the dtype (code
                ``unknown-dtype``).
            SpecError: the sharding does not suit the shape, or no mesh is set for it (code ``shape``).
            TypeError: `key` is no single key, or `out_sharding` no sharding.
        """
        words = _words(key)
        unseeded = self._parameter(as_shape(shape), jnp.float32 if dtype is None else dtype)
        if not isinstance(words, jax.core.Tracer):
            return place({"": Wanted(_seeded(unseeded, words), over_set_mesh(out_sharding))})[""]
        made = jax.ShapeDtypeStruct(unseeded.shape, unseeded.dtype.numpy)
        result: jax.Array = jax.pure_callback(
            lambda traced: materialize(_seeded(unseeded, traced)), made, words, vmap_method="sequential"
        )
        return result if out_sharding is None else jax.sharding.reshard(result, out_sharding)

    def _parameter(self, shape: tuple[int, ...], dtype: Any) -> PlannedParameter:
        """What is to be made, but for the seed; whatever is wrong with it shows here, when it is traced."""
        row = as_dtype(dtype)
        problem = dtype_problem(row, "the array asked for")
        if problem is not None:
            raise InitializerError(problem)
        check(self.initializer, shape, row, self.layout)
        name = type(self.initializer).__name__
        return PlannedParameter(
            name=name,
            shape=shape,
            dtype=row,
            layout=self.layout,
            fans=None,
            initializer=self.initializer,
            distribution=resolve(self.initializer, shape, self.layout, row),
            stream=Stream.of_seed(0, name, shape),
            stream_name=name,
        )


def as_jax_initializer(initializer: Any, layout: str | Layout = IN_OUT) -> JaxInitializer:
    """An initializer of this package where JAX and Flax expect one of ``jax.nn.initializers``.

    The key is the seed: with `seed_of` ``(key)`` as its seed, the initializer itself gives the same values.
    It works under ``jit``, ``eval_shape``, ``vmap`` (an array for each key), ``scan`` and Flax's ``init``.
    There the values are made on the host, whole, when the compiled code asks for them; `to_jax` and
    `initialize` are for what should be made in shards.

    Args:
        initializer: an instance without a seed of its own, or what `initcfg.initializers.get` takes, such as
            a name.
        layout: the roles of the axes; JAX's and Flax's kernels are ``in_out``.

    Raises:
        InitializerError: the initializer, or a part of it, has a seed, which would make the key mean nothing
            (code ``initializer-config``); or nothing has that name.

    Example:
        >>> import jax
        >>> from initcfg.initializers import GlorotUniform
        >>> kernel_init = as_jax_initializer("glorot_uniform")
        >>> kernel_init(jax.random.key(7), (3, 4)) == GlorotUniform(seed=7)((3, 4))
        Array([[ True,  True,  True,  True],
               [ True,  True,  True,  True],
               [ True,  True,  True,  True]], dtype=bool)
    """
    found = get(initializer)
    if found is None:
        raise InitializerError.of(Code.WRONG_TYPE, "None is no initializer", hint="name one, such as zeros")
    if _has_seed(found):
        raise InitializerError.of(
            Code.INITIALIZER_CONFIG,
            f"{found!r} has a seed of its own, and JAX passes a key to be used instead",
            hint="leave the seed out; jax.random.key(seed) gives the same values",
        )
    return JaxInitializer(found, layout if isinstance(layout, Layout) else Layout(layout))


def seed_of(key: jax.Array) -> int:
    """The seed that a key stands for, in [0, 2**64).

    Of a key of two words, as the default ``threefry2x32`` has, the first is the upper half and the second the
    lower, so that ``jax.random.key(7)`` is 7. One of four words, as ``rbg`` has, is hashed: BLAKE2b with 8
    bytes of digest and the personalization ``initcfg.jax.key1``, over the words in order; words and digest
    are big-endian.

    Args:
        key: one key, with a value: not inside ``jit``.

    Raises:
        TypeError: it is no single key.

    Example:
        >>> import jax
        >>> seed_of(jax.random.key(7)), seed_of(jax.random.key(7, impl="rbg"))
        (7, 11131252378180877597)
    """
    return _seed(_words(key))


def _words(key: Any) -> Any:
    """A key's two or four words, as an array of JAX."""
    if isinstance(key, jax.Array):
        is_typed = jax.dtypes.issubdtype(key.dtype, jax.dtypes.prng_key)
        words = jax.random.key_data(key) if is_typed else key
        if words.dtype == np.uint32 and words.shape in ((2,), (4,)):
            return words
        if is_typed or words.dtype == np.uint32:
            raise TypeError(
                f"one key is needed, not shape {key.shape}; jax.vmap makes an array for each of many"
            )
    raise TypeError(f"a key is needed, such as jax.random.key(0), not {key!r}")


def _seed(words: Any) -> int:
    data = np.asarray(words).astype(">u4").tobytes()
    if len(data) > 8:
        data = hashlib.blake2b(data, digest_size=8, person=_PERSON).digest()
    return int.from_bytes(data, "big")


def _seeded(parameter: PlannedParameter, words: Any) -> PlannedParameter:
    stream = Stream.of_seed(_seed(words), parameter.name, parameter.shape)
    return dataclasses.replace(parameter, stream=stream)


def _has_seed(initializer: Initializer) -> bool:
    own = getattr(initializer, "seed", None) if isinstance(initializer, BuiltIn) else None
    return own is not None or any(map(_has_seed, parts_of(initializer)))
