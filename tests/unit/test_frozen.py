"""The immutable mapping."""

from __future__ import annotations

import pickle

import pytest

from initcfg.frozen import FrozenDict


def test_equals_any_mapping_with_equal_items_in_any_order():
    assert FrozenDict({"a": 1, "b": 2}) == {"b": 2, "a": 1}
    assert FrozenDict({"a": 1}) != {"a": 2}


def test_equal_mappings_hash_alike():
    assert hash(FrozenDict({"a": 1, "b": 2})) == hash(FrozenDict({"b": 2, "a": 1}))


def test_keeps_the_order_of_its_items():
    assert list(FrozenDict([("b", 1), ("a", 2)])) == ["b", "a"]


def test_cannot_be_changed_through_what_it_was_made_of():
    items = {"a": 1}
    frozen = FrozenDict(items)
    items["a"] = 2
    assert frozen["a"] == 1
    with pytest.raises(TypeError):
        frozen["a"] = 3  # type: ignore[index]


def test_survives_pickling():
    frozen = FrozenDict({"a": (1, 2)})
    assert pickle.loads(pickle.dumps(frozen)) == frozen


def test_shows_its_items():
    assert repr(FrozenDict({"a": 1})) == "{'a': 1}"
