"""Mappings and sequences of other libraries are documents too."""

from __future__ import annotations

from collections import UserDict, UserList
from types import MappingProxyType

from initcfg.spec import load
from initcfg.spec.files import as_tree


def test_a_document_of_foreign_containers_is_read_as_one_of_dicts_and_lists():
    plain = {
        "initcfg": 1,
        "vars": {"widths": [1, 2]},
        "layers": {"h.{i}": {"repeat": {"i": ["a", "b"]}, "params": {"w": {"shape": [2, "d"]}}}},
        "rules": [{"match": "**", "initializer": {"constant": {"value": [1, 2]}}}],
    }

    def foreign(value):
        if isinstance(value, dict):
            return UserDict({key: foreign(item) for key, item in value.items()})
        return UserList(map(foreign, value)) if isinstance(value, list) else value

    assert as_tree(foreign(plain)) == plain
    assert load(foreign(plain)) == load(plain)


def test_texts_and_tuples_stay():
    assert as_tree(MappingProxyType({"a": "bc", "d": (1, UserList([2])), "e": b"f"})) == {
        "a": "bc",
        "d": (1, [2]),
        "e": b"f",
    }


def test_what_stands_in_many_places_is_converted_once():
    wide = UserList([1])
    for _ in range(64):
        wide = UserList([wide, wide])  # type: ignore[list-item]
    tree = as_tree(wide)
    assert tree[0] is tree[1]  # type: ignore[index]


def test_a_container_inside_itself_stays_inside_itself():
    circle = UserList()
    circle.append(circle)
    tree = as_tree(circle)
    assert tree[0] is tree  # type: ignore[index]
