"""The compiled engine: the reference's bits, by numba, at about the speed of memory.

numba compiles a loop over groups of blocks, whose kernels are formulas over vectors. Narrow types are rounded
in the loop, by integer operations, and stored at once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from initcfg.distributions import Fill
from initcfg.engines.compiled.build import CompilationError, entry, is_compiled, stored_as
from initcfg.engines.recipe import Constant, prepare
from initcfg.engines.target import checked_start, row_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from initcfg.distributions import Distribution
    from initcfg.engines.recipe import Draw
    from initcfg.stream import Stream

__all__ = ["CompilationError", "fill", "is_at_hand"]


@dataclass(frozen=True, slots=True)
class _Call:
    """What is the same for every fill from one distribution in one dtype."""

    entry: Callable[..., None]
    stored: np.dtype[Any]
    numbers: tuple[Any, ...]


def fill(out: NDArray[Any], distribution: Distribution, stream: Stream, start: int = 0) -> None:
    """Elements `start`, `start` + 1, ... of a parameter, written into `out`, as `reference.fill` does it.

    The first fill with a kernel compiles it, for a second or two, or loads what an earlier process compiled.

    Raises:
        InitializerError: the distribution cannot be drawn in this dtype.
        CompilationError: numba failed.
        ValueError: `out` is not such an array, or the positions do not end below 2**63.
    """
    start = checked_start(out, start)
    # Not cached, because 0.0 and -0.0 are equal.
    call = (_prepared if isinstance(distribution, Fill) else _cached)(distribution, out.dtype)
    if isinstance(call, Constant):
        out.fill(call.value)
    elif not out.size:
        return  # an empty fill may start at 2**63, which is no machine integer
    elif out.flags.aligned:
        call.entry(out.view(call.stored), start, stream.words, *call.numbers)
    else:
        # Machine code may take alignment for granted. Not even a mapped file is misaligned as a rule.
        aligned = np.empty(out.size, out.dtype)
        call.entry(aligned.view(call.stored), start, stream.words, *call.numbers)
        np.copyto(out, aligned)


def is_at_hand(distribution: Distribution, dtype: np.dtype[Any]) -> bool:
    """Whether a fill from `distribution` in `dtype` would compile and load nothing.

    Raises:
        InitializerError: the distribution cannot be drawn in this dtype.
        ValueError: the dtype is not in the table.
    """
    row = row_of(dtype)
    recipe = prepare(distribution, row)
    return isinstance(recipe, Constant) or is_compiled(recipe.kernel, recipe.arithmetic, row)


def _prepared(distribution: Distribution, dtype: np.dtype[Any]) -> _Call | Constant:
    row = row_of(dtype)
    recipe = prepare(distribution, row)
    if isinstance(recipe, Constant):
        return recipe
    function = entry(recipe.kernel, recipe.arithmetic, row)
    return _Call(function, np.dtype(stored_as(row)), (_affine(recipe), _numbers(recipe)))


_cached = lru_cache(maxsize=4096)(_prepared)


def _affine(recipe: Draw) -> tuple[float, float, float, float]:
    return recipe.location, recipe.scale, *(recipe.clamp or (-math.inf, math.inf))


def _numbers(recipe: Draw) -> tuple[float, ...]:
    return (*(recipe.numbers or ()), 0.0, 0.0, 0.0, 0.0)[:4]
