"""JSON text to a marked tree (RFC 8259), with equal keys, NaN and lone surrogates refused by place."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NoReturn, TypeAlias

from initcfg.errors import Code
from initcfg.text.source import (
    MAX_DEPTH,
    LiteralError,
    Node,
    Reader,
    Source,
    Spans,
    Tree,
    has_surrogate,
    read_float,
    read_integer,
)

if TYPE_CHECKING:
    from re import Match

# A key and its colon, an entry's end: what is read most, at once where nothing is wrong with it.
_KEY = re.compile(r'[ \t\n\r]*("([^"\\\x00-\x1f]*)")[ \t\n\r]*:[ \t\n\r]*')
_SEPARATOR = re.compile(r"[ \t\n\r]*([,}\]])")
SPACE = re.compile(r"[ \t\n\r]*")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?")
_STRING = re.compile(r'"((?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*)"')
_STRING_START = re.compile(r'"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*')
_ESCAPE = re.compile(
    r"\\(?:u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|(.))"
)
_WORD = re.compile(r"-?[A-Za-z_]+")
_WORDS: dict[str, Tree] = {"null": None, "true": True, "false": False}
_FOREIGN_WORDS = {"none": "null", **{word: word for word in _WORDS}}
_NOT_FINITE = ("NaN", "Infinity", "-Infinity")
_SHORT = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
#: The most members that are noted one by one.
MAX_ENTRIES = 2**20
Nodes: TypeAlias = "dict[str, Node] | Spans"


def read_json(text: str, file: str | None = None) -> Source:
    """Reads one JSON document with the place of every part; a SpecError where it is not JSON."""
    return JsonReader(file, text).document()


class JsonReader(Reader):
    """Recursive descent; `at` is the next character."""

    at = 0
    groups: frozenset[str] = frozenset()
    most = MAX_ENTRIES

    def document(self) -> Source:
        """The whole text."""
        self.skip()
        if self.at == len(self.text) and not self.groups:
            hint = 'the smallest spec is {"initcfg": 1}'
            self.problem(Code.WRONG_TYPE, "the document is empty", Node(0, 0), hint)
            return self.finish(None, Node(0, 0))
        tree, root = self.value(0)
        self.skip()
        if self.at < len(self.text):
            self.refuse_comment()
            self.fail("something follows the document's end")
        return self.finish(tree, root)

    def fail(self, message: str, hint: str | None = None) -> NoReturn:
        """Ends the reading at the next character."""
        raise self.fatal(Code.SYNTAX, f"not JSON: {message}", self.at, None, hint)

    def skip(self) -> None:
        """Passes white space."""
        self.at = SPACE.match(self.text, self.at).end()  # type: ignore[union-attr]

    def take(self, char: str) -> bool:
        """Whether `char` comes next, past white space; if so it is consumed."""
        self.skip()
        if not self.text.startswith(char, self.at):
            return False
        self.at += 1
        return True

    def value(self, depth: int) -> tuple[Tree, Node]:
        """Any value, and its place."""
        self.skip()
        if depth > MAX_DEPTH:
            message = f"nested deeper than {MAX_DEPTH} levels"
            raise self.fatal(Code.TOO_DEEP, message, self.at)
        start = self.at
        first = self.text[start : start + 1]
        if first == "{":
            return self.object(depth)
        if first == "[":
            return self.array(depth)
        tree = self.string() if first == '"' else self.literal()
        return tree, Node(start, self.at)

    def object(self, depth: int) -> tuple[Tree, Node]:
        """An object, whose brace comes next."""
        start = self.at
        self.at += 1
        tree: dict[str, Tree] = {}
        values, keys = self.places_of(tree)
        more = not self.take("}")
        while more:
            name, where = self.key()
            value, node = self.member(name, depth + 1)
            if name in tree:
                self.duplicate(name, where, None if isinstance(keys, Spans) else keys[name])
            elif len(tree) == self.most:
                raise self.fatal(Code.TOO_LARGE, f"more than {self.most:,} entries", where.start)
            else:
                tree[name], values[name], keys[name] = value, node, where
            more = self.more("}")
        return tree, Node(start, self.at, values=values, keys=keys)

    def places_of(self, tree: dict[str, Tree]) -> tuple[Nodes, Nodes]:  # noqa: ARG002
        """What the nodes of an object's values, and of its keys, are put in."""
        return {}, {}

    def member(self, name: str, depth: int) -> tuple[Tree, Node]:  # noqa: ARG002
        """The value of an object's key."""
        return self.value(depth)

    def key(self) -> tuple[str, Node]:
        """A key and its place; what follows its colon comes next."""
        found = _KEY.match(self.text, self.at)
        if found:
            self.at = found.end()
            return found[2], Node(*found.span(1))
        self.skip()
        start = self.at
        if not self.text.startswith('"', start):
            self.refuse_comment()
            trailing = self.text.startswith("}", start)
            hint = "delete the comma before it" if trailing else "write keys in double quotes"
            self.fail("expected a key in double quotes", hint)
        name = self.string()
        where = Node(start, self.at)
        if not self.take(":"):
            self.fail(
                f"expected ':' after the key {name!r}"
                if len(name) < MAX_DEPTH
                else "expected ':' after a key"
            )
        self.skip()
        return name, where

    def array(self, depth: int) -> tuple[Tree, Node]:
        """A list, whose bracket comes next."""
        start = self.at
        self.at += 1
        items: list[Tree] = []
        nodes: list[Node] = []
        more = not self.take("]")
        while more:
            self.skip()
            if items and self.text.startswith("]", self.at):
                self.fail("expected a value", "delete the comma before it")
            value, node = self.value(depth + 1)
            items.append(value)
            nodes.append(node)
            more = self.more("]")
        return items, Node(start, self.at, items=nodes)

    def more(self, closing: str) -> bool:
        """Whether another entry follows; consumes the comma or the closing bracket."""
        found = _SEPARATOR.match(self.text, self.at)
        if found and found[1] in (",", closing):
            self.at = found.end()
            return found[1] == ","
        self.skip()
        self.refuse_comment()
        return self.fail(f"expected ',' or {closing!r}", "close every bracket and separate entries by commas")

    def refuse_comment(self) -> None:
        """Ends the reading at what other languages skip as a comment."""
        if self.text.startswith(("//", "/*", "#"), self.at):
            self.fail("comments are not read", "JSON has no comments; delete it, or name the file .yaml")

    def literal(self) -> Tree:
        """A number, a word, or what should have been one."""
        start = self.at
        found = _NUMBER.match(self.text, start)
        if found and not self.text.startswith("-Infinity", start):
            return self.number(found)
        word = _WORD.match(self.text, start)
        if word and word[0] in _WORDS:
            self.at = word.end()
            return _WORDS[word[0]]
        if word and word[0] in _NOT_FINITE:
            self.at = word.end()
            hint = "numbers are finite 64-bit floats or integers"
            self.problem(Code.NOT_FINITE, f"{word[0]} is not a finite number", Node(start, self.at), hint)
            return 0
        if word and word[0].lower() in _FOREIGN_WORDS:
            self.fail("expected a value", f"write {_FOREIGN_WORDS[word[0].lower()]}")
        self.refuse_comment()
        is_text = word or self.text.startswith("'", start)
        return self.fail("expected a value", "write text in double quotes" if is_text else None)

    def number(self, found: Match[str]) -> Tree:
        """A number; 0 for one that no finite float64 stands for."""
        start, self.at = found.span()
        if self.text[self.at : self.at + 1].isalnum() or self.text.startswith(".", self.at):
            self.at = start
            self.fail("this is no JSON number", "write digits without leading zeros, such as 0.5 or 1e-3")
        try:
            return read_float(found[0]) if found[1] or found[2] else read_integer(found[0])
        except LiteralError as error:
            hint = "numbers are finite 64-bit floats or integers"
            self.problem(error.code, str(error), Node(start, self.at), hint)
            return 0

    def string(self) -> str:
        """A text; nothing for one that holds half a character."""
        found = _STRING.match(self.text, self.at)
        if found is None:
            begun = _STRING_START.match(self.text, self.at)
            self.at = begun.end() if begun else self.at
            if self.at >= len(self.text):
                self.at = len(self.text.rstrip())
                self.fail("a string does not end", 'close it with "')
            escape = self.text[self.at] == "\\"
            self.fail(
                "no such escape" if escape else "a control character in a string", "write \\n, \\t or \\u0007"
            )
        start, self.at = found.span()
        if "\\" not in found[1]:
            return found[1]
        text = _ESCAPE.sub(_unescaped, found[1])
        if has_surrogate(text):
            self.problem(Code.ENCODING, "a lone surrogate is not a character", Node(start, self.at))
            return ""
        return text


def _unescaped(found: Match[str]) -> str:
    high, low, single, short = found.groups()
    if high:
        return chr(0x10000 + ((int(high, 16) - 0xD800) << 10) + int(low, 16) - 0xDC00)
    if single:
        return chr(int(single, 16))
    return _SHORT.get(short, short)
