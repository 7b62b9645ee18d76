"""Identity matrices, and orthogonal ones: right for every shape and layout."""

from __future__ import annotations

import hashlib
import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from initcfg import engines
from initcfg.distributions import Normal
from initcfg.dtypes import as_dtype
from initcfg.errors import Code, InitializerError
from initcfg.initializers import (
    Identity,
    Initializer,
    Mimetic,
    Orthogonal,
    RandomNormal,
    Request,
    Sparse,
    check,
    make,
)
from initcfg.layout import IN_OUT, Layout
from initcfg.stream import Stream

STREAM = Stream.of_parameter(0, "w")


def made(
    initializer: Initializer, shape: tuple[int, ...], layout: str = "in_out", dtype: str = "float32"
) -> np.ndarray:
    return make(initializer, Request(shape, as_dtype(dtype), Layout(layout), STREAM, engines.get_engine()))


def matrix(array: np.ndarray, columns: tuple[int, ...]) -> np.ndarray:
    """The array as the matrix of all other axes against `columns`, in float64."""
    moved = np.moveaxis(array, columns, range(-len(columns), 0)).astype(np.float64)
    width = math.prod(array.shape[axis] for axis in columns)
    return moved.reshape(-1 if array.size else math.prod(moved.shape[: -len(columns)]), width)


def gram_error(found: np.ndarray) -> float:
    """How far the shorter side of a matrix is from orthonormal."""
    tall = found if found.shape[0] >= found.shape[1] else found.T
    return float(abs(tall.T @ tall - np.eye(tall.shape[1])).max(initial=0))


@pytest.mark.parametrize("shape", [(3, 3), (2, 5), (5, 2), (1, 1), (0, 3), (3, 0)])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int8", "bool"])
def test_identity_is_the_identity_matrix(shape: tuple[int, int], dtype: str) -> None:
    np.testing.assert_array_equal(made(Identity(), shape, dtype=dtype), np.eye(*shape, dtype=dtype))


def test_identity_has_its_gain_on_the_diagonal() -> None:
    np.testing.assert_array_equal(made(Identity(-0.1), (2, 3)), np.float32(-0.1) * np.eye(2, 3))


@pytest.mark.parametrize("shape", [(), (3,), (3, 3, 3)])
def test_identity_is_for_matrices_only(shape: tuple[int, ...]) -> None:
    with pytest.raises(InitializerError, match="Identity makes matrices") as caught:
        check(Identity(), shape, as_dtype("float32"), IN_OUT)
    assert caught.value.diagnostics[0].code == Code.INITIALIZER_SHAPE


def test_a_gain_that_the_dtype_cannot_hold_is_refused() -> None:
    with pytest.raises(InitializerError):
        check(Identity(0.5), (2, 2), as_dtype("int8"), IN_OUT)
    with pytest.raises(InitializerError):
        check(Orthogonal(1e6), (2, 2), as_dtype("float16"), IN_OUT)


@given(
    shape=st.lists(st.integers(0, 9), min_size=2, max_size=4).map(tuple),
    layout=st.sampled_from(["in_out", "out_in"]),
    dtype=st.sampled_from(["float32", "float64"]),
)
def test_the_output_axis_against_the_rest_is_orthonormal(
    shape: tuple[int, ...], layout: str, dtype: str
) -> None:
    array = made(Orthogonal(), shape, layout, dtype)
    assert array.shape == shape
    output = len(shape) - 1 if layout == "in_out" else 0
    assert gram_error(matrix(array, (output,))) < {"float32": 1e-5, "float64": 1e-13}[dtype]


