"""One parameter of a spec, resolved: dtype, layout, fans, initializer and distribution of a shape."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from initcfg import engines, initializers
from initcfg.distributions import TruncatedNormal
from initcfg.dtypes import as_dtype
from initcfg.errors import Code, InitializerError, SpecError
from initcfg.initializers import Combined
from initcfg.layout import IN_OUT, Fans, Layout
from initcfg.plan.effort import DIMENSION, TRUNCATION
from initcfg.plan.instantiate import instantiate
from initcfg.spec.leaves import MAX_DIM
from initcfg.stream import Stream

if TYPE_CHECKING:
    from initcfg.distributions import Distribution
    from initcfg.dtypes import DType
    from initcfg.initializers import Initializer
    from initcfg.plan.instantiate import Site
    from initcfg.plan.problems import Path
    from initcfg.plan.scope import Scope
    from initcfg.plan.terms import Terms

_MAX_BYTES = 2**63 - 1
_ANY_STREAM = Stream(bytes(16))


# No named tuples: planning reads their fields for each parameter, which slots make faster.
@dataclass(frozen=True, slots=True)
class Form:
    """What an array looks like."""

    shape: tuple[int, ...]
    dtype: DType
    layout: Layout | None
    fans: Fans | None


@dataclass(frozen=True, slots=True)
class Law:
    """What an array is filled with.

    Args:
        initializer: the instance.
        distribution: of every element; None for a structured initializer.
        stream: that of the initializer's own seed; None where the parameter's is drawn from.
    """

    initializer: Initializer
    distribution: Distribution | None
    stream: Stream | None = None


def kind_of(terms: Terms, scope: Scope) -> tuple[DType, Layout | None]:
    """The dtype and the layout that terms name.

    Raises:
        SpecError: nothing has such a name.
    """
    with scope.problems.placing(terms.dtype_path):
        dtype = as_dtype(terms.dtype)
    with scope.problems.placing(terms.layout_path):
        return dtype, None if terms.layout is None else Layout(terms.layout)


def form_of(shape: tuple[int, ...], kind: tuple[DType, Layout | None], terms: Terms, scope: Scope) -> Form:
    """What a parameter of a shape looks like.

    Raises:
        SpecError: the array is too large, or the layout does not suit the shape.
    """
    dtype, layout = kind
    # As numpy counts: a dimension of 0 does not make the others harmless.
    if math.prod(filter(None, shape)) * dtype.itemsize > _MAX_BYTES:
        message = f"an array of shape {shape} and dtype {dtype} exceeds 2**63 - 1 bytes"
        raise scope.problems.error(Code.SHAPE, message, terms.shape_path)
    return Form(shape, dtype, layout, _fans(shape, layout, terms, scope))


def law_of(terms: Terms, dtype: DType, site: Site) -> Law:
    """The initializer of a parameter, and the distribution it has there.

    Raises:
        SpecError: there is no initializer, or it cannot be built or cannot make this shape or dtype.
    """
    place = terms.initializer_path
    if terms.initializer is None:
        message = "nothing says how this parameter begins"
        hint = "add initializer: NAME, or tied_to: PARAMETER"
        raise site.scope.problems.error(Code.NO_INITIALIZER, message, place[:-1], key=True, hint=hint)
    initializer = instantiate(terms.initializer, place, site)
    with site.scope.problems.placing(place):
        distribution = initializers.resolve(initializer, site.shape, site.layout)
    site.scope.pay(TRUNCATION * _truncations(initializer, distribution), place)
    with site.scope.problems.placing(place):
        if distribution is not None:
            engines.check(distribution, dtype)
        else:
            initializers.check(initializer, site.shape, dtype, site.layout)
    own = initializers.stream_of(initializer, site.shape, _ANY_STREAM)
    return Law(initializer, distribution, None if own is _ANY_STREAM else own)


def _truncations(initializer: Initializer, distribution: Distribution | None) -> int:
    """How many truncated normals a check has to measure, at most: each part of a concatenation may be one."""
    if distribution is not None:
        return int(isinstance(distribution, TruncatedNormal))
    if isinstance(initializer, Combined):
        return sum(max(1, _truncations(part, None)) for part in initializer.initializers)
    return 0


def shape_of(written: tuple[int | str, ...], path: Path, scope: Scope) -> tuple[int, ...]:
    """The shape that is written at a place.

    Raises:
        SpecError: a dimension has no value or is out of range.
    """
    scope.pay(DIMENSION * len(written), path)
    before = scope.problems.count
    dims: list[int] = []
    for at, dim in enumerate(written):
        try:
            dims.append(_dimension(dim, (*path, at), scope))
        except SpecError as error:
            scope.problems.add(error)
    scope.problems.break_if_more_than(before)
    return tuple(dims)


def _dimension(written: float | str, path: Path, scope: Scope) -> int:
    dim = scope.integer(written, path, "a dimension")
    if 0 <= dim <= MAX_DIM:
        return dim
    shown = f"{written!r} is {dim}" if isinstance(written, str) else f"got {dim}"
    message = f"a dimension lies between 0 and 2**63 - 1, {shown}"
    raise scope.problems.error(Code.SHAPE, message, path)


def _fans(shape: tuple[int, ...], layout: Layout | None, terms: Terms, scope: Scope) -> Fans | None:
    if layout is None:
        # The named layouts agree below two axes, so none is needed there.
        return IN_OUT.fans(shape) if len(shape) < 2 else None
    if not terms.layout_must_fit:
        # The document's letters suit some of its parameters; only those that need fans must fit.
        try:
            return layout.fans(shape)
        except InitializerError:
            return None
    with scope.problems.placing(terms.layout_path):
        return layout.fans(shape)
