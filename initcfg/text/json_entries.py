"""JSON values and documents of many entries, read at the speed of the standard library.

What `json` lets pass is refused. Its memory is bounded: Python takes 56 bytes for an empty list, 184 for an
object of one key, and a text of nothing but brackets would cost thirty times its size, so they are counted
before any value is made. A marked tree of a manifest of a hundred thousand parameters takes ten seconds to
build: of such a document only where each entry begins and ends is noted, and the place of a part of an entry
is looked for when somebody asks.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn

from initcfg.errors import Code, Diagnostic, Location, SpecError, more_problems
from initcfg.text.inputs import decoded
from initcfg.text.json_source import read_json
from initcfg.text.source import MAX_DEPTH, SURROGATE, Node, Reader

if TYPE_CHECKING:
    from collections.abc import Iterator

    from initcfg.errors import PathStep

_KEY = re.compile(r'"([^"\\\x00-\x1f]*)"[ \t\n\r]*:[ \t\n\r]*')
_SEPARATOR = re.compile(r"[ \t\n\r]*([,}])[ \t\n\r]*")
_read_string: Any = json.decoder.scanstring  # type: ignore[attr-defined]

#: The most members that are noted one by one: a kilobyte of memory for each.
MAX_ENTRIES = 2**20

# The longest entry in which a place is looked for: marks take up to 150 times the text.
_MAX_MARKED = 2**20

#: The start of an entry's key, and the start and the end of its value.
Span = tuple[int, int, int]
Names = tuple[str, ...]
Path = tuple["PathStep", ...]
_SPACE = re.compile(r"[ \t\n\r]*")
_LIST_BYTES = 64
_OBJECT_BYTES = 200
_KEY_BYTES = 200
# So many keys an object are those of every object, and made once.
_SHARED_KEYS = 6
# What honest texts take at most for a byte: '"w0000001":{"shape":[2]},' is 264 for 25.
_COST_OF_A_BYTE = 12
_FREE_BYTES = 2**25


@dataclass(frozen=True)
class JsonEntries:
    """One JSON document, and where its members and the entries of its groups stand.

    Args:
        tree: its content.
        reader: holds the text.
        spans: by path.
    """

    tree: Any
    reader: Reader
    spans: dict[Names, Span]

    @property
    def problems(self) -> list[Diagnostic]:
        """What was wrong with the text and did not keep the rest from being read."""
        told = [noted.problem for noted in self.reader.problems]
        return [*told, *more_problems(self.reader.untold, told)]

    def locate(self, path: Path, *, key: bool = False) -> Location:
        """The place of a value, or of its key; of the deepest part of `path` that the text has."""
        size = next((size for size in range(len(path), 0, -1) if path[:size] in self.spans), 0)
        if size == 0:
            return self.reader.source.place(0, None, path)
        at_key, start, end = self.spans[path[:size]]  # type: ignore[index]
        if key and size == len(path):
            return self.reader.source.place(at_key, _read_string(self.reader.text, at_key + 1)[1], path)
        # The entry's own text is read once more, with marks.
        rest = path[size:] if end - start <= _MAX_MARKED else ()
        node = read_json(self.reader.text[start:end]).root if rest else Node(0, end - start)
        for depth, step in enumerate(rest, start=1):
            found = node.key(step) if key and depth == len(rest) else None
            node = found or node.child(step) or node
        return self.reader.source.place(start + node.start, start + node.end, path)

    def entries(self, group: str) -> Iterator[tuple[str, Location]]:
        """The names of a group's entries in their order, each with the place of its key, without its line."""
        text, file = self.reader.text, self.reader.file
        line, line_start, last = 1, 0, 0
        for name in self.tree[group]:
            at = self.spans[group, name][0]
            # Counted on from the entry before: finding each line anew costs more than reading the document.
            breaks = text.count("\n", last, at)
            if breaks:
                line, line_start = line + breaks, text.rfind("\n", last, at) + 1
            last = at
            yield name, Location(file, line, at - line_start + 1, path=(group, name))


def read_entries(content: str | bytes, file: str | None, groups: frozenset[str]) -> JsonEntries:
    """Reads one JSON document.

    Args:
        content: the document: a text without a byte order mark, or UTF-8.
        file: its name, for diagnostics.
        groups: the members at the top whose entries are many, and are noted one by one.

    Raises:
        SpecError: the text is not JSON, or would take too much memory. What can be read past is in
            `problems`.

    Example:
        >>> found = read_entries('{"params": {"w": {"shape": [2, 3]}}}', "shapes.json", frozenset({"params"}))
        >>> str(found.locate(("params", "w", "shape")))
        'shapes.json:1:28'
    """
    try:
        check_cost(content)
    except JsonError as error:
        hint = "leave out the lists and objects that say nothing"
        raise SpecError(Diagnostic(error.code, error.message, Location(file), hint)) from None
    text = content if isinstance(content, str) else decoded(content, file)
    scanner = _Scanner(Reader(file, text), groups)
    return JsonEntries(scanner.document(), scanner.reader, scanner.spans)


