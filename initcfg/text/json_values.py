"""JSON values without places, in bounded memory.

A marked tree of a hundred thousand entries takes ten seconds, and up to 150 times the text's memory. So
values whose places nobody needs are read by the standard library (`parse_json`), and of a document of many
entries only where each begins and ends is noted (`read_entries`): the place of a part is looked for when
somebody asks. Python takes 56 bytes for an empty list and 32 for a number: what a text would cost is counted
before any value is made, and an entry is made into what its reader keeps of it before the next one is read.
"""

from __future__ import annotations

import json
import re
import sys
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

from initcfg.errors import Code, Diagnostic, Location, SpecError, more_problems
from initcfg.text.inputs import decoded
from initcfg.text.json_source import MAX_ENTRIES, SPACE, JsonReader, Nodes, read_json
from initcfg.text.source import Node, Source, Spans, Tree

if TYPE_CHECKING:
    from collections.abc import Callable


# A list or an object with at most one more in it, as entries are.
_SHORT_VALUE = re.compile(r"[\[{][^\[\]{}]{0,512}(?:[\[{][^\[\]{}]{0,1024}[\]}][^\[\]{}]{0,512})?[\]}]")
# The first bytes of the characters beyond U+FFFF, and beyond U+00FF.
_WIDEST, _WIDE = re.compile(rb"[\xf0-\xff]"), re.compile(rb"[\xc4-\xff]")
# What Python takes for an empty list, for an object with one key, for a key, and at most for an item or a
# member: a short text and its place in a list.
_LIST_BYTES, _OBJECT_BYTES, _KEY_BYTES, _ITEM_BYTES = 64, 200, 200, 72
# So many keys an object are those of every object, and made once.
_SHARED_KEYS = 6
# The most that reading may take, in bytes for each of the text and all in all.
_TIMES, _FREE_BYTES = 3, 3 * 2**26
# How long a list or an object that is an entry may be, tried in turn, and how much of such is kept as it is.
_LENGTHS, _MAX_KEPT = (2**12, 2**20), 2**21
# A number or a word that is cut is missed at most so far before the cut.
_LONGEST_WORD = 64
# What entries take for each byte of a large text, once their reader has made of them what it keeps; and what
# those as small as they can be would take if they were kept as they are.
_OF_ENTRIES, _TIMES_OF_ENTRIES = 2, 16


Entry: TypeAlias = "Callable[[str, Tree], Tree]"


class JsonError(ValueError):
    """What is wrong with a text that is read without places, and where, if that is known."""

    def __init__(self, code: Code, message: str, at: int | None = None) -> None:
        super().__init__(message)
        self.code, self.message, self.at = code, message, at


def read_entries(
    content: bytes,
    file: str | None,
    groups: frozenset[str],
    entry: Entry = lambda _, written: written,
    *,
    flat: bool = False,
    most: int = MAX_ENTRIES,
) -> Source:
    """Reads one JSON document of many entries.

    Those of the members `groups` at the top are noted one by one. `entry` makes of the name and the value
    of one what stands for it in the tree; it is called as soon as the entry is read, so that not all values
    are held at one time. With `flat` the entries are the other members at the top; there may be `most`
    of them. Nobody else may hold the bytes, or they are there beside the text.

    A SpecError where it is not JSON, or would take more than 192 MiB and three times the memory of the text.

    Example:
        >>> found = read_entries(b'{"params": {"w": {"shape": [2, 3]}}}', "a.json", frozenset({"params"}))
        >>> str(found.locate(("params", "w", "shape")))
        'a.json:1:28'
    """
    try:
        check_cost(content, _TIMES_OF_ENTRIES)
        _check_total((_width(content) + _OF_ENTRIES) * len(content), len(content))
    except JsonError as error:
        hint = "leave out what says nothing, or divide it over several files"
        raise SpecError(Diagnostic(error.code, error.message, Location(file), hint)) from None
    text = decoded(content, file)
    del content  # as large as the text
    return _EntriesReader(Source(file, text), groups, entry, flat=flat, most=most).document()


def parse_json(content: str | bytes, times: int = _TIMES) -> Any:
    """The value that a JSON text is, without places; a `JsonError` where it is none, or costs too much."""
    check_cost(content, times)
    text = content if isinstance(content, str) else content.decode()
    value, end = _scanned(text, _skip_space(text, 0))
    end = _skip_space(text, end)
    if end < len(text):
        raise JsonError(Code.SYNTAX, "something follows the document's end", end)
    return value


