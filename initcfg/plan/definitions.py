"""Initializers of a spec, checked by their names alone: before any shape is known, used or not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from initcfg import initializers
from initcfg.errors import Code
from initcfg.initializers.fields import fields_of
from initcfg.spec import Expression, InitializerConfig
from initcfg.spec.arithmetic import FANS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from initcfg.plan.problems import Path
    from initcfg.plan.scope import Scope
    from initcfg.spec import Spec

__all__ = ["check_definitions", "check_names", "expressions_in", "nested_in"]


def check_definitions(spec: Spec, scope: Scope, left_out: frozenset[str]) -> frozenset[str]:
    """Notes definitions that hide a built-in name, lead in a circle, or name what nothing has.

    An expression here may use any index of any repeat: it is evaluated where the initializer is used.

    Args:
        spec: the document.
        scope: the document's.
        left_out: names whose definitions could not be read.

    Returns:
        The names that must not be followed: those, and those that lead in a circle.
    """
    indices = {name for layer in spec.layers.values() for name in layer.repeat or ()}
    broken = set(left_out)
    for name, config in spec.initializers.items():
        path = ("initializers", name)
        with scope.problems.collecting():
            _refuse_hiding(name, path, scope)
        circle = _circle(name, spec)
        if circle:
            broken.add(name)
            message = f"these initializers are defined by each other: {' -> '.join(circle)}"
            scope.problems.add(scope.problems.error(Code.INITIALIZER_CYCLE, message, path, key=True))
        check_names(config, path, spec, scope, indices=indices, broken=left_out)
    return frozenset(broken)


def check_names(
    config: InitializerConfig,
    path: Path,
    spec: Spec,
    scope: Scope,
    *,
    indices: Iterable[str],
    broken: frozenset[str],
) -> None:
    """Notes initializers and names in expressions that nothing has.

    Args:
        config: an initializer, with those that it holds.
        path: where it stands.
        spec: gives the named initializers.
        scope: the document's.
        indices: names that will have values where the initializer is used.
        broken: named initializers whose problems have been reported.
    """
    if config.instance is None and config.lookup_name not in {*spec.initializers, *broken}:
        with scope.problems.collecting():
            scope.problems.known_class(config, path)
    known = {*scope.values, *scope.broken, *indices, *FANS}
    # Evaluating an expression words the error; names that get their value later stand for 1 meanwhile.
    stand_ins = scope.extended(dict.fromkeys((*indices, *FANS), 1))
    for expression, place in expressions_in(config, path):
        if expression.names - known:
            with scope.problems.collecting():
                stand_ins.number(expression.text, place)
    for nested, place in nested_in(config, path):
        check_names(nested, place, spec, scope, indices=indices, broken=broken)


def nested_in(config: InitializerConfig, path: Path) -> Iterator[tuple[InitializerConfig, Path]]:
    """The initializers that a config holds as arguments, with their places."""
    place = config.arguments_path(path)
    for name, written in config.config.items():
        if isinstance(written, InitializerConfig):
            yield written, (*place, name)
        elif isinstance(written, tuple):
            for at, item in enumerate(written):
                if isinstance(item, InitializerConfig):
                    yield item, (*place, name, at)


def expressions_in(config: InitializerConfig, path: Path) -> Iterator[tuple[Expression, Path]]:
    """The expressions among a config's own arguments, with their places."""
    cls = initializers.lookup(config.lookup_name)
    fields = fields_of(cls) if cls is not None else {}
    place = config.arguments_path(path)
    for name, written in config.config.items():
        if name in fields and fields[name].takes_expressions:
            for text, inner in _texts(written, (*place, name)):
                yield Expression.parse(text), inner


def _texts(written: object, path: Path) -> Iterator[tuple[str, Path]]:
    if isinstance(written, str):
        yield written, path
    elif isinstance(written, tuple):
        for at, item in enumerate(written):
            yield from _texts(item, (*path, at))


def _refuse_hiding(name: str, path: Path, scope: Scope) -> None:
    if initializers.lookup(name) is not None:
        message = f"{name!r} is the name of an initializer already"
        raise scope.problems.error(Code.HIDDEN_NAME, message, path, key=True, hint="choose another name")


def _circle(name: str, spec: Spec) -> tuple[str, ...]:
    """The names by which a definition leads back to itself, or nothing."""
    trails: list[tuple[str, ...]] = [(name,)]
    seen: set[str] = set()
    while trails:
        trail = trails.pop()
        for following in _named_by(spec.initializers[trail[-1]], spec):
            if following == name:
                return (*trail, name)
            if following not in seen:
                seen.add(following)
                trails.append((*trail, following))
    return ()


def _named_by(config: InitializerConfig, spec: Spec) -> Iterator[str]:
    if config.lookup_name in spec.initializers:
        yield config.lookup_name
    for nested, _ in nested_in(config, ()):
        yield from _named_by(nested, spec)
