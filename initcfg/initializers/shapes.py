"""What an initializer asks of a shape: that it is one, and its fans under a layout that may be missing."""

from __future__ import annotations

import math
import operator
from typing import TYPE_CHECKING

from initcfg.errors import Code, Diagnostic, InitializerError
from initcfg.layout import IN_OUT, Fans, Layout

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["as_shape", "needed_layout", "resolved_fans"]

_MAX_ELEMENTS = 2**63


def as_shape(shape: Iterable[int]) -> tuple[int, ...]:
    """A shape as a tuple of Python integers.

    Raises:
        InitializerError: it is no sequence of integers >= 0, or holds 2**63 elements or more (code
            ``shape``).
    """
    try:
        dims = tuple(operator.index(dim) for dim in shape)
    except TypeError:
        dims = None
    if dims is not None and all(dim >= 0 for dim in dims) and math.prod(dims) < _MAX_ELEMENTS:
        return dims
    raise InitializerError(
        Diagnostic(
            Code.SHAPE,
            f"{shape!r} is not a shape",
            hint="give a tuple of integers >= 0, such as (784, 256), whose product is below 2**63",
        )
    )


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