@pytest.mark.parametrize(
    "shape", [(1, 1), (300, 300), (129, 128), (128, 129), (1000, 3), (3, 1000), (5, 7, 260)]
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_blocks_of_reflectors_join_without_a_seam(shape: tuple[int, ...], dtype: str) -> None:
    found = matrix(made(Orthogonal(), shape, dtype=dtype), (len(shape) - 1,))
    assert gram_error(found) < {"float32": 1e-5, "float64": 1e-13}[dtype]


@pytest.mark.parametrize(
    ("layout", "shape", "outputs"),
    [
        ("OIHW", (16, 3, 2, 2), (0,)),
        ("HWIO", (2, 2, 3, 16), (3,)),
        ("IOO", (12, 2, 3), (1, 2)),
        ("IIO", (2, 3, 12), (2,)),
    ],
)
def test_letters_say_which_axes_are_the_columns(
    layout: str, shape: tuple[int, ...], outputs: tuple[int, ...]
) -> None:
    assert gram_error(matrix(made(Orthogonal(), shape, layout), outputs)) < 1e-5


@pytest.mark.parametrize(
    ("layout", "shape"), [("BIO", (4, 6, 5)), ("IBO", (6, 4, 5)), ("BIBO", (2, 6, 2, 5))]
)
def test_each_batch_copy_is_orthogonal_and_drawn_from_its_own_child(
    layout: str, shape: tuple[int, ...]
) -> None:
    array = made(Orthogonal(), shape, layout)
    batch = [axis for axis, letter in enumerate(layout) if letter == "B"]
    copies = np.moveaxis(array, batch, range(len(batch))).reshape(4, 6, 5)
    for index, copy in enumerate(copies):
        child = STREAM.child(str(index))
        alone = make(Orthogonal(), Request((6, 5), as_dtype("float32"), IN_OUT, child, engines.get_engine()))
        np.testing.assert_array_equal(copy, alone)
        assert gram_error(copy) < 1e-5


def test_the_gain_scales_the_matrix() -> None:
    np.testing.assert_array_equal(made(Orthogonal(2.0), (5, 3)), 2 * made(Orthogonal(), (5, 3)))
    np.testing.assert_array_equal(made(Orthogonal(-2.0), (3, 5)), -2 * made(Orthogonal(), (3, 5)))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float8_e4m3fn", "float8_e5m2"])
def test_narrow_floats_are_the_float32_matrix_rounded(dtype: str) -> None:
    wide = made(Orthogonal(), (20, 10))
    np.testing.assert_array_equal(
        made(Orthogonal(), (20, 10), dtype=dtype), wide.astype(as_dtype(dtype).numpy)
    )


def test_a_call_repeats_bit_for_bit() -> None:
    np.testing.assert_array_equal(made(Orthogonal(), (200, 150)), made(Orthogonal(), (200, 150)))


def test_the_result_is_contiguous_whatever_the_layout() -> None:
    for layout, shape in (("OIHW", (4, 3, 2, 2)), ("out_in", (3, 9)), ("IBO", (3, 2, 4))):
        assert made(Orthogonal(), shape, layout).flags.c_contiguous


@pytest.mark.parametrize("shape", [(), (3,)])
def test_orthogonal_needs_two_axes(shape: tuple[int, ...]) -> None:
    with pytest.raises(InitializerError, match="Orthogonal makes matrices") as caught:
        check(Orthogonal(), shape, as_dtype("float32"), IN_OUT)
    assert caught.value.diagnostics[0].code == Code.INITIALIZER_SHAPE


@pytest.mark.parametrize("dtype", ["int32", "bool"])
def test_orthogonal_needs_a_float(dtype: str) -> None:
    with pytest.raises(InitializerError, match="cannot be held") as caught:
        check(Orthogonal(), (3, 3), as_dtype(dtype), IN_OUT)
    assert caught.value.diagnostics[0].code == Code.DISTRIBUTION


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "float8_e4m3fn"])
@pytest.mark.parametrize("gain", [1.0, 1e-40])
def test_the_settings_of_the_caller_do_not_matter(dtype: str, gain: float) -> None:
    with np.errstate(all="raise"):
        strict = made(Orthogonal(gain), (150, 40), dtype=dtype)
    assert strict.tobytes() == made(Orthogonal(gain), (150, 40), dtype=dtype).tobytes()


def test_threads_that_ask_at_once_get_what_each_gets_alone() -> None:
    shapes = [(90, 40), (40, 90), (300, 300)] * 2
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda shape: made(Orthogonal(), shape), shapes))
    for shape, array in zip(shapes, together, strict=True):
        np.testing.assert_array_equal(array, made(Orthogonal(), shape))


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
@pytest.mark.parametrize("shape", [(3, 5, 4), (3, 4, 5), (400, 20, 20)])
def test_the_order_of_the_axes_moves_the_matrices_and_changes_no_more_than_rounding(
    dtype: str, shape: tuple[int, int, int]
) -> None:
    usual = made(Orthogonal(0.5), shape, "BIO", dtype).astype(np.float64)
    for layout in ("BOI", "IBO", "OIB"):
        order = ["BIO".index(letter) for letter in layout]
        other = made(Orthogonal(0.5), tuple(shape[axis] for axis in order), layout, dtype)
        back = other.transpose(np.argsort(order)).astype(np.float64)
        np.testing.assert_allclose(back, usual, rtol=0, atol=2**-9 if dtype == "bfloat16" else 1e-6)


@given(
    rows=st.integers(0, 12),
    columns=st.integers(0, 12),
    sparsity=st.floats(0, 1),
    layout=st.sampled_from(["in_out", "out_in"]),
)
def test_each_input_of_a_sparse_matrix_has_its_share_of_zeros(
    rows: int, columns: int, sparsity: float, layout: str
) -> None:
    array = made(Sparse(sparsity, 0.5), (rows, columns), layout, "float64")
    dense = made(RandomNormal(0.0, 0.5), (rows, columns), layout, "float64")
    outputs = 0 if layout == "out_in" else 1
    zeros = (array == 0).sum(axis=outputs)
    assert (zeros == math.ceil(sparsity * array.shape[outputs])).all()
    np.testing.assert_array_equal(array[array != 0], dense[array != 0])


def test_every_choice_of_zeros_is_equally_likely() -> None:
    """Chi-square over the six ways to choose two places of four, at a seed that was not chosen."""
    array = made(Sparse(0.5), (6000, 4))
    patterns, counts = np.unique(array == 0, axis=0, return_counts=True)
    assert len(patterns) == 6
    assert ((counts - 1000) ** 2 / 1000).sum() < 20.5  # the 0.999 quantile of five degrees of freedom


