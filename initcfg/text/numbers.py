"""Number literals: the same finite values from YAML, JSON and expressions, and refusals for the rest."""

from __future__ import annotations

import math
import sys

from initcfg.errors import Code

#: The largest finite float64: every integer up to it has a finite float beside it.
LARGEST = int(sys.float_info.max)
_DIGITS = 309
_ALWAYS_SMALL = 200
_SHOWN = 40


class LiteralError(ValueError):
    """A literal that no finite number stands for; `code` and the message say which way it fails."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code = code


def read_integer(digits: str, base: int = 10) -> int:
    """The integer that `digits` write.

    The number of digits is looked at first, so that a million of them cost nothing.

    Args:
        digits: an optional sign and digits of `base`, without a prefix.
        base: 8, 10 or 16.

    Raises:
        LiteralError: the integer is beyond float64's range.

    Example:
        >>> read_integer("-12")
        -12
    """
    if len(digits) < _ALWAYS_SMALL:
        return int(digits, base)
    significant = digits.lstrip("+-").lstrip("0")
    if len(significant) <= _DIGITS:
        value = int(significant or "0", base) * (-1 if digits.startswith("-") else 1)
        if abs(value) <= LARGEST:
            return value
    raise LiteralError(
        Code.OUT_OF_RANGE, f"an integer of {len(significant)} digits is beyond the range of float64"
    )


def read_float(text: str) -> float:
    """The float64 nearest to a decimal literal.

    Args:
        text: what Python's `float` reads, in plain decimal notation.

    Raises:
        LiteralError: the value overflows float64, or is not 0 and would become so.

    Example:
        >>> read_float("1e-3")
        0.001
    """
    value = float(text)
    shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
    if value == 0 and not set("123456789").isdisjoint(text.lower().partition("e")[0]):
        raise LiteralError(Code.OUT_OF_RANGE, f"{shown} is too small for float64, and would become 0")
    if math.isfinite(value):
        return value
    raise LiteralError(Code.NOT_FINITE, f"{shown} is beyond the range of float64")
