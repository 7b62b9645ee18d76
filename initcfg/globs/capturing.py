"""Where the captured numbers of a pattern stand in a name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from initcfg.globs.pattern import DOT, Choice, Number, Segments

if TYPE_CHECKING:
    from collections.abc import Iterable

    from initcfg.globs.automaton import Automaton
    from initcfg.globs.pattern import Item

__all__ = ["numbers_in", "places_of"]


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
