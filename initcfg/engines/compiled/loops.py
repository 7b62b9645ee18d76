"""The compiled loops, one a kernel, over the blocks of an array. Each is compiled when it is first needed.

All take the same arguments, so that one call serves them all:

    out       flat; narrow types as unsigned integers
    start     the position of ``out[0]`` in the parameter
    stream    `Stream.words`
    affine    location, scale, and the clamp
    numbers   what ``cut`` and ``inverse`` need besides
    grid      `targets.grid_of`

A block that is wanted in part is made whole at the side. Counter word 1 is the same for a whole run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from initcfg.engines.compiled import doubles, singles
from initcfg.engines.compiled.bits import inner, wide_vectors
from initcfg.engines.compiled.targets import value
from initcfg.engines.compiled.words import philox, philox64

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["LOOPS"]

_u64 = np.uint64
_WRAP = 2**32


@inner
def _run(out: Any, edge: Any, start: Any, done: Any) -> Any:
    """The next blocks: where they go, the first of them, elements to drop, elements to keep of an edge."""
    per_block = edge.size
    block, skip = divmod(start + done, per_block)
    left = out.size - done
    if skip > 0 or left < per_block:
        return edge, block, skip, min(left, per_block - skip)
    blocks = min(left // per_block, _WRAP - block % _WRAP)
    return out[done : done + blocks * per_block], block, skip, 0


@inner
def _finished(out: Any, part: Any, done: Any, skip: Any, keep: Any) -> Any:
    """How many elements a run has made; those of an edge are put in their place."""
    for index in range(keep):
        out[done + index] = part[skip + index]
    return keep if keep > 0 else part.size


def normal32(out: Any, start: Any, stream: Any, affine: Any, numbers: Any, grid: Any) -> None:
    wide_vectors()
    edge = np.empty(4, out.dtype)
    done = 0
    while done < out.size:
        part, block, skip, keep = _run(out, edge, start, done)
        for index in range(part.size // 4):
            r0, r1, r2, r3 = philox(block + index, block >> 32, stream)
            z0, z1 = singles.normal(r0, r1)
            z2, z3 = singles.normal(r2, r3)
            at = _u64(index) * _u64(4)
            part[at] = value(out, z0, affine, grid)
            part[at + _u64(1)] = value(out, z1, affine, grid)
            part[at + _u64(2)] = value(out, z2, affine, grid)
            part[at + _u64(3)] = value(out, z3, affine, grid)
        done += _finished(out, part, done, skip, keep)


def uniform32(out: Any, start: Any, stream: Any, affine: Any, numbers: Any, grid: Any) -> None:
    wide_vectors()
    edge = np.empty(4, out.dtype)
    done = 0
    while done < out.size:
        part, block, skip, keep = _run(out, edge, start, done)
        for index in range(part.size // 4):
            r0, r1, r2, r3 = philox(block + index, block >> 32, stream)
            at = _u64(index) * _u64(4)
            part[at] = value(out, singles.uniform(r0), affine, grid)
            part[at + _u64(1)] = value(out, singles.uniform(r1), affine, grid)
            part[at + _u64(2)] = value(out, singles.uniform(r2), affine, grid)
            part[at + _u64(3)] = value(out, singles.uniform(r3), affine, grid)
        done += _finished(out, part, done, skip, keep)


def two_sigma32(out: Any, start: Any, stream: Any, affine: Any, numbers: Any, grid: Any) -> None:
    wide_vectors()
    edge = np.empty(4, out.dtype)
    done = 0
    while done < out.size:
        part, block, skip, keep = _run(out, edge, start, done)
        for index in range(part.size // 4):
            r0, r1, r2, r3 = philox(block + index, block >> 32, stream)
            at = _u64(index) * _u64(4)
            part[at] = value(out, singles.two_sigma(r0), affine, grid)
            part[at + _u64(1)] = value(out, singles.two_sigma(r1), affine, grid)
            part[at + _u64(2)] = value(out, singles.two_sigma(r2), affine, grid)
            part[at + _u64(3)] = value(out, singles.two_sigma(r3), affine, grid)
        done += _finished(out, part, done, skip, keep)


def cut32(out: Any, start: Any, stream: Any, affine: Any, numbers: Any, grid: Any) -> None:
    wide_vectors()
    edge = np.empty(4, out.dtype)
    scale, tail, _, _ = numbers
    done = 0
    while done < out.size:
        part, block, skip, keep = _run(out, edge, start, done)
        for index in range(part.size // 4):
            r0, r1, r2, r3 = philox(block + index, block >> 32, stream)
            at = _u64(index) * _u64(4)
            part[at] = value(out, singles.cut(r0, scale, tail), affine, grid)
            part[at + _u64(1)] = value(out, singles.cut(r1, scale, tail), affine, grid)
            part[at + _u64(2)] = value(out, singles.cut(r2, scale, tail), affine, grid)
            part[at + _u64(3)] = value(out, singles.cut(r3, scale, tail), affine, grid)
        done += _finished(out, part, done, skip, keep)


def normal64(out: Any, start: Any, stream: Any, affine: Any, numbers: Any, grid: Any) -> None:
    wide_vectors()
    edge = np.empty(2, out.dtype)
    done = 0
    while done < out.size:
        part, block, skip, keep = _run(out, edge, start, done)
        for index in range(part.size // 2):
            a, b = philox64(block + index, block >> 32, stream)
            z0, z1 = doubles.normal(a, b)
            at = _u64(index) * _u64(2)
            part[at] = value(out, z0, affine, grid)
            part[at + _u64(1)] = value(out, z1, affine, grid)
        done += _finished(out, part, done, skip, keep)


def uniform64(out: Any, start: Any, stream: Any, affine: Any, numbers: Any, grid: Any) -> None:
    wide_vectors()
    edge = np.empty(2, out.dtype)
    done = 0
    while done < out.size:
        part, block, skip, keep = _run(out, edge, start, done)
        for index in range(part.size // 2):
            a, b = philox64(block + index, block >> 32, stream)
            at = _u64(index) * _u64(2)
            part[at] = value(out, doubles.uniform(a), affine, grid)
            part[at + _u64(1)] = value(out, doubles.uniform(b), affine, grid)
        done += _finished(out, part, done, skip, keep)


def inverse64(out: Any, start: Any, stream: Any, affine: Any, numbers: Any, grid: Any) -> None:
    wide_vectors()
    edge = np.empty(2, out.dtype)
    centre, half, below, above = numbers
    done = 0
    while done < out.size:
        part, block, skip, keep = _run(out, edge, start, done)
        for index in range(part.size // 2):
            a, b = philox64(block + index, block >> 32, stream)
            at = _u64(index) * _u64(2)
            part[at] = value(out, doubles.inverse(a, centre, half, below, above), affine, grid)
            part[at + _u64(1)] = value(out, doubles.inverse(b, centre, half, below, above), affine, grid)
        done += _finished(out, part, done, skip, keep)


LOOPS: dict[tuple[str, str], Callable[..., None]] = {
    ("normal", "float32"): normal32,
    ("uniform", "float32"): uniform32,
    ("two_sigma", "float32"): two_sigma32,
    ("cut", "float32"): cut32,
    ("normal", "float64"): normal64,
    ("uniform", "float64"): uniform64,
    ("inverse", "float64"): inverse64,
}
"""By kernel and arithmetic, as a recipe names them."""
