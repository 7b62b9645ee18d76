"""Initializers without randomness: zeros, ones, a constant or a constant array."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from initcfg import engines
from initcfg.distributions import Distribution, Fill
from initcfg.initializers.annotations import Value
from initcfg.initializers.base import Cuttable, Elementwise, initializer
from initcfg.initializers.values import ArrayValue
from initcfg.process import LOADING

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np

    from initcfg.dtypes import DType
    from initcfg.initializers.custom import Request
    from initcfg.layout import Layout

__all__ = ["Constant", "Ones", "Zeros"]


@initializer
class Zeros(Elementwise):
    """Every element is 0.

    Formula:
        w = 0

    Example:
        >>> Zeros()((3,), dtype="int8")
        array([0, 0, 0], dtype=int8)
    """

    def resolve(self, shape: tuple[int, ...], layout: Layout | None) -> Distribution:  # noqa: ARG002
        """``Fill(0)``, whatever the shape."""
        return Fill(0)


@initializer
class Ones(Elementwise):
    """Every element is 1.

    Formula:
        w = 1

    Example:
        >>> Ones()((2, 2))
        array([[1., 1.],
               [1., 1.]], dtype=float32)
    """

    def resolve(self, shape: tuple[int, ...], layout: Layout | None) -> Distribution:  # noqa: ARG002
        """``Fill(1)``, whatever the shape."""
        return Fill(1)


@initializer
class Constant(Cuttable):
    """Every element is one value, or the array is a given one.

    Formula:
        w = value

    An array whose shape is not the one asked for is repeated along the missing axes and those of length 1, as
    numpy broadcasts and as Keras's ``Constant`` does. Floats are rounded to the dtype; integer and bool
    dtypes take only values that they hold exactly.

    Args:
        value: a finite number or a bool; or an array of them, as nested lists, a numpy array, or the mapping
            that Keras writes for an array. Default 0.0.

    Example:
        >>> Constant(-4.6)((3,))
        array([-4.6, -4.6, -4.6], dtype=float32)
        >>> Constant([0, 1])((2, 2), dtype="int32")
        array([[0, 1],
               [0, 1]], dtype=int32)
    """

    value: Value = 0.0

    def resolve(self, shape: tuple[int, ...], layout: Layout | None) -> Distribution | None:  # noqa: ARG002
        """``Fill(value)`` for a single value, None for an array."""
        return None if isinstance(self.value, ArrayValue) else Fill(self.value)

    def element_laws(self, shape: tuple[int, ...], layout: Layout | None) -> Iterable[Distribution]:  # noqa: ARG002
        """``Fill`` of each number."""
        return map(Fill, self.value.numbers if isinstance(self.value, ArrayValue) else (self.value,))

    def check(self, shape: tuple[int, ...], dtype: DType, layout: Layout | None) -> None:  # noqa: ARG002
        """Refuse a shape that the array does not fit, and a dtype that cannot hold its elements."""
        if isinstance(self.value, ArrayValue):
            _repeated(self.value, shape, dtype)
        else:
            engines.check(Fill(self.value), dtype)

    def draw(self, out: np.ndarray[Any, Any], start: int, request: Request) -> None:
        """A stretch of the array, repeated to the shape."""
        if not isinstance(self.value, ArrayValue):
            request.fill(out, Fill(self.value), request.stream, start)
            return
        with LOADING:
            from initcfg.initializers.arrays import copy_stretch  # noqa: PLC0415  numpy is not for planning

        copy_stretch(_repeated(self.value, request.shape, request.dtype), start, out)


def _repeated(value: ArrayValue, shape: tuple[int, ...], dtype: DType) -> np.ndarray[Any, Any]:
    with LOADING:
        from initcfg.initializers.arrays import repeated  # noqa: PLC0415  as above

    return repeated(value, shape, dtype)
