"""Sizes as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from initcfg.sharding import DEFAULT_SHARD_SIZE, shard_bytes, size_text


@pytest.mark.parametrize(
    ("text", "nbytes"),
    [
        (DEFAULT_SHARD_SIZE, 5 * 10**9),
        ("5gb", 5 * 10**9),
        ("500MB", 5 * 10**8),
        ("500M", 5 * 10**8),
        ("2GiB", 2**31),
        ("1.5 GiB", 3 * 2**29),
        ("0.1kB", 100),
        ("1TiB", 2**40),
        ("12B", 12),
        ("12", 12),
        (" 7 MB ", 7 * 10**6),
        (12, 12),
    ],
)
def test_a_size_is_read_as_people_write_it(text: int | str, nbytes: int) -> None:
    assert shard_bytes(text) == nbytes


@pytest.mark.parametrize(
    "size",
    ["", "GB", "-1", "5 XB", "1e9", "5,5GB", "5GBit", "0", "0.1B", "\u0665GB", 0, -1, True, 5.0, None, "nan"],
)
def test_what_is_no_size_is_refused_with_an_example(size: object) -> None:
    with pytest.raises(ValueError, match=r'such as "5GB"'):
        shard_bytes(size)


@given(st.integers(min_value=1, max_value=10**15))
def test_the_text_of_a_size_is_read_back(nbytes: int) -> None:
    assert shard_bytes(size_text(nbytes)) == nbytes
