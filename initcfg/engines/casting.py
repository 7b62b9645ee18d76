"""Arrays of numbers in a type, each of them rounded once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import NDArray

    from initcfg.dtypes import DType


def round_all(values: NDArray[np.float64], dtype: DType) -> NDArray[Any]:
    """Each number as `initcfg.engines.rounding.round_once` gives it; beyond the type, none that is finite.

    Narrow types are reached through float32, rounded to odd there: where digits are lost the last bit is
    set, so that the second rounding never sees a tie that is none (Boldo and Melquiond 2008,
    https://doi.org/10.1109/TC.2007.70819).

    Args:
        values: finite.
        dtype: a floating type.
    """
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        wide = values if dtype.name in ("float32", "float64") else _rounded_to_odd(values)
        rounded = wide.astype(dtype.numpy)
    # Rational numbers have one zero: what was not -0.0 and becomes zero is 0.0.
    zero = rounded == 0
    if zero.any():
        rounded[zero & (values != 0)] = 0
    return rounded


def _rounded_to_odd(values: NDArray[np.float64]) -> NDArray[np.float32]:
    nearest = values.astype(np.float32)
    bits = nearest.view(np.int32)
    back = nearest.astype(np.float64)
    outwards = np.where(np.absolute(back) < np.absolute(values), 1, -1)
    bits += np.where((back != values) & (bits & 1 == 0), outwards, 0).astype(np.int32)
    return nearest
