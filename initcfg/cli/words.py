"""Counts, sizes, numbers and distributions in words, and rows of them in aligned columns."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from initcfg.distributions import Distribution
    from initcfg.initializers import Initializer
    from initcfg.layout import Layout
    from initcfg.plan import PlannedParameter

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


def aligned(rows: Sequence[Sequence[str]], right: Collection[str] = ()) -> list[str]:
    r"""Lines of columns that stand apart by two blanks, with none at the end of a line.

    Args:
        rows: the headings first.
        right: the headings of columns that are aligned on the right.

    Example:
        >>> print("\n".join(aligned([("name", "size"), ("w", "12"), ("b", "1")], right={"size"})))
        name  size
        w       12
        b        1
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            f"{cell:>{width}}" if heading in right else f"{cell:<{width}}"
            for cell, width, heading in zip(row, widths, rows[0], strict=True)
        ).rstrip()
        for row in rows
    ]


def describe(distribution: Distribution | None) -> str:
    """A distribution in a few characters, its numbers to four digits.

    Example:
        >>> from initcfg.distributions import Normal, TruncatedNormal
        >>> describe(Normal(0.0, 0.02)), describe(TruncatedNormal(0.0, 0.5, -1.0, 1.0))
        ('normal(0, 0.02)', 'truncated_normal(0, 0.5) in [-1, 1]')
    """
    from initcfg.distributions import Fill, Normal, TruncatedNormal, Uniform

    match distribution:
        case Fill(value):
            return f"fill({number(value)})"
        case Uniform(low, high):
            return f"uniform({number(low)}, {number(high)})"
        case Normal(mean, std):
            return f"normal({number(mean)}, {number(std)})"
        case TruncatedNormal(mean, std, low, high):
            return f"truncated_normal({number(mean)}, {number(std)}) in [{number(low)}, {number(high)}]"
        case None:
            return "structured"


def law_of(parameter: PlannedParameter) -> str:
    """How a parameter begins, in a few characters: its distribution, or those of its parts."""
    from initcfg.initializers import canonical_name

    law = describe_law(parameter.initializer, parameter.shape, parameter.layout)
    return canonical_name(type(parameter.initializer)) if law == "structured" else law


def describe_law(initializer: Initializer, shape: tuple[int, ...], layout: Layout | None) -> str:
    """The distribution; of a concatenation those of its parts, equal neighbours counted."""
    from initcfg.initializers import Combined, resolve

    if not isinstance(initializer, Combined):
        return describe(resolve(initializer, shape, layout))
    parts = [describe_law(part, each, layout) for part, each in initializer.parts(shape)]
    runs = ((law, len(list(run))) for law, run in itertools.groupby(parts))
    return " | ".join(law if length == 1 else f"{length} x {law}" for law, length in runs)
