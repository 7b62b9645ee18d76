"""The parts of a fused parameter are what they would be on their own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import initcfg
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
    Patch,
    RandomNormal,
    RepeatOf,
    Request,
    Zeros,
    check,
    draw,
    is_cut,
    make,
    resolve,
    serialize,
)
from initcfg.layout import IN_OUT, Layout, known_fans
from initcfg.stream import Stream

FLOAT32 = as_dtype("float32")
STREAM = Stream.of_parameter(0, "qkv")


def wanted(shape: tuple[int, ...]) -> Request:
    return Request(shape, FLOAT32, IN_OUT, STREAM, engines.get_engine())


def made(
    initializer: Any, shape: tuple[int, ...], layout: Layout = IN_OUT, stream: Stream = STREAM
) -> np.ndarray:
    return make(initializer, Request(shape, FLOAT32, layout, stream, engines.get_engine()))


def part_shapes(shape: tuple[int, ...], axis: int, sizes: list[int]) -> list[tuple[int, ...]]:
    return [part.shape for part in Concatenate.divide(shape, None, {"axis": axis, "sizes": sizes})]


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
        [np.full(part, index) for index, part in enumerate(part_shapes(tuple(shape), axis, sizes))],
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
    shapes = part_shapes(shape, axis, sizes)
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


# --- Patches ------------------------------------------------------------------------------------------------


def over(base: Any, *patches: tuple[list[int | str], Any]) -> Patch:
    return Patch(base, [{"at": at, "initializer": each} for at, each in patches])


def as_index(at: list[int | str]) -> tuple[int | slice, ...]:
    """What numpy takes for the same positions."""
    return tuple(
        slice(*(int(half) if half else None for half in entry.split(":")))
        if isinstance(entry, str)
        else entry
        for entry in at
    )


@st.composite
def entries(draw_from: st.DrawFn, size: int) -> int | str:
    """An entry of ``at`` that takes something of an axis."""
    start = draw_from(st.integers(0, size - 1))
    stop = draw_from(st.integers(start + 1, size))
    if draw_from(st.booleans()):
        return draw_from(st.sampled_from([start, start - size]))
    first = draw_from(st.sampled_from([str(start), str(start - size), *([""] if not start else [])]))
    last = str(stop) if stop < size and draw_from(st.booleans()) else str(stop - size or size)
    return f"{first}:{draw_from(st.sampled_from([last, '']) if stop == size else st.just(last))}"


@st.composite
def patched(draw_from: st.DrawFn, *, apart: bool = True) -> tuple[tuple[int, ...], list[list[int | str]]]:
    """A shape, and places in it, which do not overlap if they are to be apart."""
    shape = tuple(draw_from(st.lists(st.integers(1, 5), max_size=4)))
    places: list[list[int | str]] = []
    taken = np.zeros(shape, bool)
    for _ in range(draw_from(st.integers(0, 4))):
        count = draw_from(st.integers(0, len(shape)))
        at = [draw_from(entries(size)) for size in shape[:count]]
        if not apart or not taken[as_index(at)].any():
            taken[as_index(at)] = True
            places.append(at)
    return shape, places


@given(case=patched(), data=st.data())
def test_patches_are_what_numpy_would_assign_and_so_is_any_stretch(
    case: tuple[tuple[int, ...], list[list[int | str]]], data: st.DataObject
) -> None:
    shape, places = case
    whole = over(RandomNormal(), *((at, RandomNormal()) for at in places))
    expected = made(RandomNormal(), shape)
    for share, at in zip(whole.divide(shape, IN_OUT, vars(whole))[1:], places, strict=True):
        assert share.shape == expected[as_index(at)].shape
        assert share.label is not None
        expected[as_index(at)] = made(RandomNormal(), share.shape, stream=STREAM.child(share.label))
    np.testing.assert_array_equal(made(whole, shape), expected)
    start = data.draw(st.integers(0, expected.size))
    found = np.empty(data.draw(st.integers(0, expected.size - start)), np.float32)
    draw(whole, found, start, wanted(shape))
    np.testing.assert_array_equal(found, expected.reshape(-1)[start : start + len(found)])
    assert is_cut(whole)


@given(case=patched(apart=False))
def test_patches_that_overlap_are_refused_and_no_others(
    case: tuple[tuple[int, ...], list[list[int | str]]],
) -> None:
    shape, places = case
    taken = np.zeros(shape, int)
    for at in places:
        taken[as_index(at)] += 1
    try:
        check(over("zeros", *((at, "ones") for at in places)), shape, FLOAT32, IN_OUT)
    except InitializerError as error:
        assert error.diagnostics[0].message.startswith("this patch overlaps patch")  # noqa: PT017
        assert taken.max() > 1
    else:
        assert taken.max(initial=0) < 2


def test_a_patch_leaves_the_other_values_as_they_were() -> None:
    plain = made(RandomNormal(), (6, 4))
    one = made(over(RandomNormal(), ([0], "zeros")), (6, 4))
    two = made(over(RandomNormal(), ([2, "1:3"], RandomNormal()), ([0], "zeros")), (6, 4))
    np.testing.assert_array_equal(one[1:], plain[1:])
    np.testing.assert_array_equal(two[3:], plain[3:])
    alone = made(over(RandomNormal(), ([2, "1:3"], RandomNormal())), (6, 4))
    np.testing.assert_array_equal(two[2], alone[2])


@pytest.mark.parametrize("same", [[3], [-3], [3, ":"], [3, "0:4"], [3, "-4:"]])
def test_a_place_has_one_stream_however_it_is_written(same: list[int | str]) -> None:
    found = made(over("zeros", (same, RandomNormal())), (6, 4))
    np.testing.assert_array_equal(found[3], made(RandomNormal(), (4,), stream=STREAM.child("at 3")))


def test_patches_within_patches_draw_from_streams_of_their_own() -> None:
    inner = over("zeros", ([1], RandomNormal()))
    found = made(over(inner, ([0], RandomNormal())), (3, 8))
    assert not np.isin(found[0], found[1]).any()


@pytest.mark.parametrize(
    ("layout", "shape", "at", "expected"),
    [
        ("in_out", (3, 3, 4, 8), [1, 1], ("in_out", 4, 8)),
        ("in_out", (3, 3, 4, 8), [":", ":", ":", 0], ("KKI", 36, 9)),
        ("out_in", (8, 4, 3), [0], ("IK", 12, 3)),
        ("in_out", (10, 6), [0], ("O", 1, 6)),
        ("in_out", (10, 6), ["1:4"], ("in_out", 3, 6)),
        ("BIO", (5, 4, 8), [0], ("IO", 4, 8)),
        ("OIK", (8, 4, 3), [0, 0], (None, 3, 3)),
        ("in_out", (10,), [0], ("in_out", 1, 1)),
    ],
)
def test_a_patch_has_the_layout_and_the_fans_of_what_is_left(
    layout: str, shape: tuple[int, ...], at: list[int | str], expected: tuple[str | None, int, int]
) -> None:
    arguments = {"patches": [{"at": at}]}
    _, part = Patch.divide(shape, Layout(layout), arguments)
    fans = known_fans(part.shape, part.layout)
    assert (part.layout and part.layout.name, *(fans or ())) == expected


def test_delta_orthogonal_is_a_patch() -> None:
    found = made(over("zeros", ([1, 1], "orthogonal")), (3, 3, 4, 8))
    np.testing.assert_array_equal(found[1, 1], made(Orthogonal(), (4, 8), stream=STREAM.child("at 1,1")))
    np.testing.assert_allclose(found[1, 1] @ found[1, 1].T, np.eye(4), atol=1e-6)
    found[1, 1] = 0
    assert not found.any()


def test_a_patch_with_a_seed_of_its_own_keeps_it() -> None:
    part = RandomNormal(seed=5)
    found = made(over(RandomNormal(seed=1), ([0], part)), (2, 3))
    np.testing.assert_array_equal(found[0], part((3,)))
    np.testing.assert_array_equal(found[1], RandomNormal(seed=1)((2, 3))[1])


@pytest.mark.parametrize(
    ("at", "message"),
    [
        ([4], "4 lies outside axis 0 of shape (4, 3)"),
        ([-5], "-5 lies outside axis 0 of shape (4, 3)"),
        ([":", ":4"], "4 lies outside axis 1 of shape (4, 3)"),
        (["2:2"], "'2:2' takes nothing of axis 0 of shape (4, 3)"),
        (["-1:1"], "'-1:1' takes nothing of axis 0 of shape (4, 3)"),
        ([0, 0, 0], "'at' has 3 entries, and shape (4, 3) has 2 axes"),
    ],
)
def test_places_outside_the_shape_and_empty_ones_are_refused(at: list[int | str], message: str) -> None:
    with pytest.raises(InitializerError) as caught:
        check(over("zeros", (at, "ones")), (4, 3), FLOAT32, IN_OUT)
    [diagnostic] = caught.value.diagnostics
    assert (diagnostic.code, diagnostic.message) == (Code.INITIALIZER_SHAPE, message)
    assert diagnostic.where is not None
    assert diagnostic.where.path[:3] == ("patches", 0, "at")


@pytest.mark.parametrize(
    ("patches", "code"),
    [
        (3, Code.WRONG_TYPE),
        ([3], Code.WRONG_TYPE),
        ([{"at": [0]}], Code.MISSING_KEY),
        ([{"initializer": "zeros"}], Code.MISSING_KEY),
        ([{"at": [0], "initializer": "zeros", "axis": 1}], Code.UNKNOWN_KEY),
        ([{"at": 0, "initializer": "zeros"}], Code.WRONG_TYPE),
        ([{"at": [True], "initializer": "zeros"}], Code.WRONG_TYPE),
        ([{"at": [0.5], "initializer": "zeros"}], Code.WRONG_TYPE),
        ([{"at": ["n"], "initializer": "zeros"}], Code.WRONG_TYPE),
        ([{"at": ["0:3:2"], "initializer": "zeros"}], Code.WRONG_TYPE),
        ([{"at": [0], "initializer": "zeroes"}], Code.UNKNOWN_INITIALIZER),
        ([{"at": [0], "initializer": {"random_normal": {"stddev": -1}}}], Code.OUT_OF_RANGE),
        ([{"at": [at], "initializer": "ones"} for at in range(1025)], Code.INITIALIZER_CONFIG),
    ],
)
def test_wrong_patches_are_refused_when_built(patches: Any, code: Code) -> None:
    with pytest.raises(InitializerError) as caught:
        Patch("zeros", patches)
    assert caught.value.diagnostics[0].code == code


def test_the_config_of_a_patch_nests_that_of_its_parts() -> None:
    found = Patch(HeNormal(), [{"at": [np.int64(0), " 1 : "], "initializer": "ones"}])
    assert found.get_config() == {
        "base": serialize(HeNormal()),
        "patches": [{"at": [0, "1:"], "initializer": serialize(Ones())}],
    }
    assert found.clone() == found
    assert hash(found.clone()) == hash(found)


@given(shape=st.lists(st.integers(0, 4), min_size=1, max_size=3), times=st.integers(1, 3), data=st.data())
def test_repeating_is_that_of_numpy_and_each_stretch_that_of_the_whole(shape, times, data):
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    whole = list(shape)
    whole[axis] *= times
    base = RandomNormal(seed=3)(tuple(shape))
    made = RepeatOf(RandomNormal(seed=3), axis, times)
    np.testing.assert_array_equal(made(tuple(whole)), np.repeat(base, times, axis=axis))
    written = {"repeat_of": {"of": "random_normal", "axis": axis, "times": times}}
    plan = initcfg.make_plan({"initcfg": 1, "params": {"w": {"shape": whole, "initializer": written}}})
    start = data.draw(st.integers(0, whole[0]))
    cut = initcfg.materialize(plan["w"][start:])
    np.testing.assert_array_equal(cut, initcfg.materialize(plan)["w"][start:])


def test_what_does_not_divide_is_not_repeated():
    with pytest.raises(InitializerError, match="3 does not divide 4"):
        RepeatOf("ones", 0, 3)((4, 2))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_every_stretch_of_what_is_repeated_is_that_of_the_whole(axis):
    shape = tuple(6 if at == axis else 2 for at in range(3))
    repeated, request = (
        RepeatOf("random_normal", axis, 3),
        Request(shape, FLOAT32, IN_OUT, STREAM, engines.get_engine()),
    )
    whole = make(repeated, request).reshape(-1)
    for start in range(whole.size):
        for stop in range(start, whole.size + 1):
            out = np.empty(stop - start, np.float32)
            draw(repeated, out, start, request)
            np.testing.assert_array_equal(out, whole[start:stop])
