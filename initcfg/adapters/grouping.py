"""Work for a live model, cut so that a bounded number of bytes is held beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

__all__ = ["in_groups"]

Item = TypeVar("Item")


def in_groups(items: Iterable[Item], nbytes: Callable[[Item], int], limit: int) -> Iterator[list[Item]]:
    """Items in their order, as many at a time as have so many bytes together; a larger one alone.

    Args:
        items: any.
        nbytes: the size of one.
        limit: of a group.

    Example:
        >>> list(in_groups([3, 1, 9, 2], lambda size: size, 4))
        [[3, 1], [9], [2]]
    """
    group: list[Item] = []
    size = 0
    for item in items:
        if group and size + nbytes(item) > limit:
            yield group
            group, size = [], 0
        group.append(item)
        size += nbytes(item)
    if group:
        yield group
