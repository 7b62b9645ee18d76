"""The initializer that a config describes: its expressions evaluated, its parts made for their shapes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from pydantic_core import ValidationError

from initcfg import initializers
from initcfg.errors import Code, SpecError
from initcfg.expressions import Expression, Template, facts_of
from initcfg.expressions.grammar import references
from initcfg.initializers import BuiltIn, Combined, Initializer
from initcfg.initializers.annotations import LITERALS
from initcfg.initializers.arguments import adapter_of, arguments_of, problems_of
from initcfg.initializers.forms import known_arguments
from initcfg.initializers.values import halves_of
from initcfg.plan.definitions import built_in_hint, complexity_of, nested_in
from initcfg.plan.problems import BrokenError
from initcfg.plan.scope import cost_of, formula_cost
from initcfg.process import LOADING

if TYPE_CHECKING:
    from collections.abc import Callable

    from initcfg.errors import Diagnostic
    from initcfg.initializers.annotations import Reading
    from initcfg.initializers.arguments import Problem
    from initcfg.initializers.base import Share
    from initcfg.initializers.derived import Derived
    from initcfg.layout import Layout
    from initcfg.manifest import Manifest
    from initcfg.plan.definitions import Definitions
    from initcfg.plan.problems import Path
    from initcfg.plan.scope import Scope
    from initcfg.spec import InitializerConfig, Spec
    from initcfg.spec import Reading as Document
    from initcfg.stream import Stream


@dataclass(frozen=True, slots=True)
class PlanContext:
    """What the parameters of a document have in common."""

    reading: Document  # finds the files that the document names
    spec: Spec  # what is left of the document
    scope: Scope  # its vars
    definitions: Definitions
    manifest: Manifest | None
    rules_complete: bool  # whether all of its rules could be read
    stream: Callable[[str], Stream]  # of a name
    # Initializers that follow another parameter: for whom, and where that is written.
    followers: list[tuple[str, Derived, Path]] = field(default_factory=list)

    def dtype(self, name: str) -> str | None:
        """What the manifest says of a parameter's dtype."""
        entry = None if self.manifest is None else self.manifest.entries.get(name)
        return None if entry is None else entry.dtype


class EvalContext(NamedTuple):
    """What an initializer is wanted for, a parameter or a part of one, and what expressions may use."""

    plan: PlanContext  # gives the named initializers
    scope: Scope  # vars and indices
    name: str  # of the parameter
    shape: tuple[int, ...]
    layout: Layout | None


def instantiate(config: InitializerConfig, path: Path, context: EvalContext) -> Initializer:
    """The initializer that the config at `path` describes, its expressions evaluated."""
    if config.instance is not None:
        made: Initializer = initializers.get(config.instance)
        return made
    name = config.lookup_name
    if name in context.plan.definitions.broken:
        raise BrokenError
    if name in context.plan.spec.initializers:
        if config.config:
            message = f"{name!r} is named in this file and takes no arguments"
            hint = built_in_hint(name)
            hint = hint or f"change its definition, or write the initializer that {name!r} stands for"
            raise context.scope.problems.error(Code.INITIALIZER_CONFIG, message, path, hint=hint)
        return instantiate(context.plan.spec.initializers[name], ("initializers", name), context)
    cls = context.scope.problems.known_class(config, path)
    values = _arguments(cls, config, path, context)
    if known_arguments(cls) is not None:
        validated = _validated(cls, config, values, path, context, None)
        _try_formula(validated, config, path, context)
        if isinstance(validated, BuiltIn) and cls.from_config.__func__ is BuiltIn.from_config.__func__:  # type: ignore[attr-defined]
            if hasattr(validated, "follow"):
                place = (*config.arguments_path(path), "parameter")
                context.plan.followers.append((context.name, cast("Derived", validated), place))
            return validated
    with context.scope.problems.placing(path):
        return cls.from_config(values)


def _arguments(
    cls: type[Initializer], config: InitializerConfig, path: Path, context: EvalContext
) -> dict[str, Any]:
    """The arguments by name; those that hold initializers come last, because the others split the shape."""
    place = config.arguments_path(path)
    problems = context.scope.problems
    arguments = arguments_of(cls)
    before = problems.count
    values: dict[str, Any] = {}
    for name, written in config.config.items():
        with problems.collecting():
            if name in arguments and arguments[name].holds_expressions:
                values[name] = _evaluated(written, (*place, name), context)
            elif name in arguments and (text := arguments[name].text) and written is not None:
                values[name] = _completed(written, (*place, name), context, is_path=text.is_path)
            elif name in arguments and arguments[name].is_formula:
                values[name] = _closed(config, (*place, name), context)
            else:
                values[name] = _thawed(written)
    for name, argument in arguments.items():
        if argument.text is not None and not argument.is_required and values.get(name) is None:
            values[name] = context.name
    problems.break_if_more_than(before)
    nested = list(nested_in(config, path))
    if isinstance(formula := values.get("value"), Expression):
        values["value"] = formula.text
        if "x" not in formula.names and "x" in Expression.parse(config.config["value"]).names:
            values.pop("of", None)  # no branch that is left uses it
            nested.clear()
    if nested:
        # An initializer that is not made yet is checked as far as it is written.
        written = vars(_validated(cls, config, values, path, context, LITERALS))
        shares = _shares(cls, written, place, context)
        for inner, where in nested:
            share = shares.get(where[len(place) :])
            its = context if share is None else context._replace(shape=share.shape, layout=share.layout)
            with problems.collecting():
                _put(values, where[len(place) :], instantiate(inner, where, its))
    problems.break_if_more_than(before)
    return values


