"""What an initializer asks of a shape: that it is one, and its fans under a layout that may be missing."""

from __future__ import annotations

import math
import operator
from typing import TYPE_CHECKING

from initcfg.dtypes import is_bool
from initcfg.errors import Code, Diagnostic, InitializerError
from initcfg.initializers.values import shown
from initcfg.layout import IN_OUT, Fans, Layout

if TYPE_CHECKING:
    from collections.abc import Iterable

# numpy's limits, for elements of eight bytes.
_MAX_DIMS = 64
_MAX_BYTES = 2**63


def as_shape(shape: Iterable[int]) -> tuple[int, ...]:
    """A shape as a tuple of Python integers.

    Raises:
        InitializerError: it is no sequence of at most 64 integers >= 0, or is too large for an array (code
            ``shape``).
    """
    try:
        dims = tuple(map(_dim, shape))
    except TypeError:
        raise _no_shape(f"{_told(shape)} is not a shape") from None
    if min(dims, default=0) < 0:
        raise _no_shape(f"{_told(dims)} is not a shape")
    # Sizes of 0 are left out, as in numpy, so that what is empty can still be transposed and cut.
    if len(dims) > _MAX_DIMS or math.prod(filter(None, dims)) * 8 >= _MAX_BYTES:
        raise _no_shape(f"{_told(dims)} is too large for an array")
    return dims


def _dim(dim: object) -> int:
    if is_bool(dim):
        raise TypeError("a bool is no size")
    return operator.index(dim)  # type: ignore[arg-type]


def _told(shape: object) -> str:
    if isinstance(shape, list | tuple) and len(shape) <= _MAX_DIMS:
        return f"({', '.join(map(shown, shape))}{',' if len(shape) == 1 else ''})"
    return f"a shape of {len(shape)} axes" if isinstance(shape, list | tuple) else shown(shape)


def _no_shape(message: str) -> InitializerError:
    hint = (
        f"give a tuple of at most {_MAX_DIMS} integers >= 0, such as (784, 256), whose product is below 2**60"
    )
    return InitializerError(Diagnostic(Code.SHAPE, message, hint=hint))


def needed_layout(shape: tuple[int, ...], layout: Layout | None) -> Layout:
    """The layout, which only shapes of fewer than two axes may do without.

    Raises:
        InitializerError: it is missing (code ``layout-missing``).
    """
    if layout is not None:
        return layout
    if len(shape) < 2:
        return IN_OUT
    raise InitializerError(
        Diagnostic(
            Code.LAYOUT_MISSING,
            f"shape {shape} has inputs and outputs, and no layout says which axes they are",
            hint="write layout: in_out (Keras, JAX: ..., in, out) or layout: out_in (PyTorch: out, in, ...)",
        )
    )


def resolved_fans(shape: tuple[int, ...], layout: Layout | None) -> Fans:
    """The fans of a shape under a layout that may be missing where it makes no difference."""
    return needed_layout(shape, layout).fans(shape)


def part_shapes(
    shape: tuple[int, ...], axis: int, sizes: tuple[int, ...] | list[int]
) -> tuple[tuple[int, ...], ...]:
    """The shapes of the parts of `shape` along `axis`.

    Raises:
        InitializerError: there is no such axis, or the sizes do not add up (code ``initializer-shape``).

    Example:
        >>> part_shapes((768, 2304), 1, (768, 768, 768))
        ((768, 768), (768, 768), (768, 768))
    """
    if not -len(shape) <= axis < len(shape):
        raise InitializerError(
            Diagnostic(
                Code.INITIALIZER_SHAPE,
                f"shape {shape} has no axis {axis} to lay parts along",
                hint=f"give an axis from {-len(shape)} to {len(shape) - 1}" if shape else "give it an axis",
            )
        )
    if sum(sizes) != shape[axis]:
        raise InitializerError(
            Diagnostic(
                Code.INITIALIZER_SHAPE,
                f"sizes {tuple(sizes)} do not add up to {shape[axis]}, the size of axis {axis} of {shape}",
                hint=f"their sum is {sum(sizes)}",
            )
        )
    at = axis % len(shape)
    return tuple((*shape[:at], size, *shape[at + 1 :]) for size in sizes)
