"""Flat names as nested dicts, the form in which Flax and Haiku keep parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from initcfg.errors import Code, Diagnostic, SpecError

if TYPE_CHECKING:
    from collections.abc import Mapping

Value = TypeVar("Value")


def nest(values: Mapping[str, Value], separator: str = ".") -> dict[str, Any]:
    """Values by dotted names as dicts in dicts, in the same order; the values themselves are not looked at.

    Keys are always texts: ``layers.0.kernel`` becomes ``{"layers": {"0": {"kernel": ...}}}``.

    Args:
        values: by full names.
        separator: what names are split on, such as ``"/"``.

    Raises:
        SpecError: a name is a value and holds others too (code ``bad-name``); all such names are told.
        ValueError: the separator is empty.

    Example:
        >>> nest({"fc.kernel": 1, "fc.bias": 2, "scale": 3})
        {'fc': {'kernel': 1, 'bias': 2}, 'scale': 3}
    """
    paths = {tuple(name.split(separator)): value for name, value in values.items()}
    below = {path[:end]: path for path in paths for end in range(1, len(path))}
    hint = "rename one, or keep the flat names: a dict holds either a value or more names"
    clashes = [
        f"{separator.join(path)!r} is a parameter, and {separator.join(below[path])!r} would stand inside it"
        for path in paths
        if path in below
    ]
    if clashes:
        raise SpecError(*(Diagnostic(Code.BAD_NAME, message, hint=hint) for message in clashes))
    tree: dict[str, Any] = {}
    for path, value in paths.items():
        branch = tree
        for key in path[:-1]:
            branch = branch.setdefault(key, {})
        branch[path[-1]] = value
    return tree
