"""Whether two arrays are the same, and the first element that is not."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from initcfg.initializers import Concatenate, Orthogonal

if TYPE_CHECKING:
    from initcfg.formats import Array
    from initcfg.initializers import Initializer

#: Of what is made with BLAS, whose bits differ between machines and numbers of threads, a part of the gain.
TOLERANCE = 1e-5


@dataclass(frozen=True, slots=True)
class Mismatch:
    """What differs between the elements of a file and those of a plan.

    Args:
        at: the position of the first element that differs, in C order.
        found: what the file holds there, in full precision.
        expected: what the plan makes there.
        count: how many elements differ.
    """

    at: int
    found: str
    expected: str
    count: int


def mismatch(found: Array, expected: Array, tolerance: Array | float = 0.0) -> Mismatch | None:
    """What differs between two flat arrays of one dtype, or None: bit for bit where the tolerance is 0.

    Elsewhere values may differ by the tolerance and one step of the dtype.

    Example:
        >>> import numpy as np
        >>> mismatch(np.array([0.0, 1.0, 2.0]), np.array([0.0, 1.5, 3.0]))
        Mismatch(at=1, found='1.0', expected='1.5', count=2)
    """
    bits = f"u{found.itemsize}"
    differing = found.view(bits) != expected.view(bits)
    if not differing.any():
        return None
    if np.any(tolerance):
        differing &= ~_near(found, expected, tolerance)
    first = int(np.argmax(differing))
    if not differing[first]:
        return None
    count = int(np.count_nonzero(differing))
    return Mismatch(first, *_shown(found[first : first + 1], expected[first : first + 1]), count)


def tolerance_of(initializer: Initializer, shape: tuple[int, ...]) -> Array | float:
    """How far each element may be from what is made here; 0 where the same bits are promised.

    Args:
        initializer: of a structured parameter.
        shape: its shape.

    Returns:
        One number for all elements, or an array of `shape`.
    """
    if isinstance(initializer, Orthogonal):
        return TOLERANCE * abs(initializer.gain)
    if not isinstance(initializer, Concatenate):
        return 0.0
    shapes = [its_shape for _, its_shape in initializer.parts(shape)]
    parts = [tolerance_of(part, its_shape) for part, its_shape in initializer.parts(shape)]
    if not any(np.any(part) for part in parts):
        return 0.0
    wide = [np.broadcast_to(part, its_shape) for part, its_shape in zip(parts, shapes, strict=True)]
    return np.concatenate(wide, axis=initializer.axis)


def _near(found: Array, expected: Array, tolerance: Array | float) -> Any:
    """Where two values are within the tolerance, or neighbours in a narrow dtype, and it is not 0."""
    wide, other = found.astype(np.float64), expected.astype(np.float64)
    # Of nan and inf nothing is near, and nothing is to be warned about.
    with np.errstate(invalid="ignore"):
        step = np.spacing(np.maximum(np.abs(found), np.abs(expected))).astype(np.float64)
        return (np.abs(wide - other) <= tolerance + step) & (np.asarray(tolerance) > 0)


def _shown(found: Array, expected: Array) -> tuple[str, str]:
    """Two elements in digits that tell them apart, else in their bits."""
    texts = tuple(_text(array) for array in (found, expected))
    if texts[0] != texts[1]:
        return texts[0], texts[1]
    return _hexadecimal(found), _hexadecimal(expected)


def _text(array: Array) -> str:
    # The shortest digits that give the value back, of its own type where numpy has it.
    value = array[0]
    if array.dtype.kind in "fiub":
        return str(value)
    return repr(float(value)) if math.isfinite(float(value)) else str(float(value))


def _hexadecimal(array: Array) -> str:
    return f"{_text(array)} (bits 0x{int(array.view(f'u{array.itemsize}')[0]):0{2 * array.itemsize}x})"
