"""Philox4x32-10, many blocks at once: word k of all blocks is a vector of 64-bit lanes.

The upper halves of the lanes hold what is left of products: a multiplication looks at the lower halves only,
so nothing has to clear them, and a product's own halves are the next words without any shuffling.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from initcfg.engines.compiled.vectors import I64, Vector
from initcfg.engines.constants import PHILOX_KEY_STEPS, PHILOX_MULTIPLIERS, PHILOX_ROUNDS

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["LOWER", "joined", "philox"]

LOWER = 0xFFFFFFFF
_M0, _M1 = PHILOX_MULTIPLIERS
_STEP0, _STEP1 = PHILOX_KEY_STEPS


def philox(builder: Any, block: Any, stream: Sequence[Any], lanes: int) -> tuple[Vector, ...]:
    """The four words of `lanes` blocks, one after another, of which the first is a multiple of `lanes`.

    Args:
        builder: where instructions go.
        block: the first; LLVM's 64-bit integer.
        stream: the four words of the stream, likewise.
        lanes: how many blocks, a power of two.
    """

    def everywhere(scalar: Any) -> Vector:
        return Vector.splat(builder, scalar, lanes)

    # No sum here carries into the upper half.
    r0 = everywhere(builder.and_(block, I64(LOWER))) + Vector.of(builder, I64, range(lanes))
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
    """Two words of each block as one of 64 bits; as 32-bit numbers they are neighbours."""
    return (low & LOWER) | (high << 32)
