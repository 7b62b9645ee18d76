"""What every engine asks of the array that it fills, and of the place where it begins."""

from __future__ import annotations

import operator
from functools import lru_cache
from typing import TYPE_CHECKING

from initcfg.dtypes import as_dtype

if TYPE_CHECKING:
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


@lru_cache(maxsize=64)
def row_of(dtype: np.dtype[Any]) -> DType:
    """The table's row of an array's dtype. Cached: numpy makes up the name of a dtype each time."""
    return as_dtype(dtype)
