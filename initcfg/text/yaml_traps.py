"""The traps of YAML that specs fall into, each told by a hint that names the mend."""

from __future__ import annotations

import re
from typing import NamedTuple

from initcfg.errors import Code, Location
from initcfg.text.source import Node, Reader, Tree, comma_hint

_BARE_BRACES = r"\s*(?:- )?(\{[^{}]*\}[^:\s]*)\s*:"
_MAX_PIECES = 32
_TAB = r" *\t"
_NO_SPACE = r"[A-Za-z_]\w*:[\[{\"'0-9]"
_BEFORE_COMMA = r"(?<![^ :\[{])[0-9]+(?:,[0-9]+)*,$"
#: A number whose commas make a piece that begins with 0. Others may be meant: 3,224 is two sizes.
CUT_NUMBER = r"(?:[1-9][0-9]{0,2}(?:,[0-9]{3})*,0[0-9]{2}(?:,[0-9]{3})*|[0-9]+,0[0-9]+)(?![\w.])"
# The word around a brace or a bracket inside brackets, where YAML ends a plain value at once.
_BEFORE = r"[^\s,\[\]{}:]+$"
_BRACED = r"(?:\{[^{}\s]*\}|[^\s,\[\]{}:])+"
_SUBSCRIPT = r"\[([^\[\]{},]*)\]"
_STAR = r"(?:^|[\s:,\[{])(\*[^\s,\]}]*)"
# A pattern of names without quotes: YAML takes its brackets and braces for lists and mappings.
_BARE_PATTERN = r"\bmatch:[ ]+((?:[^\s\"',\[\]{}]|\[[^\]]*\]|\{[^{}]*\})+)"


class Item(NamedTuple):
    """An entry of a collection while it is read: a list's item, or a mapping's pair."""

    key: tuple[Tree, Node] | None
    value: Tree
    node: Node
    plain: bool


def rejoin_calls(items: list[Item], reader: Reader) -> list[Item]:
    """The items with calls whole again that YAML cut at commas, as ``max(a, b)``, and reported."""
    if not items or reader.text.find("(", items[0].node.start, items[-1].node.end) < 0:
        return items
    whole: list[Item] = []
    at = 0
    while at < len(items):
        last = _last_piece(items, at, reader.text)
        whole.append(items[at] if last == at else _rejoined(items[at], items[last], reader))
        at = last + 1
    return whole


def _last_piece(items: list[Item], at: int, text: str) -> int:
    """The index of the last piece of a cut call that begins at `at`; `at` itself where nothing was cut."""
    item = items[at]
    opened = _open(text, item.node) if item.plain else 0
    if opened <= 0:
        return at
    for last in range(at + 1, min(at + _MAX_PIECES, len(items))):
        if not _is_rest(items[last]):
            break
        opened += _open(text, _piece(items[last]))
        if opened <= 0:
            return last if opened == 0 else at
    return at


def _rejoined(first: Item, last: Item, reader: Reader) -> Item:
    node = Node(first.node.start, _piece(last).end)
    raw = reader.text[node.start : node.end]
    message = f"YAML cuts {raw!r} apart at its comma"
    is_list = raw.startswith("(") and raw.endswith(")")
    hint = f"write a list: [{raw[1:-1].strip(', ')}]" if is_list else f'quote it: "{raw}"'
    if first.key is not None and reader.text.startswith("initializer", first.key[1].start):
        hint = f"arguments of an initializer are written {{{raw.partition('(')[0]}: {{argument: value}}}}"
    reader.problem(Code.EXPRESSION_SYNTAX, message, node, hint)
    return Item(first.key, raw, node, plain=True)


def _open(text: str, node: Node) -> int:
    """How many more parentheses open than close."""
    return text.count("(", node.start, node.end) - text.count(")", node.start, node.end)


def _is_rest(item: Item) -> bool:
    """Whether an item can be the next piece of a cut call: plain, and in a mapping a key without a value."""
    return item.plain and (item.key is None or item.value is None)


def _piece(item: Item) -> Node:
    """Where a later piece of a cut call stands: in a mapping it is a key."""
    return item.node if item.key is None else item.key[1]


