"""Random frames are Haar distributed, and the tests notice faults that are planted."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from scipy import stats

from initcfg import engines
from initcfg.distributions import Normal, Uniform
from initcfg.initializers.frames import block_size, draw_frames
from initcfg.stream import Stream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from initcfg.distributions import Distribution
    from initcfg.engines import FillFunction

FLOAT64 = np.dtype("float64")
SAMPLES = 4000
LEAST = 1e-4
BLOCK = block_size(10**6)
STREAM = Stream.of_parameter(0, "frame")


def random_frame(
    rows: int, columns: int, dtype: np.dtype[Any], stream: Stream, fill: FillFunction
) -> np.ndarray:
    """One frame of its own."""
    frame = np.empty((1, rows, columns), dtype)
    draw_frames(frame, [stream], fill)
    return frame[0]


def random_frames(rows: int, columns: int, fill: FillFunction) -> np.ndarray:
    """A stack of SAMPLES frames."""
    stack = np.empty((SAMPLES, rows, columns))
    draw_frames(stack, [STREAM] * SAMPLES, fill)
    return stack


def frames(rows: int, columns: int, make: Callable[..., np.ndarray] = random_frames) -> np.ndarray:
    """SAMPLES frames; one draw serves all, each taking the next piece of it."""
    pool: dict[Distribution, Iterator[np.ndarray]] = {}

    def fill(out: np.ndarray, distribution: Distribution, stream: Stream, start: int) -> None:
        if distribution not in pool:
            drawn = np.empty((SAMPLES, out.size))
            engines.get_engine()(drawn.reshape(-1), distribution, stream, start)
            pool[distribution] = iter(drawn)
        out[...] = next(pool[distribution])

    return make(rows, columns, fill)


def p_values(sample: np.ndarray) -> dict[str, float]:
    """Probabilities of statistics whose law under Haar measure is known."""
    n, k = sample.shape[1:]
    beta = stats.beta(0.5, (n - 1) / 2)
    values = {
        f"squared element {i}{j}": stats.kstest(sample[:, i, j] ** 2, beta.cdf).pvalue
        for i in range(n)
        for j in range(k)
    }
    # Rotating by a fixed orthogonal matrix, on either side, changes nothing.
    rotation = stats.special_ortho_group.rvs(n, random_state=1)
    values["left rotation"] = stats.kstest((rotation @ sample)[:, 0, 0] ** 2, beta.cdf).pvalue
    turn = stats.special_ortho_group.rvs(k, random_state=2) if k > 1 else np.eye(1)
    values["right rotation"] = stats.kstest((sample @ turn)[:, 0, 0] ** 2, beta.cdf).pvalue
    # The signs of two elements that share neither a row nor a column are fair and independent coins.
    for i, j in ((0, 0), (1, 1), (n - 1, k - 1)):
        heads = int((sample[:, i, j] > 0).sum())
        values[f"sign {i}{j}"] = stats.binomtest(heads, SAMPLES).pvalue
    alike = int((sample[:, 0, 0] * sample[:, 1, k - 1] > 0).sum())
    values["signs together"] = stats.binomtest(alike, SAMPLES).pvalue
    return values


@pytest.mark.parametrize(("rows", "columns"), [(2, 2), (3, 3), (4, 2), (6, 5)])
def test_frames_are_haar_distributed(rows: int, columns: int) -> None:
    worst = min(p_values(frames(rows, columns)).items(), key=lambda item: item[1])
    assert worst[1] > LEAST, worst


def test_square_frames_have_the_traces_of_the_orthogonal_group() -> None:
    # Diaconis and Shahshahani (1994): for n = 4, E tr Q = 0, E (tr Q)^2 = 1, E tr Q^2 = 1.
    sample = frames(4, 4)
    traces = np.trace(sample, axis1=1, axis2=2)
    squares = np.trace(sample @ sample, axis1=1, axis2=2)
    for values, mean in ((traces, 0), (traces**2, 1), (squares, 1)):
        assert abs(values.mean() - mean) < 4 * values.std() / np.sqrt(SAMPLES)


def test_both_determinants_occur_equally_often() -> None:
    positive = int((np.linalg.det(frames(3, 3)) > 0).sum())
    assert stats.binomtest(positive, SAMPLES).pvalue > LEAST


def without_signs(*arguments: Any) -> np.ndarray:
    """A fault: LAPACK's convention, in which the signs of R are not mended."""
    found = random_frames(*arguments)
    return found * np.where(found[:, :1] < 0, -1, 1)


def of_uniforms(rows: int, columns: int, fill: FillFunction) -> np.ndarray:
    """A fault: reflectors of uniform vectors, whose directions favour the corners of a cube."""

    def uniform(out: np.ndarray, distribution: Distribution, stream: Stream, start: int) -> None:
        fill(out, Uniform(-1.0, 1.0), stream, start)

    return random_frames(rows, columns, uniform)


def proper_only(*arguments: Any) -> np.ndarray:
    """A fault: rotations without reflections."""
    found = random_frames(*arguments)
    found[:, :, 0] *= np.linalg.det(found)[:, np.newaxis]
    return found


@pytest.mark.parametrize("fault", [without_signs, of_uniforms])
def test_a_frame_that_is_not_haar_is_noticed(fault: Callable[..., np.ndarray]) -> None:
    assert min(p_values(frames(2, 2, fault)).values()) < LEAST


