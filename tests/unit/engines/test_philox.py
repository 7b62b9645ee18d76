"""The generator: published answers, and the scalar form of the paper."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from initcfg.engines.constants import PHILOX_KEY_STEPS, PHILOX_MULTIPLIERS
from initcfg.engines.philox import LANES, MAX_BLOCKS, philox

LOW = 0xFFFFFFFF


def scalar_philox(counter: tuple[int, ...], key: tuple[int, ...]) -> list[int]:
    """Philox4x32-10 as the paper writes it, one block at a time in Python integers."""
    c, k = list(counter), list(key)
    for _ in range(10):
        first, second = PHILOX_MULTIPLIERS[0] * c[0], PHILOX_MULTIPLIERS[1] * c[2]
        c = [(second >> 32) ^ c[1] ^ k[0], second & LOW, (first >> 32) ^ c[3] ^ k[1], first & LOW]
        k = [(key + step) & LOW for key, step in zip(k, PHILOX_KEY_STEPS, strict=True)]
    return c


def words(first: int, stream: tuple[int, int, int, int], count: int) -> list[list[int]]:
    """The words of `count` blocks from the vectorised generator."""
    made = philox(first, stream, np.empty((LANES, count), np.uint64))
    return [[int(lane[block]) & LOW for lane in made] for block in range(count)]


# Random123 1.14, tests/kat_vectors, "philox4x32 10": counter, key, words.
KNOWN_ANSWERS = [
    ("00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
]


@pytest.mark.parametrize(("counter", "key", "expected"), KNOWN_ANSWERS)
def test_known_answers_of_random123(counter: str, key: str, expected: str) -> None:
    c0, c1, c2, c3 = (int(word, 16) for word in counter.split())
    k0, k1 = (int(word, 16) for word in key.split())
    answer = [int(word, 16) for word in expected.split()]
    assert scalar_philox((c0, c1, c2, c3), (k0, k1)) == answer
    assert words(c0 | c1 << 32, (k0, k1, c2, c3), 1) == [answer]


@settings(max_examples=settings().max_examples // 2)
@given(
    st.integers(0, 2**62 // 2**10).map(lambda n: n * 2**10),
    st.tuples(*[st.integers(0, LOW)] * 4),
    st.integers(1, 9),
)
def test_blocks_are_philox_of_their_counters(first: int, stream: tuple[int, ...], count: int) -> None:
    k0, k1, c2, c3 = stream
    expected = [
        scalar_philox((block & LOW, block >> 32, c2, c3), (k0, k1)) for block in range(first, first + count)
    ]
    assert words(first, (k0, k1, c2, c3), count) == expected


def test_the_longest_run_is_right_at_its_end() -> None:
    stream = (1, 2, 3, 4)
    last = words(2**32 - MAX_BLOCKS, stream, MAX_BLOCKS)[-1]
    assert last == scalar_philox((LOW, 0, 3, 4), (1, 2))


def test_words_0_and_2_are_clean() -> None:
    made = philox(0, (1, 2, 3, 4), np.empty((LANES, 100), np.uint64))
    assert max(made[0].max(), made[2].max()) <= LOW
