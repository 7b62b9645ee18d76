"""The layers of a spec: one becomes many, and each of its parameters is planned for each copy.

Copies of a layer differ in their names, and rarely in more. So what shape and initializer depend on is found
once, and what they come to is kept for each combination of just those indices.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from initcfg.errors import Code, SpecError
from initcfg.expressions import Expression
from initcfg.plan.definitions import NameCheck
from initcfg.plan.parameters import SkippedParameter, Tie, Wanted, name_problem
from initcfg.plan.problems import BrokenError
from initcfg.plan.resolve import Resolver
from initcfg.plan.scope import LONG_NAME, MAX_PARAMETERS, NameText, shape_of
from initcfg.process import cached_property
from initcfg.spec import Range

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from initcfg.dtypes import DType
    from initcfg.errors import Location, Path
    from initcfg.expressions import Value
    from initcfg.plan.parameters import Entry
    from initcfg.plan.resolve import PlanContext
    from initcfg.plan.rules import Rules
    from initcfg.plan.scope import Scope
    from initcfg.spec import Layer, Param
    from initcfg.spec.models import Repeat


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
            self.failed.add(prefix + template.key.fill(scope))
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
        names = context.spec.vars
        self.key = NameText(key, path, names, key=True)
        self._stream, self._fans_of, self._tied_to = (
            None if written is None else NameText(written, (*path, field), names)
            for field, written in (
                ("stream", param.stream),
                ("fans_of", param.fans_of),
                ("tied_to", param.tied_to),
            )
        )
        used = (Expression.parse(dim).names for dim in param.shape if isinstance(dim, str))
        # The names that the shape depends on and that differ among copies.
        self._shape_names = tuple(frozenset().union(*used) - names.keys())
        self._has_rule = param.initializer is None and param.tied_to is None and bool(context.spec.rules)
        self._shapes: dict[tuple[object, ...], tuple[int, ...] | None] = {}
        self._resolvers: dict[str | None, Resolver] = {}
        self._tied: dict[tuple[object, ...], DType] = {}
        self._is_reported = False

    def plan(self, prefix: str, scope: Scope) -> Entry:
        """The parameter of one copy; `prefix` is the layer's name and a dot, or nothing."""
        name = prefix + self.key.fill(scope)
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
        at = self._rules.winner(name, len(shape)) if self._has_rule else None
        if at is None and self._has_rule:
            raise self._unruled(name, shape, scope)
        if at is not None and self._context.spec.rules[at].skip:
            return SkippedParameter(name, self._context.spec.rules[at].match, self._where)
        stream_name = None if self._stream is None else self._stream.fill(scope)
        asked = None if self._fans_of is None else (self._fans_of.fill(scope), (*self._path, "fans_of"))
        wanted = Wanted(name, shape, self._where, stream_name or None, asked)
        if at is not None:
            return self._rules.plan(at, wanted, dtype, (self._param, self._path))
        return self._resolver(dtype).plan(wanted, scope)

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
            written = [(self._param, self._path)]
            resolver = Resolver(self._context, (*self._path, "shape"), written, dtype)
            self._resolvers[dtype] = resolver
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
        if self._is_reported or not self._context.rules_complete:
            return BrokenError()
        self._is_reported = True
        message = f"{name!r} has no initializer: it names none, and no rule matches it"
        hint = self._rules.missing_hint(name, len(shape))
        return scope.problems.error(Code.NO_INITIALIZER, message, self._path, key=True, hint=hint)

    @cached_property
    def _where(self) -> Location:
        return self._context.spec.locate(self._path, key=True)


_MAX_INDICES = 16


def copies_of(layer: Layer, path: Path, scope: Scope) -> Iterator[Scope]:
    """The scope of each copy of a layer, the last index running fastest; the budget pays for its parameters.

    It is one scope whose indices step on, so a copy has to be done with before the next one is asked for: a
    layer has up to a million, and a spec thousands of vars to copy for each.
    """
    repeats = list(layer.repeat.items()) if layer.repeat else []
    path = (*path, "repeat")
    if len(repeats) > _MAX_INDICES:
        message = f"a layer has at most {_MAX_INDICES} indices, this one {len(repeats)}"
        raise scope.problems.error(Code.REPEAT, message, path, key=True)
    for name, _ in repeats:
        with scope.problems.collecting():
            scope.check_name(name, (*path, name))
    count = max(1, len(layer.params))
    # Where the counts are plain, how much there is to do is known before it is begun.
    if _plain_steps(repeats, path, scope) * count > scope.budget.parameters:
        raise scope.too_many(path)
    values = dict(scope.values)
    copy = scope._replace(values=values)
    for _ in _nested(repeats, path, copy, values):
        scope.reserve(count, path)
        yield copy


def _plain_steps(repeats: Sequence[tuple[str, Repeat]], path: Path, scope: Scope) -> int:
    """The most copies that a run of repeats asks for; 0 where a count uses an index or has a problem."""
    most = copies = 1
    for name, repeat in repeats:
        try:
            copies *= len(_values(repeat, (*path, name), scope))
        except SpecError:
            return 0
        most = max(most, copies)
    return most


def _nested(
    repeats: Sequence[tuple[str, Repeat]], path: Path, scope: Scope, indices: dict[str, Value]
) -> Iterator[None]:
    """Steps through the values of `indices`, which are those of the scope."""
    if not repeats:
        yield
        return
    (name, repeat), *inner = repeats
    values: Sequence[int | str] = ()
    with scope.problems.collecting():
        values = _values(repeat, (*path, name), scope)
    before = indices.get(name)
    for value in values:
        indices[name] = value
        if inner:
            # A step that makes no parameter costs as much as one.
            scope.reserve(1, path)
            yield from _nested(inner, path, scope, indices)
        else:
            yield
    # An earlier count must not see what a later index was last, nor lose a var that the index has hidden.
    if before is not None:
        indices[name] = before
    else:
        indices.pop(name, None)


def _values(repeat: Repeat, path: Path, scope: Scope) -> Sequence[int | str]:
    """What an index runs over."""
    if isinstance(repeat, tuple):
        _refuse_doubles(repeat, path, scope)
        return repeat
    if not isinstance(repeat, Range):
        count = scope.integer(repeat, path, "a repeat")
        if count < 0:
            raise scope.problems.error(Code.REPEAT, f"a repeat counts upwards from 0, got {count}", path)
        return _limited(range(count), path, scope)
    start = scope.integer(repeat.start, (*path, "from"), "'from'")
    stop = scope.integer(repeat.to, (*path, "to"), "'to'")
    step = scope.integer(repeat.step, (*path, "step"), "'step'")
    if step < 1:
        raise scope.problems.error(Code.REPEAT, f"'step' must be at least 1, got {step}", (*path, "step"))
    if stop < start:
        raise scope.problems.error(Code.REPEAT, f"'to' must not be below 'from', got {start} to {stop}", path)
    return _limited(range(start, stop, step), path, scope)


def _refuse_doubles(texts: Sequence[str], path: Path, scope: Scope) -> None:
    seen: set[str] = set()
    for at, text in enumerate(texts):
        if text in seen:
            hint = "each copy needs a name of its own"
            raise scope.problems.error(Code.REPEAT, f"{text!r} is in the list twice", (*path, at), hint=hint)
        seen.add(text)


def _limited(values: range, path: Path, scope: Scope) -> range:
    try:
        if len(values) <= MAX_PARAMETERS:
            return values
    except OverflowError:
        pass
    raise scope.too_many(path)
