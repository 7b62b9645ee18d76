"""Initializers of a spec, checked by their names alone: before any shape is known, used or not."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from initcfg import initializers
from initcfg.errors import Code
from initcfg.globs import Glob
from initcfg.initializers.arguments import arguments_of
from initcfg.initializers.registry import is_free
from initcfg.plan.references import check_extent, check_references, nested_in
from initcfg.spec import Expression
from initcfg.spec.arithmetic import FANS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from initcfg.plan.problems import Path
    from initcfg.plan.references import Extent
    from initcfg.plan.scope import Scope
    from initcfg.spec import InitializerConfig, Spec


class Definitions(NamedTuple):
    """What is known of the named initializers of a spec.

    Args:
        extents: of those that may be followed.
        broken: those whose problems have been reported, and what leads to them; they are not followed.
    """

    extents: Mapping[str, Extent]
    broken: frozenset[str]


def check_definitions(spec: Spec, scope: Scope, left_out: frozenset[str]) -> Definitions:
    """Notes definitions that hide a built-in name, lead in a circle, or name what nothing has.

    An expression here may use any index of any repeat, and any number that a rule captures: it is evaluated
    where the initializer is used.

    Args:
        spec: the document.
        scope: the document's.
        left_out: names whose definitions could not be read.
    """
    extents = check_references(spec, scope.problems)
    definitions = Definitions(extents, left_out | (spec.initializers.keys() - extents.keys()))
    indices = {name for layer in spec.layers.values() for name in layer.repeat or ()}
    indices |= {name for rule in spec.rules for name in Glob(rule.match).captures}
    check = NameCheck(spec, scope, indices, definitions)
    for name, config in spec.initializers.items():
        path = ("initializers", name)
        with scope.problems.collecting():
            _refuse_hiding(name, path, scope)
        check(config, path)
    return definitions


class NameCheck:
    """Notes initializers, and names in expressions, that nothing has.

    Args:
        spec: gives the named initializers.
        scope: the document's.
        indices: names that will have values where the initializers are used.
        definitions: what is known of the named ones.
    """

    def __init__(self, spec: Spec, scope: Scope, indices: Iterable[str], definitions: Definitions) -> None:
        self.definitions = definitions
        self._problems = scope.problems
        self._named = spec.initializers.keys() | definitions.broken
        self._known = {*scope.values, *scope.broken, *indices, *FANS}
        # Evaluating an expression words the error; names that get their value later stand for 1 meanwhile.
        self._scope = scope.extended(dict.fromkeys((*indices, *FANS), 1))

    def __call__(self, config: InitializerConfig, path: Path) -> None:
        """Looks through an initializer, and those that it holds."""
        if config.instance is None and config.lookup_name not in self._named:
            with self._problems.collecting():
                self._problems.known_class(config, path)
        for expression, place in expressions_in(config, path):
            if expression.names - self._known:
                with self._problems.collecting():
                    self._scope.number(expression.text, place)
        for nested, place in nested_in(config, path):
            self(nested, place)

    def is_buildable(self, config: InitializerConfig, path: Path) -> bool:
        """Whether an initializer is of a depth and size that is built; notes it where it is not."""
        return check_extent(config, path, self.definitions.extents, self._problems)


def expressions_in(config: InitializerConfig, path: Path) -> Iterator[tuple[Expression, Path]]:
    """The expressions among a config's own arguments, with their places."""
    cls = initializers.lookup(config.lookup_name)
    arguments = arguments_of(cls) if cls is not None else {}
    place = config.arguments_path(path)
    for name, written in config.config.items():
        if name in arguments and arguments[name].holds_expressions:
            for text, inner in _texts(written, (*place, name)):
                yield Expression.parse(text), inner


def _texts(written: object, path: Path) -> Iterator[tuple[str, Path]]:
    if isinstance(written, str):
        yield written, path
    elif isinstance(written, tuple):
        for at, item in enumerate(written):
            yield from _texts(item, (*path, at))


def _refuse_hiding(name: str, path: Path, scope: Scope) -> None:
    if not is_free(name):
        message = f"{name!r} is the name of an initializer, or kept for one of PyTorch's"
        raise scope.problems.error(Code.HIDDEN_NAME, message, path, key=True, hint="choose another name")
