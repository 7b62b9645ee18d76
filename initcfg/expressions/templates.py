"""Names with braces, which hold indices and expressions."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from initcfg.errors import Code
from initcfg.expressions.evaluation import Expression
from initcfg.expressions.grammar import ExpressionError, Name, UnknownNameError
from initcfg.names import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping

    from initcfg.expressions.evaluation import Value
    from initcfg.expressions.grammar import Ast

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
        """The template that `text` writes; an ExpressionError if braces do not pair or hold none."""
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


def _index_hint(name: str, env: Mapping[str, Value]) -> str:
    """The way out where braces hold a name that stands for nothing."""
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
        hint = _index_hint(error.name, env) if isinstance(error, UnknownNameError) else error.hint
        raise ExpressionError(error.message, hole.offset + error.offset, error.code, hint) from None
    if value != int(value):
        hint = "a name holds whole numbers; // divides without a remainder"
        raise ExpressionError(
            f"{hole.expression.text!r} is {value!r}", hole.offset, Code.EXPRESSION_VALUE, hint
        )
    return str(int(value))
