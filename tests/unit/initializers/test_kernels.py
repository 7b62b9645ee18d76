"""Kernels of convolutions: Dirac's, delta-orthogonal and orthogonal ones, under every layout."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.linalg import hadamard

from initcfg import engines
from initcfg.dtypes import as_dtype
from initcfg.errors import Code, InitializerError
from initcfg.initializers import (
    ConvolutionalOrthogonal,
    ConvolutionAware,
    DeltaOrthogonal,
    Dirac,
    HadamardIdentity,
    Initializer,
    LooksLinear,
    Orthogonal,
    Request,
    check,
    draw,
    make,
)
from initcfg.layout import IN_OUT, Layout
from initcfg.stream import Stream

STREAM = Stream.of_parameter(0, "w")


def request(shape: tuple[int, ...], layout: str, dtype: str = "float64") -> Request:
    return Request(shape, as_dtype(dtype), Layout(layout), STREAM, engines.get_engine())


def made(initializer: Initializer, shape: tuple[int, ...], layout: str = "in_out") -> np.ndarray:
    return make(initializer, request(shape, layout))


def length_error(kernel: np.ndarray) -> float:
    """How far the circular convolution with a kernel (..., in, out) is from keeping lengths."""
    positions = list(np.ndindex(kernel.shape[:-2]))
    worst = 0.0
    for shift in itertools.product(*(range(1 - size, size) for size in kernel.shape[:-2])):
        product = np.zeros((kernel.shape[-2],) * 2)
        for place in positions:
            other = tuple(one + by for one, by in zip(place, shift, strict=True))
            if other in positions:
                product += kernel[place] @ kernel[other].T
        wanted = np.zeros_like(product) if any(shift) else np.eye(len(product))
        worst = max(worst, float(abs(product - wanted).max(initial=0)))
    return worst


def reference_dirac(shape: tuple[int, ...], groups: int) -> np.ndarray:
    """PyTorch's loop."""
    found = np.zeros(shape)
    outputs = shape[0] // groups
    for group in range(groups):
        for channel in range(min(outputs, shape[1])):
            found[(group * outputs + channel, channel, *(size // 2 for size in shape[2:]))] = 1
    return found


@given(data=st.data(), kernel=st.lists(st.integers(1, 5), max_size=3), groups=st.integers(1, 4))
def test_dirac_is_pytorch_s_under_any_layout(data: st.DataObject, kernel: list[int], groups: int) -> None:
    shape = (groups * data.draw(st.integers(0, 4)), data.draw(st.integers(0, 6)), *kernel)
    expected = reference_dirac(shape, groups)
    np.testing.assert_array_equal(made(Dirac(groups), shape, "out_in"), expected)
    order = data.draw(st.permutations(range(len(shape))))
    letters = "".join("OI"[axis] if axis < 2 else "K" for axis in order)
    turned = tuple(shape[axis] for axis in order)
    np.testing.assert_array_equal(made(Dirac(groups), turned, letters), expected.transpose(order))


@pytest.mark.parametrize("initializer", [Dirac(2), HadamardIdentity()])
@given(start=st.integers(0, 288), size=st.integers(0, 288))
def test_any_stretch_is_that_of_the_whole(initializer: Initializer, start: int, size: int) -> None:
    wanted = request((2, 4, 3, 4, 3), "BOKIK")
    whole = make(initializer, wanted)
    out = np.full(min(size, 288 - start), 7.0)
    draw(initializer, out, start, wanted)
    np.testing.assert_array_equal(out, whole.reshape(-1)[start : start + size])
    np.testing.assert_array_equal(whole[0], whole[1])
    assert whole.sum() == 2 * 4


@given(outputs=st.integers(1, 40), inputs=st.integers(1, 40), kernel=st.lists(st.integers(1, 4), max_size=2))
def test_zero_s_matrix_is_its_authors(outputs: int, inputs: int, kernel: list[int]) -> None:
    """With scipy's Hadamard matrix, and their constant."""
    expected = np.eye(outputs, inputs)
    if outputs > inputs:
        power = math.ceil(math.log2(outputs))
        expected = hadamard(2**power)[:outputs, :inputs] / 2 ** (power / 2)
    array = made(HadamardIdentity(), (outputs, inputs, *kernel), "out_in")
    centre: Any = (slice(None), slice(None), *(size // 2 for size in kernel))
    np.testing.assert_allclose(array[centre], expected, rtol=1e-15)
    array[centre] = 0
    assert not array.any()


def test_zero_s_matrix_keeps_lengths_where_outputs_are_a_power_of_two() -> None:
    array = made(HadamardIdentity(), (5, 8))
    np.testing.assert_allclose(array @ array.T, np.eye(5), atol=1e-15)


def test_zero_s_matrix_is_in_integers_only_where_it_is_an_identity() -> None:
    np.testing.assert_array_equal(make(HadamardIdentity(), request((3, 2), "in_out", "int8")), np.eye(3, 2))
    with pytest.raises(InitializerError):
        check(HadamardIdentity(), (2, 3), as_dtype("int8"), IN_OUT)


@given(outputs=st.integers(1, 4), inputs=st.integers(1, 4), kernel=st.lists(st.integers(1, 3), max_size=2))
def test_looks_linear_is_linear_through_a_relu(outputs: int, inputs: int, kernel: list[int]) -> None:
    """Of a kernel at each of its positions, which a convolution sums over."""
    array = made(LooksLinear(0.5), (*kernel, 2 * inputs, 2 * outputs)).reshape(-1, 2 * inputs, 2 * outputs)
    half = array[:, :inputs, :outputs]
    signal = np.linspace(-1, 2, inputs)
    paired = np.maximum(np.concatenate([signal, -signal]), 0)
    np.testing.assert_allclose(paired @ array, np.concatenate([signal @ half, -signal @ half], axis=1))
    alone = made(Orthogonal(0.5), (*kernel, inputs, outputs)).reshape(-1, inputs, outputs)
    np.testing.assert_array_equal(half, alone)


@pytest.mark.parametrize("dtype", ["float16", "int8", "bool"])
def test_dirac_is_made_in_any_dtype(dtype: str) -> None:
    array = make(Dirac(), request((2, 2, 3), "out_in", dtype))
    assert array.dtype.name == dtype
    assert array.sum() == 2


@pytest.mark.parametrize(
    ("initializer", "shape", "layout", "told"),
    [
        (Dirac(3), (4, 2, 3), "out_in", "3 groups do not divide the 4 outputs"),
        (LooksLinear(), (4, 3), "in_out", "pairs the outputs and the inputs"),
        (LooksLinear(), (4, 2, 2), "IOO", "pairs the outputs and the inputs"),
        (HadamardIdentity(), (4,), "O", "names 1 and 0"),
        (Dirac(), (4, 2, 3), "IOO", "names 2 and 1"),
        (Dirac(), (4, 2), "IK", "names 0 and 1"),
        (DeltaOrthogonal(), (3, 4, 2), "in_out", "takes 4 inputs to 2 outputs under layout in_out"),
        (ConvolutionalOrthogonal(), (2, 4, 3), "out_in", "takes 4 inputs to 2 outputs under layout out_in"),
        (ConvolutionalOrthogonal(), (3,), "O", "has fewer than two axes"),
    ],
)
def test_shapes_that_do_not_suit_are_refused(
    initializer: Initializer, shape: tuple[int, ...], layout: str, told: str
) -> None:
    with pytest.raises(InitializerError, match=told) as caught:
        check(initializer, shape, as_dtype("float32"), Layout(layout))
    assert caught.value.diagnostics[0].code == Code.INITIALIZER_SHAPE


@pytest.mark.parametrize("initializer", [DeltaOrthogonal(), ConvolutionalOrthogonal()])
def test_integers_hold_no_orthogonal_kernel(initializer: Initializer) -> None:
    with pytest.raises(InitializerError, match="cannot be held in int32"):
        check(initializer, (3, 2, 2), as_dtype("int32"), IN_OUT)


kernels = st.lists(st.integers(1, 4), max_size=3).map(tuple)


@given(kernel=kernels, inputs=st.integers(1, 5), more=st.integers(0, 4))
def test_convolutions_keep_lengths(kernel: tuple[int, ...], inputs: int, more: int) -> None:
    shape = (*kernel, inputs, inputs + more)
    for initializer in (DeltaOrthogonal(), ConvolutionalOrthogonal()):
        assert length_error(made(initializer, shape)) < 1e-12
    np.testing.assert_allclose(
        made(ConvolutionalOrthogonal(-0.5), shape), -0.5 * made(ConvolutionalOrthogonal(), shape)
    )


def test_a_kernel_that_is_not_orthogonal_would_be_noticed() -> None:
    assert length_error(made(Orthogonal(), (3, 4, 4))) > 0.1


@given(kernel=st.lists(st.integers(0, 5), max_size=3).map(tuple))
def test_delta_orthogonal_is_orthogonal_at_its_centre_alone(kernel: tuple[int, ...]) -> None:
    array = made(DeltaOrthogonal(2.0), (*kernel, 3, 5))
    if array.size:
        centre = tuple((size - 1) // 2 for size in kernel)
        np.testing.assert_array_equal(array[centre], made(Orthogonal(2.0), (3, 5)))
        array[centre] = 0
    assert not array.any()


@pytest.mark.parametrize("initializer", [DeltaOrthogonal(), ConvolutionalOrthogonal()])
def test_the_layout_moves_the_axes_and_each_copy_is_made_alone(initializer: Initializer) -> None:
    usual = made(initializer, (3, 2, 4, 5), "KKIO")
    np.testing.assert_allclose(
        made(initializer, (5, 4, 3, 2), "out_in"), usual.transpose(3, 2, 0, 1), atol=1e-12
    )
    copies = made(initializer, (3, 2, 2, 4, 5), "KBKIO")
    assert not np.allclose(copies[:, 0], copies[:, 1])
    for at in range(2):
        alone = request((3, 2, 4, 5), "KKIO")._replace(stream=STREAM.child(str(at)))
        np.testing.assert_allclose(copies[:, at], make(initializer, alone), atol=1e-12)


def test_several_axes_of_outputs_are_one() -> None:
    array = made(ConvolutionalOrthogonal(), (3, 2, 2, 3), "KIOO")
    assert length_error(array.reshape(3, 2, 6)) < 1e-12


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_narrow_kernel_is_the_float64_one_rounded(dtype: str) -> None:
    wide = made(ConvolutionalOrthogonal(), (3, 3, 4))
    narrow = make(ConvolutionalOrthogonal(), request((3, 3, 4), "in_out", dtype)).astype(np.float64)
    np.testing.assert_allclose(narrow, wide, rtol=2**-8 if dtype == "bfloat16" else 2**-23, atol=1e-12)


def test_the_mean_square_is_spread_over_the_kernel() -> None:
    """The projections are of half the outputs on average: positions are binomial, and none stays empty."""
    array = made(ConvolutionalOrthogonal(), (3, 64, 64))
    shares = (array**2).sum(axis=(1, 2)) / 64
    assert math.isclose(shares.sum(), 1)
    np.testing.assert_allclose(shares, [0.25, 0.5, 0.25], atol=0.1)


def ported_convolution_aware(shape: tuple[int, ...], eps_std: float, seed: int) -> np.ndarray:
    """keras-contrib's filters (outputs, inputs, *kernel), by its own steps, but with random signs."""
    outputs, inputs, *kernel = shape
    rng = np.random.default_rng(seed)
    spectrum = np.fft.rfftn(np.zeros(kernel)).shape
    size = math.prod(spectrum)
    filters = []
    for _ in range(outputs):
        rows: list[np.ndarray] = []
        while len(rows) < inputs:
            square = rng.standard_normal((size, size))
            vectors = np.linalg.svd(square + square.T - np.diag(square.diagonal()))[0].T
            rows.extend(vectors * rng.choice([-1, 1], (size, 1)))
        basis = np.array(rows[:inputs]) if size > 1 else rng.normal(0, eps_std, (inputs, 1))
        made = np.fft.irfftn(basis.reshape(inputs, *spectrum), kernel, axes=range(1, 1 + len(kernel)))
        filters.append(made + rng.normal(0, eps_std, made.shape))
    found = np.array(filters)
    return found * math.sqrt(2 / math.prod(shape[1:]) / found.var())


@pytest.mark.parametrize("kernel", [(1,), (2,), (5,), (3, 3), (4, 1), (2, 3, 4)])
def test_convolution_aware_is_that_of_keras_contrib(kernel: tuple[int, ...]) -> None:
    shape = (64, 24, *kernel)
    ours = made(ConvolutionAware(), shape, "out_in")
    theirs = ported_convolution_aware(shape, 0.05, 1)
    assert ours.std() == pytest.approx(theirs.std(), rel=1e-12)
    for position in np.ndindex(kernel):  # the law differs from one position to another
        index = (slice(None), slice(None), *position)
        assert stats.ks_2samp(ours[index].reshape(-1), theirs[index].reshape(-1)).pvalue > 1e-4


def test_filters_of_convolution_aware_are_orthogonal_before_the_transform_but_for_noise() -> None:
    filters = made(ConvolutionAware(1e-9), (3, 7, 8), "out_in")
    spectra = np.fft.rfft(filters).real / np.sqrt(np.square(np.fft.rfft(filters[0, 0])).real.sum())
    for rows in spectra:
        assert np.allclose(rows[:5] @ rows[:5].T, np.eye(5), atol=1e-6)
        assert np.allclose(rows[5:] @ rows[5:].T, np.eye(2), atol=1e-6)


def test_convolution_aware_is_orthogonal_without_a_receptive_field_and_stacks_batches() -> None:
    assert np.array_equal(made(ConvolutionAware(), (4, 6)), made(Orthogonal(), (4, 6)))
    stacked = made(ConvolutionAware(), (2, 6, 3, 5), "BOIW")
    assert np.allclose(stacked.std(axis=(1, 2, 3)), math.sqrt(2 / 15))
    assert not np.array_equal(stacked[0], stacked[1])
    with pytest.raises(InitializerError, match="one number"):
        check(ConvolutionAware(), (1, 1, 1), as_dtype("float32"), IN_OUT)
