"""The named initializers of a spec, before any shape is known: what they hold, how they use each other."""

from __future__ import annotations

from contextlib import suppress
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING, NamedTuple

from initcfg import initializers
from initcfg.errors import Code
from initcfg.expressions import ELEMENT_NAMES, FANS, Expression, Template
from initcfg.globs import Glob
from initcfg.initializers.annotations import LITERALS
from initcfg.initializers.arguments import arguments_of
from initcfg.initializers.base import checked
from initcfg.initializers.forms import known_arguments, leaves_of, nested_in
from initcfg.initializers.registry import PACKAGE, is_free
from initcfg.initializers.values import halves_of
from initcfg.spec import InitializerConfig

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from initcfg.errors import Path
    from initcfg.plan.problems import Problems
    from initcfg.plan.scope import Scope
    from initcfg.spec import Spec

#: Stands among the names that an initializer depends on for the full name of the parameter; no name is empty.
OWN_NAME = ""
_MAX_DEPTH = 64
_MAX_PARTS = 10_000
_SHOWN = 6


class Complexity(NamedTuple):
    """How deep an initializer is nested, and of how many initializers and plain values it consists."""

    depth: int
    parts: int
    leaves: int


def check_references(spec: Spec, problems: Problems) -> dict[str, Complexity]:
    """The complexity of each named initializer that may be followed; notes what is wrong with the others.

    Linear in the size of the definitions, whatever they lead to.
    """
    references = {
        name: [each for each in _names_in(config) if each in spec.initializers]
        for name, config in spec.initializers.items()
    }
    sorter = TopologicalSorter(references)
    # Circles stop the sorter only where they are: what does not lead into one comes all the same.
    with suppress(CycleError):
        sorter.prepare()
    complexities: dict[str, Complexity] = {}
    stuck = dict(references)
    while ready := sorter.get_ready():
        for name in ready:
            sorter.done(name)
            del stuck[name]
            if all(each in complexities for each in references[name]):
                complexity = complexity_of(spec.initializers[name], complexities)
                if _fits(complexity, ("initializers", name), problems):
                    complexities[name] = complexity
    for circle in _circles(stuck):
        _report(circle, problems)
    return complexities


def complexity_of(config: InitializerConfig, complexities: Mapping[str, Complexity]) -> Complexity:
    """The complexity of an initializer; a name that is not in `complexities` counts as a built-in."""
    inner = [complexity_of(nested, complexities) for nested, _ in nested_in(config, ())]
    named = complexities.get(config.lookup_name)
    if named is not None:
        inner.append(named)
    depth = 1 + max((each.depth for each in inner), default=0)
    leaves = sum(not isinstance(leaf, InitializerConfig) for leaf, _ in leaves_of(config.config))
    return Complexity(
        depth, 1 + sum(each.parts for each in inner), leaves + sum(each.leaves for each in inner)
    )


def _fits(complexity: Complexity, path: Path, problems: Problems) -> bool:
    if complexity.depth > _MAX_DEPTH:
        message = f"names followed, this initializer is nested deeper than {_MAX_DEPTH} levels"
        problems.add(problems.error(Code.TOO_DEEP, message, path))
    elif complexity.parts > _MAX_PARTS:
        message = f"names followed, this initializer consists of more than {_MAX_PARTS:,} initializers"
        problems.add(problems.error(Code.TOO_LARGE, message, path))
    return complexity.depth <= _MAX_DEPTH and complexity.parts <= _MAX_PARTS


def _names_in(config: InitializerConfig) -> Iterator[str]:
    yield config.lookup_name
    for nested, _ in nested_in(config, ()):
        yield from _names_in(nested)


def _circles(stuck: Mapping[str, list[str]]) -> Iterator[list[str]]:
    """Circles among names of which each leads to another of them: the first way on is followed from each."""
    seen: set[str] = set()
    for start in stuck:
        trail: dict[str, None] = {}
        name = start
        while name not in seen:
            seen.add(name)
            trail[name] = None
            name = next(each for each in stuck[name] if each in stuck)
        if name in trail:
            names = list(trail)
            yield names[names.index(name) :]


def _report(circle: list[str], problems: Problems) -> None:
    shown = circle if len(circle) <= _SHOWN else [*circle[: _SHOWN - 1], "...", circle[-1]]
    message = f"these initializers are defined by each other: {' -> '.join([*shown, circle[0]])}"
    path, hint = ("initializers", circle[0]), built_in_hint(circle[0])
    problems.add(problems.error(Code.INITIALIZER_CYCLE, message, path, key=True, hint=hint))


def built_in_hint(name: str) -> str | None:
    """How the built-in is written whose name a document has given to an initializer of its own."""
    return None if initializers.lookup(name) is None else f"the built-in is written {PACKAGE}>{name}"


