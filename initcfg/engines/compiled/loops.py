"""The compiled loop over an array, a group of blocks at a time; `loop` makes one for each kernel.

All take the same arguments, so that one call serves them all:

    out       flat; narrow types as unsigned integers
    start     the position of ``out[0]`` in the parameter
    stream    `Stream.words`
    affine    location, scale, and the clamp
    numbers   what ``cut`` and ``inverse`` need besides

A group that is wanted in part is made whole at the side. Counter word 1 is the same for a whole run.
"""

from __future__ import annotations

from types import FunctionType
from typing import TYPE_CHECKING, Any

import numba
import numpy as np

from initcfg.engines.compiled.groups import group_maker
from initcfg.engines.compiled.kernels import KERNELS

if TYPE_CHECKING:
    from collections.abc import Callable

    from initcfg.dtypes import DType
    from initcfg.engines.compiled.groups import Group

__all__ = ["OPTIONS", "loop"]

OPTIONS: dict[str, Any] = {"nogil": True, "boundscheck": False, "error_model": "numpy", "fastmath": False}

_WRAP = 2**32

# `loop` puts those of a kernel in the place of these.
_ELEMENTS = _GROUPS = 1
_make_group: Any = None


def loop(kernel: str, arithmetic: str, dtype: DType, group: Group, mark: str = "") -> FunctionType:
    """The loop of a kernel, for numba to compile.

    Args:
        kernel: of a recipe.
        arithmetic: of a recipe.
        dtype: of the array.
        group: how many blocks are made at once; no bit depends on it.
        mark: becomes a part of the loop's name, and tells what else its code depends on.
    """
    found = KERNELS[kernel, arithmetic]
    names = {
        "_ELEMENTS": group.lanes * found.per_block,
        "_GROUPS": _WRAP // group.lanes,
        "_make_group": group_maker(found, dtype, group),
    }
    # numba keeps code on disk by a function's file and name, which all closures of one function share. So
    # whatever is put in a place here, or compiled in from elsewhere, must be in the name or in the mark.
    made = FunctionType(_fill.__code__, globals() | names, _fill.__name__)
    made.__qualname__ = f"{kernel}_{arithmetic}_{dtype}_{group.lanes}_{group.register}{mark}"
    return made


def _fill(out: Any, start: Any, stream: Any, affine: Any, numbers: Any) -> None:
    edge = np.empty(_ELEMENTS, out.dtype)
    done = 0
    while done < out.size:
        part, first, skip, keep = _run(out, edge, start, done, _GROUPS)
        for index in range(part.size // _ELEMENTS):
            _make_group(part, index * _ELEMENTS, first + index, stream, affine, numbers)
        done += _finished(out, part, done, skip, keep)


def _inner(function: Callable[..., Any]) -> Any:
    return numba.njit(forceinline=True, **OPTIONS)(function)


@_inner
def _run(out: Any, edge: Any, start: Any, done: Any, groups: Any) -> Any:
    """The next groups: where they go, the first of them, elements to drop, elements to keep of an edge."""
    first, skip = divmod(start + done, edge.size)
    left = out.size - done
    if skip > 0 or left < edge.size:
        return edge, first, skip, min(left, edge.size - skip)
    count = min(left // edge.size, groups - first % groups)
    return out[done : done + count * edge.size], first, skip, 0


@_inner
def _finished(out: Any, part: Any, done: Any, skip: Any, keep: Any) -> Any:
    """How many elements a run has made; those of an edge are put in their place."""
    for index in range(keep):
        out[done + index] = part[skip + index]
    return keep if keep > 0 else part.size