@dataclass
class _Scanner:
    """Reads from left to right: a method is given the next character, and gives the one after its own."""

    reader: Reader
    groups: frozenset[str]
    spans: dict[Names, Span] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.text = self.reader.text

    def document(self) -> Any:
        at = skip_space(self.text, 0)
        tree, at = (self.members if self.text.startswith("{", at) else self.value)((), at)
        at = skip_space(self.text, at)
        if at < len(self.text):
            self.fail(at, "something follows the document's end")
        return tree

    def fail(self, at: int, message: str, code: Code = Code.SYNTAX) -> NoReturn:
        raise self.reader.fatal(code, f"not JSON: {message}" if code is Code.SYNTAX else message, at)

    def members(self, path: Names, at: int) -> tuple[dict[str, Any], int]:
        """An object whose entries are noted; those of its groups as well."""
        text, tree, spans = self.text, dict[str, Any](), self.spans
        at = skip_space(self.text, at + 1)
        more = not text.startswith("}", at)
        end = at + 1
        while more:
            name, start = self.key(at)
            is_group = not path and name in self.groups and text.startswith("{", start)
            where = (*path, name)
            if len(tree) == MAX_ENTRIES:
                self.fail(at, f"more than {MAX_ENTRIES:,} entries", Code.TOO_LARGE)
            value, end = (self.members if is_group else self.value)(where, start)
            if name in tree:
                message = f"the key {name!r} appears twice"
                self.reader.problem(
                    Code.DUPLICATE_KEY, message, Node(at, start), "keep one of them", entry=name
                )
            else:
                tree[name], spans[where] = value, (at, start, end)
            separator = _SEPARATOR.match(text, end)
            if separator is None:
                self.fail(skip_space(self.text, end), "expected ',' or '}'")
            more, at, end = separator[1] == ",", separator.end(), separator.end(1)
        return tree, end

    def key(self, at: int) -> tuple[str, int]:
        """A key, and where its value begins."""
        found = _KEY.match(self.text, at)
        if found is not None and found[1].isascii():
            return found[1], found.end()
        if not self.text.startswith('"', at):
            self.fail(at, "expected a key in double quotes")
        try:
            name, end = _read_string(self.text, at + 1)
        except json.JSONDecodeError as error:
            self.fail(error.pos, _lower(error.msg))
        if SURROGATE.search(name):
            self.fail(at, "a lone surrogate is not a character", Code.ENCODING)
        end = skip_space(self.text, end)
        if not self.text.startswith(":", end):
            self.fail(end, "expected ':' after a key")
        return name, skip_space(self.text, end + 1)

    def value(self, path: Names, at: int) -> tuple[Any, int]:  # noqa: ARG002
        """Any value, as `json` reads it."""
        try:
            return scan_value(self.text, at)
        except JsonError as error:
            self.fail(at if error.at is None else error.at, error.message, error.code)


def _lower(message: str) -> str:
    return message[:1].lower() + message[1:]


class JsonError(ValueError):
    """What is wrong with a text.

    Args:
        code: the kind.
        message: the cause, in lower case.
        at: the position in the text, where it is known.
    """

    def __init__(self, code: Code, message: str, at: int | None = None) -> None:
        super().__init__(message)
        self.code, self.message, self.at = code, message, at


def parse_json(text: str) -> Any:
    """The value that a JSON text is.

    Raises:
        JsonError: it is no JSON, gives a key twice, is nested too deep, or costs too much to read.

    Example:
        >>> parse_json('{"shape": [2, 3]}')
        {'shape': [2, 3]}
    """
    check_cost(text)
    value, end = scan_value(text, skip_space(text, 0))
    end = skip_space(text, end)
    if end < len(text):
        raise JsonError(Code.SYNTAX, "something follows the document's end", end)
    return value


def skip_space(text: str, at: int) -> int:
    """The first position from `at` on that is no white space."""
    return _SPACE.match(text, at).end()  # type: ignore[union-attr]


def check_cost(text: str | bytes) -> None:
    """Refuses a text whose lists, objects and keys would take far more memory than an honest one's.

    Brackets and colons in strings count as well: honest texts have too few of them to matter.

    Raises:
        JsonError: code ``too-large``.
    """
    signs = "[{:" if isinstance(text, str) else (b"[", b"{", b":")
    lists, objects, keys = (text.count(sign) for sign in signs)  # type: ignore[arg-type]
    own_keys = max(0, keys - _SHARED_KEYS * objects)
    cost = _LIST_BYTES * lists + _OBJECT_BYTES * objects + _KEY_BYTES * own_keys
    if cost > max(_FREE_BYTES, _COST_OF_A_BYTE * len(text)):
        what = f"{lists + objects:,} lists and objects, and {keys:,} keys"
        message = f"its {what}, would take {cost // 10**6:,} MB of memory"
        raise JsonError(Code.TOO_LARGE, message)


def scan_value(text: str, at: int) -> tuple[Any, int]:
    """The value that begins at a position, and where it ends.

    Raises:
        JsonError: as `parse_json`, but for the cost.
    """
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