class _EntriesReader(JsonReader):
    """Notes the members at the top and the entries of groups; all other values are as `json` reads them."""

    kept = 0  # the characters of values that are kept as they are

    def __init__(
        self, source: Source, groups: frozenset[str], entry: Entry, *, flat: bool, most: int
    ) -> None:
        super().__init__(source.file, source.text)
        self.groups, self.entry, self.flat, self.most = groups, entry, flat, most

    def finish(self, tree: Tree, root: Node) -> Source:
        told = [noted.problem for noted in self.problems]
        problems = (*told, *more_problems(self.untold, told))
        return Source(self.file, self.text, tree, root, problems, read_parts=_parts)

    def places_of(self, tree: dict[str, Tree]) -> tuple[Nodes, Nodes]:
        return Spans(tree), Spans(tree)

    def member(self, name: str, depth: int) -> tuple[Tree, Node]:
        is_group = depth == 1 and name in self.groups and self.text.startswith("{", self.at)
        if is_group:
            return self.object(depth)
        tree, node = self.value(depth)
        kept = self.entry(name, tree) if (depth == 1) == self.flat else tree
        if isinstance(kept, list | dict):
            self.kept += node.end - node.start
            if self.kept > _MAX_KEPT:
                raise self.fatal(Code.TOO_LARGE, "too many lists and objects that are no entries", node.start)
        return kept, node

    def value(self, depth: int) -> tuple[Tree, Node]:
        start = self.at
        if depth == 0 and self.text.startswith("{", start):
            return self.object(depth)
        try:
            if self.text.startswith(("{", "["), start) and not _SHORT_VALUE.match(self.text, start):
                self.check_length(start)
            tree, self.at = _scanned(self.text, start)
        except JsonError as error:
            message = f"not JSON: {error.message}" if error.code is Code.SYNTAX else error.message
            raise self.fatal(error.code, message, start if error.at is None else error.at) from None
        return tree, Node(start, self.at)

    def check_length(self, start: int) -> None:
        """Refuses a list or an object of more than a megabyte, before it is made."""
        for size in _LENGTHS:
            piece = self.text[start : start + size]
            try:
                _scanned(piece, 0)
                return
            except JsonError as error:
                is_cut = len(piece) == size and error.code is Code.SYNTAX
                is_open = error.message.startswith("unterminated") or (error.at or 0) > size - _LONGEST_WORD
                if not (is_cut and is_open):
                    return  # it is wrong in itself, and refused for that
        message = f"a list or an object of more than {size:,} characters"
        raise JsonError(Code.TOO_LARGE, message, start)


def _parts(text: str) -> Node:
    """The places in a text that `json` has read; of the whole where it is nested too deep for more."""
    try:
        return read_json(text).root
    except SpecError:
        return Node(0, len(text))


def _skip_space(text: str, at: int) -> int:
    """The first position from `at` on that is no white space."""
    return SPACE.match(text, at).end()  # type: ignore[union-attr]


def check_cost(text: str | bytes, times: int = _TIMES) -> None:
    """Refuses a text whose values would take over 192 MiB of memory, and over so many times its own."""
    signs = "[{:," if isinstance(text, str) else (b"[", b"{", b":", b",")
    lists, objects, keys, items = (text.count(sign) for sign in signs)  # type: ignore[arg-type]
    own_keys = max(0, keys - _SHARED_KEYS * objects)
    cost = _LIST_BYTES * lists + _OBJECT_BYTES * objects + _KEY_BYTES * own_keys + _ITEM_BYTES * items
    held = sys.getsizeof(text) if isinstance(text, str) else _width(text) * len(text)
    _check_total(cost + held, len(text), times)


def _check_total(cost: int, size: int, times: int = _TIMES) -> None:
    if cost > max(_FREE_BYTES, times * size):
        message = f"reading it would take {cost / 2**20:,.0f} MiB of memory, for {size / 2**20:,.0f} MiB"
        raise JsonError(Code.TOO_LARGE, message)


def _width(content: bytes) -> int:
    """How many bytes Python will take for each character: as many as the widest needs."""
    return 4 if _WIDEST.search(content) else 2 if _WIDE.search(content) else 1


def _scanned(text: str, at: int) -> tuple[Any, int]:
    """The value that begins at a position, and where it ends."""
    try:
        return _scan(text, at)  # type: ignore[no-any-return]
    except StopIteration as error:
        raise JsonError(Code.SYNTAX, "expected a value", error.value) from None
    except json.JSONDecodeError as error:
        raise JsonError(Code.SYNTAX, error.msg[:1].lower() + error.msg[1:], error.pos) from None
    except RecursionError:
        raise JsonError(Code.TOO_DEEP, "nested too deep", at) from None
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
