"""The watch sees leaves and blocks in the order of the calls, and the loss that fits is found."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from initcfg.errors import SpecError
from initcfg.probe.watching import NO_LOSS, Watch, aim_of, numbered_blocks, pass_of


def first(tree: Any) -> Any:
    """The tree is the array, or the arguments of a call."""
    if isinstance(tree, tuple):
        return tree[0][0], lambda array: ((array,), {})
    return None if tree is None else (tree, lambda array: array)


def called(watch: Watch, x: Any) -> Any:
    """A net of two blocks, of which the second calls one leaf twice."""

    def linear(x: Any) -> Any:
        return 2 * x

    def twice(x: Any) -> Any:
        for _ in range(2):
            x = watch.call("b_1.fc", "Linear", linear, (x,), {})
        return x

    def net(x: Any) -> Any:
        x = watch.call("b_0", "Linear", linear, (x,), {})
        return watch.call("b_1", "Twice", twice, (x,), {})

    return watch.call("", "Net", net, (x,), {})


def test_offsets_are_added_before_the_first_block_and_after_each_place() -> None:
    x = np.ones((2, 3))
    plain = Watch({"b_0", "b_1"}, first)
    assert (called(plain, x) == 8).all()
    assert [each.name for each in plain.seen] == ["before b_0", "b_0", "b_1.fc", "b_1.fc (2)", "b_1"]
    assert [each.is_block for each in plain.seen] == [True, True, False, False, True]
    assert [each.is_leaf for each in plain.seen] == [False, True, True, True, False]
    for at, factor in enumerate((8, 4, 2, 1, 1)):
        offsets = [np.full_like(x, at == each) for each in range(5)]
        assert (called(Watch({"b_0", "b_1"}, first, offsets), x) == 8 + factor).all()


def test_what_gives_no_array_is_not_seen() -> None:
    watch = Watch(set(), first)
    assert watch.call("b", "Nothing", lambda _: None, (np.ones(3),), {}) is None
    assert watch.values == []


def test_a_pass_is_put_together_of_what_was_seen() -> None:
    watch = Watch({"b_0", "b_1"}, first)
    called(watch, np.ones((2, 3)))
    weights = [("w", np.full((3, 3), 2.0), np.ones((3, 3))), ("frozen", np.ones(3), None)]
    found = pass_of(watch.seen, watch.values, [np.full((2, 3), 3.0)] * 5, weights, np.asarray)
    assert [each.name for each in found.blocks] == ["before b_0", "b_0", "b_1"]
    assert [each.name for each in found.leaves] == ["b_0", "b_1.fc", "b_1.fc (2)"]
    assert [each.forward[0] for each in found.blocks] == [1, 4, 64]
    assert found.blocks[0].backward == (9, 3)
    assert [each.sgd for each in found.weights] == [0.5, None]


@pytest.mark.parametrize(
    ("shape", "target", "about", "chance"),
    [
        ((4, 10), None, "cross entropy over 10 classes, random labels", math.log(10)),
        ((4, 6, 10), np.ones((4, 6), int), "cross entropy over 10 classes, the targets given", math.log(10)),
        ((4, 2), np.array([[0.0, 2]] * 4), "mean square of what is missed", 1.0),
        ((4, 1), None, NO_LOSS, None),
        ((4, 10), np.ones(3, int), NO_LOSS, None),
        ((4, 8, 8, 3), None, NO_LOSS, None),
    ],
)
def test_the_loss_that_fits_is_found(shape: Any, target: Any, about: str, chance: float | None) -> None:
    aim = aim_of(shape, target)
    assert (aim.about, aim.chance) == (about, pytest.approx(chance) if chance else chance)
    assert aim_of(shape, target, is_whole=False).about == NO_LOSS
    assert (aim_of(shape, target).target == aim.target).all()


def test_targets_that_are_no_classes_are_refused() -> None:
    with pytest.raises(SpecError, match="not all among the 3 classes, 0 to 2"):
        aim_of((2, 3), np.array([0, 3]))


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["dense.kernel", "dense_1.kernel", "dense_2.bias"], {"dense", "dense_1"}),
        (["dense_3.kernel", "dense_4.kernel"], {"dense_3", "dense_4"}),
        (["b.fc.kernel", "b_0.fc.kernel", "b_1.fc.kernel"], {"b_0", "b_1"}),
        (["b.0.fc.kernel", "b.1.fc.kernel"], {"b.0", "b.1"}),
        (["stem.kernel", "head.kernel"], set()),
    ],
)
def test_blocks_are_numbered_layers(names: list[str], found: set[str]) -> None:
    assert numbered_blocks(names) == found