def tell_cut_numbers(items: list[Item], reader: Reader) -> None:
    """Reports numbers in a list that YAML cuts at their commas: 1,000 would be 1 and 0."""
    pattern, end = re.compile(CUT_NUMBER), 0
    for item in items:
        start = item.node.start
        number = pattern.match(reader.text, start) if item.plain and start >= end else None
        if number:
            end = number.end()
            message = f"YAML cuts {number[0]!r} apart at its comma"
            reader.problem(Code.EXPRESSION_SYNTAX, message, Node(start, end), comma_hint(number[0]))


def key_hint(text: str, key: Node) -> str:
    """How to mend a key that is no string."""
    raw = text[key.start : key.end]
    before = re.search(_BEFORE_COMMA, text[max(0, key.start - 32) : key.start])
    if before and raw.isdigit():
        after = re.match("(?:,[0-9]+)*", text[key.end : key.end + 32])
        return comma_hint(before[0] + raw + (after[0] if after else ""))
    if raw.startswith(("{", "[")):
        return "quote a key that begins with a brace or a bracket"
    return f'quote it: "{raw}"' if len(raw) < 64 and '"' not in raw else "quote it"


def flow_hint(reader: Reader, opened: int, at: int) -> str:
    """How to mend a list or a mapping whose bracket opens at `opened` and does not go on at `at`."""
    text = reader.text
    first, here = reader.source.place(opened), reader.source.place(at)
    close = f"close the bracket that opens in line {first.line}, column {first.column}"
    if at >= len(text.rstrip()) or text[at] in "]}":
        return close
    if text[at] in "[{" and text[at - 1] == ":":
        return "put a space after the colon"
    word = re.search(_BEFORE, text[max(opened, at - 100) : at])
    hint = _bracket_in_word(word[0], text[at:]) if word else None
    if hint:
        return hint
    comma = "separate entries by a comma"
    return comma if here.line == first.line else f"{close}, or {comma}"


def _bracket_in_word(word: str, after: str) -> str | None:
    """How to mend a word at which a brace or a bracket opens another collection."""
    braced, item = re.match(_BRACED, after), re.match(_SUBSCRIPT, after)
    if after.startswith("{") and braced:
        is_var = word == "$"
        return f"a var is written {braced[0].strip('{}')}" if is_var else f'quote it: "{word}{braced[0]}"'
    if not after.startswith("["):
        return None
    if word.endswith("("):
        return f"a function takes its numbers without brackets, as {word}1, 2), in quotes"
    return f"an item of a list var is read as {word}({item[1] if item else 0})"


#: What OmegaConf writes where a value is to be given later.
MISSING_VALUE = "???"
MISSING_VALUE_HINT = "??? is OmegaConf's missing value: write a value in its place"


def syntax_hint(where: Location) -> str | None:
    """What probably went wrong on the line of a syntax error, or None."""
    line, column = where.text or "", where.column or 1
    return _line_hint(line) or _character_hint(
        line[: column - 1], line[column - 1 : column], line[column : column + 100]
    )


def _line_hint(line: str) -> str | None:
    """A trap that shows in the whole line."""
    braces = re.match(_BARE_BRACES, line)
    if braces:
        return f'quote a key that begins with a brace: "{braces[1]}":'
    pattern = re.search(_BARE_PATTERN, line)
    if pattern and not {"[", "{"}.isdisjoint(pattern[1]):
        return f'quote the pattern: "{pattern[1]}"'
    star = re.search(_STAR, line)
    if star:
        return f'quote a value that begins with *: "{star[1]}"'
    return "indent with spaces; YAML refuses tabs" if re.match(_TAB, line) else None


def _character_hint(before: str, at: str, after: str) -> str | None:
    """A trap that shows in the character at which the text stops being YAML."""
    if at == "?" and MISSING_VALUE in before[-2:] + at + after[:2]:
        return MISSING_VALUE_HINT
    if at in ("@", "`", "%"):
        return f"quote a value that begins with {at}"
    key = before.rpartition(" ")[2]
    if at == ":" and ": " in before and not after.strip():
        return f"put {key}: on its own line below, indented, or write {{{key}: {{...}}}}"
    word = before[max(before.rfind(mark) for mark in " {[,") + 1 :]
    if at == ":" and re.match(_NO_SPACE, word + at + after):
        return "put a space after the colon"
    if at == ":" and ": " in before:
        return "quote a value that holds ': '"
    return None
