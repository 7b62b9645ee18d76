"""JSON at the speed of the standard library: values without places, and documents of many entries.

What `json` lets pass is refused. Its memory is bounded: Python takes 56 bytes for an empty list, 184 for an
object of one key, and a text of nothing but brackets would cost thirty times its size, so they are counted
before any value is made. A marked tree of a hundred thousand parameters takes ten seconds, and up to 150
times the text's memory: of such a document only where each entry begins and ends is noted, and the place of a
part of one is looked for when somebody asks.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

from initcfg.errors import Code, Diagnostic, Location, SpecError, more_problems
from initcfg.text.inputs import decoded
from initcfg.text.json_source import SPACE, JsonReader, read_json
from initcfg.text.source import MAX_DEPTH, Node, Source, Spans

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from initcfg.text.json_source import Nodes
    from initcfg.text.source import Tree

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
