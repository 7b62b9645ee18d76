"""Documents built in Python: any mapping as a dict and any sequence as a list, such as OmegaConf's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

__all__ = ["as_tree"]

_LEAVES = (str, bytes, bytearray, memoryview)


def as_tree(document: object) -> object:
    """The document with dicts for mappings and lists for sequences; everything else as it is.

    Tuples stay tuples. A container that stands in two places, or inside itself, is converted once.

    Example:
        >>> from types import MappingProxyType
        >>> as_tree(MappingProxyType({"shape": (2, 3), "repeat": range(2)}))
        {'shape': (2, 3), 'repeat': [0, 1]}
    """
    return _converted(document, {})


def _converted(value: object, known: dict[int, object]) -> object:
    if isinstance(value, _LEAVES) or not isinstance(value, Mapping | Sequence):
        return value
    if id(value) in known:
        return known[id(value)]
    if isinstance(value, Mapping):
        tree: dict[object, object] = {}
        known[id(value)] = tree
        tree.update((key, _converted(item, known)) for key, item in value.items())
        return tree
    if isinstance(value, tuple):
        known[id(value)] = value
        return tuple(_converted(item, known) for item in value)
    items: list[object] = []
    known[id(value)] = items
    items.extend(_converted(item, known) for item in value)
    return items
