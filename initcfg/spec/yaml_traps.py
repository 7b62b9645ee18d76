"""The traps of YAML that specs fall into, each told by a hint that names the mend."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from initcfg.errors import Code
from initcfg.spec.source import Node

if TYPE_CHECKING:
    from initcfg.errors import Location
    from initcfg.spec.source import Reader, Tree

__all__ = ["Item", "key_hint", "rejoin_calls", "syntax_hint"]

_BARE_BRACES = re.compile(r"\s*(?:- )?(\{[^{}]*\}[^:\s]*)\s*:")
_MAX_PIECES = 32
_TAB = re.compile(r" *\t")
_STAR = re.compile(r"(?:^|[\s:,\[{])(\*[^\s,\]}]*)")


class Item(NamedTuple):
    """An entry of a collection while it is read: a list's item, or a mapping's pair."""

    key: tuple[Tree, Node] | None
    value: Tree
    node: Node
    plain: bool


def rejoin_calls(items: list[Item], reader: Reader) -> list[Item]:
    """The items with a call that commas cut apart, ``{stddev: max(a, b)}``, whole again and reported.

    Inside ``[...]`` and ``{...}`` YAML ends a plain value at each comma, so a call with two arguments
    arrives as ``max(a`` and ``b)``.
    """
    whole: list[Item] = []
    at = 0
    while at < len(items):
        item = items[at]
        raw = _raw(item, reader)
        last = at
        following = items[at + 1 : at + _MAX_PIECES]
        while item.plain and _open(raw) > 0 and last - at < len(following) and _is_rest(items[last + 1]):
            last += 1
            raw = reader.text[item.node.start : _end(items[last])]
        if last > at and _open(raw) == 0:
            node = Node(item.node.start, _end(items[last]))
            message = f"YAML cuts {raw!r} apart at its comma"
            reader.problem(Code.EXPRESSION_SYNTAX, message, node, f'quote it: "{raw}"')
            item, at = Item(item.key, raw, node, plain=True), last
        whole.append(item)
        at += 1
    return whole


def _raw(item: Item, reader: Reader) -> str:
    return reader.text[item.node.start : item.node.end]


def _open(raw: str) -> int:
    return raw.count("(") - raw.count(")")


def _is_rest(item: Item) -> bool:
    """Whether an item can be the next piece of a cut call: plain, and in a mapping a key without a value."""
    return item.plain and (item.key is None or item.value is None)


def _end(item: Item) -> int:
    return item.node.end if item.key is None else item.key[1].end


def key_hint(raw: str) -> str:
    """How to mend a key that is no string; `raw` is its text."""
    if raw.startswith(("{", "[")):
        return "quote a key that begins with a brace or a bracket"
    return f'quote it: "{raw}"' if len(raw) < 64 and '"' not in raw else "quote it"


def syntax_hint(where: Location) -> str | None:
    """What probably went wrong on the line of a syntax error, or None."""
    line, column = where.text or "", where.column or 1
    return _line_hint(line) or _character_hint(line[: column - 1], line[column - 1 : column])


def _line_hint(line: str) -> str | None:
    """A trap that shows in the whole line."""
    braces = _BARE_BRACES.match(line)
    if braces:
        return f'quote a key that begins with a brace: "{braces[1]}":'
    star = _STAR.search(line)
    if star:
        return f'quote a value that begins with *: "{star[1]}"'
    return "indent with spaces; YAML refuses tabs" if _TAB.match(line) else None


def _character_hint(before: str, at: str) -> str | None:
    """A trap that shows in the character at which the text stops being YAML."""
    if at in ("@", "`", "%"):
        return f"quote a value that begins with {at}"
    if at == ":" and ": " in before:
        return "quote a value that holds ': '"
    return None
