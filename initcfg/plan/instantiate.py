"""An initializer of a spec becomes an instance, its expressions evaluated for one shape."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from pydantic_core import ValidationError

from initcfg import initializers
from initcfg.errors import Code, InitializerError, SpecError
from initcfg.initializers import BuiltIn, Combined, Initializer
from initcfg.initializers.arguments import LITERALS, adapter_of, arguments_of, problems_of
from initcfg.initializers.forms import known_arguments
from initcfg.layout import resolved_fans
from initcfg.plan.definitions import expressions_in, nested_in
from initcfg.plan.problems import BrokenError
from initcfg.spec import Expression, InitializerConfig
from initcfg.spec.expressions import FANS

if TYPE_CHECKING:
    from initcfg.errors import Diagnostic
    from initcfg.initializers.arguments import Problem, Reading
    from initcfg.layout import Layout
    from initcfg.plan.problems import Path
    from initcfg.plan.scope import Scope
    from initcfg.spec import Spec
    from initcfg.spec.expressions import Value


class Site(NamedTuple):
    """Where an initializer is wanted: for which shape, and what its expressions may use.

    Args:
        spec: gives the named initializers.
        scope: vars and indices.
        shape: of the parameter, or of the part that the initializer makes.
        layout: the parameter's.
        broken: named initializers that must not be followed, because they have problems.
    """

    spec: Spec
    scope: Scope
    shape: tuple[int, ...]
    layout: Layout | None
    broken: frozenset[str] = frozenset()


def instantiate(config: InitializerConfig, path: Path, site: Site) -> Initializer:
    """The initializer that a config describes, at one place.

    Args:
        config: as the spec holds it.
        path: where it stands.
        site: what it is for.

    Raises:
        SpecError: nothing has its name, or its arguments are wrong.
        BrokenError: it uses something whose problem has been reported.
    """
    if config.instance is not None:
        made: Initializer = initializers.get(config.instance)
        return made
    if config.lookup_name in site.broken:
        raise BrokenError
    if config.lookup_name in site.spec.initializers:
        return _named(config, path, site)
    cls = site.scope.problems.known_class(config, path)
    return _instance(cls, config, _arguments(cls, config, path, site), path, site)


def _named(config: InitializerConfig, path: Path, site: Site) -> Initializer:
    """An initializer by a name that the spec gives."""
    name = config.lookup_name
    if config.config:
        message = f"{name!r} is named in this file and takes no arguments"
        hint = f"change its definition, or write the initializer that {name!r} stands for"
        raise site.scope.problems.error(Code.INITIALIZER_CONFIG, message, path, hint=hint)
    return instantiate(site.spec.initializers[name], ("initializers", name), site)


def _arguments(cls: type[Initializer], config: InitializerConfig, path: Path, site: Site) -> dict[str, Any]:
    """The arguments by name; those that hold initializers come last, because the others split the shape."""
    place = config.arguments_path(path)
    problems = site.scope.problems
    arguments = arguments_of(cls)
    before = problems.count
    values: dict[str, Any] = {}
    nested: dict[str, Any] = {}
    for name, written in config.config.items():
        with problems.collecting():
            if _is_nested(written):
                values[name] = nested[name] = written
            elif name in arguments and arguments[name].holds_expressions:
                values[name] = _evaluated(written, (*place, name), site)
            else:
                values[name] = _thawed(written)
    problems.break_if_more_than(before)
    if nested:
        # An initializer that is not made yet is checked as far as it is written.
        _validated(cls, config, values, path, site, LITERALS)
        for name, written in nested.items():
            values[name] = _parts(cls, written, (*place, name), values, site)
    problems.break_if_more_than(before)
    return values


def _is_nested(written: Any) -> bool:
    """Whether an argument is an initializer, or a list of them."""
    first = written[0] if isinstance(written, tuple) and written else written
    return isinstance(first, InitializerConfig)


def _instance(
    cls: type[Initializer], config: InitializerConfig, values: dict[str, Any], path: Path, site: Site
) -> Initializer:
    """The initializer of these arguments, each of which is checked where it stands."""
    if known_arguments(cls) is not None:
        made = _validated(cls, config, values, path, site, None)
        if isinstance(made, BuiltIn) and cls.from_config.__func__ is BuiltIn.from_config.__func__:  # type: ignore[attr-defined]
            return made
    with site.scope.problems.placing(path):
        return cls.from_config(values)


def _validated(  # noqa: PLR0917
    cls: type[Initializer],
    config: InitializerConfig,
    values: dict[str, Any],
    path: Path,
    site: Site,
    reading: Reading | None,
) -> Any:
    try:
        return adapter_of(cls).validator.validate_python(values, context=reading)
    except ValidationError as error:
        found = [
            _placed(problem, config, path, site) for problem in problems_of(error, cls, config.lookup_name)
        ]
    raise SpecError(*found)


def _placed(problem: Problem, config: InitializerConfig, path: Path, site: Site) -> Diagnostic:
    """A problem with the place of its argument, and the expression that led to it."""
    if not problem.path:
        return problem.found.at(site.spec.locate(path))
    written: Any = config.config
    for step in problem.path:
        written = cast("Any", written)[step] if isinstance(written, Mapping | tuple) else None
    found = problem.found.at(site.spec.locate((*config.arguments_path(path), *problem.path)))
    return replace(found, message=f"{found.message}, from {written!r}") if isinstance(written, str) else found


def _evaluated(written: Any, path: Path, site: Site) -> Any:
    if isinstance(written, tuple):
        return [_evaluated(item, (*path, at), site) for at, item in enumerate(written)]
    if isinstance(written, str):
        return _with_facts(written, path, site).number(written, path)
    return _thawed(written)


def _with_facts(text: str, path: Path, site: Site) -> Scope:
    """The scope with those facts of the shape that an expression uses."""
    used = Expression.parse(text).names & set(FANS)
    facts: dict[str, Value] = {}
    if "numel" in used:
        facts["numel"] = math.prod(site.shape)
    if "ndim" in used:
        facts["ndim"] = len(site.shape)
    if used & {"fan_in", "fan_out", "fan_avg"}:
        try:
            fans = resolved_fans(site.shape, site.layout)
        except InitializerError as error:
            raise site.scope.problems.placed(error, path) from None
        facts |= {"fan_in": fans.fan_in, "fan_out": fans.fan_out, "fan_avg": fans.fan_avg}
    return site.scope.extended(facts) if facts else site.scope


def _parts(cls: type[Initializer], written: Any, path: Path, values: dict[str, Any], site: Site) -> Any:
    """The initializers that an initializer holds, each for its part of the shape."""
    if isinstance(written, InitializerConfig):
        return instantiate(written, path, site)
    shapes = [site.shape] * len(written)
    if issubclass(cls, Combined):
        with site.scope.problems.placing(path[:-1]):
            divided = list(cls.shapes(site.shape, values))
        shapes = divided if len(divided) == len(written) else shapes
    made = []
    for at, (config, shape) in enumerate(zip(written, shapes, strict=True)):
        with site.scope.problems.collecting():
            made.append(instantiate(config, (*path, at), site._replace(shape=shape)))
    return made


def _thawed(written: Any) -> Any:
    """Immutable plain data as the lists and dicts that a ``from_config`` expects."""
    if isinstance(written, tuple):
        return [_thawed(item) for item in written]
    if hasattr(written, "items"):
        return {key: _thawed(item) for key, item in written.items()}
    return written


def names_in(config: InitializerConfig, spec: Spec, broken: frozenset[str]) -> frozenset[str]:
    """The vars, indices and facts that an initializer's value may depend on, named initializers included."""
    name = config.lookup_name
    if name in spec.initializers and name not in broken:
        return names_in(spec.initializers[name], spec, broken)
    own = (expression.names for expression, _ in expressions_in(config, ()))
    nested = (names_in(inner, spec, broken) for inner, _ in nested_in(config, ()))
    return frozenset().union(*own, *nested)
