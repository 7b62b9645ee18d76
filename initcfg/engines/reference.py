"""The reference engine: plain numpy. Its bits are the contract that every other engine meets.

A fill goes through its blocks in runs, in scratch memory that each thread allocates once; numpy releases
the interpreter's lock meanwhile, so threads fill different parts of an array at the same time.
"""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from initcfg.engines import kernels32, kernels64
from initcfg.engines.elementary import FUNCTIONS
from initcfg.engines.philox import LANES, MAX_BLOCKS, Lane, philox
from initcfg.engines.recipe import Constant, prepare
from initcfg.engines.target import checked_start, row_of
from initcfg.engines.turning import fill_complex

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from initcfg.distributions import Distribution
    from initcfg.engines.recipe import Cut, Draw, Tails
    from initcfg.stream import Stream

Values: TypeAlias = NDArray[np.float32] | NDArray[np.float64]
Words: TypeAlias = tuple[int, int, int, int]

_WRAP = 2**32
# Up to so many elements, copying costs less than calling numpy once more.
_COPIED = 4096
# A block has four 32-bit words.
_PER_BLOCK = {"float32": 4, "float64": 2}


def fill(out: NDArray[Any], distribution: Distribution, stream: Stream, start: int = 0) -> None:
    """Elements `start`, `start` + 1, ... of a parameter, written into `out`.

    A pure function of (distribution, dtype, stream, start): any split of a parameter into calls gives the
    same bits.

    Args:
        out: one-dimensional, contiguous, writable, of a dtype in the table; may be empty.
        distribution: what to draw.
        stream: where in the random number space.
        start: the position of ``out[0]`` in the parameter, counted in C order; at least 0.

    Raises:
        InitializerError: the distribution cannot be drawn in this dtype.
        ValueError: `out` is not such an array, or the positions do not end below 2**63.

    Example:
        >>> from initcfg.distributions import Normal
        >>> from initcfg.stream import Stream
        >>> out = np.empty(3, np.float32)
        >>> fill(out, Normal(0.0, 1.0), Stream.of_parameter(0, "h.0"))
        >>> out.tolist()
        [0.08623053878545761, 0.5693719983100891, 0.8658266067504883]
    """
    if out.dtype.kind == "c":
        fill_complex(out, distribution, stream, start, fill, FUNCTIONS)
        return
    start = checked_start(out, start)
    dtype = row_of(out.dtype)
    recipe = prepare(distribution, dtype)
    if isinstance(recipe, Constant):
        out.fill(recipe.value)
        return
    fill_run = partial(_fill_run, recipe=recipe, drawn=np.dtype(dtype.drawn), stream=stream.words)
    # A value may underflow on its way to a narrow type; that is rounding, whatever the caller's settings.
    with np.errstate(under="ignore"):
        for first, skip, part in _runs(out, start, _PER_BLOCK[recipe.arithmetic]):
            fill_run(part, first, skip)


def _runs(out: NDArray[Any], start: int, per_block: int) -> Iterator[tuple[int, int, NDArray[Any]]]:
    """`out` in runs: (block, elements to drop, part).

    A short run may begin and end inside a block, and is copied. A long one takes whole blocks only, with
    single blocks at ragged ends.
    """
    done = 0
    while done < out.size:
        block, skip = divmod(start + done, per_block)
        # All blocks of a run share counter word 1.
        count = min(out.size - done, min(MAX_BLOCKS, _WRAP - block % _WRAP) * per_block - skip)
        if count > _COPIED:
            count = per_block - skip if skip else count - count % per_block
        yield block, skip, out[done : done + count]
        done += count


