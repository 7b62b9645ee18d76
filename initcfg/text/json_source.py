"""JSON text to a marked tree (RFC 8259), with equal keys, NaN and lone surrogates refused by place."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NoReturn

from initcfg.errors import Code
from initcfg.text.source import (
    MAX_DEPTH,
    SURROGATE,
    LiteralError,
    Node,
    Reader,
    Source,
    Tree,
    read_float,
    read_integer,
)

if TYPE_CHECKING:
    from re import Match

_SPACE = re.compile(r"[ \t\n\r]*")
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


def read_json(text: str, file: str | None = None) -> Source:
    """Reads one JSON document.

    Args:
        text: the document, without a byte order mark.
        file: its name, for diagnostics.

    Raises:
        SpecError: the text is not JSON. What can be read past is in the source's `problems`.
    """
    return _JsonReader(file, text).document()


class _JsonReader(Reader):
    """Recursive descent; `at` is the next character."""

    at = 0

    def document(self) -> Source:
        self.skip()
        if self.at == len(self.text):
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
        raise self.fatal(Code.SYNTAX, f"not JSON: {message}", self.at, None, hint)

    def skip(self) -> None:
        found = _SPACE.match(self.text, self.at)
        self.at = found.end() if found else self.at

    def take(self, char: str) -> bool:
        """Whether `char` comes next, past white space; if so it is consumed."""
        self.skip()
        if not self.text.startswith(char, self.at):
            return False
        self.at += 1
        return True

    def value(self, depth: int) -> tuple[Tree, Node]:
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
        start = self.at
        self.at += 1
        tree: dict[str, Tree] = {}
        values: dict[str, Node] = {}
        keys: dict[str, Node] = {}
        more = not self.take("}")
        while more:
            name, where = self.key()
            value, node = self.value(depth + 1)
            if name in tree:
                first = self.source.place(keys[name].start).line
                hint = f"{name!r} stands in line {first} already; keep one of them"
                message = f"the key {name!r} appears twice"
                self.problem(Code.DUPLICATE_KEY, message, where, hint, entry=name)
            else:
                tree[name], values[name], keys[name] = value, node, where
            more = self.more("}")
        return tree, Node(start, self.at, values=values, keys=keys)

    def key(self) -> tuple[str, Node]:
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
        return name, where

    def array(self, depth: int) -> tuple[Tree, Node]:
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
        if self.take(","):
            return True
        if not self.take(closing):
            self.refuse_comment()
            self.fail(f"expected ',' or {closing!r}", "close every bracket and separate entries by commas")
        return False

    def refuse_comment(self) -> None:
        """Ends the reading at what other languages skip as a comment."""
        if self.text.startswith(("//", "/*", "#"), self.at):
            self.fail("comments are not read", "JSON has no comments; delete it, or name the file .yaml")

    def literal(self) -> Tree:
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
        if SURROGATE.search(text):
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
