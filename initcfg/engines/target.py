"""What every engine asks of the array that it fills and where it begins, and of what functions are given."""

from __future__ import annotations

import operator
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from initcfg.dtypes import as_dtype

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from numpy.typing import NDArray

    from initcfg.dtypes import DType

_MAX_ELEMENTS = 2**63


def checked_start(out: NDArray[Any], start: int) -> int:
    """`start` as a Python integer.

    Raises:
        ValueError: `out` is no array to be filled, or the positions do not end below 2**63.
    """
    flags = out.flags
    if out.ndim != 1 or not flags.c_contiguous or not flags.writeable or not out.dtype.isnative:
        raise ValueError(
            "out must be one-dimensional, contiguous, writable, and in this machine's byte order"
        )
    start = operator.index(start)
    if start < 0 or start + out.size > _MAX_ELEMENTS:
        raise ValueError(f"start must be at least 0, and the last element below 2**63, not {start!r}")
    return start


def checked_arguments(
    arguments: Sequence[NDArray[np.float64]], out: NDArray[np.float64] | None
) -> list[NDArray[np.float64]]:
    """The arrays that an elementary function is given, flat, and after them the one that takes its values.

    Raises:
        ValueError: they are not float64 or of several shapes, or `out` is not contiguous.
    """
    taken = [np.asarray(each, order="C") for each in arguments]
    taken.append(np.empty(arguments[0].shape) if out is None else out)
    if any(each.dtype != "=f8" or each.shape != taken[0].shape for each in taken):
        raise ValueError("an elementary function takes float64 arrays of one shape")
    if not taken[-1].flags.c_contiguous:
        raise ValueError("an elementary function writes into a contiguous array")
    return [each.reshape(-1) for each in taken]


@lru_cache(maxsize=64)
def row_of(dtype: np.dtype[Any]) -> DType:
    """The table's row of an array's dtype. Cached: numpy makes up the name of a dtype each time."""
    return as_dtype(dtype)
