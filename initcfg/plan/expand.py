"""Repeats: one layer of a spec becomes many, one for each combination of its indices."""

from __future__ import annotations

from typing import TYPE_CHECKING

from initcfg.errors import Code, SpecError
from initcfg.spec import Range

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from initcfg.plan.problems import Path
    from initcfg.plan.scope import Scope
    from initcfg.spec import Layer
    from initcfg.spec.models import Repeat

__all__ = ["MAX_PARAMETERS", "scopes_of"]

#: A plan holds no more parameters; a million is large (a mixture of experts with each expert on its own).
MAX_PARAMETERS = 2**20


def scopes_of(layer: Layer, path: Path, scope: Scope) -> Iterator[Scope]:
    """The scope of each copy of a layer, the last index running fastest.

    Later repeats may use earlier indices. Problems are noted and end what depends on them.

    Args:
        layer: with or without ``repeat``.
        path: where the layer stands.
        scope: the document's.
    """
    repeats = list(layer.repeat.items()) if layer.repeat else []
    for name, _ in repeats:
        with scope.problems.collecting():
            scope.check_name(name, (*path, "repeat", name))
    yield from _nested(repeats, (*path, "repeat"), scope)


def _nested(repeats: Sequence[tuple[str, Repeat]], path: Path, scope: Scope) -> Iterator[Scope]:
    if not repeats:
        yield scope
        return
    (name, repeat), *inner = repeats
    values: Sequence[int | str] = ()
    with scope.problems.collecting():
        values = _values(repeat, (*path, name), scope)
    for value in values:
        yield from _nested(inner, path, scope.extended({name: value}))


def _values(repeat: Repeat, path: Path, scope: Scope) -> Sequence[int | str]:
    """What an index runs over.

    Raises:
        SpecError: a count is negative or too large, a step is 0 (code ``repeat``).
    """
    if isinstance(repeat, tuple):
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


def _limited(values: range, path: Path, scope: Scope) -> range:
    try:
        if len(values) <= MAX_PARAMETERS:
            return values
    except OverflowError:
        pass
    raise too_many(path, scope)


def too_many(path: Path, scope: Scope) -> SpecError:
    """The error for a spec that would expand beyond `MAX_PARAMETERS`."""
    message = f"this repeats beyond {MAX_PARAMETERS} parameters, the most that a plan holds"
    return scope.problems.error(Code.REPEAT, message, path)