def _fill_run(
    out: NDArray[Any], block: int, skip: int, *, recipe: Draw, drawn: np.dtype[Any], stream: Words
) -> None:
    per_block = _PER_BLOCK[recipe.arithmetic]
    blocks = -(-(skip + out.size) // per_block)
    whole = out.size == blocks * per_block
    target = out if whole else np.empty(blocks * per_block, out.dtype)
    # Copied as integers, because ml_dtypes' own types are slow to scatter.
    bits = np.dtype(f"u{out.itemsize}")
    columns = target.view(bits).reshape(blocks, per_block)
    for parity, variates in enumerate(_variates(recipe, stream, block, blocks)):
        values = _values(variates, recipe).astype(drawn, copy=False).astype(out.dtype, copy=False)
        rows = values.view(bits).reshape(-1, blocks)
        for row, column in enumerate(range(parity, per_block, 2)):
            np.copyto(columns[:, column], rows[row])
    if not whole:
        np.copyto(out, target[skip : skip + out.size])


def _values(variates: Values, recipe: Draw) -> Values:
    """Location + scale * variates, inside the clamp.

    Rounding to a narrower type keeps the order of numbers, so what is clamped here stays inside.
    """
    np.multiply(variates, recipe.scale, out=variates)
    np.add(variates, recipe.location, out=variates)
    if recipe.clamp is not None:
        low, high = recipe.clamp
        np.maximum(variates, low, out=variates)
        np.minimum(variates, high, out=variates)
    return variates


def _variates(recipe: Draw, stream: Words, block: int, blocks: int) -> Iterator[Values]:
    """Standard variates of the even elements of the blocks, then of the odd ones.

    Each comes before the next is made, and may share its memory.
    """
    slabs = _slabs()[:, :blocks]
    lanes, (first, second) = slabs[:LANES], slabs[LANES:]
    r0, r1, r2, r3 = philox(block, stream, lanes)
    if recipe.arithmetic == "float32":
        singles = [lane.view(np.float32) for lane in lanes]
        return _variates32(recipe, _pack32(r0, r2, first), _pack32(r1, r3, second), singles)
    doubles = [lane.view(np.float64) for lane in lanes]
    return _variates64(recipe, _pack64(r0, r1, first), _pack64(r2, r3, second), doubles)


def _variates32(
    recipe: Draw, even: kernels32.Words, odd: kernels32.Words, scratch: list[kernels32.Singles]
) -> Iterator[Values]:
    match recipe.kernel:
        case "normal":
            yield from kernels32.normal(even, odd, scratch)
        case "uniform":
            yield from (kernels32.uniform(words, scratch) for words in (even, odd))
        case "two_sigma":
            yield from (kernels32.two_sigma(words, scratch) for words in (even, odd))
        case _:
            cut = cast("Cut", recipe.numbers)
            yield from (kernels32.cut(words, cut.scale, cut.tail, scratch) for words in (even, odd))


def _variates64(
    recipe: Draw, even: kernels64.Words, odd: kernels64.Words, scratch: list[kernels64.Doubles]
) -> Iterator[Values]:
    match recipe.kernel:
        case "normal":
            yield from kernels64.normal(even, odd, scratch)
        case "uniform":
            yield from (kernels64.uniform(words, scratch) for words in (even, odd))
        case _:
            tails = cast("Tails", recipe.numbers)
            yield from (kernels64.inverse(words, tails, scratch) for words in (even, odd))


def _pack32(first: Lane, second: Lane, out: Lane) -> kernels32.Words:
    """One word of every block, then another of every block, as 32-bit words."""
    words = out.view(np.uint32)
    np.copyto(words[: first.size], first, casting="unsafe")
    np.copyto(words[first.size :], second, casting="unsafe")
    return words


def _pack64(low: Lane, high: Lane, out: Lane) -> kernels64.Words:
    """Two words of every block as one 64-bit word; rubbish above `high` is shifted away."""
    np.left_shift(high, 32, out=out)
    return np.bitwise_or(out, low, out=out)


_threads = threading.local()


def _slabs() -> Lane:
    """This thread's scratch memory: four megabytes, allocated at its first fill."""
    if not hasattr(_threads, "slabs"):
        _threads.slabs = np.empty((LANES + 2, MAX_BLOCKS), np.uint64)
    return cast("Lane", _threads.slabs)
