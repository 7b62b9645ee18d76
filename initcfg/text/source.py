"""A document that was read: its plain tree, where in the text each part of it stands, and its numbers."""

from __future__ import annotations

import math
import re
import sys
from array import array
from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain, islice
from typing import NamedTuple, TypeVar

from initcfg.errors import MAX_TOLD, Code, Diagnostic, Location, PathStep, SpecError, more_problems
from initcfg.process import cached_property

#: Plain data as JSON has it: None, bool, int, float, str, list, dict with string keys.
Tree = object

MAX_DEPTH = 64
# The longest text in which parts are looked for: marks take up to 150 times its memory.
_MAX_MARKED = 2**20
_LINE_BREAK = r"\r\n|\n|\r"
_WORD = r"(?s)[A-Za-z0-9_.]+|\*\*|//|[=!<>]=|."
#: The largest finite float64: every integer up to it has a finite float beside it.
LARGEST = int(sys.float_info.max)
_DIGITS = 309
_ALWAYS_SMALL = 200
_SHOWN = 40


def has_surrogate(text: str) -> bool:
    """Whether a text holds half of a pair that UTF-16 writes a character in; no character by itself."""
    return not text.isascii() and re.search("[\ud800-\udfff]", text) is not None


class Node(NamedTuple):
    """The place of one value and of what it holds; a tuple, which costs the garbage collector nothing."""

    start: int
    end: int
    items: Sequence[Node] = ()
    values: Mapping[str, Node] | None = None
    keys: Mapping[str, Node] | None = None

    def path_at(self, index: int) -> tuple[PathStep, ...]:
        """The path of the innermost value that a character belongs to, by itself or by its key."""
        keys = self.keys or {}
        for key, node in (self.values or {}).items():
            if node.start <= index < node.end or keys[key].start <= index < keys[key].end:
                return (key, *node.path_at(index))
        for at, node in enumerate(self.items):
            if node.start <= index < node.end:
                return (at, *node.path_at(index))
        return ()

    def child(self, step: PathStep) -> Node | None:
        """The node of an item or of a key's value, or None."""
        if isinstance(step, str):
            return (self.values or {}).get(step)
        return self.items[step] if 0 <= step < len(self.items) else None

    def key(self, step: PathStep) -> Node | None:
        """The node of a key, or None."""
        return (self.keys or {}).get(step) if isinstance(step, str) else None


Value_co = TypeVar("Value_co", covariant=True)


class _Pairs(Mapping[str, Value_co]):
    """Two numbers for each of very many names, and what is made of these when somebody asks."""

    def __init__(self, names: Collection[str], numbers: Iterable[int] = ()) -> None:
        self.names = names
        self._numbers = array("I", numbers)

    @cached_property
    def _positions(self) -> dict[str, int]:
        """Where each name stands among them; asked for once all are put in."""
        return {name: at for at, name in enumerate(self.names)}

    def _pair(self, name: str) -> tuple[int, int]:
        at = 2 * self._positions[name]
        return self._numbers[at], self._numbers[at + 1]

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)


class Spans(_Pairs[Node]):
    """The nodes of very many values in two numbers each: as nodes they would take ten times the memory."""

    def __init__(self, names: Mapping[str, Tree]) -> None:
        super().__init__(names)
        self._groups: dict[str, Node] = {}

    def __setitem__(self, name: str, node: Node) -> None:
        self._numbers.extend((node.start, node.end))
        if node.values is not None:
            self._groups[name] = node

    def __getitem__(self, name: str) -> Node:
        return self._groups.get(name) or Node(*self._pair(name))

    def starts(self) -> Iterator[int]:
        """Where each begins, in their order."""
        return islice(self._numbers, 0, None, 2)


class Places(_Pairs[Location]):
    """Where the members of one mapping begin, in two numbers each; a location is made when asked for."""

    def __init__(
        self, file: str | None, group: str, names: Collection[str], starts: Iterable[tuple[int, int]]
    ) -> None:
        super().__init__(names, chain.from_iterable(starts))
        self._file, self._group = file, group

    def __getitem__(self, name: str) -> Location:
        return Location(self._file, *self._pair(name), path=(self._group, name))


