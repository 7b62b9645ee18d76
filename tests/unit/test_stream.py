"""Streams: the derivation from seeds and names."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from initcfg.errors import Code, InitializerError
from initcfg.stream import SEED_LIMIT, Stream, fresh_seed, parameter_streams

seeds = st.integers(0, SEED_LIMIT - 1)
names = st.text(st.characters(exclude_categories=["Cs"]))


def blake(*parts: bytes) -> bytes:
    """The derivation of docs/explanation/streams.md, written once more."""
    return hashlib.blake2b(b"".join(parts), digest_size=16, person=b"initcfg.stream.1").digest()


def test_known_words() -> None:
    words = Stream.of_parameter(0, "h.0").words
    assert [f"{word:08x}" for word in words] == ["2844663d", "567aa852", "9f7dfb75", "77b9ebc8"]


@given(seeds, names)
def test_a_parameters_stream_is_seed_and_name(seed: int, name: str) -> None:
    expected = blake(b"param\0", seed.to_bytes(8, "little"), name.encode())
    assert Stream.of_parameter(seed, name).digest == expected
    streams = parameter_streams(seed)
    assert [streams(name).digest for _ in range(2)] == [expected, expected]


@given(seeds, st.lists(st.integers(0, 2**40), max_size=4))
def test_a_seeded_initializers_stream_is_seed_class_and_shape(seed: int, shape: list[int]) -> None:
    dims = [dim.to_bytes(8, "little") for dim in shape]
    expected = blake(b"seed\0", seed.to_bytes(8, "little"), b"HeNormal", b"\0", *dims)
    assert Stream.of_seed(seed, "HeNormal", shape).digest == expected


@given(seeds, names, names)
def test_a_child_is_parent_and_label(seed: int, name: str, label: str) -> None:
    parent = Stream.of_parameter(seed, name)
    assert parent.child(label).digest == blake(b"child\0", parent.digest, label.encode())


def test_streams_differ_in_every_part_of_their_address() -> None:
    streams = [
        Stream.of_parameter(0, "a"),
        Stream.of_parameter(1, "a"),
        Stream.of_parameter(0, "b"),
        Stream.of_parameter(0, "a").child("0"),
        Stream.of_parameter(0, "a").child("1"),
        Stream.of_parameter(0, "a").child("0").child("0"),
        Stream.of_seed(0, "a", ()),
        Stream.of_seed(0, "a", (1,)),
        Stream.of_seed(0, "a", (1, 1)),
        Stream.of_seed(0, "b", (1,)),
    ]
    assert len({stream.digest for stream in streams}) == len(streams)


def test_names_are_not_normalized() -> None:
    composed, decomposed = "caf\u00e9", "cafe\u0301"
    assert Stream.of_parameter(0, composed) != Stream.of_parameter(0, decomposed)


def test_words_are_little_endian_key_then_counter() -> None:
    assert Stream(bytes(range(16))).words == (0x03020100, 0x07060504, 0x0B0A0908, 0x0F0E0D0C)


@pytest.mark.parametrize(
    ("seed", "code"),
    [
        (-1, Code.OUT_OF_RANGE),
        (2**64, Code.OUT_OF_RANGE),
        (True, Code.WRONG_TYPE),
        (1.0, Code.WRONG_TYPE),
        (None, Code.WRONG_TYPE),
    ],
)
def test_only_64_bit_integers_are_seeds(seed, code: Code) -> None:
    for derive in (lambda: Stream.of_parameter(seed, "a"), lambda: Stream.of_seed(seed, "A", (1,))):
        with pytest.raises(InitializerError) as caught:
            derive()
        assert caught.value.diagnostics[0].code is code


def test_a_lone_surrogate_is_refused() -> None:
    with pytest.raises(InitializerError, match="lone surrogate"):
        Stream.of_parameter(0, "h.\ud800")


def test_fresh_seeds_are_seeds_and_differ() -> None:
    drawn = {fresh_seed() for _ in range(8)}
    assert len(drawn) == 8
    assert all(0 <= seed < SEED_LIMIT for seed in drawn)
