"""One of many processes that write a set together, each without a word to the others."""

from __future__ import annotations

from dataclasses import dataclass

_MOST = 2**20


@dataclass(frozen=True, slots=True)
class Rank:
    """A process among several.

    Args:
        number: from 0 to `world_size` - 1.
        world_size: how many processes there are.

    Raises:
        ValueError: there is no such rank.
    """

    number: int
    world_size: int

    @classmethod
    def of(cls, number: int | None, world_size: int | None) -> Rank:
        """A rank, from two numbers of which neither makes sense without the other."""
        if number is None or world_size is None:
            raise ValueError("rank and world_size go together: give both, or neither")
        return cls(number, world_size)

    def __post_init__(self) -> None:
        if self.world_size > _MOST:
            raise ValueError(f"there may be {_MOST:,} ranks at most, not {self.world_size:,}")
        if self.world_size < 1 or not 0 <= self.number < self.world_size:
            raise ValueError(
                f"of {self.world_size} ranks the first is 0 and the last {self.world_size - 1}; "
                f"there is no rank {self.number}"
            )

    def __str__(self) -> str:
        return f"rank {self.number} of {self.world_size}"
