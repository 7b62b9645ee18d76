"""Expressions and names with braces: parsed once, evaluated to the same number on every machine."""

from __future__ import annotations

import math
import operator
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from initcfg import exact
from initcfg.errors import Code
from initcfg.expressions.grammar import (
    KEYWORDS,
    Ast,
    Binary,
    Call,
    Choice,
    ExpressionError,
    Name,
    Number,
    Unary,
    UnknownNameError,
    parse,
    references,
)
from initcfg.names import did_you_mean
from initcfg.text.source import LARGEST

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from initcfg.expressions.grammar import Ast

Real = int | float
#: What a name may stand for: a number, a tuple that ``name(i)`` reads, or the text of a repeat index.
Value = int | float | str | tuple[int | float, ...]

#: Each function with how many arguments it takes: the least and the most.
FUNCTIONS: dict[str, tuple[Callable[..., Real], int, int]] = {
    "sqrt": (math.sqrt, 1, 1),
    "exp": (exact.exp, 1, 1),
    "log": (exact.log, 1, 1),
    "log2": (exact.log2, 1, 1),
    "min": (min, 2, 32),
    "max": (max, 2, 32),
    "floor": (math.floor, 1, 1),
    "ceil": (math.ceil, 1, 1),
    "round": (round, 1, 1),
}
CONSTANTS: dict[str, float] = {"pi": math.pi}
#: Names that stand for facts of the parameter inside an initializer's config.
FANS = ("fan_in", "fan_out", "fan_avg", "numel", "ndim")
#: Names that no var and no index may take.
RESERVED_NAMES: frozenset[str] = frozenset((*FUNCTIONS, *CONSTANTS, *FANS)) | KEYWORDS

_MAX_KNOWN = 50
_MAX_BITS = LARGEST.bit_length()


def _power(base: Real, exponent: Real) -> Real:
    if isinstance(base, int) and isinstance(exponent, int) and exponent >= 0:
        if base.bit_length() > 1 and (base.bit_length() - 1) * exponent >= _MAX_BITS:
            raise OverflowError("the power is beyond the range of float64")
        return int(base**exponent) if abs(base) > 1 else _unit_power(base, exponent)
    return exact.power(base, exponent)


def _unit_power(base: int, exponent: int) -> int:
    """A power of -1, 0 or 1."""
    return base if exponent % 2 else base * base if exponent else 1


