"""What is written about a parameter, resolved: dtype, layout, fans, initializer and distribution."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from initcfg import engines, initializers
from initcfg.distributions import TruncatedNormal
from initcfg.dtypes import DEFAULT_DTYPE, DTYPES, as_dtype
from initcfg.errors import Code, SpecError
from initcfg.initializers import Combined, Initializer
from initcfg.layout import MAX_DIM, Fans, Layout, known_fans, needed_layout
from initcfg.plan.definitions import OWN_NAME, complexity_of, names_in
from initcfg.plan.instantiate import EvalContext, PlanContext, instantiate
from initcfg.plan.problems import BrokenError
from initcfg.plan.scope import DIMENSION, LEAF, PART, TRUNCATION
from initcfg.spec import InitializerConfig, Param
from initcfg.stream import Stream

if TYPE_CHECKING:
    from initcfg.distributions import Distribution
    from initcfg.dtypes import DType
    from initcfg.plan.problems import Path
    from initcfg.plan.scope import Scope
    from initcfg.spec import Rule, Spec

_MAX_BYTES = 2**63 - 1
_ANY_STREAM = Stream(bytes(16))


class Declared(NamedTuple):
    """What is written about a parameter besides its name and shape, and where each piece of it stands."""

    shape_path: Path
    initializer: InitializerConfig | None  # None where nothing says how the values begin
    initializer_path: Path  # where that stands, or would
    dtype: str  # the parameter's, else its rule's, the document's, the manifest's, float32
    dtype_path: Path
    layout: str | None  # the parameter's, else its rule's, the document's
    layout_path: Path
    layout_must_fit: bool  # whether it is meant for this parameter, and not for whatever it suits

    @classmethod
    def of(
        cls, spec: Spec, shape_path: Path, *written: tuple[Param | Rule, Path], dtype: str | None = None
    ) -> Declared:
        """What a parameter, its rule or both say, in this order, with the document and the manifest.

        A dtype that the document states is for floating parameters, as that of ``module.to(dtype)`` is, and a
        rule's floating dtype leaves integers and bool of the manifest alone.
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


# No named tuple: planning reads the fields for each parameter, which slots make faster.
@dataclass(frozen=True, slots=True)
class Resolved:
    """What a parameter is but for its name; many may share it."""

    shape: tuple[int, ...]
    dtype: DType
    layout: Layout | None
    fans: Fans | None
    initializer: Initializer
    distribution: Distribution | None  # None for a structured initializer
    # that of the initializer's own seed; None where the parameter's is drawn from
    stream: Stream | None = None


class Resolver:
    """What is declared, resolved once for each shape and combination of numbers that it depends on."""

    def __init__(self, declared: Declared, context: PlanContext) -> None:
        self._declared = declared
        self._context = context
        self._resolved: dict[tuple[object, ...], Resolved | None] = {}
        self._kind: tuple[DType, Layout | None] | None = None
        self._varying: tuple[str, ...] = ()
        self._is_named = False
        self._cost = PART
        if declared.initializer is not None:
            used = names_in(declared.initializer, context.spec, context.definitions)
            self._varying = tuple(used - context.spec.vars.keys())
            self._is_named = OWN_NAME in used
            complexity = complexity_of(declared.initializer, context.definitions.complexities)
            self._cost = PART * complexity.parts + LEAF * complexity.leaves

    @property
    def varying(self) -> tuple[str, ...]:
        """The names that the initializer depends on and that are no vars."""
        return self._varying

    def resolve(self, name: str, shape: tuple[int, ...], scope: Scope, fans: Fans | None = None) -> Resolved:
        """What a parameter of a name and a shape is, with the fans of another one if `fans` are given."""
        key: tuple[object, ...] = (shape, fans, *[scope.values.get(each) for each in self._varying])
        if self._is_named:
            key = (*key, name)
        try:
            resolved = self._resolved[key]
        except KeyError:
            self._resolved[key] = None
            resolved = self._resolved[key] = self._resolve(name, shape, scope, fans)
        if resolved is None:
            raise BrokenError
        return resolved

    def check_array(self, shape: tuple[int, ...], scope: Scope) -> tuple[DType, Layout | None, Fans | None]:
        """The dtype, the layout and the fans of a parameter of a shape."""
        declared, problems = self._declared, scope.problems
        if self._kind is None:
            with problems.placing(declared.dtype_path):
                dtype = as_dtype(declared.dtype)
            with problems.placing(declared.layout_path):
                self._kind = dtype, None if declared.layout is None else Layout(declared.layout)
        dtype, layout = self._kind
        # As numpy counts: a dimension of 0 does not make the others harmless.
        if math.prod(filter(None, shape)) * dtype.itemsize > _MAX_BYTES:
            message = f"an array of shape {shape} and dtype {dtype} exceeds 2**63 - 1 bytes"
            raise problems.error(Code.SHAPE, message, declared.shape_path)
        if layout is None or not declared.layout_must_fit:
            # The document's letters suit some of its parameters; only those that need fans must fit.
            return dtype, layout, known_fans(shape, layout)
        with problems.placing(declared.layout_path):
            return dtype, layout, layout.fans(shape)

    def _resolve(self, name: str, shape: tuple[int, ...], scope: Scope, lent: Fans | None) -> Resolved:
        place, problems = self._declared.initializer_path, scope.problems
        scope.pay(self._cost, place)
        dtype, layout, fans = self.check_array(shape, scope)
        if self._declared.initializer is None:
            message = "nothing says how this parameter begins"
            hint = "add initializer: NAME, or tied_to: PARAMETER"
            raise problems.error(Code.NO_INITIALIZER, message, place[:-1], key=True, hint=hint)
        if lent is not None:
            with problems.placing(place):
                layout, fans = needed_layout(shape, layout).lent(lent), lent
        initializer = instantiate(
            self._declared.initializer, place, EvalContext(self._context, scope, name, shape, layout)
        )
        with problems.placing(place):
            distribution = initializers.resolve(initializer, shape, layout)
        scope.pay(TRUNCATION * _truncations(initializer, distribution), place)
        with problems.placing(place):
            if distribution is not None:
                engines.check(distribution, dtype)
            else:
                initializers.check(initializer, shape, dtype, layout)
        own = initializers.stream_of(initializer, shape, _ANY_STREAM)
        stream = None if own is _ANY_STREAM else own
        return Resolved(shape, dtype, layout, fans, initializer, distribution, stream)


def _truncations(initializer: Initializer, distribution: Distribution | None) -> int:
    """How many truncated normals a check has to measure, at most: each part of a concatenation may be one."""
    if distribution is not None:
        return int(isinstance(distribution, TruncatedNormal))
    if isinstance(initializer, Combined):
        return sum(max(1, _truncations(part, None)) for part in initializer.initializers)
    drawn = getattr(initializer, "of", None)
    return 0 if drawn is None else max(1, _truncations(drawn, None))


def shape_of(written: tuple[int | str, ...], path: Path, scope: Scope) -> tuple[int, ...]:
    """The shape that is written at a place."""
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
