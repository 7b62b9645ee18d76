"""Polynomials on whole arrays, in one fixed order of operations."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


def polynomial(coefficients: Sequence[float], x: NDArray[np.floating], out: NDArray[np.floating]) -> None:
    """Horner's rule from the highest degree, each operation rounded to the type of the arrays.

    Args:
        coefficients: ascending, at least two, each a number of that type.
        x: the argument.
        out: receives the values; another array than `x`.
    """
    np.multiply(x, coefficients[-1], out=out)
    for coefficient in coefficients[-2:0:-1]:
        np.add(out, coefficient, out=out)
        np.multiply(out, x, out=out)
    np.add(out, coefficients[0], out=out)