def _shares(
    cls: type[Initializer], values: dict[str, Any], place: Path, context: EvalContext
) -> dict[Path, Share]:
    """What each initializer that a combined one holds is for, by its place among the arguments."""
    if not issubclass(cls, Combined):
        return {}
    with context.scope.problems.placing(place):
        return {share.place: share for share in cls.divide(context.shape, context.layout, values)}


def _put(values: Any, place: Path, made: Initializer) -> None:
    """Puts an initializer into nested arguments."""
    *steps, last = place
    for step in steps:
        values = values[step]
    values[last] = made


def _validated(  # noqa: PLR0917
    cls: type[Initializer],
    config: InitializerConfig,
    values: dict[str, Any],
    path: Path,
    context: EvalContext,
    reading: Reading | None,
) -> Any:
    try:
        return adapter_of(cls).validator.validate_python(values, context=reading)
    except ValidationError as error:
        found = [
            _placed(problem, config, path, context) for problem in problems_of(error, cls, config.lookup_name)
        ]
    raise SpecError(*found)


def _placed(problem: Problem, config: InitializerConfig, path: Path, context: EvalContext) -> Diagnostic:
    """A problem with the place of its argument, and the expression that led to it."""
    spec = context.plan.spec
    if not problem.path:
        return problem.found.at(spec.locate(path))
    written: Any = config.config
    for step in problem.path:
        written = cast("Any", written)[step] if isinstance(written, Mapping | tuple) else None
    found = problem.found.at(spec.locate((*config.arguments_path(path), *problem.path)))
    return replace(found, message=f"{found.message}, from {written!r}") if isinstance(written, str) else found


def _evaluated(written: Any, path: Path, context: EvalContext) -> Any:
    if isinstance(written, tuple):
        return [_evaluated(item, (*path, at), context) for at, item in enumerate(written)]
    if isinstance(written, Mapping):
        return {key: _evaluated(item, (*path, key), context) for key, item in written.items()}
    if isinstance(written, str):
        if ":" in written:
            return ":".join(_position(half, path, context) for half in halves_of(written))
        return _with_facts(written, path, context).number(written, path)
    return _thawed(written)


def _position(text: str, path: Path, context: EvalContext) -> str:
    """The start or the stop of a slice, which may be missing."""
    if not text.strip():
        return ""
    return str(_with_facts(text, path, context).integer(text, path, "a position"))


def _completed(written: str, path: Path, context: EvalContext, *, is_path: bool) -> str:
    """The path that a text means, or the name that it gives with its braces filled in."""
    if is_path:
        return context.plan.reading.find(written, path)
    template = Template.parse(written)
    return context.scope.text(template, path, cost=1 + sum(map(cost_of, template.trees)))


def _try_formula(made: object, config: InitializerConfig, path: Path, context: EvalContext) -> None:
    """Evaluates a formula at some elements as the document writes it, so that errors have their column."""
    if not any(argument.is_formula for argument in arguments_of(type(made)).values()):
        return
    with LOADING:
        from initcfg.initializers.formulas import Formula, try_out  # noqa: PLC0415  few documents hold a formula

    assert isinstance(made, Formula)  # noqa: S101
    place, scope = (*config.arguments_path(path), "value"), context.scope
    expression = _closed(config, place, context)
    parts = complexity_of(config, context.plan.definitions.complexities).parts
    scope.pay(formula_cost(expression, parts, math.prod(context.shape)), place)
    with scope.problems.placing(place), scope.placing(config.config["value"], place):
        try_out(expression, made.of, context.shape, context.layout)


def _closed(config: InitializerConfig, path: Path, context: EvalContext) -> Expression:
    """The formula at a place, without the names that stand for something there."""
    text = config.config[str(path[-1])]
    scope = _with_facts(text, path, context)
    if "of" in config.config and "x" in scope.values:
        hidden = (each for each in references(Expression.parse(text).tree) if each.name == "x")
        message = "'x' is a var or an index here, which hides the draw of 'of'"
        for each in hidden:
            hint = "give the var or the index another name"
            raise scope.problems.error(Code.HIDDEN_NAME, message, path, hint=hint, offset=each.offset)
    return scope.formula(text, path)


def _with_facts(text: str, path: Path, context: EvalContext) -> Scope:
    """The scope with those facts of the shape that an expression uses."""
    with context.scope.problems.placing(path):
        facts = facts_of(Expression.parse(text).names, context.shape, context.layout)
    return context.scope.extended(facts) if facts else context.scope


def _thawed(written: Any) -> Any:
    """Immutable plain data as the lists and dicts that a ``from_config`` expects; initializers stay."""
    if isinstance(written, tuple):
        return [_thawed(item) for item in written]
    if hasattr(written, "items"):
        return {key: _thawed(item) for key, item in written.items()}
    return written
