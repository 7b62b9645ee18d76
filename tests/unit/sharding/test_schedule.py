"""Each shard has one rank, and no rank has much more than the others."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from initcfg.sharding import assigned, even_shard_size, imbalance, loads

SIZES = st.lists(st.integers(min_value=0, max_value=10**12), max_size=60)
RANKS = st.integers(min_value=1, max_value=70)


@given(SIZES, RANKS)
def test_every_shard_has_one_rank(sizes: list[int], ranks: int) -> None:
    shares = assigned(sizes, ranks)
    assert len(shares) == ranks
    assert sorted(position for share in shares for position in share) == list(range(len(sizes)))
    assert all(share == sorted(share) for share in shares)


@given(SIZES, RANKS)
def test_every_process_works_out_the_same(sizes: list[int], ranks: int) -> None:
    assert assigned(sizes, ranks) == assigned(tuple(sizes), ranks)


@given(SIZES, RANKS)
def test_no_rank_has_more_than_the_average_and_one_shard(sizes: list[int], ranks: int) -> None:
    fullest = max(loads(sizes, ranks))
    # What Graham's bound of a list schedule says, in integers.
    assert fullest * ranks <= sum(sizes) + max(sizes, default=0) * (ranks - 1)


@given(SIZES.filter(lambda sizes: len(sizes) > 1))
def test_two_ranks_are_within_a_sixth_of_the_best_division(sizes: list[int]) -> None:
    """Graham: 4/3 - 1/(3m) for the largest first; the best of two is found by trying all sums."""
    sums = {0}
    for size in sizes[:14]:
        sums |= {each + size for each in sums}
    total = sum(sizes[:14])
    best = min(max(each, total - each) for each in sums)
    assert 6 * max(loads(sizes[:14], 2)) <= 7 * best


def test_ranks_beyond_the_number_of_shards_have_none() -> None:
    assert assigned([3, 3], 4) == [[0], [1], [], []]


def test_imbalance_is_what_the_fullest_has_over_the_average() -> None:
    assert imbalance([2, 1, 1]) == 0.5
    assert imbalance([0, 0]) == 0.0


@given(st.integers(min_value=0, max_value=10**13), st.integers(min_value=1, max_value=300), st.randoms())
def test_the_size_that_is_told_evens_the_ranks(total: int, ranks: int, chance) -> None:
    """Whatever tensors there are, as long as none is larger: shards are filled to anything above nothing."""
    size = even_shard_size(total, ranks)
    assert size >= 1
    if total < 100 * ranks:
        return
    filled = []
    while sum(filled) < total and len(filled) < 40 * ranks:
        filled.append(min(chance.randint(size // 3 + 1, size), total - sum(filled)))
    if sum(filled) == total:
        assert imbalance(loads(filled, ranks)) <= 0.1 + 1e-9


def test_the_size_that_is_told_has_two_digits() -> None:
    size = even_shard_size(123_456_789_012, 7)
    assert size == 1_700_000_000
    assert math.log10(size) % 1 > 0
