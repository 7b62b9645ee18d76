"""The layers of a spec: one becomes many, and each of its parameters is planned for each copy.

Copies of a layer differ in their names, and rarely in more. So what shape and initializer depend on is found
once, and what they come to is kept for each combination of just those indices.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from initcfg.errors import Code, SpecError
from initcfg.plan.parameters import PlannedParameter, SkippedParameter, name_problem, planned_parameter
from initcfg.plan.problems import BrokenError
from initcfg.plan.resolve import Resolver, Terms, shape_of
from initcfg.plan.rules import Asked
from initcfg.plan.scope import PARAMETER, NameText
from initcfg.spec import Expression, Range

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from initcfg.errors import Location
    from initcfg.manifest import Manifest
    from initcfg.plan.problems import Path
    from initcfg.plan.resolve import Form
    from initcfg.plan.rules import Rules
    from initcfg.plan.scope import Scope
    from initcfg.spec import Layer, Param, Spec, Value
    from initcfg.spec.models import Repeat
    from initcfg.stream import Stream

#: A plan holds no more parameters; a million is large (a mixture of experts with each expert on its own).
MAX_PARAMETERS = 2**20
_MAX_INDICES = 16


@dataclass
class Budget:
    """How many parameters a plan may still take; a step of a repeat that makes none costs as much as one."""

    left: int = MAX_PARAMETERS

    def spend(self, count: int, path: Path, scope: Scope) -> None:
        """Takes `count` away.

        Raises:
            SpecError: there is not so much left (code ``repeat``).
        """
        self.left -= count
        if self.left < 0:
            raise _too_many(path, scope)


def scopes_of(layer: Layer, path: Path, scope: Scope, budget: Budget) -> Iterator[Scope]:
    """The scope of each copy of a layer, the last index running fastest.

    Later repeats may use earlier indices. Problems are noted and end what depends on them. It is one scope
    whose indices step on, so a copy has to be done with before the next one is asked for: a layer has up to
    a million, and a spec thousands of vars to copy for each.

    Args:
        layer: with or without ``repeat``.
        path: where the layer stands.
        scope: the document's.
        budget: pays for the layer's parameters.

    Raises:
        SpecError: the budget is spent, or there are too many indices (code ``repeat``).
    """
    repeats = list(layer.repeat.items()) if layer.repeat else []
    path = (*path, "repeat")
    if len(repeats) > _MAX_INDICES:
        message = f"a layer has at most {_MAX_INDICES} indices, this one {len(repeats)}"
        raise scope.problems.error(Code.REPEAT, message, path, key=True)
    for name, _ in repeats:
        with scope.problems.collecting():
            scope.check_name(name, (*path, name))
    # Where the counts are plain, how much there is to do is known before it is begun.
    if _plain_steps(repeats, path, scope) * max(1, len(layer.params)) > budget.left:
        raise _too_many(path, scope)
    values = dict(scope.values)
    copy = replace(scope, values=values)
    for _ in _nested(repeats, path, copy, values, budget):
        count = max(1, len(layer.params))
        budget.spend(count, path, scope)
        scope.pay(PARAMETER * count, path)
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
    repeats: Sequence[tuple[str, Repeat]], path: Path, scope: Scope, indices: dict[str, Value], budget: Budget
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
            budget.spend(1, path, scope)
            yield from _nested(inner, path, scope, indices, budget)
        else:
            yield
    # An earlier count must not see what a later index was last, nor lose a var that the index has hidden.
    if before is not None:
        indices[name] = before
    else:
        indices.pop(name, None)


def _values(repeat: Repeat, path: Path, scope: Scope) -> Sequence[int | str]:
    """What an index runs over.

    Raises:
        SpecError: a count is negative or too large, a step is 0, a text comes twice (code ``repeat``).
    """
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
            raise scope.problems.error(
                Code.REPEAT, f"{text!r} stands in the list twice", (*path, at), hint=hint
            )
        seen.add(text)


def _limited(values: range, path: Path, scope: Scope) -> range:
    try:
        if len(values) <= MAX_PARAMETERS:
            return values
    except OverflowError:
        pass
    raise _too_many(path, scope)


def _too_many(path: Path, scope: Scope) -> SpecError:
    message = f"this repeats beyond {MAX_PARAMETERS:,} parameters, the most that a plan holds"
    return scope.problems.error(Code.REPEAT, message, path)


class Tie(NamedTuple):
    """A parameter that shares another one's array, before that one is looked up."""

    name: str
    form: Form
    target: str
    path: Path
    where: Location


Entry = PlannedParameter | SkippedParameter | Tie


@dataclass(frozen=True, slots=True)
class Ground:
    """What the parameters of a document have in common.

    Args:
        spec: the document.
        rules: its rules.
        rules_complete: whether all of them could be read.
        manifest: what it names; None where it names none.
        constant: names whose values are the same for all parameters.
        stream: the stream of a name.
    """

    spec: Spec
    rules: Rules
    rules_complete: bool
    manifest: Manifest | None
    constant: frozenset[str]
    stream: Callable[[str], Stream]

    def dtype(self, name: str) -> str | None:
        """What the manifest says of a parameter's dtype."""
        entry = None if self.manifest is None else self.manifest.entries.get(name)
        return None if entry is None else entry.dtype


