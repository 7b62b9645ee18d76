"""What every engine asks of the array that it fills and where it begins, and of what functions are given."""

from __future__ import annotations

import operator
from functools import lru_cache
from typing import TYPE_CHECKING

from initcfg.dtypes import as_dtype

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    import numpy as np
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


def checked_arguments(arguments: Sequence[NDArray[np.float64]]) -> list[NDArray[np.float64]]:
    """The arrays that an elementary function is given, flat and contiguous.

    Raises:
        ValueError: they are not float64, or of several shapes.
    """
    if any(each.dtype != "=f8" or each.shape != arguments[0].shape for each in arguments):
        raise ValueError("an elementary function takes float64 arrays of one shape")
    return [each.ravel() for each in arguments]


@lru_cache(maxsize=64)
def row_of(dtype: np.dtype[Any]) -> DType:
    """The table's row of an array's dtype. Cached: numpy makes up the name of a dtype each time."""
    return as_dtype(dtype)
