"""The text of a pattern as a tuple of items, in the order in which they take characters from a name."""

from __future__ import annotations

import re
from typing import NamedTuple, NoReturn

from initcfg.errors import Code, Diagnostic, SpecError

MAX_PATTERN = 512
_MAX_DEPTH = 8
_CAPTURE = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")
_HINT = (
    "a pattern has * ? [a-z] {a,b} inside a segment, {i} for a segment that is a whole number, "
    "and ** for whole segments, such as 'h.{i}.attn.**' or '**.bias'"
)


class PatternError(SpecError):
    """A pattern is malformed at a character, counted from 0."""

    def __init__(self, diagnostic: Diagnostic, offset: int) -> None:
        super().__init__(diagnostic)
        self.offset = offset


class Chars(NamedTuple):
    """One character out of a set; a dot only where `dot` says so."""

    ranges: tuple[tuple[str, str], ...] = ()
    negated: bool = False
    dot: bool = False

    def accepts(self, char: str) -> bool:
        """Whether a character is one of them."""
        if char == ".":
            return self.dot
        return any(low <= char <= high for low, high in self.ranges) != self.negated


class Star(NamedTuple):
    """Any characters inside one segment."""


class Segments(NamedTuple):
    """Any whole segments, with the dot that joins them to what stands before or after, or nothing at all."""

    before: bool = False
    after: bool = False


class Choice(NamedTuple):
    """One of several texts, which may be patterns themselves."""

    options: tuple[tuple[Item, ...], ...]


class Number(NamedTuple):
    """A segment that is a whole number without leading zeros, and a name for it."""

    name: str


Item = Chars | Star | Segments | Choice | Number

DOT = Chars(dot=True)
_ONE = {"?": Chars(negated=True), ".": DOT}


def parse(pattern: str) -> tuple[Item, ...]:
    """The items of a pattern; a `PatternError` where it is malformed."""
    return _Parser(pattern).pattern()


def literal(text: str) -> str:
    """The pattern that matches a text and nothing else.

    Example:
        >>> literal("expert[0].w")
        'expert[[]0[]].w'
    """
    return re.sub(r"[*?\[\]{},]", r"[\g<0>]", text)


def captures_in(items: tuple[Item, ...]) -> tuple[str, ...]:
    """The names of the numbers that a pattern captures, from left to right."""
    return tuple(item.name for item in items if isinstance(item, Number))


def ends_in_a_name(items: tuple[Item, ...]) -> bool:
    """Whether the last segment of a pattern has no wildcard: it is a text, or a choice of texts."""
    for item in reversed(items):
        match item:
            case Segments(after=True):
                return item is not items[-1]
            case Chars(dot=True):
                return True
            case Chars(ranges=((low, high),), negated=False) if low == high:
                continue
            case Choice(options):
                if not all(map(ends_in_a_name, options)):
                    return False
            case _:
                return False
    return True


class _Parser:
    """Recursive descent; `at` is the next character."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = self.depth = 0

    def pattern(self) -> tuple[Item, ...]:
        if not 0 < len(self.text) <= MAX_PATTERN:
            self.fail(f"a pattern is a text of 1 to {MAX_PATTERN} characters")
        items: list[Item] = []
        while self.at < len(self.text):
            items.append(self.item())
        names = captures_in(tuple(items))
        for name in names:
            if names.count(name) > 1:
                self.fail(f"'{{{name}}}' stands in it twice")
        return tuple(items)

    def item(self) -> Item:
        if self.text.startswith(("**", ".**"), self.at):
            return self.segments()
        capture = _CAPTURE.match(self.text, self.at)
        if capture:
            return self.number(capture)
        char = self.text[self.at]
        self.at += 1
        if char == "*":
            return Star()
        if char == "{":
            return self.choice()
        if char in "]}":
            self.fail(f"{char!r} closes nothing")
        if char == "[":
            return self.set()
        return _ONE.get(char) or Chars(((char, char),))

    def segments(self) -> Segments:
        if self.depth:
            self.fail("'**' cannot stand inside braces", self.at)
        dotted = self.text[self.at] == "."
        after = self.at + (3 if dotted else 2)
        if not self.is_whole(self.at + dotted, after):
            self.fail("'**' stands for whole segments: put dots around it, or write '*'", self.at)
        self.at = after
        if dotted or after == len(self.text):
            return Segments(before=dotted)
        self.at += 1
        return Segments(after=True)

    def number(self, capture: re.Match[str]) -> Number:
        if self.depth:
            self.fail(f"{capture[0]!r} cannot stand inside braces", self.at)
        if not self.is_whole(*capture.span()):
            self.fail(
                f"{capture[0]!r} stands for a whole segment that is a number: put dots around it; "
                "a choice has two texts or more: {a,b}",
                self.at,
            )
        self.at = capture.end()
        return Number(capture[1])

    def is_whole(self, start: int, end: int) -> bool:
        """Whether dots or the ends of the pattern stand around what is between two places."""
        return self.text[start - 1 : start] in ("", ".") and self.text[end : end + 1] in ("", ".")

    def set(self) -> Chars:
        negated = self.text.startswith("!", self.at)
        first = self.at + negated
        # A bracket that comes first is one of the set.
        end = self.text.find("]", first + 1)
        if end < 0:
            self.fail("'[' needs characters and a closing ']'")
        body = self.text[first:end]
        self.at = end + 1
        ranges = []
        while body:
            high = body[2] if len(body) > 2 and body[1] == "-" else body[0]
            if high < body[0]:
                self.fail(f"the range {body[:3]!r} runs backwards")
            ranges.append((body[0], high))
            body = body[3:] if len(body) > 2 and body[1] == "-" else body[1:]
        return Chars(tuple(ranges), negated)

    def choice(self) -> Choice:
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            self.fail(f"braces nest deeper than {_MAX_DEPTH}")
        options: list[tuple[Item, ...]] = []
        closing = ""
        while closing != "}":
            option: list[Item] = []
            while self.at < len(self.text) and self.text[self.at] not in ",}":
                option.append(self.item())
            if self.at == len(self.text):
                self.fail("'{' is not closed")
            options.append(tuple(option))
            closing = self.text[self.at]
            self.at += 1
        if len(options) == 1:
            self.fail("braces hold two texts or more: {a,b}")
        self.depth -= 1
        return Choice(tuple(options))

    def fail(self, problem: str, at: int | None = None) -> NoReturn:
        """Ends the parsing at a character; by default at the one that was taken last."""
        message = f"the pattern {self.text!r} is malformed: {problem}"
        offset = max(self.at - 1, 0) if at is None else at
        raise PatternError(Diagnostic(Code.PATTERN, message, hint=_HINT), offset)


def deepened(glob: str) -> str:
    """The glob with ``**`` for each segment that is a star; itself where that is too long for a pattern."""
    deep = ".".join("**" if segment == "*" else segment for segment in glob.split("."))
    return deep if len(deep) <= MAX_PATTERN else glob
