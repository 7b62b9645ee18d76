"""The parts of a fused parameter are what they would be on their own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from initcfg import engines
from initcfg.dtypes import as_dtype
from initcfg.errors import Code, InitializerError
from initcfg.initializers import (
    Concatenate,
    Constant,
    GlorotUniform,
    HeNormal,
    Identity,
    Ones,
    Orthogonal,
    RandomNormal,
    Request,
    Zeros,
    check,
    draw,
    is_cut,
    make,
    resolve,
    serialize,
)
from initcfg.layout import IN_OUT, Layout
from initcfg.stream import Stream

FLOAT32 = as_dtype("float32")
STREAM = Stream.of_parameter(0, "qkv")


def wanted(shape: tuple[int, ...]) -> Request:
    return Request(shape, FLOAT32, IN_OUT, STREAM, engines.get_engine())


def made(
    initializer: Any, shape: tuple[int, ...], layout: Layout = IN_OUT, stream: Stream = STREAM
) -> np.ndarray:
    return make(initializer, Request(shape, FLOAT32, layout, stream, engines.get_engine()))


def test_each_part_has_its_own_fans_and_child_stream() -> None:
    fused = made(Concatenate(1, [8, 16], [GlorotUniform(), GlorotUniform()]), (32, 24))
    np.testing.assert_array_equal(fused[:, :8], made(GlorotUniform(), (32, 8), stream=STREAM.child("0")))
    np.testing.assert_array_equal(fused[:, 8:], made(GlorotUniform(), (32, 16), stream=STREAM.child("1")))
    assert abs(fused[:, :8]).max() > np.sqrt(6 / (32 + 16))


@given(
    sizes=st.lists(st.integers(0, 4), min_size=1, max_size=4),
    axis=st.integers(-3, 2),
    other=st.lists(st.integers(1, 3), min_size=2, max_size=2),
)
def test_parts_lie_side_by_side_along_any_axis(sizes: list[int], axis: int, other: list[int]) -> None:
    shape = list(other)
    shape.insert(axis % 3, sum(sizes))
    parts = [Constant(index) for index in range(len(sizes))]
    found = made(Concatenate(axis, sizes, parts), tuple(shape))
    expected = np.concatenate(
        [
            np.full(part, index)
            for index, part in enumerate(Concatenate.shapes(tuple(shape), {"axis": axis, "sizes": sizes}))
        ],
        axis,
    )
    np.testing.assert_array_equal(found, expected)
    assert found.flags.c_contiguous


@given(
    sizes=st.lists(st.integers(0, 5), min_size=1, max_size=4),
    axis=st.integers(0, 2),
    other=st.lists(st.integers(1, 4), min_size=2, max_size=2),
    data=st.data(),
)
def test_any_stretch_is_that_of_the_parts_put_together(
    sizes: list[int], axis: int, other: list[int], data: st.DataObject
) -> None:
    shape = (*other[:axis], sum(sizes), *other[axis:])
    shapes = Concatenate.shapes(shape, {"axis": axis, "sizes": sizes})
    inner = [Concatenate(0, [its_shape[0]], [RandomNormal()]) for its_shape in shapes]
    streams = [STREAM.child(str(index)).child("0") for index in range(len(sizes))]
    parts = [
        made(RandomNormal(), its_shape, stream=stream)
        for its_shape, stream in zip(shapes, streams, strict=True)
    ]
    expected = np.concatenate(parts, axis).reshape(-1)
    start = data.draw(st.integers(0, len(expected)))
    found = np.empty(data.draw(st.integers(0, len(expected) - start)), np.float32)
    whole = Concatenate(axis, sizes, inner)
    draw(whole, found, start, wanted(shape))
    np.testing.assert_array_equal(found, expected[start : start + len(found)])


def test_parts_outside_a_stretch_are_not_made() -> None:
    def failing(shape: tuple[int, ...], dtype: Any = None) -> np.ndarray:
        raise AssertionError("this part is not asked for")

    found = np.empty(4, np.float32)
    fused = Concatenate(0, [2, 3], [failing, "ones"])
    draw(fused, found, 8, wanted((5, 4)))
    np.testing.assert_array_equal(found, 1)


def test_what_builds_in_a_way_of_its_own_is_not_cut() -> None:
    class Doubled(Identity):
        def build(self, request: Request) -> np.ndarray:
            return 2 * super().build(request)

    fused = Concatenate(0, [2, 2], [Doubled(), Identity()])
    assert [is_cut(part) for part in (Identity(), Doubled(), fused)] == [True, False, False]
    found = np.empty(3, np.float32)
    draw(fused, found, 3, wanted((4, 2)))
    np.testing.assert_array_equal(found, [2, 1, 0])


def test_structured_and_nested_parts_are_built() -> None:
    inner = Concatenate(0, [3, 5], ["orthogonal", "zeros"])
    found = made(Concatenate(1, [4, 2], [inner, Ones()]), (8, 6))
    np.testing.assert_array_equal(
        found[:3, :4], made(Orthogonal(), (3, 4), stream=STREAM.child("0").child("0"))
    )
    assert (found[3:, :4] == 0).all()
    assert (found[:, 4:] == 1).all()


def test_a_part_with_a_seed_of_its_own_keeps_it() -> None:
    part = RandomNormal(seed=5)
    found = made(Concatenate(0, [3, 3], [part, RandomNormal()]), (6,))
    np.testing.assert_array_equal(found[:3], part((3,)))
    np.testing.assert_array_equal(found[3:], made(RandomNormal(), (3,), stream=STREAM.child("1")))


def test_the_layout_reaches_the_parts() -> None:
    fused = Concatenate(0, [8, 16], [HeNormal(), HeNormal()])
    found = made(fused, (24, 32), Layout("out_in"))
    alone = made(HeNormal(), (8, 32), Layout("out_in"), STREAM.child("0"))
    np.testing.assert_array_equal(found[:8], alone)
    assert resolve(fused, (24, 32), IN_OUT) is None


def test_parts_may_be_functions_and_custom_ones() -> None:
    def ramp(shape: tuple[int, ...], dtype: Any = None) -> np.ndarray:
        return np.arange(shape[0]).astype(dtype)

    found = made(Concatenate(0, [2, 3], ["zeros", ramp]), (5,))
    np.testing.assert_array_equal(found, [0, 0, 0, 1, 2])


def test_the_config_nests_that_of_the_parts() -> None:
    fused = Concatenate(-1, [1, 2], [Zeros(), HeNormal(seed=1)])
    assert fused.get_config() == {
        "axis": -1,
        "sizes": [1, 2],
        "initializers": [serialize(Zeros()), serialize(HeNormal(seed=1))],
    }
    assert fused.clone() == fused


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ((0, [1], []), Code.INITIALIZER_CONFIG),
        ((0, [], []), Code.INITIALIZER_CONFIG),
        ((0, [1, 2], ["zeros"]), Code.INITIALIZER_CONFIG),
        ((0, [-1, 2], ["zeros", "ones"]), Code.OUT_OF_RANGE),
        ((0.5, [1], ["zeros"]), Code.WRONG_TYPE),
        ((0, [1], "zeros"), Code.WRONG_TYPE),
        ((0, [1], ["zeroes"]), Code.UNKNOWN_INITIALIZER),
        ((0, [1], [None]), Code.WRONG_TYPE),
        ((0, [1], [{"random_normal": {"stddev": -1}}]), Code.OUT_OF_RANGE),
    ],
)
def test_wrong_parts_are_refused_when_built(arguments: tuple[Any, Any, Any], code: Code) -> None:
    with pytest.raises(InitializerError) as caught:
        Concatenate(*arguments)
    assert caught.value.diagnostics[0].code == code


@pytest.mark.parametrize(
    ("shape", "axis", "message"),
    [
        ((5, 2), 0, "sizes (1, 3) do not add up to 5, the size of axis 0 of (5, 2)"),
        ((5, 4), 2, "shape (5, 4) has no axis 2 to lay parts along"),
        ((), 0, "shape () has no axis 0 to lay parts along"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(shape: tuple[int, ...], axis: int, message: str) -> None:
    with pytest.raises(InitializerError) as caught:
        check(Concatenate(axis, [1, 3], ["zeros", "ones"]), shape, FLOAT32, IN_OUT)
    [diagnostic] = caught.value.diagnostics
    assert (diagnostic.code, diagnostic.message) == (Code.INITIALIZER_SHAPE, message)


def test_what_a_part_refuses_is_refused_at_planning() -> None:
    fused = Concatenate(0, [1, 1], ["ones", "orthogonal"])
    with pytest.raises(InitializerError, match="Orthogonal makes matrices"):
        check(fused, (2,), FLOAT32, IN_OUT)
    with pytest.raises(InitializerError, match="no layout says"):
        check(fused, (2, 2), FLOAT32, None)


def test_sizes_may_be_an_array() -> None:
    whole = Concatenate(0, np.array([1, 2]), ["zeros", "ones"])  # type: ignore[arg-type]
    assert whole.sizes == (1, 2)
    assert whole.get_config()["sizes"] == [1, 2]