class Source:
    """One document: what it says and where it says it."""

    def __init__(
        self,
        file: str | None,
        text: str,
        tree: Tree = None,
        root: Node = Node(0, 0),  # noqa: B008  immutable
        problems: tuple[Diagnostic, ...] = (),
        *,
        read_parts: Callable[[str], Node] | None = None,
    ) -> None:
        self.file = file  # the name the user gave
        self.text = text  # without a byte order mark
        self.tree, self.root = tree, root  # what it says, and the places that belong to it
        self.problems = problems  # which did not keep the rest from being read
        #: Marks the parts of a value that was left unmarked, in its text; None where all are marked.
        self.read_parts = read_parts

    @cached_property
    def _line_starts(self) -> Sequence[int]:
        return array("I", chain((0,), (found.end() for found in re.finditer(_LINE_BREAK, self.text))))

    @cached_property
    def _lines(self) -> dict[int, str]:
        """The lines that places were asked in: a line may be long, and all its places share one string."""
        return {}

    def _line(self, number: int) -> str:
        if number not in self._lines:
            start = self._line_starts[number - 1]
            following = self._line_starts[number] if number < len(self._line_starts) else len(self.text) + 1
            self._lines[number] = self.text[start:following].rstrip("\r\n")
        return self._lines[number]

    def place(self, start: int, end: int | None = None, path: tuple[PathStep, ...] = ()) -> Location:
        """The location of the characters from `start` to `end`, cut at the end of the first line."""
        number = bisect_right(self._line_starts, start)
        line_start = self._line_starts[number - 1]
        line = self._line(number)
        last = max(start + 1, min(end or 0, line_start + len(line)))
        column = start - line_start + 1
        return Location(self.file, number, column, column + last - start, line, path)

    def locate(self, path: tuple[PathStep, ...], *, key: bool = False, offset: int | None = None) -> Location:
        """The place of the deepest part of `path`, of its last key, or of a character of a scalar."""
        node, before = self.root, 0
        for depth, step in enumerate(path, start=1):
            if (
                self.read_parts is not None
                and node.values is None
                and not node.items
                and node.end - node.start <= _MAX_MARKED
            ):
                before += node.start
                node = self.read_parts(self.text[before : before + node.end - node.start])
            found = node.key(step) if key and depth == len(path) else None
            found = found or node.child(step)
            if found is None:
                break
            node = found
        start, end = before + node.start, before + node.end
        return self.place(start, end, path) if offset is None else self._inside(start, end, offset, path)

    def places(self, group: str) -> Mapping[str, Location]:
        """Where the keys of a mapping at the top stand; of a million names without their lines."""
        node = self.root.child(group)
        keys = (node.keys if node else None) or {}
        if isinstance(keys, Spans):
            return Places(self.file, group, keys.names, map(self._line_and_column, keys.starts()))
        return {name: self.place(key.start, key.end, (group, name)) for name, key in keys.items()}

    def _line_and_column(self, start: int) -> tuple[int, int]:
        number = bisect_right(self._line_starts, start)
        return number, start - self._line_starts[number - 1] + 1

    def is_inherited(self, path: tuple[PathStep, ...]) -> bool:  # noqa: ARG002
        """Whether a part was written in another file that this one extends: never, in a single text."""
        return False

    def _inside(self, start: int, end: int, offset: int, path: tuple[PathStep, ...]) -> Location:
        raw = self.text[start:end]
        if raw[:1] in ("'", '"'):
            if "\\" in raw or "''" in raw[1:-1] or re.search(_LINE_BREAK, raw):
                return self.place(start, end, path)
            return self._token(min(start + 1 + offset, end - 1), end - 1, path)
        if raw[:1] in ("|", ">", "&") or re.search(_LINE_BREAK, raw):
            return self.place(start, end, path)
        return self._token(min(start + offset, end), end, path)

    def _token(self, start: int, end: int, path: tuple[PathStep, ...]) -> Location:
        """The place of the number, name or sign that begins at a character."""
        found = re.match(_WORD, self.text[start : max(start, end)])
        return self.place(start, start + found.end() if found else None, path)


