"""Groups keep the order, lose nothing and stay below the limit, but for what is larger alone."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from initcfg.adapters.matching import in_groups


@given(st.lists(st.integers(0, 20)), st.integers(1, 30))
def test_groups_are_as_large_as_the_limit_lets_them(sizes: list[int], limit: int) -> None:
    groups = list(in_groups(sizes, int, limit))
    assert [size for group in groups for size in group] == sizes
    assert all(sum(group) <= limit or len(group) == 1 for group in groups)
    assert all(sum(group) + after[0] > limit for group, after in pairwise(groups))
