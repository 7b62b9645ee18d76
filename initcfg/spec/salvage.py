"""What is left of a document without its faulty entries, so that one run can check the rest as well."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from initcfg.errors import Diagnostic, PathStep
    from initcfg.spec.models import Spec

__all__ = ["Reading", "without_faulty_entries"]

Entry = tuple[str, ...]

# A value to go on with: other faults do not depend on which of the two it is.
_STAND_INS = {"layout": "in_out"}


@dataclass(frozen=True, slots=True)
class Reading:
    """A document as far as it could be read.

    Args:
        spec: without the entries that have problems; None where nothing is left to look at.
        problems: what was found.
        left_out: the entries that `spec` lacks, as ``("vars", "d")`` or ``("layers", "h", "params", "w")``.
    """

    spec: Spec | None
    problems: tuple[Diagnostic, ...] = ()
    left_out: frozenset[Entry] = frozenset()


def without_faulty_entries(
    tree: Mapping[Any, Any], problems: Iterable[Diagnostic]
) -> tuple[dict[str, Any], frozenset[Entry]]:
    """A copy of a document without the entries that problems point into, and which those are.

    An entry is a var, a named initializer, a parameter, a layer, or any other key at the top.
    """
    entries = frozenset(
        entry for problem in problems if problem.where and (entry := _entry(problem.where.path))
    )
    around = frozenset(entry[:size] for entry in entries for size in range(1, len(entry)))
    kept = _without(tree, entries, around, ())
    return kept | {key: value for key, value in _STAND_INS.items() if (key,) in entries}, entries


def _entry(path: tuple[PathStep, ...]) -> Entry:
    """The smallest entry around a path."""
    match path:
        case ("vars" | "initializers" | "params" as group, name, *_):
            return (group, str(name))
        case ("layers", layer, "params", name, *_):
            return ("layers", str(layer), "params", str(name))
        case ("layers", layer, *_):
            return ("layers", str(layer))
        case (key, *_):
            return (str(key),)
    return ()


def _without(
    tree: Mapping[Any, Any], entries: frozenset[Entry], around: frozenset[Entry], path: Entry
) -> dict[str, Any]:
    """A mapping without `entries`; `around` are the paths that lead to one."""
    kept: dict[str, Any] = {}
    for key, value in tree.items():
        where = (*path, key)
        if not isinstance(key, str) or where in entries:
            continue
        descend = where in around and isinstance(value, Mapping)
        kept[key] = _without(value, entries, around, where) if descend else value
    return kept
