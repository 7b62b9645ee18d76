"""What is left of a document without its faulty entries, so that one run can check the rest as well."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from initcfg.errors import Diagnostic, PathStep
    from initcfg.manifest import Manifest
    from initcfg.spec.models import Spec

Entry = tuple[str, ...]

# A value to go on with: other faults do not depend on which of the two it is.
_STAND_INS = {"layout": "in_out"}


class Reading(NamedTuple):
    """A document as far as it could be read.

    Args:
        spec: without the entries that have problems; None where nothing is left to look at.
        problems: what was found.
        left_out: the entries that `spec` lacks, as ``("vars", "d")`` or ``("layers", "h", "params", "w")``.
            In the place of ``("rules", "3")`` stands a rule that skips what it matches, so that those after
            it keep their places.
        manifest: what the spec's ``manifest`` names; None where it names none or that could not be read.
    """

    spec: Spec | None
    problems: tuple[Diagnostic, ...] = ()
    left_out: frozenset[Entry] = frozenset()
    manifest: Manifest | None = None


def without_faulty_entries(
    tree: Mapping[Any, Any], problems: Iterable[Diagnostic]
) -> tuple[dict[str, Any], frozenset[Entry]]:
    """A copy of a document without the entries that problems point into, and which those are.

    An entry is a var, a named initializer, a parameter, a layer, a rule, or any other key at the top.
    """
    problems = tuple(problems)
    entries = frozenset(
        entry for problem in problems if problem.where and (entry := _entry(problem.where.path))
    )
    around = frozenset(entry[:size] for entry in entries for size in range(1, len(entry)))
    kept = _without(tree, entries, around, ())
    if isinstance(kept.get("rules"), list):
        kept["rules"] = _with_stand_ins(kept["rules"], problems)
    return kept | {key: value for key, value in _STAND_INS.items() if (key,) in entries}, entries


def _entry(path: tuple[PathStep, ...]) -> Entry:
    """The smallest entry around a path."""
    match path:
        case ("rules", int(at), *_):
            return ("rules", str(at))
        case ("vars" | "initializers" | "params" as group, name, *_):
            return (group, str(name))
        case ("layers", layer, "params", name, *_):
            return ("layers", str(layer), "params", str(name))
        case ("layers", layer, *_):
            return ("layers", str(layer))
        case (key, *_):
            return (str(key),)
    return ()


def _with_stand_ins(rules: list[Any], problems: Iterable[Diagnostic]) -> list[Any]:
    """The rules, each faulty one replaced by one that skips what it matches, or all where that is unknown."""
    paths = [problem.where.path for problem in problems if problem.where]
    faulty = {path[1] for path in paths if path[:1] == ("rules",) and len(path) > 1}
    unknown = {path[1] for path in paths if path[:1] == ("rules",) and path[2:3] == ("match",)}
    return [
        _stand_in(None if at in unknown else rule) if at in faulty else rule for at, rule in enumerate(rules)
    ]


def _stand_in(rule: object) -> dict[str, Any]:
    match = rule.get("match") if isinstance(rule, Mapping) else None
    return {"match": match if isinstance(match, str) else "**", "skip": True}


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
