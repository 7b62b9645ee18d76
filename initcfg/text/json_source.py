"""JSON text to a marked tree (RFC 8259), with equal keys, NaN and lone surrogates refused by place.

A marked tree of a hundred thousand entries takes ten seconds, and up to 150 times the text's memory. So
values whose places nobody needs are read by the standard library (`parse_json`), and of a document of many
entries only where each begins and ends is noted (`read_entries`): the place of a part is looked for when
somebody asks. Memory is bounded: Python takes 56 bytes for an empty list, and a text of nothing but brackets
would cost thirty times its size, so brackets are counted before any value is made.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

from initcfg.errors import Code, Diagnostic, Location, SpecError, more_problems
from initcfg.text.inputs import decoded
from initcfg.text.source import (
    MAX_DEPTH,
    SURROGATE,
    LiteralError,
    Node,
    Reader,
    Source,
    Spans,
    Tree,
    read_float,
    read_integer,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
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
    """Reads one JSON document, without a byte order mark, with the place of every part.

    A SpecError where it is not JSON; what can be read past is in the source's `problems`.
    """
    return JsonReader(file, text).document()


class JsonReader(Reader):
    """Recursive descent; `at` is the next character."""

    at = 0
    groups: frozenset[str] = frozenset()

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
                message = f"the key {name!r} appears twice"
                self.problem(Code.DUPLICATE_KEY, message, where, self.hint_of_second(name, keys), entry=name)
            elif len(tree) == MAX_ENTRIES:
                raise self.fatal(Code.TOO_LARGE, f"more than {MAX_ENTRIES:,} entries", where.start)
            else:
                tree[name], values[name], keys[name] = value, node, where
            more = self.more("}")
        return tree, Node(start, self.at, values=values, keys=keys)

    def hint_of_second(self, name: str, keys: Mapping[str, Node]) -> str:
        """What to do about a key that is there already."""
        first = self.source.place(keys[name].start).line
        return f"{name!r} stands in line {first} already; keep one of them"

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


# What Python takes for an empty list, for an object with one key, and for a key.
_LIST_BYTES, _OBJECT_BYTES, _KEY_BYTES = 64, 200, 200
# So many keys an object are those of every object, and made once.
_SHARED_KEYS = 6
# What honest texts take at most for a byte: '"w0000001":{"shape":[2]},' is 264 for 25.
_COST_OF_A_BYTE = 12
_FREE_BYTES = 2**25


Entry: TypeAlias = "Callable[[str, Tree], Tree]"


class JsonError(ValueError):
    """What is wrong with a text that is read without places, and where, if that is known."""

    def __init__(self, code: Code, message: str, at: int | None = None) -> None:
        super().__init__(message)
        self.code, self.message, self.at = code, message, at


def read_entries(
    content: bytes, file: str | None, groups: frozenset[str], entry: Entry = lambda _, written: written
) -> Source:
    """Reads one JSON document of many entries.

    Those of the members `groups` at the top are noted one by one. `entry` makes of the name and the value
    of one what stands for it in the tree; it is called as soon as the entry is read, so that not all values
    are held at one time. A SpecError where it is not JSON, or would take too much memory.

    Example:
        >>> found = read_entries(b'{"params": {"w": {"shape": [2, 3]}}}', "a.json", frozenset({"params"}))
        >>> str(found.locate(("params", "w", "shape")))
        'a.json:1:28'
    """
    try:
        check_cost(content)
    except JsonError as error:
        hint = "leave out the lists and objects that say nothing"
        raise SpecError(Diagnostic(error.code, error.message, Location(file), hint)) from None
    text = decoded(content, file)
    del content  # as large as the text
    return _EntriesReader(file, text, groups, entry).document()


def parse_json(content: str | bytes) -> Any:
    """The value that a JSON text is, without places; bytes are UTF-8.

    A `JsonError` where it is no JSON, gives a key twice, is nested too deep, or costs too much to read.
    """
    check_cost(content)
    text = content if isinstance(content, str) else content.decode()
    value, end = _scanned(text, _skip_space(text, 0))
    end = _skip_space(text, end)
    if end < len(text):
        raise JsonError(Code.SYNTAX, "something follows the document's end", end)
    return value


class _EntriesReader(JsonReader):
    """Notes the members at the top and the entries of groups; all other values are as `json` reads them."""

    def __init__(self, file: str | None, text: str, groups: frozenset[str], entry: Entry) -> None:
        super().__init__(file, text)
        self.groups, self.entry = groups, entry

    def finish(self, tree: Tree, root: Node) -> Source:
        told = [noted.problem for noted in self.problems]
        problems = (*told, *more_problems(self.untold, told))
        return Source(self.file, self.text, tree, root, problems, _parts)

    def hint_of_second(self, name: str, keys: Mapping[str, Node]) -> str:  # noqa: ARG002
        return "keep one of them"

    def places_of(self, tree: dict[str, Tree]) -> tuple[Nodes, Nodes]:
        return Spans(tree), Spans(tree)

    def member(self, name: str, depth: int) -> tuple[Tree, Node]:
        is_group = depth == 1 and name in self.groups and self.text.startswith("{", self.at)
        if is_group:
            return self.object(depth)
        tree, node = self.value(depth)
        return (tree if depth == 1 else self.entry(name, tree)), node

    def value(self, depth: int) -> tuple[Tree, Node]:
        start = self.at
        if depth == 0 and self.text.startswith("{", start):
            return self.object(depth)
        try:
            tree, self.at = _scanned(self.text, start)
        except JsonError as error:
            message = f"not JSON: {error.message}" if error.code is Code.SYNTAX else error.message
            raise self.fatal(error.code, message, start if error.at is None else error.at) from None
        return tree, Node(start, self.at)


def _parts(text: str) -> Node:
    """The places in a text that `json` has read; of the whole where it is nested too deep for more."""
    try:
        return read_json(text).root
    except SpecError:
        return Node(0, len(text))


def _skip_space(text: str, at: int) -> int:
    """The first position from `at` on that is no white space."""
    return SPACE.match(text, at).end()  # type: ignore[union-attr]


def check_cost(text: str | bytes) -> None:
    """Refuses a text whose lists, objects and keys would take far more memory than an honest one's.

    Brackets and colons in strings count as well: honest texts have too few of them to matter.
    """
    signs = "[{:" if isinstance(text, str) else (b"[", b"{", b":")
    lists, objects, keys = (text.count(sign) for sign in signs)  # type: ignore[arg-type]
    own_keys = max(0, keys - _SHARED_KEYS * objects)
    cost = _LIST_BYTES * lists + _OBJECT_BYTES * objects + _KEY_BYTES * own_keys
    if cost > max(_FREE_BYTES, _COST_OF_A_BYTE * len(text)):
        what = f"{lists + objects:,} lists and objects, and {keys:,} keys"
        message = f"its {what}, would take {cost // 10**6:,} MB of memory"
        raise JsonError(Code.TOO_LARGE, message)


def _scanned(text: str, at: int) -> tuple[Any, int]:
    """The value that begins at a position, and where it ends."""
    try:
        return _scan(text, at)  # type: ignore[no-any-return]
    except StopIteration as error:
        raise JsonError(Code.SYNTAX, "expected a value", error.value) from None
    except json.JSONDecodeError as error:
        raise JsonError(Code.SYNTAX, error.msg[:1].lower() + error.msg[1:], error.pos) from None
    except RecursionError:
        raise JsonError(Code.TOO_DEEP, f"nested deeper than {MAX_DEPTH} levels", at) from None
    except JsonError as error:
        error.at = at
        raise
    except ValueError:  # Python reads no integer of thousands of digits
        raise JsonError(Code.OUT_OF_RANGE, "a number of thousands of digits", at) from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        last = {name: at for at, (name, _) in enumerate(pairs)}
        twice = next(name for at, (name, _) in enumerate(pairs) if last[name] != at)
        raise JsonError(Code.DUPLICATE_KEY, f"the key {twice!r} appears twice")
    return found


def _refused(constant: str) -> NoReturn:
    raise JsonError(Code.NOT_FINITE, f"{constant} is not a finite number")


_decoder: Any = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_refused)
_scan = _decoder.scan_once
