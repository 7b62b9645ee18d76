"""Rows of text in aligned columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence


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
