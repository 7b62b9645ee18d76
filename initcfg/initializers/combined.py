"""Initializers made of others: the parts of a fused parameter."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any

from initcfg.errors import Code, Diagnostic, InitializerError
from initcfg.initializers.arguments import Items, Sizes, Whole
from initcfg.initializers.base import Cuttable, check, draw, initializer, is_cut, stream_of
from initcfg.initializers.configs import Part

if TYPE_CHECKING:
    import numpy as np

    from initcfg.dtypes import DType
    from initcfg.engines import FillFunction
    from initcfg.layout import Layout
    from initcfg.stream import Stream

__all__ = ["Concatenate", "part_shapes"]


@initializer
class Concatenate(Cuttable):
    """Parts beside each other along one axis, each from an initializer of its own.

    Formula:
        w = concatenate(w_0, w_1, ...), w_i of size sizes[i] along axis

    Fused parameters, such as the query, key and value matrices of attention in one, begin in this way as if
    they were apart: fans are those of the part, and part i draws from the parameter's child stream of label
    i. A seed that a part's own initializer has goes before that.

    Args:
        axis: the axis along which the parts lie; a negative one counts from the end.
        sizes: the size of each part along the axis; they add up to the parameter's.
        initializers: one a part, written in any way that an initializer can be.

    Example:
        >>> Concatenate(axis=0, sizes=[1, 2], initializers=["ones", {"constant": {"value": 0.5}}])((3, 2))
        array([[1. , 1. ],
               [0.5, 0.5],
               [0.5, 0.5]], dtype=float32)
    """

    MODULE = "initcfg.initializers"

    axis: Whole
    sizes: Sizes
    initializers: Annotated[tuple[Part, ...], Items()]

    def _conflict(self) -> Diagnostic | None:
        if len(self.sizes) == len(self.initializers) > 0:
            return None
        return Diagnostic(
            Code.INITIALIZER_CONFIG,
            f"{len(self.sizes)} sizes need as many initializers, got {len(self.initializers)}",
            hint="give 'sizes' and 'initializers' of equal length, one entry a part",
        )

    def check(self, shape: tuple[int, ...], dtype: DType, layout: Layout | None) -> None:
        """Refuse shapes that the sizes do not add up to, and what the parts refuse."""
        for part, part_shape in zip(
            self.initializers, part_shapes(shape, self.axis, self.sizes), strict=True
        ):
            check(part, part_shape, dtype, layout)

    @property
    def is_cut(self) -> bool:
        """Whether every part is."""
        return all(map(is_cut, self.initializers))

    def draw(  # noqa: PLR0917
        self,
        out: np.ndarray[Any, Any],
        start: int,
        shape: tuple[int, ...],
        dtype: DType,
        layout: Layout | None,
        stream: Stream,
        fill: FillFunction,
    ) -> None:
        """The stretches of the parts that lie in this one; parts outside it are not made."""
        from initcfg.initializers.arrays import interleave  # noqa: PLC0415  numpy is not for planning

        shapes = part_shapes(shape, self.axis, self.sizes)
        first = self.axis % len(shape)

        def draw_part(index: int, stretch: np.ndarray[Any, Any], begin: int) -> None:
            part, its_shape = self.initializers[index], shapes[index]
            its_stream = stream_of(part, its_shape, stream.child(str(index)))
            draw(part, stretch, begin, its_shape, dtype, layout, its_stream, fill)

        interleave(out, start, [math.prod(its_shape[first:]) for its_shape in shapes], draw_part)


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
