"""Globs over dotted names, matched in one pass over the name whatever the pattern.

    *        any characters inside one segment        ?        one character inside a segment
    **       any number of whole segments, or none    [a-z]    one of a set, [!a-z] one outside it
    {a,b}    either text, which may be globs itself

A pattern becomes a nondeterministic automaton. Sets of its states are made as names call for them and kept,
so that a hundred thousand names cost about one table look-up a character. Nothing is tried twice: at worst a
character costs as many steps as the pattern has, and a pattern has at most 512.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from initcfg.errors import Code, Diagnostic, SpecError

__all__ = ["MAX_PATTERN", "Glob"]

MAX_PATTERN = 512
_MAX_TABLE = 20_000
_MAX_DEPTH = 8


@dataclass(frozen=True, slots=True)
class _Set:
    """A test of one character; a dot passes only when `dot` says so."""

    ranges: tuple[tuple[str, str], ...] = ()
    negated: bool = False
    dot: bool = False

    def accepts(self, char: str) -> bool:
        if char == ".":
            return self.dot
        return any(low <= char <= high for low, high in self.ranges) != self.negated


_INSIDE = _Set(negated=True)
_ANYTHING = _Set(negated=True, dot=True)
_DOT = _Set(dot=True)
_ONE = {"?": _INSIDE, ".": _DOT}


@dataclass(slots=True)
class _Automaton:
    """States are integers; a state has free moves and moves that a character pays for."""

    free: list[list[int]] = field(default_factory=list)
    paid: list[list[tuple[_Set, int]]] = field(default_factory=list)

    def state(self) -> int:
        self.free.append([])
        self.paid.append([])
        return len(self.free) - 1

    def closure(self, states: set[int]) -> frozenset[int]:
        """`states` and all that free moves reach from them."""
        reached, waiting = set(states), list(states)
        while waiting:
            for target in self.free[waiting.pop()]:
                if target not in reached:
                    reached.add(target)
                    waiting.append(target)
        return frozenset(reached)

    def step(self, states: frozenset[int], char: str) -> frozenset[int]:
        return self.closure(
            {target for state in states for test, target in self.paid[state] if test.accepts(char)}
        )


class Glob:
    """A pattern over dotted names.

    Args:
        pattern: at most 512 characters.

    Raises:
        SpecError: the pattern is malformed (code ``pattern``).

    Example:
        >>> glob = Glob("h.*.{attn,mlp}.**.weight")
        >>> [glob.matches(name) for name in ("h.11.attn.c_proj.weight", "h.11.mlp.weight", "wte.weight")]
        [True, True, False]
    """

    __slots__ = ("_automaton", "_end", "_start", "_table", "pattern")

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self._automaton = _Automaton()
        first = self._automaton.state()
        self._end = _Parser(pattern, self._automaton).parse(first)
        self._start = self._automaton.closure({first})
        self._table: dict[tuple[frozenset[int], str], frozenset[int]] = {}

    def matches(self, name: str) -> bool:
        """Whether the pattern matches the whole of `name`."""
        states, table = self._start, self._table
        for char in name:
            key = (states, char)
            after = table.get(key)
            if after is None:
                # Emptied, not evicted: what was forgotten is found again in one step.
                if len(table) >= _MAX_TABLE:
                    table.clear()
                after = table[key] = self._automaton.step(states, char)
            if not after:
                return False
            states = after
        return self._end in states

    def __repr__(self) -> str:
        return f"Glob({self.pattern!r})"


@dataclass(slots=True)
class _Parser:
    """Builds the automaton while it reads the pattern from left to right."""

    text: str
    automaton: _Automaton
    at: int = 0
    depth: int = 0

    def parse(self, state: int) -> int:
        if not 0 < len(self.text) <= MAX_PATTERN:
            raise self.error(f"a pattern is a text of 1 to {MAX_PATTERN} characters")
        while self.at < len(self.text):
            state = self.item(state)
        return state

    def item(self, state: int) -> int:
        if self.text.startswith("**", self.at) or self.text.startswith(".**", self.at):
            return self.segments(state)
        char = self.text[self.at]
        self.at += 1
        if char == "*":
            loop = self.free_move(state)
            self.automaton.paid[loop].append((_INSIDE, loop))
            return self.free_move(loop)
        if char == "{":
            return self.alternatives(state)
        if char in "]}":
            raise self.error(f"{char!r} closes nothing")
        if char == "[":
            return self.move(state, self.set())
        return self.move(state, _ONE.get(char) or _Set(((char, char),)))

    def move(self, state: int, test: _Set) -> int:
        target = self.automaton.state()
        self.automaton.paid[state].append((test, target))
        return target

    def free_move(self, state: int) -> int:
        target = self.automaton.state()
        self.automaton.free[state].append(target)
        return target

    def segments(self, state: int) -> int:
        """``**`` with the dot that joins it to its neighbour: without segments that dot goes as well."""
        if self.depth:
            raise self.error("'**' cannot stand inside braces")
        dotted = self.text[self.at] == "."
        after = self.at + (3 if dotted else 2)
        before = self.text[self.at - 1 : self.at]
        if not (dotted or before in ("", ".")) or self.text[after : after + 1] not in ("", "."):
            raise self.error("'**' stands for whole segments: put dots around it, or write '*'")
        self.at = after
        if dotted:
            # ".**": nothing, or a dot and anything.
            inside = self.move(state, _DOT)
            self.automaton.paid[inside].append((_ANYTHING, inside))
            target = self.free_move(inside)
            self.automaton.free[state].append(target)
            return target
        loop = self.free_move(state)
        self.automaton.paid[loop].append((_ANYTHING, loop))
        if after == len(self.text):
            return self.free_move(loop)
        # "**." at the beginning: nothing, or anything that ends in a dot.
        self.at += 1
        target = self.move(loop, _DOT)
        self.automaton.free[state].append(target)
        return target

    def set(self) -> _Set:
        end = self.text.find("]", self.at)
        body = self.text[self.at : end].removeprefix("!")
        if end < 0 or not body:
            raise self.error("'[' needs characters and a closing ']'")
        negated = self.text[self.at] == "!"
        self.at = end + 1
        ranges = []
        while body:
            high = body[2] if len(body) > 2 and body[1] == "-" else body[0]
            if high < body[0]:
                raise self.error(f"the range {body[:3]!r} runs backwards")
            ranges.append((body[0], high))
            body = body[3:] if len(body) > 2 and body[1] == "-" else body[1:]
        return _Set(tuple(ranges), negated)

    def alternatives(self, state: int) -> int:
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            raise self.error(f"braces nest deeper than {_MAX_DEPTH}")
        end = self.automaton.state()
        branches = 0
        closing = ""
        while closing != "}":
            branch = self.free_move(state)
            while self.at < len(self.text) and self.text[self.at] not in ",}":
                branch = self.item(branch)
            if self.at == len(self.text):
                raise self.error("'{' is not closed")
            self.automaton.free[branch].append(end)
            branches += 1
            closing = self.text[self.at]
            self.at += 1
        if branches == 1:
            raise self.error("braces hold two texts or more: {a,b}")
        self.depth -= 1
        return end

    def error(self, problem: str) -> SpecError:
        return SpecError(
            Diagnostic(
                Code.PATTERN,
                f"the pattern {self.text!r} is malformed: {problem}",
                hint="a pattern has * ? [a-z] {a,b} inside a segment and ** for whole segments, "
                "such as 'h.*.attn.**' or '**.bias'",
            )
        )
