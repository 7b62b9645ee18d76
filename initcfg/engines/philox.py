"""Philox4x32-10 in numpy: the words of many blocks at a time.

Block b of a stream has the counter (b mod 2**32, b >> 32, c2, c3); the stream gives c2, c3 and the key.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from initcfg.engines.constants import PHILOX_KEY_STEPS, PHILOX_MULTIPLIERS, PHILOX_ROUNDS

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["LANES", "MAX_BLOCKS", "Lane", "philox"]

Lane: TypeAlias = NDArray[np.uint64]

LANES = 6
# Fewer blocks a call lose to the cost of calling numpy, more to the size of the caches.
MAX_BLOCKS = 32768

_M0, _M1 = PHILOX_MULTIPLIERS
_LOW = 0xFFFFFFFF
_COUNT = np.arange(MAX_BLOCKS, dtype=np.uint64)


def philox(
    first: int, words: tuple[int, int, int, int], lanes: Sequence[Lane]
) -> tuple[Lane, Lane, Lane, Lane]:
    """The four words of each block from `first` on: one array a word, one element a block.

    Args:
        first: the first block; the run must not cross a multiple of 2**32.
        words: `Stream.words`: the key, then counter words 2 and 3.
        lanes: ``LANES`` arrays, as long as there are blocks, at most ``MAX_BLOCKS``; overwritten.

    Returns:
        Four of the lanes. Words 0 and 2 are below 2**32. Words 1 and 3 are the low halves of theirs, and the
        high halves are rubbish: most uses shift them away, and masking costs a pass over memory.
    """
    key0, key1, c2, c3 = words
    keys = _round_keys(key0, key1)
    a, c, p0, p1, q0, q1 = lanes

    # All blocks of a run share counter words 1 to 3, so half of the first two rounds is one number each.
    np.add(_COUNT[: a.size], first & _LOW, out=a)
    np.multiply(a, _M0, out=p0)
    shared = c2 * _M1
    np.right_shift(p0, 32, out=c)
    np.bitwise_xor(c, c3 ^ keys[0][1], out=c)

    np.multiply(c, _M1, out=p1)
    np.right_shift(p1, 32, out=a)
    np.bitwise_xor(a, (shared & _LOW) ^ keys[1][0], out=a)
    shared = ((shared >> 32) ^ (first >> 32) ^ keys[0][0]) * _M0
    np.bitwise_xor(p0, (shared >> 32) ^ keys[1][1], out=c)
    np.bitwise_and(c, _LOW, out=c)
    p0.fill(shared & _LOW)

    for key_a, key_c in keys[2:]:
        np.multiply(a, _M0, out=q0)
        np.multiply(c, _M1, out=q1)
        _mix(q1, p1, key_a, a)
        _mix(q0, p0, key_c, c)
        p0, p1, q0, q1 = q0, q1, p0, p1
    return a, p1, c, p0


def _mix(product: Lane, low: Lane, key: int, out: Lane) -> None:
    """The high half of `product`, the low half of `low` and the key, in one word."""
    np.right_shift(product, 32, out=out)
    np.bitwise_xor(out, low, out=out)
    np.bitwise_xor(out, key, out=out)
    np.bitwise_and(out, _LOW, out=out)


def _round_keys(key0: int, key1: int) -> list[tuple[int, int]]:
    step0, step1 = PHILOX_KEY_STEPS
    return [((key0 + n * step0) & _LOW, (key1 + n * step1) & _LOW) for n in range(PHILOX_ROUNDS)]
