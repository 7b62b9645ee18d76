"""Numbers in words: counts, sizes and the few digits a table has room for."""

from __future__ import annotations

_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")


def count(value: int) -> str:
    """A whole number with its thousands marked.

    Example:
        >>> count(124439808)
        '124,439,808'
    """
    return f"{value:,}"


def counted(value: int, noun: str) -> str:
    """A count and its noun, in the plural where it must be.

    Example:
        >>> counted(1, "file"), counted(0, "error")
        ('1 file', '0 errors')
    """
    return f"{count(value)} {noun}" + ("" if value == 1 else "s")


def size(nbytes: int) -> str:
    """A number of bytes in the largest unit that leaves it at 1 or more.

    Example:
        >>> size(497759232), size(12), size(1)
        ('474.7 MiB', '12 bytes', '1 byte')
    """
    if nbytes < 1024:
        return counted(nbytes, "byte")
    power = min((nbytes.bit_length() - 1) // 10, len(_UNITS) - 1)
    return f"{nbytes / 1024**power:,.1f} {_UNITS[power]}"


def number(value: float) -> str:
    """A number to four significant digits; whole numbers in full.

    Example:
        >>> number(0.036084391824351615), number(2.0), number(-1e-30), number(True)
        ('0.03608', '2', '-1e-30', 'True')
    """
    if isinstance(value, int):
        return str(value)
    return f"{value:.4g}"
