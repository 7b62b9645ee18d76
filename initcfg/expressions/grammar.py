"""The syntax of expressions: text to a frozen tree with columns, or what is wrong at which character.

Grammar, from the loosest to the tightest; a comparison is 1 or 0::

    choice     := comparison ["if" choice "else" choice]
    comparison := sum [("==" | "!=" | "<" | "<=" | ">" | ">=") sum]
    sum        := product (("+" | "-") product)*
    product    := unary (("*" | "/" | "//" | "%") unary)*
    unary      := ("+" | "-") unary | power
    power      := atom ["**" unary]
    atom       := number | name | name "(" choice ("," choice)* ")" | "index" "(" ")" | "(" choice ")"
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from initcfg.errors import Code, Diagnostic, SpecError
from initcfg.text.source import LiteralError, comma_hint, read_float, read_integer

if TYPE_CHECKING:
    from collections.abc import Iterator


class ExpressionError(SpecError):
    """An expression or a template cannot be read, or has no value; `offset` is where it fails."""

    def __init__(
        self, message: str, offset: int, code: Code = Code.EXPRESSION_SYNTAX, hint: str | None = None
    ) -> None:
        super().__init__(Diagnostic(code, message, hint=hint))
        self.message = message
        self.offset = offset
        self.code = code
        self.hint = hint

    def __reduce__(self) -> tuple[type[ExpressionError], tuple[object, ...]]:
        return type(self), (self.message, self.offset, self.code, self.hint)


class UnknownNameError(ExpressionError):
    """A name in an expression means nothing."""

    def __init__(self, name: str, offset: int, hint: str | None = None) -> None:
        super().__init__(f"name {name!r} is not defined", offset, Code.UNKNOWN_NAME, hint)
        self.name = name

    def __reduce__(self) -> tuple[type[UnknownNameError], tuple[object, ...]]:
        return type(self), (self.name, self.offset, self.hint)


KEYWORDS = frozenset({"if", "else"})

# In a formula, index() is the position of an element among all.
_NEEDS_NONE = "index"
_OF_AN_AXIS = (
    "say of which axis: size(0) of the first, size(-1) of the last; numel is the number of all elements"
)
_COMMAS = r"[0-9]+(?:,[0-9]+)+"
_MAX_LENGTH = 1000
_MAX_TOKENS = 250
_MAX_DEPTH = 32
_TOKEN = re.compile(
    r"(?P<space>[ \t\r\n]+)"
    r"|(?P<number>(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?)"
    r"|(?P<name>[A-Za-z_][A-Za-z0-9_]*)"
    r"|(?P<sign>\*\*|//|==|!=|<=|>=|[-+*/%<>(),])"
)
_FOREIGN_CALL = r"\b(?:np|numpy|math|jnp|torch)\.([a-z0-9]+)\($"
#: Signs between two values that are compared.
COMPARISONS = ("==", "!=", "<", "<=", ">", ">=")


class Number(NamedTuple):
    """A literal."""

    value: int | float
    offset: int


class Name(NamedTuple):
    """A var, an index, a fan or a constant."""

    name: str
    offset: int


class Operation(NamedTuple):
    """A sign before one operand or between two; `offset` is the sign's."""

    name: str
    operands: tuple[Ast, ...]
    offset: int


class Choice(NamedTuple):
    """``then if condition else otherwise``."""

    then: Ast
    condition: Ast
    otherwise: Ast
    offset: int


class Call(NamedTuple):
    """A function of arguments, or an item of a list var."""

    name: str
    operands: tuple[Ast, ...]
    offset: int


Ast = Number | Name | Operation | Choice | Call


class _Token(NamedTuple):
    kind: str
    text: str
    offset: int


def references(tree: Ast) -> Iterator[Name | Call]:
    """Every use of a name in a tree, in the order of the text."""
    return (node for node in nodes_of(tree) if isinstance(node, Name | Call))


def nodes_of(tree: Ast) -> Iterator[Ast]:
    """A tree and all within it, in the order of the text."""
    yield tree
    for part in operands_of(tree):
        yield from nodes_of(part)


def operands_of(tree: Ast) -> tuple[Ast, ...]:
    """The trees that a tree is made of, in the order of the text."""
    match tree:
        case Operation(_, operands) | Call(_, operands):
            return operands
        case Choice():
            return tree[:3]
    return ()


def parse(text: str) -> Ast:
    """The tree of an expression; an ExpressionError where the text is none."""
    if len(text) > _MAX_LENGTH:
        raise ExpressionError(f"an expression has at most {_MAX_LENGTH} characters, this one {len(text)}", 0)
    parser = _Parser(text, _tokens(text))
    tree = parser.choice()
    if parser.next.kind != "end":
        parser.unexpected()
    return tree


def _tokens(text: str) -> list[_Token]:
    tokens: list[_Token] = []
    at = 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            raise ExpressionError(
                f"an expression cannot hold {text[at]!r}", at, hint=_character_hint(text, at)
            )
        if found.lastgroup != "space":
            tokens.append(_Token(str(found.lastgroup), found[0], at))
        at = found.end()
    if len(tokens) > _MAX_TOKENS:
        message = f"an expression has at most {_MAX_TOKENS} numbers, names and signs, this one {len(tokens)}"
        raise ExpressionError(message, tokens[_MAX_TOKENS].offset)
    return [*tokens, _Token("end", "", len(text))]


