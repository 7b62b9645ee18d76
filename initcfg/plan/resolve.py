"""What is written about a parameter, resolved: dtype, layout, fans, initializer and distribution."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from initcfg import engines, initializers
from initcfg.distributions import TruncatedNormal
from initcfg.dtypes import DEFAULT_DTYPE, DTYPES, as_dtype
from initcfg.errors import Code, InitializerError, SpecError
from initcfg.initializers import Combined
from initcfg.layout import IN_OUT, Fans, Layout
from initcfg.plan.definitions import extent_of
from initcfg.plan.instantiate import Site, instantiate, names_in
from initcfg.plan.problems import BrokenError
from initcfg.plan.scope import DIMENSION, PART, TRUNCATION
from initcfg.spec import Param
from initcfg.spec.leaves import MAX_DIM
from initcfg.stream import Stream

if TYPE_CHECKING:
    from initcfg.distributions import Distribution
    from initcfg.dtypes import DType
    from initcfg.initializers import Initializer
    from initcfg.plan.definitions import Definitions
    from initcfg.plan.problems import Path
    from initcfg.plan.scope import Scope
    from initcfg.spec import InitializerConfig, Rule, Spec


class Terms(NamedTuple):
    """An initializer, a dtype and a layout, and where each is written.

    Args:
        shape_path: where the shape is told.
        initializer: how the values begin; None where nothing says so.
        initializer_path: where that stands, or would.
        dtype: the parameter's, else its rule's, the document's, the manifest's, float32.
        dtype_path: where that stands.
        layout: the parameter's, else its rule's, the document's.
        layout_path: where that stands.
        layout_must_fit: whether the layout is meant for this parameter, and not for whatever it suits.
    """

    shape_path: Path
    initializer: InitializerConfig | None
    initializer_path: Path
    dtype: str
    dtype_path: Path
    layout: str | None
    layout_path: Path
    layout_must_fit: bool

    @classmethod
    def of(
        cls, spec: Spec, shape_path: Path, *written: tuple[Param | Rule, Path], dtype: str | None = None
    ) -> Terms:
        """What a parameter, its rule or both, in this order, say together with document and manifest.

        A dtype that the document states is for floating parameters, as that of ``module.to(dtype)`` is, and a
        rule's floating dtype leaves integers and bool of the manifest alone.

        Args:
            spec: the document.
            shape_path: where the shape is told.
            written: the parameter and the rule, each with the place where it stands.
            dtype: the manifest's.
        """
        first = written[0][1]
        begins = [(each.initializer, path) for each, path in written if each.initializer is not None]
        initializer, path = begins[0] if begins else (None, first)
        dtypes = [
            (each.dtype, (*path, "dtype"))
            for each, path in written
            if each.dtype is not None
            and (isinstance(each, Param) or dtype is None or _is_float(dtype) or not _is_float(each.dtype))
        ]
        if spec.dtype is not None and (dtype is None or _is_float(dtype)):
            dtypes.append((spec.dtype, ("dtype",)))
        dtypes.append((dtype, ("manifest",)) if dtype is not None else (DEFAULT_DTYPE, ("dtype",)))
        layouts = [(each.layout, (*path, "layout")) for each, path in written if each.layout is not None]
        found, dtype_path = dtypes[0]
        layout, layout_path = layouts[0] if layouts else (spec.layout, ("layout",))
        return cls(
            shape_path,
            initializer,
            (*path, "initializer"),
            found,
            dtype_path,
            layout,
            layout_path,
            layout_must_fit=bool(layouts),
        )


def _is_float(dtype: str) -> bool:
    return DTYPES[dtype].kind == "float"


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


class Resolver:
    """Terms, resolved once for each shape and each combination of the numbers that they depend on.

    Args:
        terms: what is written.
        spec: the document.
        definitions: what is known of its named initializers.
        constant: names whose values are the same for all parameters.
    """

    def __init__(self, terms: Terms, spec: Spec, definitions: Definitions, constant: frozenset[str]) -> None:
        self.terms = terms
        self._spec = spec
        self._broken = definitions.broken
        self._resolved: dict[tuple[object, ...], tuple[Form, Law] | None] = {}
        self._varying: tuple[str, ...] = ()
        self._parts = 1
        self._kind: tuple[DType, Layout | None] | None = None
        if terms.initializer is not None:
            self._varying = tuple(names_in(terms.initializer, spec, definitions.broken) - constant)
            self._parts = extent_of(terms.initializer, definitions.extents).parts

    def uses(self, names: tuple[str, ...]) -> bool:
        """Whether the initializer depends on one of `names`."""
        return any(name in self._varying for name in names)

    def resolve(self, shape: tuple[int, ...], scope: Scope) -> tuple[Form, Law]:
        """Form and law of a parameter.

        Raises:
            SpecError: what is written is wrong for this shape.
            BrokenError: that has been reported already.
        """
        key = (shape, *[scope.values.get(name) for name in self._varying])
        try:
            resolved = self._resolved[key]
        except KeyError:
            self._resolved[key] = None
            resolved = self._resolved[key] = self._resolve(shape, scope)
        if resolved is None:
            raise BrokenError
        return resolved

    def form(self, shape: tuple[int, ...], scope: Scope) -> Form:
        """What a parameter of that shape looks like.

        Raises:
            SpecError: there can be no such array, or the layout does not suit it.
        """
        if self._kind is None:
            self._kind = kind_of(self.terms, scope)
        return form_of(shape, self._kind, self.terms, scope)

    def _resolve(self, shape: tuple[int, ...], scope: Scope) -> tuple[Form, Law]:
        scope.pay(PART * self._parts, self.terms.initializer_path)
        form = self.form(shape, scope)
        site = Site(self._spec, scope, shape, form.layout, self._broken)
        return form, law_of(self.terms, form.dtype, site)
