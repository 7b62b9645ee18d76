"""Philox4x32-10, one block at a time: LLVM makes eight or sixteen of them at once."""

from __future__ import annotations

from typing import Any

import numpy as np

from initcfg.engines.compiled.bits import inner
from initcfg.engines.constants import PHILOX_KEY_STEPS, PHILOX_MULTIPLIERS, PHILOX_ROUNDS

__all__ = ["philox", "philox64"]

_M0, _M1 = map(np.uint64, PHILOX_MULTIPLIERS)
_STEP0, _STEP1 = map(np.uint32, PHILOX_KEY_STEPS)
_HALF = np.uint64(32)


@inner
def philox(count: Any, high: Any, stream: Any) -> Any:
    """The four words of the block with counter words 0 and 1 `count` and `high`."""
    k0, k1 = np.uint32(stream[0]), np.uint32(stream[1])
    r0, r1, r2, r3 = np.uint32(count), np.uint32(high), np.uint32(stream[2]), np.uint32(stream[3])
    for _ in range(PHILOX_ROUNDS):
        p, q = _M0 * np.uint64(r0), _M1 * np.uint64(r2)
        r0 = np.uint32(np.uint32(q >> _HALF) ^ r1 ^ k0)
        r2 = np.uint32(np.uint32(p >> _HALF) ^ r3 ^ k1)
        r1, r3 = np.uint32(q), np.uint32(p)
        k0, k1 = np.uint32(k0 + _STEP0), np.uint32(k1 + _STEP1)
    return r0, r1, r2, r3


@inner
def philox64(count: Any, high: Any, stream: Any) -> Any:
    """The same as two 64-bit words."""
    r0, r1, r2, r3 = philox(count, high, stream)
    return np.uint64(r0) | np.uint64(r1) << _HALF, np.uint64(r2) | np.uint64(r3) << _HALF
