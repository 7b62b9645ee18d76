"""Where the captured numbers of a pattern stand in a name."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from initcfg.globs.globset import Automaton, Lazy
from initcfg.globs.pattern import DOT, Choice, Number, Segments, captures_in, ends_in_a_name, parse

if TYPE_CHECKING:
    from collections.abc import Iterable

    from initcfg.globs.pattern import Item

__all__ = ["Glob", "numbers_in", "places_of"]


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
    """A pattern over dotted names.

    Args:
        pattern: at most 512 characters.

    Raises:
        SpecError: the pattern is malformed (code ``pattern``).

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