class Definitions(NamedTuple):
    """What is known of the named initializers of a spec."""

    complexities: Mapping[str, Complexity]  # of those that may be followed
    broken: frozenset[str]  # whose problems have been reported, and what leads to them


def check_definitions(spec: Spec, scope: Scope, left_out: frozenset[str]) -> Definitions:
    """Notes definitions that hide a built-in name, lead in a circle, or name what nothing has.

    An expression here may use any index of any repeat, and any number that a rule captures: it is evaluated
    where the initializer is used. Those `left_out` could not be read.
    """
    complexities = check_references(spec, scope.problems)
    definitions = Definitions(complexities, left_out | (spec.initializers.keys() - complexities.keys()))
    indices = {name for layer in spec.layers.values() for name in layer.repeat or ()}
    indices |= {name for rule in spec.rules for name in Glob(rule.match).captures}
    check = NameCheck(spec, scope, indices, definitions)
    for name, config in spec.initializers.items():
        path = ("initializers", name)
        if not is_free(name):
            message, hint = f"{name!r} is the name of an initializer", "choose another name"
            scope.problems.add(scope.problems.error(Code.HIDDEN_NAME, message, path, key=True, hint=hint))
        check(config, path)
    return definitions


class NameCheck:
    """Notes initializers, and names in expressions, that nothing has.

    The `indices` are names that will have values where the initializers are used.
    """

    def __init__(self, spec: Spec, scope: Scope, indices: Iterable[str], definitions: Definitions) -> None:
        self.definitions = definitions
        self._problems = scope.problems
        self._named = spec.initializers.keys() | definitions.broken
        self._known = {*scope.values, *scope.broken, *indices, *FANS}
        # Names that get their value later stand for 1 meanwhile.
        self._scope = scope.extended(dict.fromkeys((*indices, *FANS), 1))

    def __call__(self, config: InitializerConfig, path: Path) -> None:
        """Looks through an initializer, and those that it holds."""
        if config.instance is None and config.lookup_name not in self._named:
            with self._problems.collecting(), self._problems.placing(path):
                cls = self._problems.known_class(config, path)
                # A name alone might have been the document's, so reading it asked for no arguments.
                if not config.config and known_arguments(cls):
                    checked(cls, {}, LITERALS, config.lookup_name)
        elif config.form == "object":
            with self._problems.collecting():
                message = f"{config.name!r} of this document hides the built-in that stands here"
                hint = "give that of the document another name"
                raise self._problems.error(Code.HIDDEN_NAME, message, path, hint=hint)
        for expression, place, others in expressions_in(config, path):
            if expression.names - self._known - others:
                with self._problems.collecting():
                    self._scope.refuse_unknown(expression, place, others)
        for nested, place in nested_in(config, path):
            self(nested, place)

    def is_buildable(self, config: InitializerConfig, path: Path) -> bool:
        """Whether an initializer is of a depth and size that is built; notes it where it is not."""
        return _fits(complexity_of(config, self.definitions.complexities), path, self._problems)


def names_in(config: InitializerConfig, spec: Spec, definitions: Definitions) -> frozenset[str]:
    """The vars, indices and facts that an initializer's value may depend on, named initializers included."""
    name = config.lookup_name
    if name in spec.initializers and name not in definitions.broken:
        return names_in(spec.initializers[name], spec, definitions)
    own = [expression.names for expression, *_ in expressions_in(config, ())]
    own += _names_in_texts(config)
    nested = (names_in(inner, spec, definitions) for inner, _ in nested_in(config, ()))
    return frozenset().union(*own, *nested)


def _names_in_texts(config: InitializerConfig) -> Iterator[frozenset[str]]:
    """The names in the braces of texts, and `OWN_NAME` where what they mean depends on that."""
    cls = initializers.lookup(config.lookup_name)
    for name, argument in (arguments_of(cls) if cls is not None else {}).items():
        if argument.text is None or argument.text.is_path:
            continue
        written = config.config.get(name)
        if written is None or argument.text.is_parameter:
            yield frozenset((OWN_NAME,))
        if written is not None:
            yield Template.parse(written).names


def expressions_in(
    config: InitializerConfig, path: Path
) -> Iterator[tuple[Expression, Path, frozenset[str]]]:
    """The expressions among a config's own arguments, with their places and what only formulas may use."""
    cls = initializers.lookup(config.lookup_name)
    arguments = arguments_of(cls) if cls is not None else {}
    place = config.arguments_path(path)
    for name, written in config.config.items():
        if name in arguments and (arguments[name].holds_expressions or arguments[name].is_formula):
            others = ELEMENT_NAMES if arguments[name].is_formula else frozenset()
            for text, inner in leaves_of(written, (*place, name)):
                # Of a slice there are two, of which either may be missing.
                for half in halves_of(text) if isinstance(text, str) else ():
                    if half.strip():
                        yield Expression.parse(half), inner, others
