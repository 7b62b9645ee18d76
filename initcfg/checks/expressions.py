"""Expressions that are perhaps not what was meant: a ``//`` that drops a fraction, fans of a vector."""

from __future__ import annotations

import math
from collections import ChainMap
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeAlias

from initcfg import initializers
from initcfg.checks.laws import has_named_layout, scale_of
from initcfg.checks.survey import Finding
from initcfg.expressions import Evaluator, Expression, ExpressionError
from initcfg.expressions.grammar import Ast, Call, Choice, Operation
from initcfg.initializers.arguments import arguments_of
from initcfg.plan.definitions import expressions_in
from initcfg.plan.scope import cost_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from initcfg.checks.survey import Complaint, Piece, Survey
    from initcfg.errors import Path
    from initcfg.expressions import Value
    from initcfg.plan import PlannedParameter
    from initcfg.plan.scope import EvalBudget
    from initcfg.spec import InitializerConfig, Spec


def integer_expressions(looked_at: Survey) -> Iterator[Finding]:
    """A stddev, scale, gain or bound that is 0, or a whole quotient, because of a ``//``.

    Only where the spec is at hand: a plan has numbers, not what they came from. Expressions that use the
    index of a repeat are left alone, because steps are what ``//`` is good for there.
    """
    if looked_at.spec is None:
        return
    vars_, rules = _Vars(looked_at.spec), _rules_of(looked_at.spec)
    judge = _Judge(looked_at.budget, vars_.floored)
    for group in looked_at.groups:
        for members in _by_entry(group.members):
            for piece in group.pieces:
                for name, text, path in _numbers(looked_at.spec, rules, members[0], piece):
                    complaint = judge(name, text, vars_.with_facts(piece))
                    if complaint is not None:
                        yield Finding(piece, members, complaint, looked_at.spec.locate(path))


_OF_BOTH = frozenset({"fan_in", "fan_out", "fan_avg"})


def vector_fans(looked_at: Survey) -> Iterator[Finding]:
    """An expression that uses fans of a shape that has no inputs and outputs to tell apart.

    Only where the spec is at hand; not where the initializer scales by fans itself, which warns itself.
    """
    if looked_at.spec is None:
        return
    rules = _rules_of(looked_at.spec)
    for group in looked_at.groups:
        for piece in group.pieces:
            if len(piece.shape) > 1 or piece.fans is None or not has_named_layout(piece) or scale_of(piece):
                continue
            for members in _by_entry(group.members):
                yield from _of_vector(looked_at.spec, rules, members, piece)


def _rules_of(spec: Spec) -> dict[str, list[int]]:
    """The rules by their patterns."""
    rules: dict[str, list[int]] = {}
    for at, rule in enumerate(spec.rules):
        rules.setdefault(rule.match, []).append(at)
    return rules


def _of_vector(
    spec: Spec, rules: Mapping[str, list[int]], members: tuple[PlannedParameter, ...], piece: Piece
) -> Iterator[Finding]:
    found = _config_of(spec, rules, members[0], piece)
    for expression, path, _ in expressions_in(*found) if found else ():
        used = sorted(expression.names & _OF_BOTH)
        if used and piece.fans is not None:
            text = (
                f"{expression.text.strip()!r} uses {used[0]}, and a shape with one axis or none has it by "
                f"convention only: it is {getattr(piece.fans, used[0]):,}, the number of elements"
            )
            hint = "write fans_of: weight for the fans of the weight beside it; or numel, if that is meant"
            yield Finding(piece, members, (text, hint), spec.locate(path))


def _by_entry(members: tuple[PlannedParameter, ...]) -> Iterator[tuple[PlannedParameter, ...]]:
    """Parameters with equal initializers may come from entries that write them in different ways."""
    entries: dict[tuple[object, ...], list[PlannedParameter]] = {}
    for member in members:
        entries.setdefault((id(member.where), member.rule), []).append(member)
    yield from map(tuple, entries.values())


#: What names stand for, as written and with ``/`` for each ``//``.
_Envs: TypeAlias = "tuple[ChainMap[str, Value], ChainMap[str, Value]]"


class _Vars:
    """The vars of a spec, evaluated in both ways once."""

    def __init__(self, spec: Spec) -> None:
        self._written: dict[str, Value] = {}
        self._divided: dict[str, Value] = {}
        for name, value in spec.vars.items():
            self._written[name] = _value(value, self._written, divided=False)
            self._divided[name] = self._written[name]
            with suppress(ExpressionError):
                self._divided[name] = _value(value, self._divided, divided=True)
        unequal = (name for name, value in self._written.items() if self._divided[name] != value)
        self.floored = frozenset(unequal)

    def with_facts(self, piece: Piece) -> _Envs:
        """The vars and the facts of a shape."""
        facts: dict[str, Value] = {"numel": math.prod(piece.shape), "ndim": len(piece.shape)}
        if piece.fans is not None:
            fans = piece.fans
            facts |= {"fan_in": fans.fan_in, "fan_out": fans.fan_out, "fan_avg": fans.fan_avg}
        # Joined, not copied: there may be thousands of vars, and of pieces.
        return ChainMap(facts, self._written), ChainMap(facts, self._divided)


