"""Sizes of files, as people write them."""

from __future__ import annotations

import re
from fractions import Fraction

DEFAULT_SHARD_SIZE = "5GB"
"""What Hugging Face's libraries cut at."""

_SIZE = re.compile(r"(?P<number>[0-9]+(\.[0-9]+)?) ?(?P<unit>[KMGT]?(iB|B)?)", re.IGNORECASE)
_POWER = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}


def shard_bytes(size: int | str) -> int:
    """A number of bytes.

    Args:
        size: a number, or a text such as ``"5GB"`` (10**9 bytes each), ``"4.5 GiB"`` (2**30), ``"500M"``.

    Raises:
        ValueError: it is neither, or less than one byte.

    Example:
        >>> shard_bytes("5GB"), shard_bytes("1.5 GiB")
        (5000000000, 1610612736)
    """
    given = size
    found = _SIZE.fullmatch(size.strip()) if isinstance(size, str) else None
    if found is not None:
        unit = found["unit"].lower()
        base = 1024 if unit.endswith("ib") else 1000
        size = int(Fraction(found["number"]) * base ** _POWER[unit.rstrip("ib")])
    if not isinstance(size, int) or isinstance(size, bool) or size < 1:
        raise ValueError(
            f'a shard size is a number of bytes, or a text such as "5GB" or "500MiB", not {given!r}'
        )
    return size


def size_text(nbytes: int) -> str:
    """A text that `shard_bytes` reads as this number.

    Example:
        >>> size_text(2_100_000_000), size_text(1536)
        ('2100MB', '1536B')
    """
    power = next(power for power in (9, 6, 3, 0) if nbytes % 10**power == 0)
    return f"{nbytes // 10**power}{ {9: 'G', 6: 'M', 3: 'k', 0: ''}[power] }B"
