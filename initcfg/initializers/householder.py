"""Haar-distributed orthonormal columns, as a blocked product of random Householder reflectors.

The QR decomposition of a Gaussian matrix, signs mended, is Haar distributed (Mezzadri 2007). Its reflectors
are independent, each of them that of a Gaussian vector one shorter than the last (Stewart 1980), so they
can be drawn directly: half the random numbers, and no decomposition. They are applied in blocks, as
products of matrices, in the compact WY form (Schreiber and Van Loan 1989) with the triangular factor of
Joffrain et al. (2006).

References:
    Stewart, "The efficient generation of random orthogonal matrices with an application to condition
    estimators", SIAM J. Numer. Anal. 17 (1980), https://doi.org/10.1137/0717034
    Mezzadri, "How to generate random matrices from the classical compact groups", Notices AMS 54 (2007),
    https://arxiv.org/abs/math-ph/0609050
    Joffrain, Low, Quintana-Orti, van de Geijn, Van Zee, "Accumulating Householder transformations,
    revisited", ACM TOMS 32 (2006), https://doi.org/10.1145/1141885.1141886
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from initcfg.distributions import Normal

if TYPE_CHECKING:
    from initcfg.engines import FillFunction
    from initcfg.stream import Stream

__all__ = ["BLOCK", "random_frame"]

BLOCK = 128
_STANDARD_NORMAL = Normal(0.0, 1.0)


def random_frame(
    rows: int, columns: int, dtype: np.dtype[Any], stream: Stream, fill: FillFunction
) -> np.ndarray[Any, Any]:
    """A (rows, columns) matrix Q with Q'Q = I, from the Haar distribution.

    Reflector j, counted from 0, is that of the rows - j standard normals which follow, in the stream, those
    of reflector j - 1.

    Args:
        rows: at least `columns`.
        columns: the number of orthonormal columns.
        dtype: float32 or float64, the type of the arithmetic.
        stream: where the normals come from.
        fill: an engine.
    """
    frame = np.zeros((rows, columns), dtype)
    signs = np.empty(columns, dtype)
    blocks = [(first, min(first + BLOCK, columns)) for first in range(0, columns, BLOCK)]
    for first, last in reversed(blocks):
        start = first * rows - first * (first - 1) // 2
        normals = np.empty(sum(range(rows - last + 1, rows - first + 1)), dtype)
        fill(normals, _STANDARD_NORMAL, stream, start)
        reflectors, signs[first:last] = _reflectors(_trapezoid(normals, last - first, rows - first))
        np.fill_diagonal(frame[first:last, first:last], 1)
        _apply(reflectors, frame[first:, first:])
    frame *= signs
    return frame


def _trapezoid(packed: np.ndarray[Any, Any], rows: int, width: int) -> np.ndarray[Any, Any]:
    """Vectors of lengths width, width - 1, ... as rows that end at the right edge; zeros to their left."""
    trapezoid = np.zeros((rows, width), packed.dtype)
    at = 0
    for row in range(rows):
        trapezoid[row, row:] = packed[at : at + width - row]
        at += width - row
    return trapezoid


def _reflectors(normals: np.ndarray[Any, Any]) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Vectors v of squared length 2, so that I - vv' sends x to a multiple of e1; and the signs for Q."""
    diagonal = np.arange(len(normals))
    heads = normals[diagonal, diagonal]
    # sign(0) is +1: a zero would wipe out the column.
    signs = np.where(heads < 0, -1, 1).astype(normals.dtype)
    normals[diagonal, diagonal] += signs * _lengths(normals)
    lengths = _lengths(normals)
    # A vector of zeros has no direction; any reflector does, and e1 is one.
    normals[diagonal[lengths == 0], diagonal[lengths == 0]] = lengths[lengths == 0] = 1
    normals *= (np.sqrt(2, dtype=normals.dtype) / lengths)[:, np.newaxis]
    return normals, -signs


def _lengths(vectors: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    lengths: np.ndarray[Any, Any] = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))
    return lengths


def _apply(reflectors: np.ndarray[Any, Any], matrix: np.ndarray[Any, Any]) -> None:
    """Multiply `matrix` in place by H_1 H_2 ... H_b = I - V'TV, where the rows of V are the reflectors."""
    products = reflectors @ reflectors.T
    # The inverse of T: the products above the diagonal, and half of them on it.
    inverse = np.triu(products, 1)
    np.fill_diagonal(inverse, products.diagonal() / 2)
    matrix -= reflectors.T @ (np.linalg.inv(inverse) @ (reflectors @ matrix))
