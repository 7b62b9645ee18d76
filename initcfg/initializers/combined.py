"""Initializers made of others: the parts of a fused parameter."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any

from initcfg.errors import Code, Diagnostic, InitializerError
from initcfg.initializers.annotations import Items, Sizes, Whole
from initcfg.initializers.base import Combined, draw, initializer, stream_of
from initcfg.initializers.configs import Part

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np

    from initcfg.initializers.configs import Identifier
    from initcfg.initializers.custom import Request

__all__ = ["Concatenate"]


@initializer
class Concatenate(Combined):
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

    if TYPE_CHECKING:  # what the arguments may be, which is more than the attributes then are

        def __init__(self, axis: int, sizes: Sequence[int], initializers: Sequence[Identifier]) -> None: ...

    def _conflict(self) -> Diagnostic | None:
        if len(self.sizes) == len(self.initializers) > 0:
            return None
        return Diagnostic(
            Code.INITIALIZER_CONFIG,
            f"{len(self.sizes)} sizes need as many initializers, got {len(self.initializers)}",
            hint="give 'sizes' and 'initializers' of equal length, one entry a part",
        )

    @staticmethod
    def shapes(shape: tuple[int, ...], arguments: Mapping[str, Any]) -> tuple[tuple[int, ...], ...]:
        """The shapes of the parts, which are `shape` but for the axis.

        Example:
            >>> Concatenate.shapes((768, 2304), {"axis": 1, "sizes": (768, 768, 768)})
            ((768, 768), (768, 768), (768, 768))
        """
        axis, sizes = arguments["axis"], arguments["sizes"]
        if not -len(shape) <= axis < len(shape):
            raise _misfit(
                f"shape {shape} has no axis {axis} to lay parts along",
                f"give an axis from {-len(shape)} to {len(shape) - 1}" if shape else "give it an axis",
            )
        if sum(sizes) != shape[axis]:
            raise _misfit(
                f"sizes {tuple(sizes)} do not add up to {shape[axis]}, the size of axis {axis} of {shape}",
                f"their sum is {sum(sizes)}",
            )
        at = axis % len(shape)
        return tuple((*shape[:at], size, *shape[at + 1 :]) for size in sizes)

    def draw(self, out: np.ndarray[Any, Any], start: int, request: Request) -> None:
        """The stretches of the parts that lie in this one; parts outside it are not made."""
        from initcfg.initializers.arrays import interleave  # noqa: PLC0415  numpy is not for planning

        parts = self.parts(request.shape)
        first = self.axis % len(request.shape)

        def draw_part(index: int, stretch: np.ndarray[Any, Any], begin: int) -> None:
            part, shape = parts[index]
            stream = stream_of(part, shape, request.stream.child(str(index)))
            draw(part, stretch, begin, request._replace(shape=shape, stream=stream))

        interleave(out, start, [math.prod(shape[first:]) for _, shape in parts], draw_part)


def _misfit(message: str, hint: str) -> InitializerError:
    return InitializerError(Diagnostic(Code.INITIALIZER_SHAPE, message, hint=hint))
