"""One pattern: whether it matches a name, and the numbers that it captures there."""

from __future__ import annotations

from functools import cached_property

from initcfg.globs.automaton import Automaton, Lazy
from initcfg.globs.capturing import numbers_in, places_of
from initcfg.globs.pattern import captures_in, ends_in_a_name, parse

__all__ = ["Glob"]


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
