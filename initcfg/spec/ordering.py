"""Diagnostics in the order in which a person reads the files that they are about."""

from __future__ import annotations

from typing import TYPE_CHECKING

from initcfg.errors import Location

if TYPE_CHECKING:
    from collections.abc import Iterable

    from initcfg.errors import Diagnostic


def by_place(problems: Iterable[Diagnostic], file: str | None) -> list[Diagnostic]:
    """The problems of `file`, then those of the other files as they were found; in each by place."""
    found = [(problem.where or Location(), problem) for problem in problems]
    ranks = {file: 0}
    for where, _ in found:
        ranks.setdefault(where.file, len(ranks))
    found.sort(key=lambda each: (ranks[each[0].file], each[0].line or 0, each[0].column or 0))
    return [problem for _, problem in found]