_OPERATORS: dict[str, Callable[[Real, Real], Real]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "//": operator.floordiv,
    "%": operator.mod,
    "**": _power,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


class Evaluator:
    """Gives the value of a tree in one environment."""

    def __init__(self, env: Mapping[str, Value]) -> None:
        self.env = env

    def number(self, tree: Ast) -> Real:
        """The value of a tree without unknown names.

        Raises:
            ExpressionError: a name stands for no number, or a value is not finite.
        """
        match tree:
            case Number(value):
                return value
            case Name(name, offset):
                return self._name(name, offset)
            case Unary(sign, operand):
                value = self.number(operand)
                return -value if sign == "-" else value
            case Binary(sign, left, right, offset):
                return _computed(sign, offset, _OPERATORS[sign], self.number(left), self.number(right))
            case Choice(then, condition, otherwise):
                return self.number(then if self.number(condition) else otherwise)
            case Call():
                return self._call(tree)

    def refuse_unknown(self, tree: Ast) -> None:
        """Raises the error for the first name in a tree that stands for nothing, if there is one."""
        for reference in references(tree):
            name = reference.name
            if name in self.env or name in FUNCTIONS or name in CONSTANTS:
                continue
            lists = [name for name, value in self.env.items() if isinstance(value, tuple)]
            known = [*lists, *FUNCTIONS] if isinstance(reference, Call) else [*self.env, *CONSTANTS]
            # A short name is like 'pi' by chance only.
            likely = [each for each in known if each not in CONSTANTS] if len(name) < 3 else known
            hint = did_you_mean(name, likely[-_MAX_KNOWN:])
            if hint is None:
                hint = _way_out(reference, known)
            raise UnknownNameError(name, reference.offset, hint)

    def _name(self, name: str, offset: int) -> Real:
        value = self.env.get(name, CONSTANTS.get(name))
        if isinstance(value, int | float):
            return value
        if isinstance(value, tuple):
            what, hint = f"{name!r} is a list", f"read an item, as {name}(0)"
        elif isinstance(value, str):
            what, hint = f"{name!r} is the text {value!r}", "an index over texts can only stand in names"
        else:
            what, hint = f"{name!r} is a function", f"give it arguments, as {name}(x)"
        raise ExpressionError(what, offset, Code.EXPRESSION_VALUE, hint)

    def _call(self, call: Call) -> Real:
        values = [self.number(argument) for argument in call.arguments]
        if call.name in self.env or call.name in CONSTANTS:
            return self._item(call, values)
        function, least, most = FUNCTIONS[call.name]
        if not least <= len(values) <= most:
            count = (
                f"{least} argument{'s' if least > 1 else ''}"
                if least == most
                else f"{least} or more arguments"
            )
            message = f"{call.name!r} takes {count}, got {len(values)}"
            raise ExpressionError(message, call.offset, Code.EXPRESSION_VALUE)
        return _computed(call.name, call.offset, function, *values)

    def _item(self, call: Call, indices: list[Real]) -> Real:
        items = self.env.get(call.name)
        if not isinstance(items, tuple):
            hint = f"a product is written {call.name} * (...)"
            raise ExpressionError(f"{call.name!r} is not a list", call.offset, Code.EXPRESSION_VALUE, hint)
        index = indices[0]
        if len(indices) == 1 and index == int(index) and 0 <= index < len(items):
            return items[int(index)]
        shown = ", ".join(map(repr, indices))
        hint = f"its items are numbered 0 to {len(items) - 1}"
        raise ExpressionError(f"{call.name!r} has no item {shown}", call.offset, Code.EXPRESSION_VALUE, hint)


def _way_out(reference: Name | Call, known: list[str]) -> str | None:
    """What to do about a name that is like none of those `known`."""
    ways = []
    if reference.name in FANS:
        ways.append(f"{reference.name!r} is known inside the arguments of initializers")
    elif isinstance(reference, Name):
        ways.append(f"define {reference.name!r} in vars; if only others extend this file, say base: true")
    if len(known) <= _MAX_KNOWN:
        ways.append(f"known here: {', '.join(sorted(known))}")
    return "; ".join(ways) or None


def _computed(name: str, offset: int, function: Callable[..., Real], *values: Real) -> Real:
    """A step's value; every way to have none becomes one error at its place."""
    try:
        value = function(*values)
    except ZeroDivisionError:
        raise _without_value(f"division by zero in {_shown(name, values)}", offset) from None
    except OverflowError:
        raise _without_value(f"{_shown(name, values)} is beyond the range of float64", offset) from None
    except ValueError:
        raise _without_value(f"{_shown(name, values)} has no real value", offset) from None
    if isinstance(value, bool):
        return int(value)
    if abs(value) > LARGEST:
        raise _without_value(f"{_shown(name, values)} is beyond the range of float64", offset)
    if value == 0 and name in _NEVER_ZERO and all(values[: _NEVER_ZERO[name]]):
        message = f"{_shown(name, values)} is too small for float64, and would become 0"
        raise _without_value(message, offset)
    return value


# Steps that give 0 only by underflow where so many of their operands, from the left, are not 0.
_NEVER_ZERO = {"*": 2, "/": 1, "**": 1, "exp": 0}


def _without_value(message: str, offset: int) -> ExpressionError:
    return ExpressionError(message, offset, Code.EXPRESSION_VALUE)


def _shown(name: str, values: tuple[Real, ...]) -> str:
    """A step as it would be written; a negative base is in parentheses, as -8 ** 2 is -(8 ** 2)."""
    if name not in _OPERATORS:
        return f"{name}({', '.join(map(repr, values))})"
    left, right = map(repr, values)
    return f"({left}) {name} {right}" if name == "**" and values[0] < 0 else f"{left} {name} {right}"


class Expression(NamedTuple):
    """An arithmetic expression; `parse` makes it.

    Args:
        text: what was written.
        tree: what it means.
        names: the vars, indices and fans that it uses.

    Example:
        >>> residual = Expression.parse("0.02 / sqrt(2 * n_layer)")
        >>> sorted(residual.names)
        ['n_layer']
        >>> residual.evaluate({"n_layer": 8})
        0.005
    """

    text: str
    tree: Ast
    names: frozenset[str]

    @classmethod
    def parse(cls, text: str) -> Expression:
        """The expression that `text` writes.

        Args:
            text: at most 1000 characters and 250 numbers, names and signs, nested at most 32 deep.

        Raises:
            ExpressionError: the text is no expression; `offset` is the character where that shows.
        """
        return _parsed(text)

    def evaluate(self, env: Mapping[str, Value]) -> int | float:
        """The value: integers stay exact under ``+ - * // % **``, everything else is float64.

        ``+ - * / sqrt`` are IEEE 754; ``exp log log2 **`` are rounded once from `decimal`; ``round`` goes
        half to even.

        Args:
            env: a number, or a tuple of numbers that ``name(i)`` reads, for each name.

        Raises:
            ExpressionError: a name is unknown, wherever it stands, or a part that counts has no finite value;
                `offset` says which.
        """
        evaluator = Evaluator(env)
        if not all(name in env for name in self.names):
            evaluator.refuse_unknown(self.tree)
        return evaluator.number(self.tree)

    def __str__(self) -> str:
        return self.text


@lru_cache(maxsize=4096)
def _parsed(text: str) -> Expression:
    tree = parse(text)
    used = {reference.name for reference in references(tree)}
    return Expression(text, tree, frozenset(used - FUNCTIONS.keys() - CONSTANTS.keys()))


_MAX_LENGTH = 4096


class _Hole(NamedTuple):
    """A pair of braces: its expression, and the offset of that expression in the template."""

    expression: Expression
    offset: int


class Template(NamedTuple):
    """A name that may hold expressions in braces; a plain name is a template without any.

    Example:
        >>> block = Template.parse("layer{s + 1}.{kind}")
        >>> sorted(block.names)
        ['kind', 's']
        >>> block.render({"s": 2, "kind": "attn"})
        'layer3.attn'
    """

    text: str
    parts: tuple[str | _Hole, ...]

    @classmethod
    def parse(cls, text: str) -> Template:
        """The template that `text` writes.

        Raises:
            ExpressionError: braces do not pair (code ``template``), or what they hold is no expression.
        """
        if len(text) > _MAX_LENGTH:
            message = f"a name has at most {_MAX_LENGTH} characters, this one {len(text)}"
            raise ExpressionError(message, 0, Code.TEMPLATE)
        parts: list[str | _Hole] = []
        at = 0
        while at < len(text):
            opening = text.find("{", at)
            plain = text[at:] if opening < 0 else text[at:opening]
            if "}" in plain:
                raise ExpressionError("'}' closes no brace", at + plain.index("}"), Code.TEMPLATE)
            if plain:
                parts.append(plain)
            if opening < 0:
                break
            closing = text.find("}", opening)
            if closing < 0:
                raise ExpressionError("'{' is not closed", opening, Code.TEMPLATE)
            parts.append(_hole(text, opening + 1, closing))
            at = closing + 1
        return cls(text, tuple(parts))

    @property
    def names(self) -> frozenset[str]:
        """The indices and vars that the name depends on."""
        return frozenset().union(*(part.expression.names for part in self.parts if isinstance(part, _Hole)))

    @property
    def trees(self) -> list[Ast]:
        """The expressions in its braces."""
        return [part.expression.tree for part in self.parts if isinstance(part, _Hole)]

    def render(self, env: Mapping[str, Value]) -> str:
        """The name with its braces filled in.

        Args:
            env: an integer, or the text of an index over texts, for each name.

        Raises:
            ExpressionError: an expression has no value, or one that is no integer.
        """
        return "".join(part if isinstance(part, str) else _filled(part, env) for part in self.parts)

    def __str__(self) -> str:
        return self.text


def _hole(text: str, start: int, end: int) -> _Hole:
    inner = text[start:end]
    if not inner.strip():
        hint = "write an index or an expression, such as {i}"
        raise ExpressionError("the braces are empty", start - 1, Code.TEMPLATE, hint)
    try:
        return _Hole(Expression.parse(inner), start)
    except ExpressionError as error:
        raise ExpressionError(error.message, start + error.offset, error.code, error.hint) from None


def _index_hint(hole: _Hole, env: Mapping[str, Value]) -> str:
    """The way out where braces hold a name that stands for nothing."""
    name = min(hole.expression.names - env.keys(), key=hole.expression.text.find)
    near = did_you_mean(name, env)
    define = f"repeat: {{{name}: N}} in its layer would define it"
    return f"{near} ({define})" if near else define


def _filled(hole: _Hole, env: Mapping[str, Value]) -> str:
    tree = hole.expression.tree
    if isinstance(tree, Name):
        named = env.get(tree.name)
        if isinstance(named, str):
            return named
    try:
        value = hole.expression.evaluate(env)
    except ExpressionError as error:
        hint = _index_hint(hole, env) if error.code is Code.UNKNOWN_NAME else error.hint
        raise ExpressionError(error.message, hole.offset + error.offset, error.code, hint) from None
    if value != int(value):
        hint = "a name holds whole numbers; // divides without a remainder"
        raise ExpressionError(
            f"{hole.expression.text!r} is {value!r}", hole.offset, Code.EXPRESSION_VALUE, hint
        )
    return str(int(value))
