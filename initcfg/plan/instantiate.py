"""An initializer of a spec becomes an instance, its expressions evaluated for one shape."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

from initcfg import initializers
from initcfg.errors import Code, InitializerError
from initcfg.initializers import Concatenate, Initializer
from initcfg.initializers.combined import part_shapes
from initcfg.initializers.fields import fields_of
from initcfg.initializers.shapes import resolved_fans
from initcfg.plan.definitions import expressions_in
from initcfg.plan.problems import BrokenError
from initcfg.plan.references import nested_in
from initcfg.spec import Expression, InitializerConfig
from initcfg.spec.arithmetic import FANS

if TYPE_CHECKING:
    from initcfg.initializers.fields import Field
    from initcfg.layout import Layout
    from initcfg.plan.problems import Path
    from initcfg.plan.scope import Scope
    from initcfg.spec import Spec
    from initcfg.spec.arithmetic import Value

__all__ = ["Site", "instantiate", "names_in"]


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
    arguments = _arguments(cls, config, path, site)
    with site.scope.problems.placing(path):
        return cls.from_config(arguments)


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
    fields = fields_of(cls)
    before = problems.count
    values: dict[str, Any] = {}
    nested = {name for name, field in fields.items() if field.kind in ("initializer", "initializers")}
    for name, written in config.config.items():
        if name in nested:
            continue
        with problems.collecting():
            values[name] = _argument(fields.get(name), written, (*place, name), site)
    problems.break_if_more_than(before)
    for name in nested & config.config.keys():
        values[name] = _parts(cls, config.config[name], (*place, name), values, site)
    problems.break_if_more_than(before)
    return values


def _argument(field: Field | None, written: Any, path: Path, site: Site) -> Any:
    """An argument with its expressions evaluated, checked where it stands."""
    if field is None or not field.takes_expressions:
        return _thawed(written)
    value = _evaluated(written, path, site)
    problem = field.problem(value)
    if problem is not None:
        message = f"{problem.message}, from {written!r}" if isinstance(written, str) else problem.message
        raise site.scope.problems.error(problem.code, message, path, hint=problem.hint)
    return value


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
    if issubclass(cls, Concatenate) and len(values["sizes"]) == len(written):
        with site.scope.problems.placing(path[:-1]):
            shapes = list(part_shapes(site.shape, int(values["axis"]), values["sizes"]))
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
