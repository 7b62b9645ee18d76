"""Philox4x32-10, many blocks at once: word k of all blocks is a vector of 64-bit lanes.

The upper halves of the lanes hold what is left of products: a multiplication looks at the lower halves only,
so nothing has to clear them, and a product's own halves are the next words without any shuffling.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from initcfg.engines.compiled.vectors import I32, I64, Vector
from initcfg.engines.constants import PHILOX_KEY_STEPS, PHILOX_MULTIPLIERS, PHILOX_ROUNDS

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["LOWER", "joined", "philox"]

LOWER = 0xFFFFFFFF
_M0, _M1 = PHILOX_MULTIPLIERS
_STEP0, _STEP1 = PHILOX_KEY_STEPS


def philox(builder: Any, block: Any, stream: Sequence[Any], order: Sequence[int]) -> tuple[Vector, ...]:
    """The four words of the blocks of a group.

    Args:
        builder: where instructions go.
        block: the first; LLVM's 64-bit integer, a multiple of how many there are.
        stream: the four words of the stream, likewise.
        order: which block, counted from the first, is in which lane.
    """

    def everywhere(scalar: Any) -> Vector:
        return Vector.splat(builder, scalar, len(order))

    # No sum here carries into the upper half.
    r0 = everywhere(builder.and_(block, I64(LOWER))) + Vector.of(builder, I64, order)
    r1 = everywhere(builder.lshr(block, I64(32)))
    k0, k1, r2, r3 = stream[0], stream[1], everywhere(stream[2]), everywhere(stream[3])
    for _ in range(PHILOX_ROUNDS):
        p, q = (r0 & LOWER) * _M0, (r2 & LOWER) * _M1
        r0 = (q >> 32) ^ r1 ^ everywhere(k0)
        r2 = (p >> 32) ^ r3 ^ everywhere(k1)
        r1, r3 = q, p
        k0 = builder.and_(builder.add(k0, I64(_STEP0)), I64(LOWER))
        k1 = builder.and_(builder.add(k1, I64(_STEP1)), I64(LOWER))
    return r0, r1, r2, r3


def joined(low: Vector, high: Vector) -> Vector:
    """Two words of each block, as 32-bit neighbours; together they are one number of 64 bits."""
    lower, upper = low.bits_as(I32), high.bits_as(I32)
    return lower.interleaved(upper, range(0, lower.lanes, 2))
