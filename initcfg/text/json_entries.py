"""JSON of many entries, read at the speed of the standard library, with the place of every entry.

A marked tree of a manifest of a hundred thousand parameters takes ten seconds to build. Here the values of
entries are left to the scanner of `json`, which is written in C, and only where each begins and ends is
noted; the place of a part of an entry is looked for when somebody asks.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn

from initcfg.errors import Code, Diagnostic, Location, SpecError
from initcfg.text.decoding import decoded
from initcfg.text.json_source import read_json
from initcfg.text.json_values import JsonError, check_cost, scan_value, skip_space
from initcfg.text.source import SURROGATE, Node, Reader

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


@dataclass(frozen=True, slots=True)
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
        return [noted.problem for noted in self.reader.problems]

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
                message = f"the key {name!r} stands twice"
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
