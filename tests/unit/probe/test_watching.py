"""The watch sees leaves and blocks in the order of the calls, and the loss that fits is found."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from initcfg.errors import SpecError
from initcfg.probe.passes import Pass, Place, Seen
from initcfg.probe.subject import NO_LOSS, aim_of
from initcfg.probe.values import numbered_blocks
from initcfg.probe.watching import Trial, Watch


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


def test_blocks_and_leaves_are_looked_at_and_gone_on_with() -> None:
    x, seen, values = np.ones((2, 3)), list[Seen](), list[Any]()

    def look(each: Seen, array: Any) -> Any:
        seen.append(each)
        values.append(array)
        return array + (each.name == "b_1.fc")

    trial = Trial("Net", "the batch given", "", ())
    assert (called(Watch({"b_0", "b_1"}, first, look, trial), x) == 10).all()
    assert [each.name for each in seen] == ["before b_0", "b_0", "b_1.fc", "b_1.fc (2)", "b_1"]
    assert [each.is_block for each in seen] == [True, True, False, False, True]
    assert [each.is_leaf for each in seen] == [False, True, True, True, False]
    assert [each.max() for each in values] == [1, 2, 4, 10, 10]


def test_what_gives_no_array_is_not_seen() -> None:
    def look(_: Seen, __: Any) -> Any:
        raise AssertionError

    watch = Watch(set(), first, look, Trial("Net", "the batch given", "", ()))
    assert watch.call("b", "Nothing", lambda _: None, (np.ones(3),), {}) is None


def test_the_model_is_blamed_for_its_own_faults_only() -> None:
    trial = Trial("Net", "the batch given", "give another", ())

    def run(look: Any, x: Any, *, is_caught: bool = False) -> None:
        with trial.running():
            try:
                Watch(set(), first, look, trial).call("fc", "Linear", lambda x: 1 / x, (x,), {})
            except ArithmeticError as error:
                raise (RuntimeError("again") if is_caught else error) from None

    def fails(*_: Any) -> Any:
        raise OverflowError("too far to look")

    with pytest.raises(
        SpecError, match="Net fails on the batch given: ZeroDivisionError: division by"
    ) as caught:
        run(lambda _, array: array, 0)
    where = caught.value.diagnostics[0].where
    assert where is not None
    assert where.file == __file__
    for is_caught in (False, True):
        with pytest.raises(OverflowError, match="too far to look"):
            run(fails, 1, is_caught=is_caught)


def test_a_pass_is_put_together_of_places_and_weights() -> None:
    found = Pass()
    found.places.append(Place.of(Seen("b_0.fc", "Linear", False, True), np.ones((2, 3)), 24))
    found.places.append(Place.of(Seen("b_0", "Block", True, False), np.full((2, 3), 2.0), 24))
    found.add_weight("w", np.full((3, 3), 2.0), np.ones((3, 3)), 36)
    found.add_weight("frozen", np.ones(3), None, 12)
    assert [each.forward for each in found.blocks] == [(4, 2)]
    assert [each.seen.name for each in found.leaves] == ["b_0.fc"]
    assert [each.sgd for each in found.weights] == [(0.5,), (None,)]
    assert found.nbytes == 2 * (36 + 12)


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
    assert aim_of((2, 3), np.array([0, -100]), ignored=-100).kind == "classes"


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
