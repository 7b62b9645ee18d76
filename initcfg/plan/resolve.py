"""What is written about a parameter, resolved: dtype, layout, fans, initializer and distribution.

The expressions of an initializer are evaluated, and its parts are made for their shapes.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping
from dataclasses import replace
from functools import partial, reduce
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from pydantic_core import ValidationError

from initcfg import engines, initializers
from initcfg.distributions import TruncatedNormal
from initcfg.dtypes import DEFAULT_DTYPE, DTYPES, as_dtype
from initcfg.errors import Code, SpecError
from initcfg.expressions import Expression, Template, facts_of
from initcfg.expressions.grammar import references
from initcfg.initializers import BuiltIn, Combined, Initializer
from initcfg.initializers.annotations import LITERALS
from initcfg.initializers.arguments import adapter_of, arguments_of, problems_of
from initcfg.initializers.forms import known_arguments, nested_in, thawed
from initcfg.initializers.values import halves_of
from initcfg.layout import Fans, Layout, known_fans, needed_layout
from initcfg.plan.definitions import OWN_NAME, built_in_hint, complexity_of, names_in
from initcfg.plan.following import Follower
from initcfg.plan.parameters import Borrower, Resolved, Wanted, planned_parameter
from initcfg.plan.problems import BrokenError, about
from initcfg.plan.scope import LEAF, PART, TRUNCATION, cost_of, formula_cost
from initcfg.process import LOADING, lazy
from initcfg.spec import InitializerConfig, Param
from initcfg.stream import Stream

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from initcfg.distributions import Distribution
    from initcfg.dtypes import DType
    from initcfg.errors import Diagnostic, Path
    from initcfg.expressions import Value
    from initcfg.initializers import formulas
    from initcfg.initializers.annotations import Reading
    from initcfg.initializers.arguments import Problem
    from initcfg.initializers.derived import Derived
    from initcfg.manifest import Manifest
    from initcfg.plan.definitions import Definitions
    from initcfg.plan.parameters import PlannedParameter
    from initcfg.plan.scope import Scope
    from initcfg.spec import Reading as Document
    from initcfg.spec import Rule, Spec
else:
    formulas = lazy("initcfg.initializers.formulas")


class PlanContext(NamedTuple):
    """What the parameters of a document have in common."""

    reading: Document  # finds the files that the document names
    spec: Spec  # what is left of the document
    scope: Scope  # its vars
    definitions: Definitions
    manifest: Manifest | None
    rules_complete: bool  # whether all of its rules could be read
    stream: Callable[[str], Stream]  # of a name
    followers: list[Follower]

    def dtype(self, name: str) -> str | None:
        """What the manifest says of a parameter's dtype."""
        entry = None if self.manifest is None else self.manifest.entries.get(name)
        return None if entry is None else entry.dtype


class EvalContext(NamedTuple):
    """What an initializer is wanted for, a parameter or a part of one, and what expressions may use."""

    plan: PlanContext  # gives the named initializers
    scope: Scope  # vars and indices
    name: str  # of the parameter
    shape: tuple[int, ...]
    layout: Layout | None


def instantiate(config: InitializerConfig, path: Path, context: EvalContext) -> Initializer:
    """The initializer that the config at `path` describes, its expressions evaluated."""
    if config.instance is not None:
        made: Initializer = initializers.get(config.instance)
        return made
    name = config.lookup_name
    if name in context.plan.definitions.broken:
        raise BrokenError
    if name in context.plan.spec.initializers:
        if config.config:
            message = f"{name!r} is named in this file and takes no arguments"
            hint = built_in_hint(name)
            hint = hint or f"change its definition, or write the initializer that {name!r} stands for"
            raise context.scope.problems.error(Code.INITIALIZER_CONFIG, message, path, hint=hint)
        return instantiate(context.plan.spec.initializers[name], ("initializers", name), context)
    cls = context.scope.problems.known_class(config, path)
    values = _arguments(cls, config, path, context)
    if known_arguments(cls) is not None:
        validated = _validated(cls, config, values, path, context, None)
        _try_formula(validated, config, path, context)
        if isinstance(validated, BuiltIn) and cls.from_config.__func__ is BuiltIn.from_config.__func__:  # type: ignore[attr-defined]
            if hasattr(validated, "follow"):
                place = (*config.arguments_path(path), "parameter")
                context.plan.followers.append(Follower(context.name, cast("Derived", validated), place))
            return validated
    with context.scope.problems.placing(path):
        return cls.from_config(values)


