"""A group of blocks made at once: words, variates, elements, one store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from numba import extending
from numba.core import cgutils as _cgutils
from numba.core import types as _types

from initcfg.engines.compiled.targets import placed, rounded
from initcfg.engines.compiled.vectors import I64, Vector, integers, width
from initcfg.engines.compiled.words import philox

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from initcfg.dtypes import DType
    from initcfg.engines.compiled.kernels import Kernel

__all__ = ["Group", "group_maker"]

# What it makes has other arguments than it is given.
_intrinsic: Callable[[Any], Any] = extending.intrinsic
types: Any = _types
cgutils: Any = _cgutils


class Group(NamedTuple):
    """How many blocks are made at once; no bit depends on it.

    Args:
        lanes: how many, a power of two: the words of a block are in one lane each.
        register: how many 64-bit lanes a register of the processor holds; no more than `lanes`.
    """

    lanes: int
    register: int

    @property
    def order(self) -> list[int]:
        """Which block is in which lane: in each register the even ones first, then the odd ones.

        Processors interleave two registers by halves of 128 bits. So this order costs one instruction for
        each register of elements, where the natural one costs several, slower ones.
        """
        half = self.register // 2
        within = [place // 2 + place % 2 * half for place in range(self.register)]
        return [start + lane for start in range(0, self.lanes, self.register) for lane in within]


def group_maker(kernel: Kernel, dtype: DType, group: Group) -> Any:
    """What numba calls as ``make_group(out, at, index, stream, affine, numbers)``.

    It writes the elements of the blocks from ``index * group.lanes`` on to `out`, from the position `at` on.

    Args:
        kernel: draws variates from words.
        dtype: of the elements; `out` holds a narrow one as unsigned integers.
        group: how many blocks are made at once.
    """
    order = group.order

    @_intrinsic
    def make_group(
        typingctx: Any, out: Any, at: Any, index: Any, stream: Any, affine: Any, numbers: Any
    ) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            def everywhere(values: Any, count: int) -> list[Vector]:
                scalars = cgutils.unpack_tuple(builder, values)
                return [Vector.splat(builder, scalar, count) for scalar in scalars]

            memory, at, index, stream, affine, numbers = args
            block = builder.mul(index, I64(group.lanes))
            words = philox(builder, block, cgutils.unpack_tuple(builder, stream), order)
            elements = group.lanes * kernel.per_block
            variates = _in_order(*kernel.draw(words, everywhere(numbers, elements // 2)), kernel.run, order)
            array = context.make_array(signature.args[0])(context, builder, memory)
            rounded(placed(variates, everywhere(affine, elements)), dtype).stored(
                builder.gep(array.data, [at])
            )
            return context.get_dummy_value()

        return types.none(out, at, index, stream, affine, numbers), codegen

    return make_group


def _in_order(first: Vector, second: Vector, run: int, order: Sequence[int]) -> Vector:
    """The variates block by block: `run` of the first vector, as many of the second, and so on.

    `order` tells which block is in which lane.
    """
    together = integers(run * width(first.kind))
    runs, others = first.bits_as(together), second.bits_as(together)
    per_block = runs.lanes // len(order)
    lanes = [order.index(block) * per_block + at for block in range(len(order)) for at in range(per_block)]
    return runs.interleaved(others, lanes).bits_as(first.kind)
