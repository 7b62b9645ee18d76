"""The layers of a spec: one becomes many, and each of its parameters is planned for each copy.

Copies of a layer differ in their names, and rarely in more. So what shape and initializer depend on is found
once, and what they come to is kept for each combination of just those indices.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, NamedTuple

from initcfg.errors import Code, SpecError
from initcfg.expressions import Expression
from initcfg.plan.copies import copies_of
from initcfg.plan.definitions import NameCheck
from initcfg.plan.parameters import PlannedParameter, SkippedParameter, name_problem, planned_parameter
from initcfg.plan.problems import BrokenError
from initcfg.plan.resolve import Declared, Resolver, shape_of
from initcfg.plan.scope import LONG_NAME
from initcfg.plan.texts import NameText

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from initcfg.dtypes import DType
    from initcfg.errors import Location
    from initcfg.expressions import Value
    from initcfg.layout import Fans, Layout
    from initcfg.plan.instantiate import PlanContext
    from initcfg.plan.problems import Path
    from initcfg.plan.resolve import Resolved
    from initcfg.plan.rules import Rules
    from initcfg.plan.scope import Scope
    from initcfg.spec import Param


class Tie(NamedTuple):
    """A parameter that shares another one's array, before that one is looked up."""

    name: str
    shape: tuple[int, ...]
    dtype: DType
    target: str
    path: Path
    where: Location


class Borrower(NamedTuple):
    """A parameter that is to have the fans of another one, before that one is looked up."""

    name: str
    shape: tuple[int, ...]
    layout: Layout | None
    asked: str  # what ``fans_of`` comes to
    path: Path  # where that stands
    where: Location
    # the parameter, for those fans and the other's full name
    planned: Callable[[Fans, str], PlannedParameter]


Entry = PlannedParameter | SkippedParameter | Tie | Borrower


class Described:
    """The parameters that a document describes: those of ``params``, then layer by layer, copy by copy.

    `is_complete` says whether the name of every parameter is known, so far; `failed` are the names of those
    that had a problem: a tie to one is not wrong.
    """

    def __init__(self, context: PlanContext, rules: Rules) -> None:
        self.is_complete = True
        self.failed: set[str] = set()
        self._context = context
        self._rules = rules
        self._problems = context.scope.problems

    def __iter__(self) -> Iterator[Entry]:
        spec, scope = self._context.spec, self._context.scope
        scope.budget.parameters -= len(spec.params)
        check = NameCheck(spec, scope, (), self._context.definitions)
        yield from self._copy(self._templates(check, spec.params, ("params",)), None, scope)
        for name, layer in spec.layers.items():
            path = ("layers", name)
            if layer.repeat:
                check = NameCheck(spec, scope, layer.repeat, self._context.definitions)
            templates = self._templates(check, layer.params, (*path, "params"))
            prefix = NameText(f"{name}.", path, spec.vars, key=True)
            try:
                for copy in self._watched(copies_of(layer, path, scope)):
                    yield from self._copy(templates, prefix, copy)
            except SpecError as error:
                self.is_complete = False
                self._problems.add(error)

    def _templates(
        self, check: NameCheck, params: Mapping[str, Param], path: Path
    ) -> list[ParameterTemplate]:
        """The entries of a layer, their initializers looked through: so no wrong shape can hide a problem."""
        templates = []
        for key, param in params.items():
            is_usable = True
            if param.initializer is not None:
                place = (*path, key, "initializer")
                check(param.initializer, place)
                is_usable = check.is_buildable(param.initializer, place)
            template = ParameterTemplate(
                self._context, self._rules, key, param, (*path, key), is_usable=is_usable
            )
            templates.append(template)
        return templates

    def _watched(self, copies: Iterator[Scope]) -> Iterator[Scope]:
        """The copies of a layer; where a repeat has a problem, some of their names are not known."""
        before = self._problems.count
        for copy in copies:
            self.is_complete &= self._problems.count == before
            yield copy
            before = self._problems.count
        self.is_complete &= self._problems.count == before

    def _copy(
        self, templates: list[ParameterTemplate], layer: NameText | None, scope: Scope
    ) -> Iterator[Entry]:
        """Plans the parameters of one copy of a layer, or those of none."""
        try:
            prefix = layer.fill(scope) if layer is not None and templates else ""
        except SpecError as error:
            self.is_complete = False
            self._problems.add(error)
            return
        for template in templates:
            # No context manager: entering one a million times takes longer than what it guards.
            try:
                entry = template.plan(prefix, scope)
            except SpecError as error:
                self._miss(template, prefix, scope)
                self._problems.add(error)
            else:
                yield entry

    def _miss(self, template: ParameterTemplate, prefix: str, scope: Scope) -> None:
        """Keeps the name of a parameter that had a problem."""
        try:
            self.failed.add(template.name(prefix, scope))
        except SpecError:
            self.is_complete = False