def test_the_bits_of_a_sparse_matrix_are_kept() -> None:
    """Written once by this code; numpy sorts, and IEEE comparisons decide."""
    digests = {
        (layout, dtype): hashlib.sha256(made(Sparse(0.3), (31, 17), layout, dtype).tobytes()).hexdigest()[:16]
        for layout in ("in_out", "out_in")
        for dtype in ("float32", "float64")
    }
    assert digests == {
        ("in_out", "float32"): "76d2de08fc25924c",
        ("in_out", "float64"): "b2e7b18008bcda6b",
        ("out_in", "float32"): "08958fbedc2d9000",
        ("out_in", "float64"): "3d2a4659d9ac61c4",
    }


@pytest.mark.parametrize(("shape", "layout"), [((3,), "in_out"), ((3, 3, 3), "in_out"), ((3, 3), "OB")])
def test_sparse_is_for_matrices_only(shape: tuple[int, ...], layout: str) -> None:
    with pytest.raises(InitializerError, match="Sparse makes matrices") as caught:
        check(Sparse(0.5), shape, as_dtype("float32"), Layout(layout))
    assert caught.value.diagnostics[0].code == Code.INITIALIZER_SHAPE


SIDES = ("query", "key", "value", "output")


def mimetic_sides(heads: int, shape: tuple[int, int] = (64, 64)) -> list[np.ndarray]:
    shapes = {"output": shape[::-1]}
    return [made(Mimetic(side, heads), shapes.get(side, shape), dtype="float64") for side in SIDES]  # type: ignore[arg-type]


@pytest.mark.parametrize("heads", [1, 4])
def test_mimetic_products_are_near_the_identity_and_its_opposite(heads: int) -> None:
    query, key, value, output = mimetic_sides(heads)
    for product, alpha, beta in ((value @ output, 0.4, -0.4), (query @ key.T, 0.7, 0.7)):
        if heads == 1 or beta < 0:
            rest = (product - beta * np.eye(64)) * math.sqrt(64) / alpha
            assert stats.kstest(rest.reshape(-1), "norm").pvalue > 1e-3
            assert rest.std() == pytest.approx(1, abs=0.05)
    for at in range(0, 64, 64 // heads):
        mine = slice(at, at + 64 // heads)
        # A part of the singular vectors is the nearest matrix of that rank to one near the identity.
        assert np.linalg.matrix_rank(query[:, mine] @ key[:, mine].T) == 64 // heads
        left, right = (each[:, mine].T @ each[:, mine] for each in (query, key))
        assert np.allclose(left, np.diag(left.diagonal()), atol=1e-12)
        assert np.allclose(left, right, atol=1e-12)
        assert (np.diff(left.diagonal()) < 0).all()


def test_mimetic_heads_are_what_numpy_decomposes() -> None:
    query, key, *_ = mimetic_sides(2, (6, 4))
    for head in range(2):
        drawn = np.empty(36)
        stream = STREAM.child("query_key").child(str(head))
        engines.get_engine()(drawn, Normal(0.0, 1.0), stream, 0)
        left, values, right = np.linalg.svd(0.7 * drawn.reshape(6, 6) / math.sqrt(6) + 0.7 * np.eye(6))
        nearest = left[:, :2] * values[:2] @ right[:2]
        mine = slice(2 * head, 2 * head + 2)
        assert np.allclose(query[:, mine] @ key[:, mine].T, nearest, atol=1e-12)
        assert (query[:, mine][np.abs(query[:, mine]).argmax(0), [0, 1]] > 0).all()


def test_fused_mimetic_weights_are_the_three_side_by_side() -> None:
    fused = made(Mimetic("fused", 2), (8, 24), dtype="float64")
    apart = np.concatenate(mimetic_sides(2, (8, 8))[:3], axis=1)
    assert np.array_equal(fused, apart)
    assert np.array_equal(made(Mimetic("fused", 2), (24, 8), "out_in", "float64"), apart.T)
    assert np.array_equal(made(Mimetic("query", 2), (8, 2, 4), "IOO", "float64").reshape(8, 8), apart[:, :8])


@pytest.mark.parametrize(
    ("initializer", "shape"),
    [
        (Mimetic("query", 3), (8, 8)),
        (Mimetic("value"), (4, 8)),
        (Mimetic("output"), (8, 4)),
        (Mimetic("fused"), (8, 16)),
        (Mimetic("key"), (2, 8, 8)),
    ],
)
def test_mimetic_weights_that_do_not_fit_are_refused(initializer: Mimetic, shape: tuple[int, ...]) -> None:
    with pytest.raises(InitializerError, match="heads") as caught:
        check(initializer, shape, as_dtype("float32"), IN_OUT)
    assert caught.value.diagnostics[0].code is Code.INITIALIZER_SHAPE


def test_fused_mimetic_weights_have_the_published_numbers() -> None:
    with pytest.raises(InitializerError, match="parts of two"):
        Mimetic("fused", alpha=0.5)