class _Judge:
    """Finds quotients that were cut; looks at an expression once for the same values of its names."""

    def __init__(self, budget: EvalBudget, floored: frozenset[str]) -> None:
        self._budget = budget
        self._floored = floored  # vars that a // makes what they are
        self._known: dict[tuple[object, ...], Complaint | None] = {}

    def __call__(self, name: str, text: str, envs: _Envs) -> Complaint | None:
        expression = Expression.parse(text)
        if "//" not in text and not (expression.names | expression.hideable) & self._floored:
            return None
        facts = envs[0].maps[0]
        key = (name, text, *[facts.get(each) for each in expression.names])
        if key not in self._known:
            self._budget.spend(cost_of(expression.tree))
            self._known[key] = _judged(name, expression, envs)
        return self._known[key]


def _judged(name: str, expression: Expression, envs: _Envs) -> Complaint | None:
    try:
        written = Evaluator(envs[0]).number(expression.tree)
        divided = Evaluator(envs[1]).number(_divided(expression.tree))
    except ExpressionError:
        return None
    is_cut = written == 0 or (written == int(written) and _is_quotient(expression.tree))
    if written == divided or not is_cut:
        return None
    text = (
        f"{name} is {written:g}, from {expression.text!r}: // drops the fraction, and / gives {divided:.4g}"
    )
    return (text, f"write / in place of //, or the number {written:g} if that is what is meant")


def _numbers(
    spec: Spec, rules: Mapping[str, list[int]], member: PlannedParameter, piece: Piece
) -> Iterator[tuple[str, str, Path]]:
    """The texts that stand for numbers among the arguments of a piece's initializer, with their places."""
    found = _config_of(spec, rules, member, piece)
    if found is None:
        return
    config, path = found
    cls = initializers.lookup(config.lookup_name) if config.instance is None else None
    arguments = arguments_of(cls) if cls is not None else {}
    for name, written in config.config.items():
        if isinstance(written, str) and name in arguments and arguments[name].is_number:
            yield name, written, (*config.arguments_path(path), name)


def _config_of(
    spec: Spec, rules: Mapping[str, list[int]], member: PlannedParameter, piece: Piece
) -> tuple[InitializerConfig, Path] | None:
    """What is written of a piece's initializer, and where; None where that is not known."""
    start = _written(spec, rules, member)
    if start is None:
        return None
    config, path = _followed(spec, *start)
    for share in piece.shares:
        while share.place[0] not in config.config and "of" in config.config:  # the parts of what is scaled
            config, path = _followed(spec, config.config["of"], (*config.arguments_path(path), "of"))
        inner: Any = config.config
        for step in share.place:
            inner = inner[step]
        config, path = _followed(spec, inner, (*config.arguments_path(path), *share.place))
    return config, path


def _written(
    spec: Spec, rules: Mapping[str, list[int]], member: PlannedParameter
) -> tuple[InitializerConfig, Path] | None:
    """The initializer of a parameter as the spec has it: its entry's, or that of the rule that won."""
    pattern = member.rule
    if pattern is not None:
        for at in rules.get(pattern, ()):
            rule = spec.rules[at]
            if rule.ndim in (None, len(member.shape)) and rule.initializer:
                return rule.initializer, ("rules", at, "initializer")
    path: Path = member.where.path if member.where else ()
    match path:
        case ("layers", str(layer), "params", str(key)) if layer in spec.layers:
            param = spec.layers[layer].params.get(key)
        case ("params", str(key)):
            param = spec.params.get(key)
        case _:
            return None
    if param is None or param.initializer is None:
        return None
    return param.initializer, (*path, "initializer")


def _followed(spec: Spec, config: InitializerConfig, path: Path) -> tuple[InitializerConfig, Path]:
    """What a name of this document stands for, and where that stands."""
    while config.instance is None and config.lookup_name in spec.initializers:
        path = ("initializers", config.lookup_name)
        config = spec.initializers[config.lookup_name]
    return config, path


def _value(written: object, env: Mapping[str, Value], *, divided: bool) -> Value:
    if isinstance(written, tuple):
        return tuple(_number(item, env, divided=divided) for item in written)
    return _number(written, env, divided=divided)


def _number(written: object, env: Mapping[str, Value], *, divided: bool) -> int | float:
    if isinstance(written, str):
        tree = Expression.parse(written).tree
        return Evaluator(env).number(_divided(tree) if divided else tree)
    assert isinstance(written, int | float)  # noqa: S101
    return written


def _divided(tree: Ast) -> Ast:
    """A tree with ``/`` for each ``//``."""
    match tree:
        case Choice(then, condition, otherwise, offset):
            return Choice(_divided(then), _divided(condition), _divided(otherwise), offset)
        case Operation(name, operands) | Call(name, operands):
            return tree._replace(name="/" if name == "//" else name, operands=tuple(map(_divided, operands)))
    return tree


def _is_quotient(tree: Ast) -> bool:
    """Whether a value is a quotient and nothing was done with it."""
    while isinstance(tree, Operation) and len(tree.operands) == 1:
        (tree,) = tree.operands
    return isinstance(tree, Operation) and tree.name == "//"
