"""One spec laid over another: what the merged document says, and which of the two says it where.

    vars, initializers, layers, params    merge by name; a layer's params by name, a param's keys by key
    rules                                 the upper ones, then the lower ones
    everything else                       the upper one, whole

A null counts as written: it takes an inherited key away, where a key may be null. A parameter is tied or has
an initializer, so the upper one of these removes what it excludes from the lower.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from initcfg.errors import Location

if TYPE_CHECKING:
    from collections.abc import Iterable

    from initcfg.errors import Diagnostic, PathStep

Path = tuple["PathStep", ...]

#: What a key of a parameter excludes.
_EXCLUDED = {"tied_to": ("initializer", "stream", "layout"), "initializer": ("tied_to",)}
#: What is about the text of a file, or has been followed already.
_NOT_INHERITED = ("$schema",)


class Places(Protocol):
    """Where the parts of a document were written."""

    def locate(self, path: Path, *, key: bool = False, offset: int | None = None) -> Location:
        """As `initcfg.text.source.Source.locate`."""

    def is_inherited(self, path: Path) -> bool:
        """Whether the part at a path was written in a file that the document's own extends."""


class Unwritten(NamedTuple):
    """The places of a document that was built in Python: paths."""

    file: str | None = None

    def locate(self, path: Path, *, key: bool = False, offset: int | None = None) -> Location:  # noqa: ARG002
        """The path."""
        return Location(self.file, path=path)

    def is_inherited(self, path: Path) -> bool:  # noqa: ARG002
        """Never."""
        return False


class Document(NamedTuple):
    """A spec as plain data, before it is checked.

    Args:
        tree: what it says; a mapping, if it is a spec at all.
        places: where it says it.
        problems: what was found while it was read.
        is_whole: whether every file that it extends could be read.
    """

    tree: Any
    places: Places
    problems: tuple[Diagnostic, ...] = ()
    is_whole: bool = True


class Overlay(NamedTuple):
    """The places of a merged document.

    Args:
        upper: those of the file that extends.
        lower: those of the file that it extends.
        inherited: where a part of the merged document stands in the lower one; what is not below one of these
            paths stands in the upper one.
    """

    upper: Places
    lower: Places
    inherited: Mapping[Path, Path]

    def locate(self, path: Path, *, key: bool = False, offset: int | None = None) -> Location:
        """The place in the file that the part stands in."""
        split = split_at(path, self.inherited)
        if split is None:
            return self.upper.locate(path, key=key, offset=offset)
        below, rest = split
        return replace(self.lower.locate((*below, *rest), key=key, offset=offset), path=path)

    def is_inherited(self, path: Path) -> bool:
        """Whether the part stands in the lower file, or in one that it extends."""
        return split_at(path, self.inherited) is not None


def split_at(path: Path, parts: Mapping[Path, Any]) -> tuple[Any, Path] | None:
    """What `parts` has for the beginning of a path, and the rest of the path; None if it has nothing."""
    for size in range(len(path), 0, -1):
        if path[:size] in parts:
            return parts[path[:size]], path[size:]
    return None


def lay_over(upper: Document, lower: Document) -> Document:
    """The upper document over the lower one, which is what its ``extends`` names; both trees are mappings."""
    inherited: dict[Path, Path] = {}
    written = {key: value for key, value in upper.tree.items() if key != "extends"}
    below = {key: value for key, value in lower.tree.items() if key not in _NOT_INHERITED}
    tree = _merged(written, below, (), inherited)
    above = written.get("rules")
    first = len(above) if isinstance(above, list) and ("rules",) not in inherited else 0
    problems = (*upper.problems, *(_shifted(problem, first) for problem in lower.problems))
    places = Overlay(upper.places, lower.places, inherited)
    return Document(tree, places, problems, upper.is_whole and lower.is_whole)


def _merged(
    upper: Mapping[Any, Any], lower: Mapping[Any, Any], path: Path, inherited: dict[Path, Path]
) -> dict[Any, Any]:
    """Two mappings as one; notes in `inherited` what is the lower one's."""
    excluded = {other for key in upper if upper[key] is not None for other in _excluded_by(key, path)}
    tree: dict[Any, Any] = {}
    for key in _in_order(upper, lower):
        where = (*path, key)
        if key not in upper:
            if key not in excluded:
                tree[key] = lower[key]
                inherited[where] = where
        elif key not in lower:
            tree[key] = upper[key]
        elif where == ("rules",):
            tree[key] = _joined(upper[key], lower[key], inherited)
        elif _has_entries(where) and isinstance(upper[key], Mapping) and isinstance(lower[key], Mapping):
            tree[key] = _merged(upper[key], lower[key], where, inherited)
        else:
            tree[key] = upper[key]
    return tree


def _has_entries(path: Path) -> bool:
    """Whether the mappings at a path merge, instead of the upper one counting alone."""
    match path:
        case ("vars" | "initializers" | "layers" | "params",) | ("params", _):
            return True
        case ("layers", _) | ("layers", _, "params") | ("layers", _, "params", _):
            return True
    return False


def _excluded_by(key: object, path: Path) -> Iterable[str]:
    """The inherited keys that a key of the mapping at `path` removes."""
    return _EXCLUDED.get(str(key), ()) if len(path) > 1 and path[-2] == "params" else ()


def _in_order(upper: Mapping[Any, Any], lower: Mapping[Any, Any]) -> list[Any]:
    """The lower one's keys in their order, the new ones of the upper before the next one that both have.

    So a var that replaces one may use a new one written before it, and a new one at the end may use all.
    """
    before: dict[Any, list[Any]] = {}
    new: list[Any] = []
    for key in upper:
        if key in lower:
            before[key], new = new, []
        else:
            new.append(key)
    return [each for key in lower for each in (*before.get(key, ()), key)] + new


def _joined(upper: object, lower: object, inherited: dict[Path, Path]) -> object:
    """The upper rules, then the lower ones; what is no list is kept alone, to be refused where it stands."""
    if not isinstance(upper, list):
        return upper
    if not isinstance(lower, list):
        inherited[("rules",)] = ("rules",)
        return lower
    for at in range(len(lower)):
        inherited[("rules", len(upper) + at)] = ("rules", at)
    return [*upper, *lower]


def _shifted(problem: Diagnostic, first: int) -> Diagnostic:
    """A problem of the lower text with its path in the merged document, where `first` rules come before."""
    where = problem.where
    if where is None or where.path[:1] != ("rules",) or len(where.path) == 1:
        return problem
    _, at, *rest = where.path
    shifted = ("rules", at + first if isinstance(at, int) else at, *rest)
    return problem.at(replace(where, path=shifted))
