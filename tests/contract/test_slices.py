"""A slice that is made alone is the slice of the whole, bit for bit."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes

from initcfg import materialize
from initcfg.dtypes import DTYPES
from initcfg.generate import work
from initcfg.generate.work import CHUNK
from initcfg.initializers import (
    Concatenate,
    Constant,
    FunctionInitializer,
    GlorotNormal,
    GlorotUniform,
    HeNormal,
    HeUniform,
    Identity,
    Initializer,
    LecunNormal,
    LecunUniform,
    Ones,
    Orthogonal,
    Patch,
    RandomNormal,
    RandomUniform,
    TruncatedNormal,
    VarianceScaling,
    Zeros,
)

FLOATS = [name for name, dtype in DTYPES.items() if dtype.kind == "float"]
EXACT = [Zeros(), Ones(), Constant(1)]
RANDOM = [
    RandomNormal(0.5, 2.0),
    RandomNormal(0.0, 1.0, seed=3),
    RandomUniform(-1.0, 3.0),
    TruncatedNormal(0.0, 0.5),
    TruncatedNormal(1.0, 0.5, low=-1.0, high=4.0),
    GlorotNormal(),
    GlorotUniform(),
    HeNormal(),
    HeUniform(),
    LecunNormal(),
    LecunUniform(),
    VarianceScaling(2.0, "fan_out", "untruncated_normal"),
    FunctionInitializer(lambda shape, dtype=None, *, rng: rng.standard_normal(shape).astype(dtype)),
]


@st.composite
def cuttable(draw: st.DrawFn, shape: tuple[int, ...], depth: int = 2) -> Initializer:
    """An initializer of parts, which may have parts themselves; sometimes one of them cannot be cut."""
    simple = [*RANDOM, Zeros(), Constant([float(number) for number in range(shape[-1])])]
    if len(shape) == 2:
        simple += [Identity(2.0), Orthogonal()]
    if depth == 0 or draw(st.booleans()):
        return draw(st.sampled_from(simple))
    axis = draw(st.integers(0, len(shape) - 1))
    if shape[axis] and draw(st.booleans()):
        start = draw(st.integers(0, shape[axis] - 1))
        stop = draw(st.integers(start + 1, shape[axis]))
        its_shape = (*shape[:axis], stop - start, *shape[axis + 1 :])
        patch = {
            "at": [":"] * axis + [f"{start}:{stop}"],
            "initializer": draw(cuttable(its_shape, depth - 1)),
        }
        return Patch(draw(cuttable(shape, depth - 1)), [patch])
    first = draw(st.integers(0, shape[axis]))
    sizes = (first, shape[axis] - first)
    parts = [draw(cuttable((*shape[:axis], size, *shape[axis + 1 :]), depth - 1)) for size in sizes]
    return Concatenate(axis, sizes, tuple(parts))


@st.composite
def parameters(draw: st.DrawFn) -> tuple[tuple[int, ...], object, str]:
    """A shape, an initializer that can make it, and a dtype that can hold it."""
    shape = draw(array_shapes(min_dims=0, max_dims=4, min_side=1, max_side=12))
    if draw(st.integers(0, 9)) == 0:
        shape = (*shape[:1], 0, *shape[1:])
        return shape, draw(st.sampled_from(EXACT)), draw(st.sampled_from(list(DTYPES)))
    if draw(st.integers(0, 5)) == 0:
        return shape, draw(st.sampled_from(EXACT)), draw(st.sampled_from(list(DTYPES)))
    initializer = draw(st.sampled_from(RANDOM))
    if len(shape) >= 2 and draw(st.integers(0, 4)) == 0:
        initializer = draw(st.one_of(st.just(Orthogonal()), cuttable(shape)))
    return shape, initializer, draw(st.sampled_from(FLOATS))


def assert_same_bits(part: np.ndarray, expected: np.ndarray) -> None:
    assert type(part) is np.ndarray
    assert (part.shape, part.dtype) == (expected.shape, expected.dtype)
    assert part.flags.c_contiguous
    assert part.tobytes() == expected.tobytes()


@settings(max_examples=20 * settings().max_examples)
@given(
    data=st.data(),
    parameter=parameters(),
    chunk=st.sampled_from([7, 64, CHUNK]),
    call=st.sampled_from([1, 100, work.CALL_COST]),
)
def test_a_slice_made_alone_is_the_slice_of_the_whole(
    planned, indices, *, data, parameter, chunk, call
) -> None:
    shape, initializer, dtype = parameter
    whole = planned("w", shape, initializer, dtype=dtype)
    index = data.draw(indices(shape))
    # Small chunks and cheap calls reach on small arrays what happens to large ones.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(work, "CHUNK", chunk)
        patch.setattr(work, "CALL_COST", call)
        part = materialize(whole[index], threads=1)
    assert_same_bits(part, np.asarray(materialize(whole, threads=1)[index]))


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
@pytest.mark.parametrize(
    "index",
    [
        np.s_[1],
        np.s_[:, 1234:5678],
        np.s_[::-1, 3::50_000],
        np.s_[2, 699_999],
        np.s_[..., -1],
        np.s_[1:, ::-1],
        np.s_[:, 100:600_000:7],
    ],
)
def test_slices_across_many_chunks_are_slices_of_the_whole(planned, index, dtype) -> None:
    whole = planned("w", (3, 700_001), RandomNormal(0.0, 1.0), dtype=dtype)
    assert_same_bits(materialize(whole[index], threads=2), np.asarray(materialize(whole, threads=2)[index]))


@pytest.mark.parametrize(("dtype", "words"), [("float32", 1), ("float64", 2)])
def test_a_slice_far_beyond_32_bits_is_made_at_once(planned, dtype, words) -> None:
    # A terabyte and more: only the slice can be made. Block 2**32 begins where the low counter word wraps.
    wrap = 2**32 * 4 // words
    huge = planned("w", (2**40,), RandomNormal(0.0, 1.0), dtype=dtype)
    across = materialize(huge[wrap - 5 : wrap + 7])
    assert_same_bits(materialize(huge[wrap - 5 : wrap + 7 : 3]), across[::3].copy())
    assert_same_bits(
        np.concatenate([materialize(huge[wrap - 5 : wrap]), materialize(huge[wrap : wrap + 7])]), across
    )
    begin = materialize(huge[:12])
    assert not np.array_equal(begin, across)
    folded = planned("w", (2**20, 2**20), RandomNormal(0.0, 1.0), dtype=dtype)
    row, column = divmod(wrap - 5, 2**20)
    assert_same_bits(
        materialize(folded[row, column:]), materialize(huge[wrap - 5 : wrap - 5 + 2**20 - column])
    )
    assert math.prod(folded.shape) == huge.numel


@pytest.mark.parametrize("parts", [1, 2, 3, 7, 64])
@pytest.mark.parametrize("axis", [0, 1])
def test_shards_put_together_are_the_whole(planned, axis, parts) -> None:
    whole = planned("w", (100, 130), TruncatedNormal(0.0, 1.0))
    edges = np.linspace(0, whole.shape[axis], parts + 1).astype(int)
    cuts = [(slice(None),) * axis + (slice(begin, end),) for begin, end in itertools.pairwise(edges)]
    shards = [materialize(whole[cut]) for cut in cuts]
    assert_same_bits(np.concatenate(shards, axis), materialize(whole))