class Reader:
    """What the YAML and the JSON reader share: the text being read and the first problems found in it."""

    def __init__(self, file: str | None, text: str) -> None:
        self.file, self.text = file, text
        self.source = Source(file, text)
        self.problems: list[_Noted] = []
        self.untold = 0

    @property
    def is_full(self) -> bool:
        """Whether no more problems are kept."""
        return len(self.problems) >= MAX_TOLD

    def problem(
        self, code: Code, message: str, place: Node, hint: str | None = None, *, entry: str | None = None
    ) -> None:
        """Notes a problem that the rest can be read past; `entry` is a key that the tree does not keep."""
        if self.is_full:
            self.untold += 1
        else:
            where = self.source.place(place.start, place.end)
            self.problems.append(_Noted(Diagnostic(code, message, where, hint), place.start, entry))

    def duplicate(self, name: str, where: Node, first: Node | None) -> None:
        """Notes a key that is there already; of very many keys without the place of the first."""
        place = (
            "" if first is None else f"{name!r} is in line {self.source.place(first.start).line} already; "
        )
        message, hint = f"the key {name!r} appears twice", f"{place}keep one of them"
        self.problem(Code.DUPLICATE_KEY, message, where, hint, entry=name)

    def fatal(
        self, code: Code, message: str, start: int, end: int | None = None, hint: str | None = None
    ) -> SpecError:
        """The exception for a problem that ends the reading, with those noted before."""
        last = Diagnostic(code, message, self.source.place(start, end), hint)
        told = [noted.problem for noted in self.problems]
        return SpecError(*told, *more_problems(self.untold, told), last)

    def finish(self, tree: Tree, root: Node) -> Source:
        """The source, once the whole text has been read; only now each problem's path is known."""
        problems = [noted.placed(root) for noted in self.problems]
        return Source(self.file, self.text, tree, root, (*problems, *more_problems(self.untold, problems)))


class _Noted(NamedTuple):
    """A problem, and what its path follows from once the tree is whole."""

    problem: Diagnostic
    start: int
    entry: str | None

    def placed(self, root: Node) -> Diagnostic:
        path = root.path_at(self.start) + (() if self.entry is None else (self.entry,))
        return self.problem.at(replace(self.problem.where or Location(), path=path))


class LiteralError(ValueError):
    """A literal that no finite number stands for; `code` and the message say which way it fails."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code = code


def comma_hint(number: str) -> str:
    """How to write a number that has commas: between thousands, or before a fraction."""
    if re.fullmatch(r"[1-9][0-9]{0,2}(,[0-9]{3})+", number):
        return f"write the number without commas: {number.replace(',', '')}"
    return f"write a decimal point: {number.replace(',', '.')}"


def read_integer(digits: str, base: int = 10) -> int:
    """The integer that `digits` write, with an optional sign; a LiteralError beyond float64's range."""
    if len(digits) < _ALWAYS_SMALL:
        return int(digits, base)
    significant = digits.lstrip("+-").lstrip("0")
    if len(significant) <= _DIGITS:
        value = int(significant or "0", base) * (-1 if digits.startswith("-") else 1)
        if abs(value) <= LARGEST:
            return value
    raise LiteralError(
        Code.OUT_OF_RANGE, f"an integer of {len(significant)} digits is beyond the range of float64"
    )


def read_float(text: str) -> float:
    """The float64 nearest to a decimal literal; a LiteralError where it overflows, or would become 0."""
    value = float(text)
    shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
    if value == 0 and not set("123456789").isdisjoint(text.lower().partition("e")[0]):
        raise LiteralError(Code.OUT_OF_RANGE, f"{shown} is too small for float64, and would become 0")
    if math.isfinite(value):
        return value
    raise LiteralError(Code.NOT_FINITE, f"{shown} is beyond the range of float64")