def _character_hint(text: str, at: int) -> str | None:
    call = re.search(_FOREIGN_CALL, text[: text.find("(", at) + 1])
    if text[at] == "." and call:
        return f"write {call[1]}(...), without a module's name"
    hints = {
        "^": "a power is written **",
        "[": "an item of a list var is read as name(0)",
        ".": "there are no attributes; names are vars, indices and fans",
        "=": "equality is written ==",
        "$": "a var is written NAME; give values from outside with --set vars.NAME=VALUE",
        "{": "a var is written NAME, without braces",
        "'": "an expression holds no text; names stand without quotes, as in gain(relu)",
        '"': "an expression holds no text; names stand without quotes, as in gain(relu)",
    }
    return hints.get(text[at])


class _Parser:
    """Recursive descent over the tokens; one method for each rule of the grammar."""

    def __init__(self, text: str, tokens: list[_Token]) -> None:
        self.text = text
        self.tokens = tokens
        self.at = 0
        self.depth = 0

    @property
    def next(self) -> _Token:
        return self.tokens[self.at]

    def take(self, *texts: str) -> _Token | None:
        """The next token if it is one of `texts`; it is consumed."""
        token = self.next
        if token.kind == "end" or token.text not in texts:
            return None
        self.at += 1
        return token

    def unexpected(self, expected: str | None = None) -> NoReturn:
        token = self.next
        what = "the expression ends here" if token.kind == "end" else f"{token.text!r} cannot stand here"
        if not self.text.strip():
            what = "an expression is empty"
        message = f"{what}, expected {expected}" if expected else what
        raise ExpressionError(message, token.offset, hint=self.mend())

    def mend(self) -> str | None:
        """What was probably meant by the two tokens around a place where no expression can go on."""
        before, here, after = (
            self.tokens[max(0, min(self.at + step, len(self.tokens) - 1))] for step in (-1, 0, 1)
        )
        joined = before.offset + len(before.text) == here.offset
        if before.kind == "number" and here.text == "," and after.kind == "number":
            number = re.match(_COMMAS, self.text[before.offset :])
            return comma_hint(number[0]) if number else None
        if joined and before.kind == "number" and here.text.startswith("_"):
            return "remove the underscores from the number"
        if before.kind == "number" and here.kind == "name" and here.text not in KEYWORDS:
            return f"a product is written {before.text} * {here.text}"
        return None

    def expect(self, text: str) -> None:
        if not self.take(text):
            self.unexpected(repr(text))

    def enter(self, offset: int) -> None:
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            raise ExpressionError(f"an expression is nested at most {_MAX_DEPTH} deep", offset)

    def choice(self) -> Ast:
        then = self.comparison()
        mark = self.take("if")
        if not mark:
            return then
        self.enter(mark.offset)
        condition = self.comparison()
        self.expect("else")
        tree = Choice(then, condition, self.choice(), mark.offset)
        self.depth -= 1
        return tree

    def comparison(self) -> Ast:
        left = self.sum()
        sign = self.take(*COMPARISONS)
        if not sign:
            return left
        tree = Operation(sign.text, (left, self.sum()), sign.offset)
        if self.next.text in COMPARISONS:
            hint = "compare two values at a time"
            raise ExpressionError("comparisons cannot be chained", self.next.offset, hint=hint)
        return tree

    def sum(self) -> Ast:
        tree = self.product()
        while sign := self.take("+", "-"):
            tree = Operation(sign.text, (tree, self.product()), sign.offset)
        return tree

    def product(self) -> Ast:
        tree = self.unary()
        while sign := self.take("*", "/", "//", "%"):
            tree = Operation(sign.text, (tree, self.unary()), sign.offset)
        return tree

    def unary(self) -> Ast:
        sign = self.take("+", "-")
        if not sign:
            return self.power()
        self.enter(sign.offset)
        tree = Operation(sign.text, (self.unary(),), sign.offset)
        self.depth -= 1
        return tree

    def power(self) -> Ast:
        base = self.atom()
        sign = self.take("**")
        if not sign:
            return base
        self.enter(sign.offset)
        tree = Operation("**", (base, self.unary()), sign.offset)
        self.depth -= 1
        return tree

    def atom(self) -> Ast:
        token = self.next
        if token.kind == "number":
            self.at += 1
            return Number(_literal(token), token.offset)
        if token.kind == "name" and token.text not in KEYWORDS:
            self.at += 1
            if self.next.text == "(":
                return Call(token.text, self.arguments(token.text), token.offset)
            return Name(token.text, token.offset)
        if not self.take("("):
            self.unexpected("a number, a name or '('")
        self.enter(token.offset)
        tree = self.choice()
        self.expect(")")
        self.depth -= 1
        return tree

    def arguments(self, name: str) -> tuple[Ast, ...]:
        self.enter(self.next.offset)
        self.expect("(")
        arguments = []
        if self.next.text == ")" and name != _NEEDS_NONE:
            hint = _OF_AN_AXIS if name == "size" else f"write what it is of, {name}(...)"
            raise ExpressionError(f"{name!r} is given nothing", self.next.offset, hint=hint)
        if self.next.text != ")":
            arguments.append(self.choice())
            while self.take(","):
                arguments.append(self.choice())
        self.expect(")")
        self.depth -= 1
        return tuple(arguments)


def _literal(token: _Token) -> int | float:
    try:
        return read_integer(token.text) if token.text.isdigit() else read_float(token.text)
    except LiteralError as error:
        raise ExpressionError(str(error), token.offset, error.code) from None
