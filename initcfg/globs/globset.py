"""Many patterns in order: the first that matches a name, found in one pass over the name."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from initcfg.globs.automaton import Automaton, Lazy, Node
from initcfg.globs.glob import Glob

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["GlobSet"]

_ALL = "all"


class GlobSet:
    """Patterns in order, each perhaps for names with one property only.

    Args:
        patterns: each with the property that it asks for, an integer, or None for names with any.

    Raises:
        SpecError: a pattern is malformed (code ``pattern``).

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
        return self._matching(self._lazy.node(name))

    @property
    def work(self) -> int:
        """How much matching has taken so far, in operations that are the same on every machine."""
        return self._lazy.work

    def _matching(self, node: Node) -> tuple[int, ...]:
        if _ALL not in node.found:
            ends = self._ends.keys() & node.states
            node.found[_ALL] = tuple(sorted(at for end in ends for at in self._ends[end]))
        return cast("tuple[int, ...]", node.found[_ALL])