def _arguments(
    cls: type[Initializer], config: InitializerConfig, path: Path, context: EvalContext
) -> dict[str, Any]:
    """The arguments by name; those that hold initializers come last, because the others split the shape."""
    place = config.arguments_path(path)
    problems = context.scope.problems
    arguments = arguments_of(cls)
    before = problems.count
    values: dict[str, Any] = {}
    evaluated = partial(_evaluated, context)
    for name, written in config.config.items():
        with problems.collecting():
            if name in arguments and arguments[name].holds_expressions:
                values[name] = thawed(written, evaluated, (*place, name))
            elif name in arguments and (text := arguments[name].text) and written is not None:
                values[name] = _completed(written, (*place, name), context, is_path=text.is_path)
            elif name in arguments and arguments[name].is_formula:
                values[name] = _closed(config, (*place, name), context)
            else:
                values[name] = thawed(written, lambda leaf, _: leaf)
    for name, argument in arguments.items():
        if argument.text is not None and not argument.is_required and values.get(name) is None:
            values[name] = context.name
    problems.break_if_more_than(before)
    nested = list(nested_in(config, path))
    if isinstance(formula := values.get("value"), Expression):
        values["value"] = formula.text
        if "x" not in formula.names and "x" in Expression.parse(config.config["value"]).names:
            values.pop("of", None)  # no branch that is left uses it
            nested.clear()
    if nested:
        # An initializer that is not made yet is checked as far as it is written.
        written = vars(_validated(cls, config, values, path, context, LITERALS))
        shares = {}
        if issubclass(cls, Combined):
            with problems.placing(place):
                shares = {each.place: each for each in cls.divide(context.shape, context.layout, written)}
        for inner, where in nested:
            share = shares.get(where[len(place) :])
            its = context if share is None else context._replace(shape=share.shape, layout=share.layout)
            with problems.collecting():
                *steps, last = where[len(place) :]
                holder: Any = reduce(operator.getitem, steps, cast("Any", values))
                holder[last] = instantiate(inner, where, its)
    problems.break_if_more_than(before)
    return values


def _validated(  # noqa: PLR0917
    cls: type[Initializer],
    config: InitializerConfig,
    values: dict[str, Any],
    path: Path,
    context: EvalContext,
    reading: Reading | None,
) -> Any:
    try:
        with LOADING:
            return adapter_of(cls).validator.validate_python(values, context=reading)
    except ValidationError as error:
        found = [
            _placed(problem, config, path, context) for problem in problems_of(error, cls, config.lookup_name)
        ]
    raise SpecError(*found)


def _placed(problem: Problem, config: InitializerConfig, path: Path, context: EvalContext) -> Diagnostic:
    """A problem with the place of its argument, and the expression that led to it."""
    spec = context.plan.spec
    if not problem.path:
        return problem.found.at(spec.locate(path))
    written: Any = config.config
    for step in problem.path:
        written = cast("Any", written)[step] if isinstance(written, Mapping | tuple) else None
    found = problem.found.at(spec.locate((*config.arguments_path(path), *problem.path)))
    return replace(found, message=f"{found.message}, from {written!r}") if isinstance(written, str) else found


def _evaluated(context: EvalContext, written: Any, path: Path) -> Any:
    if not isinstance(written, str):
        return written
    if ":" in written:
        return ":".join(_position(half, path, context) for half in halves_of(written))
    return _with_facts(written, path, context).number(written, path)


def _position(text: str, path: Path, context: EvalContext) -> str:
    """The start or the stop of a slice, which may be missing."""
    if not text.strip():
        return ""
    return str(_with_facts(text, path, context).integer(text, path, "a position"))


