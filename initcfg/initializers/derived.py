"""Initializers whose values follow from those of another parameter, which is made again for them."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from initcfg.errors import Code, Diagnostic, InitializerError
from initcfg.initializers.annotations import Axes, ParameterName
from initcfg.initializers.base import Cuttable, Structured, draw, initializer, is_cut, make
from initcfg.initializers.configs import is_by_content, serialize
from initcfg.initializers.custom import Request
from initcfg.initializers.values import check_kind, misfit
from initcfg.process import LOADING

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from initcfg.dtypes import DType
    from initcfg.engines import FillFunction
    from initcfg.initializers.custom import Initializer
    from initcfg.layout import Layout
    from initcfg.stream import Stream

__all__ = ["NormOf", "Parameter"]


class Source(NamedTuple):
    """Another parameter: what makes it."""

    initializer: Initializer
    shape: tuple[int, ...]
    dtype: DType
    layout: Layout | None
    stream: Stream

    def request(self, fill: FillFunction) -> Request:
        """The request for its whole array."""
        return Request(self.shape, self.dtype, self.layout, self.stream, fill)


@initializer
class Derived(Structured):
    """A built-in whose values follow from those of a parameter of the plan that it is in.

    Planning makes one for each parameter that it initializes, and tells it its source once all are known.
    """

    MODULE: ClassVar[str] = "initcfg.initializers"

    parameter: ParameterName

    def follow(self, name: str, *source: Any) -> None:
        """Take a parameter as the source.

        Args:
            name: its full name, which takes the place of `parameter`.
            source: its initializer, shape, dtype, layout and stream.
        """
        # It was made for one parameter of one plan, which nobody has seen yet.
        object.__setattr__(self, "parameter", name)
        object.__setattr__(self, "_source", Source(*source))

    @property
    def source(self) -> Source:
        """What makes the other parameter.

        Raises:
            InitializerError: the initializer is in no plan.
        """
        source: Source | None = self._known()
        if source is None:
            message = (
                f"{type(self).__name__} follows {self.parameter!r}, a parameter of the plan that it is in"
            )
            hint = "use it in a spec, or in a plan made from one"
            raise InitializerError(Diagnostic(Code.UNKNOWN_PARAMETER, message, hint=hint))
        return source

    def get_config(self) -> dict[str, Any]:
        """The arguments by name; for the fingerprint of a plan what decides the source is among them."""
        config = super().get_config()
        if is_by_content():
            source = self.source
            config["parameter"] = {
                "initializer": serialize(source.initializer),
                "shape": list(source.shape),
                "dtype": source.dtype.name,
                "layout": source.layout and source.layout.name,
                **({"fans": source.layout.given} if source.layout and source.layout.given else {}),
                "stream": source.stream.digest.hex(),
            }
        return config

    def check(self, shape: tuple[int, ...], dtype: DType, layout: Layout | None) -> None:  # noqa: ARG002
        """Refuse what does not suit the source, once that is known."""
        source = self._known()
        if source is not None:
            self._check_source(source, shape, dtype)

    def _known(self) -> Source | None:
        return getattr(self, "_source", None)

    @abstractmethod
    def _check_source(self, source: Source, shape: tuple[int, ...], dtype: DType) -> None:
        """Refuse what does not suit the source."""


@initializer
class Parameter(Derived, Cuttable):
    """The values of another parameter of the same plan.

    Formula:
        w = other

    The other parameter is drawn again, so that the two need not be in one file or on one machine. Its values
    are those that it has in its own dtype; they are then converted and rounded once. To share one array
    between two names, write ``tied_to`` in its place.

    In a spec it may be written ``{parameter: NAME}``.

    Args:
        parameter: the name of a parameter in the same layer, or else a full name. In a spec it may hold
            indices and vars in braces, as ``h.{i - 1}.weight``.

    Example:
        >>> import initcfg
        >>> params = {
        ...     "a": {"shape": [2], "initializer": "random_normal"},
        ...     "b": {"shape": [2], "initializer": {"parameter": "a"}},
        ... }
        >>> weights = initcfg.materialize({"initcfg": 1, "params": params})
        >>> weights["a"].tolist() == weights["b"].tolist()
        True
    """

    SHORT: ClassVar[str] = "parameter"

    @property
    def origin(self) -> str:
        """The parameter that is copied."""
        return f"values of {self.parameter}"

    @property
    def is_cut(self) -> bool:
        """Whether the source is."""
        source = self._known()
        return source is not None and is_cut(source.initializer)

    def _check_source(self, source: Source, shape: tuple[int, ...], dtype: DType) -> None:
        if source.shape != shape:
            message = f"the parameter {self.parameter!r} has shape {source.shape}, not {shape}"
            raise misfit(message, "name a parameter of the same shape")
        check_kind(f"the parameter {self.parameter!r}", source.dtype, dtype)

    def draw(self, out: np.ndarray[Any, Any], start: int, request: Request) -> None:
        """A stretch of the source, in the dtype of `request`."""
        with LOADING:
            import numpy as np  # noqa: PLC0415  planning makes no arrays

            from initcfg.initializers.arrays import converted  # noqa: PLC0415

        source = self.source
        stored = np.empty(out.size, source.dtype.numpy)
        draw(source.initializer, stored, start, source.request(request.fill))
        out[...] = converted(stored, request.dtype, f"the parameter {self.parameter!r}")


@initializer
class NormOf(Derived):
    """The Euclidean norm of another parameter of the same plan over some of its axes.

    Formula:
        w = sqrt(sum(other**2 over axes))

    The magnitude of weight normalization, so that the product begins as the direction was drawn. The shape is
    the other's with the axes left out, or 1 in their place. Sums are float64 and in a fixed order, the norm
    is rounded once. The other parameter is drawn again, as a whole.

    Args:
        parameter: the name of a parameter in the same layer, or else a full name. In a spec it may hold
            indices and vars in braces.
        axes: those that are summed over; negative ones count from the end.

    Reference:
        Salimans, Kingma, "Weight Normalization: A Simple Reparameterization to Accelerate Training of Deep
        Neural Networks", 2016, https://arxiv.org/abs/1602.07868

    Example:
        >>> import initcfg
        >>> params = {
        ...     "v": {"shape": [2, 3], "initializer": {"constant": {"value": [[1, 2, 2], [0, 3, 4]]}}},
        ...     "g": {"shape": [2, 1], "initializer": {"norm_of": {"parameter": "v", "axes": [1]}}},
        ... }
        >>> initcfg.materialize({"initcfg": 1, "params": params})["g"]
        array([[3.],
               [5.]], dtype=float32)
    """

    axes: Axes

    if TYPE_CHECKING:  # axes may be any sequence; the attribute then is a tuple

        def __init__(self, parameter: str, axes: Sequence[int]) -> None: ...

    @property
    def origin(self) -> str:
        """The parameter, and the axes that are summed over."""
        return f"norm of {self.parameter} over axes {', '.join(map(str, self.axes))}"

    def _check_source(self, source: Source, shape: tuple[int, ...], dtype: DType) -> None:
        ndim = len(source.shape)
        outside = [axis for axis in self.axes if not -ndim <= axis < ndim]
        if outside:
            message = f"the parameter {self.parameter!r} of shape {source.shape} has no axis {outside[0]}"
            raise misfit(message, f"give axes from {-ndim} to {ndim - 1}")
        summed = {axis % ndim for axis in self.axes}
        ones = tuple(1 if axis in summed else size for axis, size in enumerate(source.shape))
        without = tuple(size for axis, size in enumerate(source.shape) if axis not in summed)
        if shape not in (ones, without):
            norm = f"the norm of {self.parameter!r} over axes {self.axes}"
            message = f"{norm} has shape {ones} or {without}, not {shape}"
            raise misfit(message, "give the parameter one of these shapes, or other axes")
        for each, name in ((source.dtype, f"the parameter {self.parameter!r}"), (dtype, "a norm")):
            if each.drawn is None:
                message = f"{name} cannot be {each}: norms are of floats and are floats"
                raise InitializerError(Diagnostic(Code.DISTRIBUTION, message, hint="give floating dtypes"))

    def build(self, request: Request) -> np.ndarray[Any, Any]:
        """The norms, of the shape and dtype of `request`."""
        with LOADING:
            import numpy as np  # noqa: PLC0415  planning makes no arrays

            from initcfg.initializers.arrays import converted, summed  # noqa: PLC0415

        source = self.source
        ndim = len(source.shape)
        axes = sorted({axis % ndim for axis in self.axes})
        whole = make(source.initializer, source.request(request.fill)).astype(np.float64)
        # Both lengths are given: numpy cannot infer one where the other is 0.
        length = math.prod(source.shape[axis] for axis in axes)
        rows = np.moveaxis(whole, axes, range(len(axes))).reshape(length, math.prod(request.shape))
        norms = np.sqrt(summed(rows * rows))
        return converted(norms, request.dtype, f"the {self.origin}").reshape(request.shape)
