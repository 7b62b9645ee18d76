"""Streams: 128-bit addresses in the random number space, derived from seeds and names by BLAKE2b.

Stream version 1. The derivation is a contract: docs/explanation/streams.md writes it out.
"""

from __future__ import annotations

import hashlib
import os
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from initcfg.errors import Code, InitializerError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

STREAM_VERSION = 1
"""The version of the random streams; a spec may name one in `stream_version`, and its bits never change."""
SEED_LIMIT = 2**64
_PERSON = b"initcfg.stream.1"
# Where seeds that nobody gave come from.
_fresh: list[Callable[[], int]] = [lambda: int.from_bytes(os.urandom(8), "little")]


@dataclass(frozen=True, slots=True)
class Stream:
    """The address of one independent sequence of random words, a digest of 16 bytes.

    Draws are a pure function of (stream, position). The digest's first eight bytes are the Philox key, the
    other eight its counter words 2 and 3; words 0 and 1 count blocks and belong to no stream.
    """

    digest: bytes

    @classmethod
    def of_parameter(cls, seed: int, name: str) -> Stream:
        """The stream of a planned parameter: a function of the spec's seed and the parameter's full name.

        The seed is an integer in [0, 2**64); the name is taken as UTF-8, as written and not normalized.
        """
        return cls(_digest(b"param\0", _seed(seed), _utf8(name)))

    @classmethod
    def of_seed(cls, seed: int, class_name: str, shape: Sequence[int]) -> Stream:
        """The stream of an initializer with a seed of its own, its class and a shape.

        So two classes of one seed, or two shapes of one of them, are not copies of each other.
        """
        return cls(_digest(b"seed\0", _seed(seed), _utf8(class_name), b"\0", *map(_u64, shape)))

    def child(self, label: str) -> Stream:
        """The stream of a part: its decimal index for parts and batch copies, a documented word otherwise."""
        return Stream(_digest(b"child\0", self.digest, _utf8(label)))

    @property
    def words(self) -> tuple[int, int, int, int]:
        """Key words 0 and 1, then counter words 2 and 3, each in [0, 2**32)."""
        first, second, third, fourth = struct.unpack("<4I", self.digest)
        return first, second, third, fourth


def parameter_streams(seed: int) -> Callable[[str], Stream]:
    """`Stream.of_parameter` for the many parameters of one seed; what their streams share is hashed once."""
    begun = _hasher(b"param\0" + _seed(seed))

    def stream(name: str) -> Stream:
        hasher = begun.copy()
        hasher.update(_utf8(name))
        return Stream(hasher.digest())

    return stream


def fresh_seed() -> int:
    """A seed for an initializer called without one: the operating system's entropy, or a framework's."""
    return _fresh[-1]()


def draw_fresh_seeds_from(source: Callable[[], int]) -> None:
    """Lets `fresh_seed` follow the global seed of a framework from now on, in this process."""
    _fresh[:] = [source]


def _hasher(begun: bytes) -> hashlib.blake2b:
    return hashlib.blake2b(begun, digest_size=16, person=_PERSON)


def _digest(*parts: bytes) -> bytes:
    return _hasher(b"".join(parts)).digest()


def _seed(seed: int) -> bytes:
    if isinstance(seed, bool) or not isinstance(seed, int):
        message = f"a seed must be an integer, not {seed!r}"
        raise InitializerError.of(Code.WRONG_TYPE, message, hint="write a whole number, such as 42")
    if not 0 <= seed < SEED_LIMIT:
        message = "a seed must be at least 0 and below 2**64"
        raise InitializerError.of(Code.OUT_OF_RANGE, message, hint="choose a seed in that range")
    return _u64(seed)


def _utf8(name: str) -> bytes:
    try:
        return name.encode()
    except UnicodeEncodeError as error:
        message = f"the name {name!r} holds a lone surrogate, which no UTF-8 text can"
        raise InitializerError.of(Code.BAD_NAME, message, hint="write the character itself") from error


def _u64(value: int) -> bytes:
    return value.to_bytes(8, "little")