def _completed(written: str, path: Path, context: EvalContext, *, is_path: bool) -> str:
    """The path that a text means, or the name that it gives with its braces filled in."""
    if is_path:
        return context.plan.reading.find(written, path)
    template = Template.parse(written)
    return context.scope.text(
        template, path, cost=1 + sum(cost_of(each.tree) for each in template.expressions)
    )


def _try_formula(made: object, config: InitializerConfig, path: Path, context: EvalContext) -> None:
    """Evaluates a formula at some elements as the document writes it, so that errors have their column."""
    if not any(argument.is_formula for argument in arguments_of(type(made)).values()):
        return
    assert isinstance(made, formulas.Formula)  # noqa: S101
    place, scope = (*config.arguments_path(path), "value"), context.scope
    expression = _closed(config, place, context)
    parts = complexity_of(config, context.plan.definitions.complexities).parts
    scope.pay(formula_cost(expression, parts, math.prod(context.shape)), place)
    with scope.problems.placing(place), scope.placing(config.config["value"], place):
        formulas.try_out(expression, made.of, context.shape, context.layout)


def _closed(config: InitializerConfig, path: Path, context: EvalContext) -> Expression:
    """The formula at a place, without the names that stand for something there."""
    text = config.config[str(path[-1])]
    scope = _with_facts(text, path, context)
    if "of" in config.config and "x" in scope.values:
        hidden = (each for each in references(Expression.parse(text).tree) if each.name == "x")
        message = "'x' is a var or an index here, which hides the draw of 'of'"
        for each in hidden:
            hint = "give the var or the index another name"
            raise scope.problems.error(Code.HIDDEN_NAME, message, path, hint=hint, offset=each.offset)
    return scope.formula(text, path)


def _with_facts(text: str, path: Path, context: EvalContext) -> Scope:
    """The scope with those facts of the shape that an expression uses."""
    with context.scope.problems.placing(path):
        facts = facts_of(Expression.parse(text).names, context.shape, context.layout)
    return context.scope.extended(facts) if facts else context.scope


_MAX_BYTES = 2**63 - 1
_ANY_STREAM = Stream(bytes(16))


def _is_float(dtype: str) -> bool:
    return DTYPES[dtype].kind == "float"


