"""Values that cannot change: dataclasses, named tuples and the mapping."""

from __future__ import annotations

import copy
import dataclasses
import pickle
import typing

import pytest

from initcfg.frozen import FrozenDict, NamedTuple, frozen


@frozen
class Point:
    x: int
    y: int = 0
    note: str = dataclasses.field(default="", repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.y < 0:
            raise ValueError("below")


@frozen(slots=False, kw_only=True)
class Named:
    x: int = 1
    y: int


@frozen
class Own:
    parts: dict[str, int]

    def __hash__(self) -> int:
        return hash(tuple(self.parts))

    def __repr__(self) -> str:
        return "own"


@frozen(eq=False)
class Same:
    x: int


class Pair(NamedTuple):
    """Two."""

    left: Point
    right: Point | None = None

    def swapped(self) -> Pair:
        return Pair(self.right, self.left)


class Typed(typing.NamedTuple):
    left: Point
    right: Point | None = None


def test_a_frozen_value_is_a_dataclass_that_cannot_change():
    point = Point(1, note="here")
    assert [each.name for each in dataclasses.fields(point)] == ["x", "y", "note"]
    assert dataclasses.replace(point, y=2) == Point(1, 2)
    for change, *arguments in ((setattr, "x", 2), (setattr, "z", 1), (delattr, "x")):
        with pytest.raises(dataclasses.FrozenInstanceError, match="frozen Point"):
            change(point, *arguments)
    assert point.x == 1
    assert not hasattr(point, "__dict__")


def test_a_frozen_value_is_compared_hashed_and_shown_by_its_fields():
    assert Point(1, note="a") == Point(1, note="b") != Point(2)
    assert Point(1) != Named(x=1, y=0)  # type: ignore[comparison-overlap]
    assert len({Point(1), Point(1, 0), Point(2)}) == 2
    assert repr(Point(1, note="here")) == "Point(x=1, y=0)"


def test_what_a_frozen_class_has_of_its_own_stays():
    assert Own({"a": 1}) == Own({"a": 1}) != Own({"a": 2})
    assert hash(Own({"a": 1})) == hash(("a",))
    assert repr(Own({})) == "own"
    assert Same(1) != Same(1)


def test_a_frozen_value_is_checked_when_it_is_made():
    with pytest.raises(ValueError, match="below"):
        dataclasses.replace(Point(1), y=-1)
    with pytest.raises(TypeError, match="'x'"):
        Point()  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="positional"):
        Named(1, 2)  # type: ignore[call-arg]


@pytest.mark.parametrize("value", [Point(1, note="here"), Named(y=2), Pair(Point(1))])
def test_a_frozen_value_survives_copies_and_pickling(value):
    for again in (copy.copy(value), copy.deepcopy(value), pickle.loads(pickle.dumps(value))):
        assert again == value
        assert repr(again) == repr(value)
    assert pickle.loads(pickle.dumps(Point(1, note="here"))).note == "here"


def test_a_named_tuple_is_that_of_typing():
    assert typing.get_type_hints(Pair) == typing.get_type_hints(Typed)
    for name in ("_fields", "_field_defaults", "__match_args__", "__module__", "__slots__"):
        assert getattr(Pair, name) == getattr(Typed, name)
    assert (Pair.__name__, Pair.__qualname__, Pair.__doc__) == ("Pair", "Pair", "Two.")
    assert Pair(Point(1)).swapped() == (None, Point(1))


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