class ParameterTemplate:
    """One entry of a layer's ``params``, or of those of no layer; not usable if its initializer is broken."""

    def __init__(
        self, context: PlanContext, rules: Rules, key: str, param: Param, path: Path, *, is_usable: bool
    ) -> None:
        self._context = context
        self._rules = rules
        self._param = param
        self._path = path
        self._is_usable = is_usable
        self._key = NameText(key, path, context.spec.vars, key=True)
        self._has_rule = param.initializer is None and param.tied_to is None and bool(context.spec.rules)
        self._shapes: dict[tuple[object, ...], tuple[int, ...] | None] = {}
        self._resolvers: dict[str | None, Resolver] = {}
        self._tied: dict[tuple[object, ...], DType] = {}
        self._is_told = False
        # One scope for all copies, whose indices change: a spec may have thousands of vars.
        self._later: tuple[Scope, dict[str, Value]] | None = None

    def plan(self, prefix: str, scope: Scope) -> Entry:
        """The parameter of one copy; `prefix` is the layer's name and a dot, or nothing."""
        # As `name` does: calling it for each parameter would be felt.
        name = prefix + self._key.fill(scope)
        if len(name) > LONG_NAME:
            scope.pay(len(name) >> 4, self._path)
        problem = name_problem(name)
        if problem is not None:
            raise scope.problems.error(*problem, self._path, key=True)
        if not self._is_usable:
            raise BrokenError
        shape = self._shape(scope)
        dtype = self._context.dtype(name)
        if self._tied_to is not None:
            array_dtype = self._tied_dtype(shape, dtype, scope)
            return Tie(name, shape, array_dtype, self._tied_to.fill(scope), self._path, self._where)
        at, rule, stream_name = None, None, name
        if self._has_rule:
            at = self._rules.winner(name, len(shape))
            if at is None:
                raise self._unruled(name, shape, scope)
            rule = self._context.spec.rules[at].match
            if self._context.spec.rules[at].skip:
                return SkippedParameter(name, rule, self._where)
            if self._stream is None:
                stream_name = self._rules.stream_name(at, name)
        if self._stream is not None:
            stream_name = self._stream.fill(scope)
        if self._fans_of is not None or (at is not None and self._rules.borrows(at)):
            return self._borrower(name, shape, dtype, at, stream_name, scope)
        if at is not None:
            resolved = self._rules.resolve(at, name, shape, dtype, (self._param, self._path))
        else:
            resolved = self._resolver(dtype).resolve(name, shape, scope)
        stream = resolved.stream or self._context.stream(stream_name)
        return planned_parameter(
            resolved, name=name, stream=stream, stream_name=stream_name, where=self._where, rule=rule
        )

    def _borrower(  # noqa: PLR0917
        self,
        name: str,
        shape: tuple[int, ...],
        dtype: str | None,
        at: int | None,
        stream_name: str,
        scope: Scope,
    ) -> Borrower:
        """A parameter that is planned once all are known; `at` is the rule that decides for it, or None."""
        if at is not None:
            param = (self._param, self._path)
            layout = self._rules.layout(at, name, shape, dtype, param)
            resolve = partial(self._rules.resolve, at, name, shape, dtype, param)
            rule = self._context.spec.rules[at].match
        else:
            resolver, rule = self._resolver(dtype), None
            layout = resolver.check_array(shape, scope)[1]
            resolve = partial(self._resolve_later, resolver, name, shape, self._held(resolver, scope))

        def planned(fans: Fans, lender: str) -> PlannedParameter:
            resolved = resolve(fans=fans)
            return planned_parameter(
                resolved,
                name=name,
                stream=resolved.stream or self._context.stream(stream_name),
                stream_name=stream_name,
                where=self._where,
                rule=rule,
                fans_of=lender,
            )

        if self._fans_of is not None:
            asked, path = self._fans_of.fill(scope), (*self._path, "fans_of")
        else:
            assert at is not None  # noqa: S101
            asked, path = self._rules.fans_of(at, name), ("rules", at, "fans_of")
        return Borrower(name, shape, layout, asked, path, self._where, planned)

    def _held(self, resolver: Resolver, scope: Scope) -> dict[str, Value]:
        """What the indices are now, those that an initializer depends on."""
        if self._later is None:
            values = dict(scope.values)
            self._later = replace(scope, values=values), values
        return {each: scope.values[each] for each in resolver.varying if each in scope.values}

    def _resolve_later(
        self,
        resolver: Resolver,
        name: str,
        shape: tuple[int, ...],
        held: dict[str, Value],
        *,
        fans: Fans,
    ) -> Resolved:
        assert self._later is not None  # noqa: S101
        scope, values = self._later
        values.update(held)
        return resolver.resolve(name, shape, scope, fans)

    def name(self, prefix: str, scope: Scope) -> str:
        """The full name of the parameter of one copy."""
        return prefix + self._key.fill(scope)

    def _shape(self, scope: Scope) -> tuple[int, ...]:
        key = tuple([scope.values.get(name) for name in self._shape_names])
        try:
            shape = self._shapes[key]
        except KeyError:
            self._shapes[key] = None
            shape = self._shapes[key] = shape_of(self._param.shape, (*self._path, "shape"), scope)
        if shape is None:
            raise BrokenError
        return shape

    def _resolver(self, dtype: str | None) -> Resolver:
        resolver = self._resolvers.get(dtype)
        if resolver is None:
            written = self._param, self._path
            declared = Declared.of(self._context.spec, (*self._path, "shape"), written, dtype=dtype)
            resolver = self._resolvers[dtype] = Resolver(declared, self._context)
        return resolver

    def _tied_dtype(self, shape: tuple[int, ...], dtype: str | None, scope: Scope) -> DType:
        """The dtype of a tied parameter, which says nothing that its target says."""
        if (shape, dtype) not in self._tied:
            for other in ("initializer", "stream", "layout", "fans_of"):
                if getattr(self._param, other) is not None:
                    message = f"a tied parameter is what its target is, so it has no {other!r} of its own"
                    hint = f"remove {other!r} or 'tied_to'"
                    raise scope.problems.error(Code.TIED, message, (*self._path, other), key=True, hint=hint)
            self._tied[shape, dtype], _, _ = self._resolver(dtype).check_array(shape, scope)
        return self._tied[shape, dtype]

    def _unruled(self, name: str, shape: tuple[int, ...], scope: Scope) -> SpecError:
        # Copies share a place, where one is told; to look for the nearest rule takes long.
        if self._is_told or not self._context.rules_complete:
            return BrokenError()
        self._is_told = True
        message = f"nothing says how {name!r} begins: it names no initializer, and no rule matches it"
        hint = self._rules.missing_hint(name, len(shape))
        return scope.problems.error(Code.NO_INITIALIZER, message, self._path, key=True, hint=hint)

    @cached_property
    def _stream(self) -> NameText | None:
        return self._other_name(self._param.stream, "stream")

    @cached_property
    def _fans_of(self) -> NameText | None:
        return self._other_name(self._param.fans_of, "fans_of")

    @cached_property
    def _tied_to(self) -> NameText | None:
        return self._other_name(self._param.tied_to, "tied_to")

    def _other_name(self, written: str | None, field: str) -> NameText | None:
        if written is None:
            return None
        return NameText(written, (*self._path, field), self._context.spec.vars)

    @cached_property
    def _where(self) -> Location:
        return self._context.spec.locate(self._path, key=True)

    @cached_property
    def _shape_names(self) -> tuple[str, ...]:
        """The names that the shape depends on and that differ among copies."""
        used = (Expression.parse(dim).names for dim in self._param.shape if isinstance(dim, str))
        return tuple(frozenset().union(*used) - self._context.spec.vars.keys())
