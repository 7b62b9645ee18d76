"""Documents built in Python: any mapping as a dict and any sequence as a list, such as OmegaConf's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from initcfg.errors import Code, Diagnostic, Location, PathStep, SpecError

Path = tuple[PathStep, ...]

_LEAVES = (str, bytes, bytearray, memoryview)


def as_tree(document: object) -> object:
    """The document with dicts for mappings and lists for sequences; everything else as it is.

    Tuples stay tuples. A container that stands in two places, or inside itself, is converted once.

    Raises:
        SpecError: a container does not give one of its values (code ``wrong-type``), as those of OmegaConf do
            where a mandatory value is missing, or an interpolation leads nowhere.

    Example:
        >>> from types import MappingProxyType
        >>> as_tree(MappingProxyType({"shape": (2, 3), "repeat": range(2)}))
        {'shape': (2, 3), 'repeat': [0, 1]}
    """
    return _converted(document, {}, ())


def _converted(value: object, known: dict[int, object], path: Path) -> object:
    if isinstance(value, _LEAVES) or not isinstance(value, Mapping | Sequence):
        return value
    if id(value) in known:
        return known[id(value)]
    if isinstance(value, Mapping):
        tree: dict[object, object] = {}
        known[id(value)] = tree
        for key in value:
            step = key if isinstance(key, str | int) else str(key)
            tree[key] = _converted(_item(value, key, (*path, step)), known, (*path, step))
        return tree
    items = [_item(value, at, (*path, at)) for at in range(len(value))]
    if isinstance(value, tuple):
        known[id(value)] = value
        return tuple(_converted(item, known, (*path, at)) for at, item in enumerate(items))
    made: list[object] = []
    known[id(value)] = made
    made.extend(_converted(item, known, (*path, at)) for at, item in enumerate(items))
    return made


def _item(container: Any, key: Any, path: Path) -> object:
    try:
        return container[key]
    except Exception as error:
        message = f"{type(container).__name__} does not give this value: {str(error).partition(chr(10))[0]}"
        hint = "give a value, or mend the interpolation, before the document is read"
        raise SpecError(Diagnostic(Code.WRONG_TYPE, message, Location(path=path), hint)) from error