class Resolver:
    """What a parameter, its rule or both say, in this order, with the document and the manifest's `dtype`.

    It is resolved once for each shape and combination of numbers that it depends on. A dtype of the document
    is for floating parameters, as that of ``module.to(dtype)`` is, and a rule's floating dtype leaves the
    integers and bools of the manifest alone. `rule` is the pattern of the rule.
    """

    def __init__(
        self,
        context: PlanContext,
        shape_path: Path,
        written: Sequence[tuple[Param | Rule, Path]],
        dtype: str | None,
        rule: str | None = None,
        *,
        is_usable: bool = True,
    ) -> None:
        spec, self._context, self._rule, self._is_usable = context.spec, context, rule, is_usable
        self._shape_path = shape_path
        begins = [(each.initializer, path) for each, path in written if each.initializer is not None]
        self._initializer: InitializerConfig | None = begins[0][0] if begins else None
        path = (begins or written)[0][1]
        self._place: Path = (*path, "initializer")  # where the initializer stands, or would
        dtypes: list[tuple[str, Path]] = [
            (each.dtype, (*path, "dtype"))
            for each, path in written
            if each.dtype is not None
            and (isinstance(each, Param) or dtype is None or _is_float(dtype) or not _is_float(each.dtype))
        ]
        if spec.dtype is not None and (dtype is None or _is_float(dtype)):
            dtypes.append((spec.dtype, ("dtype",)))
        dtypes.append((dtype, ("manifest",)) if dtype is not None else (DEFAULT_DTYPE, ("dtype",)))
        self._dtype, self._dtype_path = dtypes[0]
        layouts: list[tuple[str | None, Path]] = [
            (each.layout, (*path, "layout")) for each, path in written if each.layout is not None
        ]
        # A layout is meant for this parameter, or for those of the document that it suits.
        self._must_fit = bool(layouts)
        self._layout, self._layout_path = layouts[0] if layouts else (spec.layout, ("layout",))
        self._resolved: dict[tuple[object, ...], Resolved | None] = {}
        self._kind: tuple[DType, Layout | None] | None = None
        #: The names that the initializer depends on and that are no vars.
        self.varying: tuple[str, ...] = ()
        self._is_named = False
        self._cost = PART
        # One scope for all that wait for fans, whose numbers change: a spec may have thousands of vars.
        self._later: Scope | None = None
        if self._initializer is not None and is_usable:
            used = names_in(self._initializer, spec, context.definitions)
            self.varying = tuple(used - spec.vars.keys())
            self._is_named = OWN_NAME in used
            complexity = complexity_of(self._initializer, context.definitions.complexities)
            self._cost = PART * complexity.parts + LEAF * complexity.leaves

    def plan(self, wanted: Wanted, scope: Scope) -> PlannedParameter | Borrower:
        """The parameter; or what becomes it once the fans are known that it asks for."""
        if wanted.asked is None:
            return self._planned(wanted, scope)
        name, shape, where, *_ = wanted
        try:
            layout = self.check_array(shape, scope)[1]
        except SpecError as error:
            raise about(name, error) if self._rule is not None else error from None
        held = {each: scope.values[each] for each in self.varying if each in scope.values}
        if self._later is None:
            self._later = scope._replace(values=dict(scope.values))
        later, values = self._later, cast("dict[str, Value]", self._later.values)

        def planned(fans: Fans, lender: str) -> PlannedParameter:
            values.update(held)
            return self._planned(wanted, later, fans, lender)

        return Borrower(name, shape, layout, *wanted.asked, where, planned)

    def _planned(
        self, wanted: Wanted, scope: Scope, fans: Fans | None = None, lender: str | None = None
    ) -> PlannedParameter:
        if not self._is_usable:
            raise BrokenError
        try:
            resolved = self.resolve(wanted.name, wanted.shape, scope, fans)
        except SpecError as error:
            raise about(wanted.name, error) if self._rule is not None else error from None
        return planned_parameter(resolved, wanted, self._context.stream, self._rule, lender)

    def resolve(self, name: str, shape: tuple[int, ...], scope: Scope, fans: Fans | None = None) -> Resolved:
        """What a parameter of a name and a shape is, with the fans of another one if `fans` are given."""
        key: tuple[object, ...] = (shape, fans, *[scope.values.get(each) for each in self.varying])
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
        problems = scope.problems
        if self._kind is None:
            with problems.placing(self._dtype_path):
                dtype = as_dtype(self._dtype)
            with problems.placing(self._layout_path):
                self._kind = dtype, None if self._layout is None else Layout(self._layout)
        dtype, layout = self._kind
        # As numpy counts: a dimension of 0 does not make the others harmless.
        if math.prod(filter(None, shape)) * dtype.itemsize > _MAX_BYTES:
            message = f"an array of shape {shape} and dtype {dtype} exceeds 2**63 - 1 bytes"
            raise problems.error(Code.SHAPE, message, self._shape_path)
        if layout is None or not self._must_fit:
            # The document's letters suit some of its parameters; only those that need fans must fit.
            return dtype, layout, known_fans(shape, layout)
        with problems.placing(self._layout_path):
            return dtype, layout, layout.fans(shape)

    def _resolve(self, name: str, shape: tuple[int, ...], scope: Scope, lent: Fans | None) -> Resolved:
        place, problems = self._place, scope.problems
        scope.pay(self._cost, place)
        dtype, layout, fans = self.check_array(shape, scope)
        if self._initializer is None:
            message = "this parameter has no initializer"
            hint = "add initializer: NAME, or tied_to: PARAMETER"
            raise problems.error(Code.NO_INITIALIZER, message, place[:-1], key=True, hint=hint)
        if lent is not None:
            with problems.placing(place):
                layout, fans = needed_layout(shape, layout).lent(lent), lent
        context = EvalContext(self._context, scope, name, shape, layout)
        initializer = instantiate(self._initializer, place, context)
        with problems.placing(place):
            distribution = initializers.resolve(initializer, shape, layout, dtype)
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
