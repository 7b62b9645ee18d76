"""Arithmetic expressions and names with braces: text to a tree, and to the same number on every machine."""

from __future__ import annotations

import math
import operator
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from initcfg import exact
from initcfg.errors import Code
from initcfg.expressions.grammar import (
    KEYWORDS,
    Ast,
    Call,
    Choice,
    Name,
    Number,
    Operation,
    parse,
    references,
)
from initcfg.expressions.grammar import ExpressionError as ExpressionError
from initcfg.expressions.grammar import UnknownNameError as UnknownNameError
from initcfg.layout import resolved_fans
from initcfg.names import did_you_mean
from initcfg.text.source import LARGEST

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from initcfg.layout import Layout

Real = int | float
#: What a name may stand for: a number, a tuple that ``name(i)`` reads, or the text of a repeat index.
Value = int | float | str | tuple[int | float, ...]


_PLAIN_GAINS = ("linear", *(f"conv{t}{n}d" for t in ("", "_transpose") for n in (1, 2, 3)), "sigmoid")
#: What the size of a signal is multiplied by to pass a nonlinearity unchanged: PyTorch's ``calculate_gain``.
GAINS = dict.fromkeys(_PLAIN_GAINS, 1.0) | {
    "tanh": 5.0 / 3,
    "relu": math.sqrt(2.0),
    "leaky_relu": math.sqrt(2.0 / (1 + 0.01 * 0.01)),
    "selu": 3.0 / 4,
}


# Activations without a gain of their own, whose names are like those of others: gelu is no misspelt selu.
_WITHOUT_GAIN = frozenset({"gelu", "elu", "celu", "silu", "swish", "mish", "prelu", "glu", "swiglu", "geglu"})


def nonlinearity_hint(name: str) -> str | None:
    """What may be meant by a nonlinearity that has no gain here; None where nothing is near."""
    if name.lower() in _WITHOUT_GAIN:
        return f"PyTorch has no gain for {name}; that of relu is often taken"
    return did_you_mean(name.lower(), GAINS)


def gain_of(nonlinearity: str, slope: Real | None = None) -> float:
    """The gain of a nonlinearity (a key of `GAINS`), as ``torch.nn.init.calculate_gain`` has it.

    `slope` is that of ``leaky_relu`` on its negative side, 0.01 by default; others have none.
    """
    if slope is None or nonlinearity != "leaky_relu":
        return GAINS[nonlinearity]
    return math.sqrt(2.0 / (1 + slope * slope))


#: Each function with how many arguments it takes: the least and the most.
FUNCTIONS: dict[str, tuple[Callable[..., Real], int, int]] = {
    **{each.__name__: (each, 1, 1) for each in (math.sqrt, math.floor, math.ceil, round, abs)},
    **{each.__name__: (each, 1, 1) for each in (exact.exp, exact.log, exact.log2, exact.expm1, exact.log1p)},
    **{each.__name__: (each, 1, 1) for each in (exact.sin, exact.cos, exact.tan, exact.tanh, exact.atan)},
    "sign": (lambda x: (x > 0) - (x < 0), 1, 1),
    "min": (min, 2, 32),
    "max": (max, 2, 32),
    "gain": (gain_of, 1, 2),
}
# Functions that came to the language later: a var or an index of an older document may have such a name.
_HIDEABLE = frozenset(("expm1", "log1p", "sin", "cos", "tan", "tanh", "atan", "abs", "sign", "gain"))
CONSTANTS: dict[str, float] = {"pi": math.pi}
#: Names that stand for facts of the parameter inside an initializer's config.
FANS = ("fan_in", "fan_out", "fan_avg", "numel", "ndim")
#: What a formula may use of an element, unless a var or an index has taken the name.
ELEMENT_NAMES = frozenset({"index", "size", "x"})
#: Names that no var and no index may take.
RESERVED_NAMES: frozenset[str] = frozenset((*FUNCTIONS, *CONSTANTS, *FANS)) - _HIDEABLE | KEYWORDS

