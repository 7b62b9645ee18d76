"""Globs over dotted names, matched in one pass over the name whatever the patterns.

    *        any characters inside one segment        ?        one character inside a segment
    **       any number of whole segments, or none    [a-z]    one of a set, [!a-z] one outside it
    {a,b}    either text, which may be globs itself   {i}      a segment that is a whole number
    [*]      a star itself, as every character of a set is; []] is a bracket

Many patterns are matched at once, at the cost of one. Where ``{i}`` could take more than one segment of a
name, as in ``**.{i}.**``, it takes the first.

The patterns are one nondeterministic automaton, run as a deterministic one that is made on the way. Patterns
that begin alike share the states of what they begin with, so that a thousand that begin with ``**.`` are
tried by one loop and not by a thousand.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from initcfg.globs.pattern import (
    DOT,
    Chars,
    Choice,
    Item,
    Number,
    Segments,
    Star,
    captures_in,
    ends_in_a_name,
    parse,
)
from initcfg.globs.pattern import MAX_PATTERN as MAX_PATTERN
from initcfg.globs.pattern import PatternError as PatternError
from initcfg.globs.pattern import deepened as deepened
from initcfg.globs.pattern import literal as literal
from initcfg.names import did_you_mean
from initcfg.process import cached_property

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from initcfg.globs.pattern import Item

_INSIDE = Chars(negated=True)
_ANYTHING = Chars(negated=True, dot=True)
_ZERO, _FIRST, _DIGIT = Chars((("0", "0"),)), Chars((("1", "9"),)), Chars((("0", "9"),))

#: How much the nodes of one automaton may hold, in states and in moves; some tens of megabytes at most.
_ROOM = 500_000


class Automaton:
    """States are integers; a state has free moves and moves that a character pays for."""

    def __init__(self) -> None:
        self.free: list[list[int]] = [[]]  # for each state, where it leads for nothing
        self.literal: list[dict[str, int]] = [{}]  # where single characters lead
        self.paid: list[list[tuple[Chars, int]]] = [[]]  # the other moves
        self.numbers: set[int] = set()  # the states in which a captured number begins
        self._made: dict[tuple[int, Item], int] = {}

    def add(self, items: tuple[Item, ...], state: int = 0) -> int:
        """The state in which a name has been taken that begins in `state` and matches `items`."""
        for item in items:
            key = (state, item)
            if key not in self._made:
                self._made[key] = self._add(item, state)
            state = self._made[key]
        return state

    def _add(self, item: Item, state: int) -> int:
        match item:
            case Chars():
                return self._move(state, item)
            case Star():
                return self._loop(state, _INSIDE)
            case Segments():
                return self._segments(item, state)
            case Number():
                return self._number(state)
            case Choice(options):
                end = self._state()
                for option in options:
                    self.free[self.add(option, self._free(state))].append(end)
                return end

    def _segments(self, item: Segments, state: int) -> int:
        if not (item.before or item.after):
            return self._loop(state, _ANYTHING)
        if item.before:
            end = self._loop(self._move(state, DOT), _ANYTHING)
        else:
            end = self._move(self._loop(state, _ANYTHING), DOT)
        # First of all ways: a capture that follows takes the leftmost segment that it can.
        self.free[state].insert(0, end)
        return end

    def _number(self, state: int) -> int:
        start = self._free(state)
        self.numbers.add(start)
        end = self._move(start, _ZERO)
        more = self._move(start, _FIRST)
        self.paid[more].append((_DIGIT, more))
        self.free[more].append(end)
        return end

    def _state(self) -> int:
        self.free.append([])
        self.literal.append({})
        self.paid.append([])
        return len(self.free) - 1

    def _free(self, state: int) -> int:
        target = self._state()
        self.free[state].append(target)
        return target

    def _move(self, state: int, test: Chars) -> int:
        target = self._state()
        low, high = test.ranges[0] if len(test.ranges) == 1 and not test.negated else ("", ".")
        if low == high and low not in self.literal[state]:
            self.literal[state][low] = target
        else:
            self.paid[state].append((test, target))
        return target

    def _loop(self, state: int, test: Chars) -> int:
        # A state of its own: what follows must not lead back into the loop of another pattern.
        loop = self._free(state)
        self.paid[loop].append((test, loop))
        return self._free(loop)

    def after(self, state: int, char: str) -> list[int]:
        """Where a character leads from a state."""
        found = [target for test, target in self.paid[state] if test.accepts(char)]
        literal = self.literal[state].get(char)
        return found if literal is None else [*found, literal]

    @property
    def size(self) -> int:
        """How many states and moves there are, a set of characters counted by its ranges."""
        return self.cost(range(len(self.free)))

    def cost(self, states: Iterable[int]) -> int:
        """What it takes to step from states: themselves, and the moves that are tried."""
        return sum(
            1 + len(self.free[state]) + sum(1 + len(test.ranges) for test, _ in self.paid[state])
            for state in states
        )

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
        """Where a character leads from any of `states`."""
        return self.closure({target for state in states for target in self.after(state, char)})


class Node:
    """A set of states that some name has led to."""

    __slots__ = ("cost", "found", "moves", "states")

    def __init__(self, states: frozenset[int], cost: int) -> None:
        self.states = states
        self.cost = cost  # of a step from here
        self.moves: dict[str, Node] = {}  # where texts lead from here: single characters, and whole segments
        self.found: dict[object, object] = {}  # what a caller keeps about the names that end here


class Lazy:
    """The deterministic automaton, as far as names have called for it; `work` counts what that takes.

    A name costs two look-ups a segment once its segments have been met, one a character before, and a step of
    the nondeterministic automaton for a character that is new in its place. Nothing is tried twice: at worst
    a character costs as many steps as the patterns have states.
    """

    def __init__(self, automaton: Automaton) -> None:
        self._automaton = automaton
        self._nodes: dict[frozenset[int], Node] = {}
        self._room = _ROOM
        self.work = 0
        self._start = self._node(automaton.closure({0}))

    def node(self, name: str) -> Node:
        """The node that a name leads to."""
        if self._room < 0:
            self._forget()
        first, *others = name.split(".")
        # Few segments cost nothing that counts beside what else a name takes.
        self.work += len(others) >> 3
        node = self._start
        node = node.moves.get(first) or self._through(node, first)
        for segment in others:
            node = node.moves.get(".") or self._through(node, ".")
            node = node.moves.get(segment) or self._through(node, segment)
        return node

    def _through(self, start: Node, text: str) -> Node:
        """The node that a text leads to, kept under the text."""
        node = start
        for char in text:
            following = node.moves.get(char)
            if following is None:
                self.work += node.cost
                following = self._node(self._automaton.step(node.states, char))
                self._keep(node, char, following)
            node = following
            if not node.states:
                break
        self._keep(start, text, node)
        return node

    def hold(self, count: int) -> None:
        """Counts what a node has been given to keep, and what that took."""
        self._room -= count
        self.work += count

    def _keep(self, node: Node, text: str, target: Node) -> None:
        self._room -= 1
        node.moves[text] = target

    def _node(self, states: frozenset[int]) -> Node:
        node = self._nodes.get(states)
        if node is None:
            if self._room < 0:
                self._forget()
            self._room -= len(states) + 1
            node = self._nodes[states] = Node(states, self._automaton.cost(states))
        return node

    def _forget(self) -> None:
        # Emptied, not evicted: what was forgotten is found again in one step.
        self._nodes.clear()
        self._room = _ROOM
        self._start.moves.clear()
        self._nodes[self._start.states] = self._start


_ALL = "all"


class GlobSet:
    """Patterns in order, each with an integer that it asks of a name (as rules ask for ndim), or None.

    A `PatternError` for a malformed one.

    Example:
        >>> rules = GlobSet([("**.bias", None), ("h.**", 2), ("**", None)])
        >>> [rules.first(name, ndim) for name, ndim in (("fc.bias", 1), ("h.0.w", 2), ("h.0.w", 3))]
        [0, 1, 2]
    """

    def __init__(self, patterns: Iterable[tuple[str, int | None]]) -> None:
        automaton = Automaton()
        self.globs: list[Glob] = []
        self._wanted: list[int | None] = []
        self._ends: dict[int, list[int]] = {}
        for at, (pattern, wanted) in enumerate(patterns):
            glob = Glob(pattern)
            self.globs.append(glob)
            self._wanted.append(wanted)
            self._ends.setdefault(automaton.add(glob.items), []).append(at)
        self._lazy = Lazy(automaton)

    def first(self, name: str, has: int) -> int | None:
        """The position of the first pattern that matches `name` and asks for nothing that it has not."""
        node = self._lazy.node(name)
        try:
            return cast("int | None", node.found[has])
        except KeyError:
            first = next((at for at in self._matching(node) if self._wanted[at] in (None, has)), None)
            node.found[has] = first
            return first

    def every(self, name: str) -> tuple[int, ...]:
        """The positions of all patterns that match `name`, whatever they ask for."""
        found = self._matching(self._lazy.node(name))
        # Whoever asks for all of them looks at all of them.
        self._lazy.work += len(found) >> 3
        return found

    @property
    def work(self) -> int:
        """How much matching has taken so far, in operations that are the same on every machine."""
        return self._lazy.work

    def _matching(self, node: Node) -> tuple[int, ...]:
        if _ALL not in node.found:
            ends = self._ends.keys() & node.states
            found = tuple(sorted(at for end in ends for at in self._ends[end]))
            node.found[_ALL] = found
            self._lazy.hold(len(found))
        return cast("tuple[int, ...]", node.found[_ALL])


def places_of(items: tuple[Item, ...]) -> tuple[int, ...] | None:
    """The segment of each captured number, counted from the left or, negative, from the right.

    None where a pattern leaves room on both sides of a number, so that the place differs from name to name.
    """
    places = []
    for at, item in enumerate(items):
        if isinstance(item, Number):
            before, after = _dots(items[:at]), _dots(items[at + 1 :])
            if before is not None:
                places.append(before)
            elif after is not None:
                places.append(-1 - after)
            else:
                return None
    return tuple(places)


def _dots(items: Iterable[Item]) -> int | None:
    """How many dots items take from a name, or None where that differs from name to name."""
    total = 0
    for item in items:
        if isinstance(item, Segments):
            return None
        counts = (
            {_dots(option) for option in item.options} if isinstance(item, Choice) else {int(item == DOT)}
        )
        count = counts.pop()
        if counts or count is None:
            return None
        total += count
    return total


def numbers_in(automaton: Automaton, end: int, name: str) -> list[str]:
    """The captured segments of a name that an automaton of one pattern matches; the leftmost possible ones.

    All ways to match are followed at once, the better before the worse, and of two that meet in one state
    the worse is dropped: at worst a character costs as many steps as the pattern has states.
    """
    ways: dict[int, tuple[int, ...]] = {}
    _follow(automaton, 0, 0, (), ways)
    for at, char in enumerate(name, start=1):
        following: dict[int, tuple[int, ...]] = {}
        for state, starts in ways.items():
            for target in automaton.after(state, char):
                _follow(automaton, target, at, starts, following)
        ways = following
    return [name[start:].partition(".")[0] for start in ways[end]]


def _follow(
    automaton: Automaton, state: int, at: int, starts: tuple[int, ...], ways: dict[int, tuple[int, ...]]
) -> None:
    """Adds what free moves reach from a state. What leaves a loop comes before what stays in it."""
    waiting: list[tuple[int, tuple[int, ...], bool]] = [(state, starts, False)]
    entered: set[int] = set()
    while waiting:
        state, starts, is_left = waiting.pop()
        if is_left:
            ways.setdefault(state, starts)
            continue
        if state in ways or state in entered:
            continue
        entered.add(state)
        if state in automaton.numbers:
            starts = (*starts, at)
        waiting.append((state, starts, True))
        waiting += [(target, starts, False) for target in reversed(automaton.free[state])]


class Glob:
    """A pattern over dotted names, of at most 512 characters; a `PatternError` where it is malformed.

    Example:
        >>> glob = Glob("h.{i}.{attn,mlp}.**.weight")
        >>> [glob.matches(name) for name in ("h.11.attn.c_proj.weight", "h.x.mlp.weight", "wte.weight")]
        [True, False, False]
        >>> glob.numbers("h.11.attn.c_proj.weight")
        {'i': 11}
    """

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self.items = parse(pattern)
        #: The names of the numbers that the pattern captures, from left to right.
        self.captures = captures_in(self.items)

    @cached_property
    def _automaton(self) -> Automaton:
        return Automaton()

    @cached_property
    def _end(self) -> int:
        return self._automaton.add(self.items)

    @cached_property
    def _lazy(self) -> Lazy:
        assert self._end >= 0  # noqa: S101 - builds the automaton
        return Lazy(self._automaton)

    @cached_property
    def _places(self) -> tuple[int, ...] | None:
        return places_of(self.items)

    @cached_property
    def ends_in_a_name(self) -> bool:
        """Whether the last segment has no wildcard: ``**.bias`` and ``**.{a,b}``, not ``**`` or ``h.{i}``."""
        return ends_in_a_name(self.items)

    def matches(self, name: str) -> bool:
        """Whether the pattern matches the whole of `name`."""
        return self._end in self._lazy.node(name).states

    def work_of_numbers(self, name: str) -> int:
        """How much `numbers` takes for a name, as `GlobSet.work` counts; 0 where counting dots is enough."""
        if not self.captures or self._places is not None:
            return 0
        assert self._end >= 0  # noqa: S101 - builds the automaton
        return len(name) * self._automaton.size

    def numbers(self, name: str) -> dict[str, int]:
        """The numbers that the pattern captures in a name that it matches."""
        if not self.captures:
            return {}
        segments = name.split(".")
        if self._places is not None:
            found = [segments[place] for place in self._places]
        else:
            found = numbers_in(self._automaton, self._end, name)
        return dict(zip(self.captures, map(int, found), strict=True))

    def __repr__(self) -> str:
        return f"Glob({self.pattern!r})"


def glob_hint(glob: str, names: Collection[str]) -> str | None:
    """What may be meant by a glob that matches none of `names`: a wider one, or the nearest name."""
    deep = deepened(glob)
    wider = (deep, f"{glob}.**", f"**.{glob}", f"**.{deep}", f"**.{glob}.**")
    usable = [each for each in wider if len(each) <= MAX_PATTERN]
    globs = GlobSet((each, None) for each in usable)
    found = min((at for name in names for at in globs.every(name)), default=None)
    return did_you_mean(glob, names) if found is None else f"did you mean {usable[found]!r}?"
