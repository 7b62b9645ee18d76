"""Who writes which shard when nobody tells them: every rank works out the same answer."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_EVEN_PARTS = 10


def assigned(sizes: Sequence[int], world_size: int) -> list[list[int]]:
    """The shards of each rank: the largest first, each to the rank that has least so far.

    No rank has more than 4/3 of what the best division would give the fullest one (Graham 1969, "Bounds on
    multiprocessing timing anomalies").

    Args:
        sizes: bytes of each shard.
        world_size: how many ranks there are, at least 1.

    Returns:
        For each rank the positions of its shards, ascending. Ranks beyond the number of shards have none.

    Example:
        >>> assigned([5, 5, 5, 2], 2)
        [[0, 2], [1, 3]]
    """
    loads = [(0, rank) for rank in range(world_size)]
    shards: list[list[int]] = [[] for _ in range(world_size)]
    for position in sorted(range(len(sizes)), key=lambda position: (-sizes[position], position)):
        load, rank = heapq.heappop(loads)
        shards[rank].append(position)
        heapq.heappush(loads, (load + sizes[position], rank))
    return [sorted(positions) for positions in shards]


def loads(sizes: Sequence[int], world_size: int) -> list[int]:
    """The bytes of each rank.

    Example:
        >>> loads([5, 5, 5, 2], 2)
        [10, 7]
    """
    return [sum(sizes[position] for position in positions) for positions in assigned(sizes, world_size)]


def imbalance(shares: Sequence[int]) -> float:
    """How much more the fullest rank has than a rank has on average: 0.1 is ten percent.

    Args:
        shares: of each rank, as `loads` gives them.

    Example:
        >>> imbalance([10, 5, 5])
        0.5
    """
    total = sum(shares)
    return max(shares) * len(shares) / total - 1 if total else 0.0


def even_shard_size(total: int, world_size: int) -> int:
    """A shard size with which no rank has over 10 percent more than the average, unless a tensor is larger.

    When the fullest rank was given its last shard, no rank had less, so it had the average at most; it ends
    with no more than the average of all and one shard. Of ten shards a rank, one is a tenth.

    Args:
        total: the bytes of all.
        world_size: how many ranks there are.

    Returns:
        A tenth of a rank's average, rounded down to two digits.

    Example:
        >>> even_shard_size(1_342_000_000_000, 64)
        2000000000
    """
    size = max(1, total // (_EVEN_PARTS * world_size))
    unit: int = 10 ** max(0, len(str(size)) - 2)
    return size // unit * unit