class ParameterTemplate:
    """One entry of a layer's ``params``, or of those of no layer.

    Args:
        ground: what all parameters have in common.
        key: the entry's name, without that of its layer.
        param: the entry.
        path: where it stands.
        is_usable: whether its initializer may be built; its problem has been reported if not.
    """

    def __init__(self, ground: Ground, key: str, param: Param, path: Path, *, is_usable: bool) -> None:
        self.path = path
        self._ground = ground
        self._param = param
        self._is_usable = is_usable
        self._key = NameText(key, path, ground.constant, key=True)
        self._has_rule = param.initializer is None and param.tied_to is None and bool(ground.spec.rules)
        self._shapes: dict[tuple[object, ...], tuple[int, ...] | None] = {}
        self._resolvers: dict[str | None, Resolver] = {}
        self._ties: dict[tuple[object, ...], Form] = {}
        self._is_told = False

    def plan(self, prefix: str, scope: Scope) -> Entry:
        """The parameter of one copy.

        Args:
            prefix: the layer's name and a dot, or nothing.
            scope: the copy's.

        Raises:
            SpecError: with what is wrong with it.
        """
        # As `name` does: calling it for each parameter would be felt.
        name = prefix + self._key.fill(scope)
        problem = name_problem(name)
        if problem is not None:
            raise scope.problems.error(*problem, self.path, key=True)
        if not self._is_usable:
            raise BrokenError
        shape = self._shape(scope)
        dtype = self._ground.dtype(name)
        if self._tied_to is not None:
            form = self._tied_form(shape, dtype, scope)
            return Tie(name, form, self._tied_to.fill(scope), self.path, self._where)
        rule, stream_name = None, name
        if self._has_rule:
            asked = Asked(name, shape, dtype, (self._param, self.path))
            at = self._ground.rules.winner(name, len(shape))
            if at is None:
                raise self._unruled(asked, scope)
            rule = self._ground.spec.rules[at].match
            if self._ground.spec.rules[at].skip:
                return SkippedParameter(name, rule, self._where)
            form, law = self._ground.rules.resolve(at, asked)
            if self._stream is None:
                stream_name = self._ground.rules.stream_name(at, name)
        else:
            form, law = self._resolver(dtype).resolve(shape, scope)
        if self._stream is not None:
            stream_name = self._stream.fill(scope)
        return planned_parameter(
            form,
            law,
            name=name,
            stream=law.stream or self._ground.stream(stream_name),
            stream_name=stream_name,
            where=self._where,
            rule=rule,
        )

    def name(self, prefix: str, scope: Scope) -> str:
        """The full name of the parameter of one copy.

        Raises:
            SpecError: a brace in it has no value.
        """
        return prefix + self._key.fill(scope)

    def _shape(self, scope: Scope) -> tuple[int, ...]:
        key = tuple([scope.values.get(name) for name in self._shape_names])
        try:
            shape = self._shapes[key]
        except KeyError:
            self._shapes[key] = None
            shape = self._shapes[key] = shape_of(self._param.shape, (*self.path, "shape"), scope)
        if shape is None:
            raise BrokenError
        return shape

    def _resolver(self, dtype: str | None) -> Resolver:
        resolver = self._resolvers.get(dtype)
        if resolver is None:
            ground = self._ground
            terms = Terms.of(ground.spec, (*self.path, "shape"), (self._param, self.path), dtype=dtype)
            resolver = Resolver(terms, ground.spec, ground.rules.definitions, ground.constant)
            self._resolvers[dtype] = resolver
        return resolver

    def _tied_form(self, shape: tuple[int, ...], dtype: str | None, scope: Scope) -> Form:
        if (shape, dtype) not in self._ties:
            for other in ("initializer", "stream", "layout"):
                if getattr(self._param, other) is not None:
                    message = f"a tied parameter is what its target is, so it has no {other!r} of its own"
                    hint = f"remove {other!r} or 'tied_to'"
                    raise scope.problems.error(Code.TIED, message, (*self.path, other), key=True, hint=hint)
            self._ties[shape, dtype] = self._resolver(dtype).form(shape, scope)
        return self._ties[shape, dtype]

    def _unruled(self, asked: Asked, scope: Scope) -> Exception:
        # Copies share a place, where one is told; to look for the nearest rule takes long.
        if self._is_told or not self._ground.rules_complete:
            return BrokenError()
        self._is_told = True
        message = f"nothing says how {asked.name!r} begins: it names no initializer, and no rule matches it"
        hint = self._ground.rules.missing_hint(asked.name, len(asked.shape))
        return scope.problems.error(Code.NO_INITIALIZER, message, self.path, key=True, hint=hint)

    @cached_property
    def _stream(self) -> NameText | None:
        return self._other_name(self._param.stream, "stream")

    @cached_property
    def _tied_to(self) -> NameText | None:
        return self._other_name(self._param.tied_to, "tied_to")

    def _other_name(self, written: str | None, field: str) -> NameText | None:
        if written is None:
            return None
        return NameText(written, (*self.path, field), self._ground.constant)

    @cached_property
    def _where(self) -> Location:
        return self._ground.spec.locate(self.path, key=True)

    @cached_property
    def _shape_names(self) -> tuple[str, ...]:
        """The names that the shape depends on and that differ among copies."""
        used = (Expression.parse(dim).names for dim in self._param.shape if isinstance(dim, str))
        return tuple(frozenset().union(*used) - self._ground.constant)