# What Python calls what is written otherwise here.
_OF_PYTHON = {
    "int": "a number is rounded by floor, ceil or round",
    "pow": "a power is written a ** b",
    "range": "a repeat over range(n) is written {i: n}, over others {i: {from: 2, to: n}}",
}
_MAX_KNOWN = 50
_MAX_BITS = LARGEST.bit_length()


def _power(base: Real, exponent: Real) -> Real:
    if isinstance(base, int) and isinstance(exponent, int) and exponent >= 0:
        if base.bit_length() > 1 and (base.bit_length() - 1) * exponent >= _MAX_BITS:
            raise OverflowError("the power is beyond the range of float64")
        return int(base**exponent)
    return exact.power(base, exponent)


#: What each sign between two operands does.
OPERATORS: dict[str, Callable[[Real, Real], Real]] = {
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


def facts_of(names: Collection[str], shape: tuple[int, ...], layout: Layout | None) -> dict[str, Value]:
    """Those facts of an array that are among some names; an InitializerError for fans that it has not."""
    used = [name for name in FANS if name in names]
    facts: dict[str, Value] = {"numel": math.prod(shape), "ndim": len(shape)}
    if {"fan_in", "fan_out", "fan_avg"}.intersection(used):
        fans = resolved_fans(shape, layout)
        facts |= {"fan_in": fans.fan_in, "fan_out": fans.fan_out, "fan_avg": fans.fan_avg}
    return {name: facts[name] for name in facts if name in used}


class Evaluator:
    """Gives the value of a tree in one environment."""

    def __init__(self, env: Mapping[str, Value]) -> None:
        self.env = env

    def number(self, tree: Ast) -> Real:
        """The value of a tree without unknown names; an ExpressionError where it has none that is finite."""
        match tree:
            case Number(value):
                return value
            case Name(name, offset):
                return self._name(name, offset)
            case Operation(sign, (operand,)):
                value = self.number(operand)
                return -value if sign == "-" else value
            case Operation(sign, operands, offset):
                return computed(sign, offset, OPERATORS[sign], *map(self.number, operands))
            case Choice(then, condition, otherwise):
                return self.number(then if self.number(condition) else otherwise)
            case Call():
                return self._call(tree)

    def refuse_unknown(self, tree: Ast, others: Collection[str] = ()) -> None:
        """Raises the error for the first name in a tree that means nothing, and is none of `others`."""
        words = set()
        for reference in references(tree):
            name = reference.name
            if isinstance(reference, Call) and name == "gain" and name not in self.env:
                words.add(_nonlinearity(reference))
            is_known = name in self.env or name in FUNCTIONS or name in CONSTANTS or name in others
            if is_known or reference in words:
                continue
            lists = [name for name, value in self.env.items() if isinstance(value, tuple)]
            known = [*lists, *FUNCTIONS] if isinstance(reference, Call) else [*self.env, *CONSTANTS]
            known += others
            # A short name is like 'pi' by chance only.
            likely = [each for each in known if each not in CONSTANTS] if len(name) < 3 else known
            hint = _OF_PYTHON.get(name) or did_you_mean(name, likely[-_MAX_KNOWN:])
            raise UnknownNameError(name, reference.offset, hint or _way_out(reference, known))

    def _name(self, name: str, offset: int) -> Real:
        value = self.env.get(name, CONSTANTS.get(name))
        if isinstance(value, int | float):
            return value
        if isinstance(value, tuple):
            what, hint = f"{name!r} is a list", f"read an item, as {name}(0)"
        elif isinstance(value, str):
            what, hint = f"{name!r} is the text {value!r}", "an index over texts can only stand in names"
        elif name in FUNCTIONS:
            what, hint = f"{name!r} is a function", f"give it arguments, as {name}(x)"
        else:
            hint = "a var or an index named 'gain' hides the function of nonlinearities"
            raise UnknownNameError(name, offset, hint)
        raise ExpressionError(what, offset, Code.EXPRESSION_VALUE, hint)

    def _call(self, call: Call) -> Real:
        if call.name == "gain" and call.name not in self.env:
            return self._gain(call)
        values = [self.number(argument) for argument in call.operands]
        if call.name in self.env or call.name in CONSTANTS:
            return self._item(call, values)
        self.check_count(call)
        return computed(call.name, call.offset, FUNCTIONS[call.name][0], *values)

    def check_count(self, call: Call) -> None:
        """Raises the error for a call of a function with too few or too many arguments."""
        if call.name in CONSTANTS:
            self._item(call, [])
        _, least, most = FUNCTIONS[call.name]
        if not least <= len(call.operands) <= most:
            count = f"{least} or more arguments" if least < most else "1 argument"
            message = f"{call.name!r} takes {count}, got {len(call.operands)}"
            raise ExpressionError(message, call.offset, Code.EXPRESSION_VALUE)

    def _gain(self, call: Call) -> Real:
        word, slopes = _nonlinearity(call), call.operands[1:]
        if len(slopes) > (word.name == "leaky_relu"):
            message = "'gain' takes one number more for leaky_relu, its slope, and none for others"
            raise ExpressionError(message, call.offset, Code.EXPRESSION_VALUE)
        return computed(call.name, call.offset, gain_of, word.name, *map(self.number, slopes))

    def _item(self, call: Call, indices: list[Real]) -> Real:
        items = self.env.get(call.name)
        if not isinstance(items, tuple):
            hint = f"a product is written {call.name} * (...)"
            if call.name in _HIDEABLE:
                hint = f"a var or an index named {call.name!r} hides the function: give it another name"
            raise ExpressionError(f"{call.name!r} is not a list", call.offset, Code.EXPRESSION_VALUE, hint)
        if len(indices) == 1 and indices[0] == int(indices[0]) and 0 <= indices[0] < len(items):
            return items[int(indices[0])]
        shown = ", ".join(map(repr, indices))
        hint = f"its items are numbered 0 to {len(items) - 1}"
        raise ExpressionError(f"{call.name!r} has no item {shown}", call.offset, Code.EXPRESSION_VALUE, hint)


def _nonlinearity(call: Call) -> Name:
    """The word that a call of ``gain`` begins with."""
    word = call.operands[0]
    if not isinstance(word, Name):
        hint = "write the slope after it, as gain(leaky_relu, 0.2)"
        message = "'gain' takes the name of a nonlinearity"
        raise ExpressionError(message, word.offset, Code.EXPRESSION_VALUE, hint)
    if word.name not in GAINS:
        hint = nonlinearity_hint(word.name) or f"known are {', '.join(GAINS)}"
        message = f"'gain' knows no nonlinearity {word.name!r}"
        raise ExpressionError(message, word.offset, Code.UNKNOWN_NAME, hint)
    return word


def _way_out(reference: Name | Call, known: list[str]) -> str | None:
    """What to do about a name that is like none of those `known`."""
    ways = []
    if reference.name in FANS:
        ways.append(f"{reference.name!r} is known inside the arguments of initializers")
    elif reference.name in GAINS:
        ways.append(f"the gain of {reference.name} is written gain({reference.name})")
    elif isinstance(reference, Name):
        ways.append(f"define {reference.name!r} in vars; if only others extend this file, say base: true")
    if len(known) <= _MAX_KNOWN:
        ways.append(f"known here: {', '.join(sorted(known))}")
    return "; ".join(ways) or None


def computed(name: str, offset: int, function: Callable[..., Real], *values: Any) -> Real:
    """The value of one step: the function or sign `name`, at `offset`; it has to be finite."""
    try:
        value = function(*values)
        if isinstance(value, bool):
            return int(value)
        if abs(value) > LARGEST:
            raise OverflowError
        if value != 0 or name not in _NEVER_ZERO or not all(values[: _NEVER_ZERO[name]]):
            return value
        why = "is too small for float64, and would become 0"
    except ZeroDivisionError:
        message = f"division by zero in {step_text(name, values)}"
        raise ExpressionError(message, offset, Code.EXPRESSION_VALUE) from None
    except OverflowError:
        why = "is beyond the range of float64"
    except exact.ReachError as error:
        why = f"is not computed: {error}"
    except ValueError:
        why = "has no real value"
    raise ExpressionError(f"{step_text(name, values)} {why}", offset, Code.EXPRESSION_VALUE)


# Steps that give 0 only by underflow where so many of their operands, from the left, are not 0.
_NEVER_ZERO = {"*": 2, "/": 1, "**": 1, "exp": 0, "gain": 0}


def step_text(name: str, values: tuple[Any, ...]) -> str:
    """A step as it would be written; a negative base is in parentheses, as -8 ** 2 is -(8 ** 2)."""
    if name not in OPERATORS:
        return f"{name}({', '.join(map(str, values))})"
    left, right = map(repr, values)
    return f"({left}) {name} {right}" if name == "**" and values[0] < 0 else f"{left} {name} {right}"


class Expression(NamedTuple):
    """An arithmetic expression; `parse` makes it.

    Example:
        >>> residual = Expression.parse("0.02 / sqrt(2 * n_layer)")
        >>> sorted(residual.names)
        ['n_layer']
        >>> residual.evaluate({"n_layer": 8})
        0.005
    """

    text: str  # what was written
    tree: Ast
    names: frozenset[str]  # the vars, indices and fans that it uses
    # What means something by itself, unless a var or an index has that name: a function that came to the
    # language later, and the word that ``gain`` takes.
    hideable: frozenset[str] = frozenset()

    @classmethod
    def parse(cls, text: str) -> Expression:
        """The expression that `text` writes; an ExpressionError if it is none, with the place."""
        return _parsed(text)

    def evaluate(self, env: Mapping[str, Value]) -> int | float:
        """The value: integers stay exact under ``+ - * // % **``, everything else is float64.

        ``+ - * / sqrt`` are IEEE 754; ``**``, ``exp``, ``sin`` and their kin are rounded once from `decimal`;
        ``round`` goes half to even. In `env` a tuple of numbers is what ``name(i)`` reads.
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
    used: set[Name | Call] = set()
    hideable: set[Name | Call] = set()
    for reference in references(tree):
        if not isinstance(reference, Call) or reference.name not in _HIDEABLE:
            used.add(reference)
            continue
        hideable.add(reference)
        word = reference.operands[0]
        if reference.name == "gain" and isinstance(word, Name) and word.name in GAINS:
            hideable.add(word)
    names = {each.name for each in used - hideable} - (FUNCTIONS.keys() - _HIDEABLE) - CONSTANTS.keys()
    return Expression(text, tree, frozenset(names), frozenset(each.name for each in hideable))


_MAX_TEMPLATE = 4096


class _Hole(NamedTuple):
    """A pair of braces."""

    expression: Expression
    offset: int  # of the expression in the template


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
        """The template that `text` writes; an ExpressionError if braces do not pair or hold none."""
        if len(text) > _MAX_TEMPLATE:
            message = f"a name has at most {_MAX_TEMPLATE} characters, this one {len(text)}"
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
        return frozenset().union(*(each.names for each in self.expressions))

    @property
    def expressions(self) -> list[Expression]:
        """What its braces hold."""
        return [part.expression for part in self.parts if isinstance(part, _Hole)]

    def render(self, env: Mapping[str, Value]) -> str:
        """The name with its braces filled in; each needs a value that is whole or a text."""
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


def _filled(hole: _Hole, env: Mapping[str, Value]) -> str:
    tree = hole.expression.tree
    if isinstance(tree, Name) and isinstance(named := env.get(tree.name), str):
        return named
    try:
        value = hole.expression.evaluate(env)
    except ExpressionError as error:
        hint = error.hint
        if isinstance(error, UnknownNameError):
            near = did_you_mean(error.name, env)
            define = f"repeat: {{{error.name}: N}} in its layer would define it"
            hint = f"{near} ({define})" if near else define
        raise ExpressionError(error.message, hole.offset + error.offset, error.code, hint) from None
    if value != int(value):
        message, hint = (
            f"{hole.expression.text!r} is {value!r}",
            "a name holds whole numbers; // divides without a remainder",
        )
        raise ExpressionError(message, hole.offset, Code.EXPRESSION_VALUE, hint)
    return str(int(value))
