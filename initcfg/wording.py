"""Numbers in the few characters that a table or a sentence has room for."""

from __future__ import annotations

_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")


def count(value: int) -> str:
    """A whole number with its thousands marked."""
    return f"{value:,}"


def counted(value: int, noun: str) -> str:
    """A count and its noun, in the plural where it must be."""
    return f"{count(value)} {noun}" + ("" if value == 1 else "s")


def size(nbytes: int) -> str:
    """A number of bytes in the largest unit that leaves it at 1 or more: ``474.7 MiB``, ``1 byte``."""
    if nbytes < 1024:
        return counted(nbytes, "byte")
    power = min((nbytes.bit_length() - 1) // 10, len(_UNITS) - 1)
    return f"{nbytes / 1024**power:,.1f} {_UNITS[power]}"


def number(value: float) -> str:
    """A number to four significant digits; whole numbers in full."""
    if isinstance(value, int):
        return str(value)
    return f"{value:.4g}"