def test_missing_reflections_are_noticed() -> None:
    assert (np.linalg.det(frames(2, 2, proper_only)) > 0).all()


@pytest.mark.parametrize("rows", [1, 5, 33, 64, 67, 200, 2 * BLOCK])
def test_blocks_give_what_reflectors_one_by_one_give(rows: int) -> None:
    columns = max(1, rows - 2)
    fill = engines.get_engine()
    normals = np.empty(sum(rows - j for j in range(columns)))
    fill(normals, Normal(0.0, 1.0), STREAM, 0)
    product, at = np.eye(rows), 0
    for j in range(columns):
        x = normals[at : at + rows - j]
        at += rows - j
        # H_j sends x to r e1; column j of Q takes the sign that makes r positive.
        r = -np.copysign(np.linalg.norm(x), x[0])
        v = x.copy()
        v[0] -= r
        product[:, j:] -= np.outer(product[:, j:] @ v, v) * (2 / (v @ v))
        product[:, j] *= np.sign(r)
    found = random_frame(rows, columns, FLOAT64, STREAM, fill)
    assert abs(found - product[:, :columns]).max() < 1e-12


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (7, 3), (100, 70)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_frame_of_a_stack_is_the_one_drawn_alone(rows: int, columns: int, dtype: str) -> None:
    streams = [STREAM.child(str(index)) for index in range(5)]
    stack = np.empty((5, rows, columns), dtype)
    draw_frames(stack, streams, engines.get_engine())
    for frame, stream in zip(stack, streams, strict=True):
        alone = random_frame(rows, columns, np.dtype(dtype), stream, engines.get_engine())
        np.testing.assert_array_equal(frame, alone)


@pytest.mark.parametrize(("rows", "columns"), [(70, 70), (300, 140)])
def test_a_frame_is_drawn_into_memory_in_either_order(rows: int, columns: int) -> None:
    by_row = random_frame(rows, columns, FLOAT64, STREAM, engines.get_engine())
    by_column = np.empty((1, columns, rows)).swapaxes(1, 2)
    draw_frames(by_column, [STREAM], engines.get_engine())
    np.testing.assert_allclose(by_column[0], by_row, rtol=0, atol=1e-14)


def test_no_product_of_a_small_frame_takes_a_second_thread_of_blas(monkeypatch) -> None:
    taken: list[int] = []
    multiply = np.matmul

    def counted(left: np.ndarray, right: np.ndarray, out: np.ndarray) -> np.ndarray:
        taken.append(left.shape[-2] * left.shape[-1] * right.shape[-1])
        return multiply(left, right, out=out)

    monkeypatch.setattr(np, "matmul", counted)
    for size in (100, 256, 257, 300):
        frame = random_frame(size, size, FLOAT64, STREAM, engines.get_engine())
        assert np.allclose(frame.T @ frame, np.eye(size), atol=1e-12)
    # From 2**18 for each of two threads on, OpenBLAS takes them (its interface/gemm.c).
    assert max(taken) < 2**19
    assert sum(taken) > 2**25


def test_zeros_as_normals_give_a_frame_all_the_same() -> None:
    def zeros(out: np.ndarray, distribution: Distribution, stream: Stream, start: int) -> None:
        out[...] = 0

    frame = random_frame(5, 3, FLOAT64, STREAM, zeros)
    np.testing.assert_allclose(frame.T @ frame, np.eye(3), atol=1e-15)


@pytest.mark.parametrize(("rows", "columns"), [(0, 0), (3, 0)])
def test_empty_frames_are_empty(rows: int, columns: int) -> None:
    assert random_frame(rows, columns, FLOAT64, STREAM, engines.get_engine()).shape == (rows, columns)


@pytest.mark.parametrize("rows", [BLOCK + 9, 2 * BLOCK + 9])
def test_each_normal_is_drawn_once_from_its_own_place_in_the_stream(rows: int) -> None:
    drawn = []

    def spy(out: np.ndarray, distribution: Distribution, stream: Stream, start: int) -> None:
        drawn.append((start, start + out.size))
        engines.get_engine()(out, distribution, stream, start)

    columns = rows - 4
    random_frame(rows, columns, FLOAT64, STREAM, spy)
    intervals = sorted(drawn)
    assert intervals[0][0] == 0
    assert all(left[1] == right[0] for left, right in itertools.pairwise(intervals))
    assert intervals[-1][1] == sum(rows - j for j in range(columns))


@pytest.mark.parametrize("rows", [10**6, 10**7])
def test_a_column_of_millions_has_length_1(rows: int) -> None:
    column = random_frame(rows, 1, np.dtype("float32"), STREAM, engines.get_engine())
    assert abs(np.square(column, dtype=np.float64).sum() - 1) < 1e-6


@pytest.mark.parametrize(("rows", "columns"), [(64, 64), (256, 256), (512, 512), (3000, 40), (100_000, 8)])
def test_frames_are_as_orthogonal_as_rounding_allows(rows: int, columns: int) -> None:
    frame = random_frame(rows, columns, np.dtype("float32"), STREAM, engines.get_engine()).astype(np.float64)
    error = frame.T @ frame - np.eye(columns)
    # torch.nn.init.orthogonal_ comes to 4e-7 and more, and at 256 to 5.2e-7.
    assert abs(error).max() < 3e-7
    assert np.linalg.norm(error) / np.sqrt(columns) < 5.2e-7
