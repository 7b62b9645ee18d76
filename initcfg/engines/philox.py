"""Philox4x32-10 in numpy: the words of many blocks at a time.

Block b of a stream has the counter (b mod 2**32, b >> 32, c2, c3); the stream gives c2, c3 and the key.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from initcfg.engines.constants import PHILOX_KEY_STEPS, PHILOX_MULTIPLIERS, PHILOX_ROUNDS

Lane: TypeAlias = NDArray[np.uint64]

LANES = 6
# Fewer blocks a call lose to the cost of calling numpy and of handing over the interpreter's lock; more gain
# nothing and take memory.
MAX_BLOCKS = 65536

_M0, _M1 = PHILOX_MULTIPLIERS
_MULTIPLIERS = np.array([[_M0], [_M1]], np.uint64)
_LOW = 0xFFFFFFFF
_COUNT = np.arange(MAX_BLOCKS, dtype=np.uint64)


def philox(first: int, words: tuple[int, int, int, int], state: Lane) -> tuple[Lane, Lane, Lane, Lane]:
    """The four words of each block from `first` on: one array a word, one element a block.

    Args:
        first: the first block; the run must not cross a multiple of 2**32.
        words: `Stream.words`: the key, then counter words 2 and 3.
        state: of shape (``LANES``, blocks), with at most ``MAX_BLOCKS``; overwritten.

    Returns:
        Four rows of `state`. Words 0 and 2 are below 2**32. Words 1 and 3 are the low halves of theirs, and
        the high halves are rubbish: most uses shift them away, and masking costs a pass over memory.
    """
    key0, key1, c2, c3 = words
    keys = _round_keys(key0, key1)
    # Rows of `x` are the words that are multiplied, 0 and 2; low halves of the products in `p` are 3 and 1.
    x, p, q = state[0:2], state[2:4], state[4:6]
    word0, word2 = x

    # All blocks of a run share counter words 1 to 3, so half of the first two rounds is one number each.
    np.add(_COUNT[: word0.size], first & _LOW, out=word0)
    np.multiply(word0, _M0, out=p[0])
    shared = c2 * _M1
    np.right_shift(p[0], 32, out=word2)
    np.bitwise_xor(word2, c3 ^ keys[0][1], out=word2)

    np.multiply(word2, _M1, out=p[1])
    np.right_shift(p[1], 32, out=word0)
    np.bitwise_xor(word0, (shared & _LOW) ^ keys[1][0], out=word0)
    shared = ((shared >> 32) ^ (first >> 32) ^ keys[0][0]) * _M0
    np.bitwise_xor(p[0], (shared >> 32) ^ keys[1][1], out=word2)
    np.bitwise_and(word2, _LOW, out=word2)
    p[0].fill(shared & _LOW)

    for key in np.array(keys[2:], np.uint64)[:, :, np.newaxis]:
        np.multiply(x, _MULTIPLIERS, out=q)
        np.right_shift(q[::-1], 32, out=x)
        np.bitwise_xor(x, p[::-1], out=x)
        np.bitwise_xor(x, key, out=x)
        np.bitwise_and(x, _LOW, out=x)
        p, q = q, p
    return word0, p[1], word2, p[0]


def _round_keys(key0: int, key1: int) -> list[tuple[int, int]]:
    step0, step1 = PHILOX_KEY_STEPS
    return [((key0 + n * step0) & _LOW, (key1 + n * step1) & _LOW) for n in range(PHILOX_ROUNDS)]
