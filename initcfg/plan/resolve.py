"""One parameter of a spec, resolved: shape, dtype, layout, fans, initializer and distribution."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from initcfg import initializers
from initcfg.dtypes import as_dtype
from initcfg.errors import Code, InitializerError
from initcfg.layout import IN_OUT, Fans, Layout
from initcfg.plan.instantiate import instantiate
from initcfg.spec.leaves import MAX_DIM

if TYPE_CHECKING:
    from initcfg.distributions import Distribution
    from initcfg.dtypes import DType
    from initcfg.initializers import Initializer
    from initcfg.plan.instantiate import Site
    from initcfg.plan.problems import Path
    from initcfg.plan.scope import Scope
    from initcfg.spec import Param, Spec

__all__ = ["Form", "Law", "form_of", "law_of"]

_MAX_BYTES = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Form:
    """What an array looks like."""

    shape: tuple[int, ...]
    dtype: DType
    layout: Layout | None
    fans: Fans | None


@dataclass(frozen=True, slots=True)
class Law:
    """What an array is filled with."""

    initializer: Initializer
    distribution: Distribution | None


def form_of(spec: Spec, param: Param, path: Path, scope: Scope) -> Form:
    """The shape, dtype, layout and fans of a parameter.

    Raises:
        SpecError: a dimension has no value or is out of range, the array is too large, or the layout does
            not suit the shape.
    """
    shape = _shape(param, path, scope)
    dtype = _dtype(spec, param, path, scope)
    # As numpy counts: a dimension of 0 does not make the others harmless.
    if math.prod(filter(None, shape)) * dtype.itemsize > _MAX_BYTES:
        message = f"an array of shape {shape} and dtype {dtype} exceeds 2**63 - 1 bytes"
        raise scope.problems.error(Code.SHAPE, message, (*path, "shape"))
    layout = _layout(spec, param, path, scope)
    return Form(shape, dtype, layout, _fans(shape, layout, param, path, scope))


def law_of(site: Site, param: Param, path: Path, dtype: DType) -> Law:
    """The initializer of a parameter, and the distribution it has there.

    Raises:
        SpecError: there is no initializer, or it cannot be built or cannot make this shape or dtype.
    """
    if param.initializer is None:
        message = "nothing says how this parameter begins"
        hint = "add initializer: NAME, or tied_to: PARAMETER"
        raise site.scope.problems.error(Code.NO_INITIALIZER, message, path, key=True, hint=hint)
    place = (*path, "initializer")
    initializer = instantiate(param.initializer, place, site)
    with site.scope.problems.placing(place):
        initializers.check(initializer, site.shape, dtype, site.layout)
        distribution = initializers.resolve(initializer, site.shape, site.layout)
    return Law(initializer, distribution)


def _shape(param: Param, path: Path, scope: Scope) -> tuple[int, ...]:
    before = scope.problems.count
    dims: list[int] = []
    for at, written in enumerate(param.shape):
        place = (*path, "shape", at)
        with scope.problems.collecting():
            dims.append(_dimension(written, place, scope))
    scope.problems.break_if_more_than(before)
    return tuple(dims)


def _dimension(written: float | str, path: Path, scope: Scope) -> int:
    dim = scope.integer(written, path, "a dimension")
    if 0 <= dim <= MAX_DIM:
        return dim
    shown = f"{written!r} is {dim}" if isinstance(written, str) else f"got {dim}"
    message = f"a dimension lies between 0 and 2**63 - 1, {shown}"
    raise scope.problems.error(Code.SHAPE, message, path)


def _dtype(spec: Spec, param: Param, path: Path, scope: Scope) -> DType:
    place = (*path, "dtype") if param.dtype is not None else ("dtype",)
    with scope.problems.placing(place):
        return as_dtype(param.dtype if param.dtype is not None else spec.dtype)


def _layout(spec: Spec, param: Param, path: Path, scope: Scope) -> Layout | None:
    place = (*path, "layout") if param.layout is not None else ("layout",)
    name = param.layout if param.layout is not None else spec.layout
    with scope.problems.placing(place):
        return None if name is None else Layout(name)


def _fans(
    shape: tuple[int, ...], layout: Layout | None, param: Param, path: Path, scope: Scope
) -> Fans | None:
    if layout is None:
        # The named layouts agree below two axes, so none is needed there.
        return IN_OUT.fans(shape) if len(shape) < 2 else None
    if param.layout is None:
        # The document's letters suit some of its parameters; only those that need fans must fit.
        try:
            return layout.fans(shape)
        except InitializerError:
            return None
    with scope.problems.placing((*path, "layout")):
        return layout.fans(shape)
