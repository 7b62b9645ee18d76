"""A rank is one of a number of processes."""

from __future__ import annotations

import pytest

from initcfg.sharding import Rank


def test_a_rank_counts_from_zero() -> None:
    assert Rank.of(0, 1) == Rank(0, 1)
    assert str(Rank(2, 3)) == "rank 2 of 3"


@pytest.mark.parametrize(("number", "world_size"), [(3, 3), (-1, 3), (0, 0), (0, -1)])
def test_a_rank_that_is_not_there_is_refused(number: int, world_size: int) -> None:
    with pytest.raises(ValueError, match=f"there is no rank {number}"):
        Rank(number, world_size)


@pytest.mark.parametrize(("number", "world_size"), [(0, None), (None, 2)])
def test_half_a_rank_is_refused(number: int | None, world_size: int | None) -> None:
    with pytest.raises(ValueError, match="go together"):
        Rank.of(number, world_size)
