"""The copies of a layer: what its indices are in each, and the names that hold them in braces."""

from __future__ import annotations

from typing import TYPE_CHECKING

from initcfg.errors import Code, SpecError
from initcfg.expressions import Template
from initcfg.expressions.grammar import Name
from initcfg.plan.scope import LONG_NAME, MAX_PARAMETERS, cost_of
from initcfg.spec import Range

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Sequence

    from initcfg.expressions import Value
    from initcfg.plan.problems import Path
    from initcfg.plan.scope import Scope
    from initcfg.spec import Layer
    from initcfg.spec.models import Repeat

_MAX_INDICES = 16


def copies_of(layer: Layer, path: Path, scope: Scope) -> Iterator[Scope]:
    """The scope of each copy of a layer, the last index running fastest; the budget pays for its parameters.

    Later repeats may use earlier indices. Problems are noted and end what depends on them. It is one scope
    whose indices step on, so a copy has to be done with before the next one is asked for: a layer has up to a
    million, and a spec thousands of vars to copy for each.
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


_MAX_TEXTS = 4096


class NameText:
    """A layer's name, a parameter's, or that of its stream or of what it is tied to.

    What a pair of braces comes to is kept for each value of the indices in it; the names in `constant` have
    the same value for all copies.
    """

    def __init__(self, text: str, path: Path, constant: Container[str], *, key: bool = False) -> None:
        template = Template.parse(text)
        self._parts = [
            part if isinstance(part, str) else _Braces(Template(text, (part,)), path, constant, key=key)
            for part in template.parts
        ]
        self._path = path
        self._plain = None if "{" in text else text

    def fill(self, scope: Scope) -> str:
        """The name, for what the indices are now."""
        if self._plain is not None:
            return self._plain
        text = "".join([part if isinstance(part, str) else part.fill(scope) for part in self._parts])
        if len(text) > LONG_NAME:
            scope.pay(len(text) >> 4, self._path)
        return text


class _Braces:
    """One pair of braces, in a template of nothing else."""

    def __init__(self, template: Template, path: Path, constant: Container[str], *, key: bool) -> None:
        ((tree, names),) = ((each.tree, each.names | each.hideable) for each in template.expressions)
        self.template, self.path, self.key = template, path, key
        self.index = tree.name if isinstance(tree, Name) else None
        self.varying = tuple(sorted(name for name in names if name not in constant))
        self.cost = cost_of(tree)
        self.known: dict[tuple[object, ...], str] = {}

    def fill(self, scope: Scope) -> str:
        if self.index is not None:
            value = scope.values.get(self.index)
            # An index counts or runs over texts; a var may be a fraction, and is looked at below.
            if type(value) is int:
                return str(value)
        values = tuple([scope.values.get(name) for name in self.varying])
        text = self.known.get(values)
        if text is None:
            text = scope.text(self.template, self.path, key=self.key, cost=self.cost)
            if len(self.known) >= _MAX_TEXTS:
                self.known.clear()
            self.known[values] = text
        return text
