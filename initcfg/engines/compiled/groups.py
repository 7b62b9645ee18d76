"""A group of blocks made at once: words, variates, elements, one store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from numba import extending
from numba.core import cgutils as _cgutils
from numba.core import types as _types

from initcfg.engines.compiled.targets import placed, rounded
from initcfg.engines.compiled.vectors import I64, Vector, integers, width
from initcfg.engines.compiled.words import philox

if TYPE_CHECKING:
    from collections.abc import Callable

    from initcfg.dtypes import DType
    from initcfg.engines.compiled.kernels import Kernel

__all__ = ["group_maker"]

# What it makes has other arguments than it is given.
_intrinsic: Callable[[Any], Any] = extending.intrinsic
types: Any = _types
cgutils: Any = _cgutils


def group_maker(kernel: Kernel, dtype: DType, lanes: int) -> Any:
    """What numba calls as ``make_group(out, at, group, stream, affine, numbers)``.

    It writes the elements of the blocks from ``group * lanes`` on to `out`, from the position `at` on.

    Args:
        kernel: draws variates from words.
        dtype: of the elements; `out` holds a narrow one as unsigned integers.
        lanes: how many blocks make a group, a power of two.
    """
    # Variates come in two vectors.
    per_vector = lanes * kernel.per_block // 2

    @_intrinsic
    def make_group(
        typingctx: Any, out: Any, at: Any, group: Any, stream: Any, affine: Any, numbers: Any
    ) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            def everywhere(values: Any) -> list[Vector]:
                scalars = cgutils.unpack_tuple(builder, values)
                return [Vector.splat(builder, scalar, per_vector) for scalar in scalars]

            memory, at, group, stream, affine, numbers = args
            block = builder.mul(group, I64(lanes))
            words = philox(builder, block, cgutils.unpack_tuple(builder, stream), lanes)
            placing = everywhere(affine)
            variates = kernel.draw(words, everywhere(numbers))
            first, second = (rounded(placed(each, placing), dtype) for each in variates)
            array = context.make_array(signature.args[0])(context, builder, memory)
            _in_order(first, second, kernel.run).stored(builder.gep(array.data, [at]))
            return context.get_dummy_value()

        return types.none(out, at, group, stream, affine, numbers), codegen

    return make_group


def _in_order(first: Vector, second: Vector, run: int) -> Vector:
    """`run` elements of the first, as many of the second, and so on."""
    together = integers(run * width(first.kind))
    return first.bits_as(together).interleaved(second.bits_as(together)).bits_as(first.kind)
