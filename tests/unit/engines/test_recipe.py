"""Recipes: which kernel a distribution takes in a dtype, and what is refused."""

from __future__ import annotations

import re

import pytest

from initcfg.distributions import Fill, Normal, TruncatedNormal, Uniform
from initcfg.dtypes import DTYPES
from initcfg.engines.recipe import Constant, Draw, prepare
from initcfg.errors import Code, InitializerError


def truncated(c: float, mean: float = 0.0, std: float = 0.02) -> TruncatedNormal:
    return TruncatedNormal(mean, std, mean - c * std, mean + c * std)


KERNELS = [
    (Uniform(-1, 1), "float32", "uniform", "float32"),
    (Uniform(-1, 1), "float64", "uniform", "float64"),
    (Normal(0, 1), "bfloat16", "normal", "float32"),
    (Normal(0, 1), "float64", "normal", "float64"),
    (truncated(2.0), "float32", "two_sigma", "float32"),
    (truncated(2.0, mean=0.1), "float16", "two_sigma", "float32"),
    (truncated(2.0, mean=-7.3, std=0.3), "float32", "two_sigma", "float32"),
    (truncated(2.0), "float64", "inverse", "float64"),
    (truncated(2.001), "float32", "cut", "float32"),
    (truncated(0.5, mean=0.1), "float32", "cut", "float32"),
    (truncated(6.0), "bfloat16", "cut", "float32"),
    (truncated(6.0, mean=0.3), "float32", "cut", "float32"),
    (truncated(6.0, mean=1.0), "float32", "cut", "float32"),
    (truncated(2.0**-20), "float32", "cut", "float32"),
    (truncated(2.0**-21), "float32", "inverse", "float64"),
    (truncated(6.25), "float32", "inverse", "float64"),
    (truncated(6.6605), "float32", "normal", "float32"),
    (truncated(100.0), "float32", "normal", "float32"),
    (truncated(8.0), "float64", "inverse", "float64"),
    (truncated(100.0), "float64", "normal", "float64"),
    (TruncatedNormal(0, 1, -7, 9), "float32", "normal", "float32"),
    (TruncatedNormal(0, 1, 0, 100), "float32", "inverse", "float64"),
    (TruncatedNormal(0, 1, -2, 2.5), "bfloat16", "inverse", "float64"),
    (TruncatedNormal(0, 1, 36, 37), "float32", "inverse", "float64"),
]


@pytest.mark.parametrize(("distribution", "dtype", "kernel", "arithmetic"), KERNELS, ids=str)
def test_the_kernel_of_each_case(distribution, dtype: str, kernel: str, arithmetic: str) -> None:
    recipe = prepare(distribution, DTYPES[dtype])
    assert isinstance(recipe, Draw)
    assert (recipe.kernel, recipe.arithmetic) == (kernel, arithmetic)


CONSTANTS = [
    (Fill(0.1), "float32", 0.10000000149011612),
    (Fill(0.1), "bfloat16", 0.10009765625),
    (Fill(2**60 + 1), "int64", 2**60 + 1),
    (Fill(2**64 - 1), "uint64", 2**64 - 1),
    (Fill(2**60 + 2**36 + 1), "float32", float(2**60 + 2**37)),
    (Fill(-128.0), "int8", -128),
    (Fill(True), "float32", 1.0),
    (Fill(1.0), "bool", 1),
    (Fill(False), "uint8", 0),
    (Fill(464), "float8_e4m3fn", 448.0),
    (Normal(0.1, 0.0), "bfloat16", 0.10009765625),
    (Normal(3.0, 0.0), "int32", 3),
    (Uniform(0.1, 0.1), "float32", 0.10000000149011612),
    (TruncatedNormal(0.1, 0.0, 0.1, 0.1), "float32", 0.10000000149011612),
    (TruncatedNormal(0.0, 1.0, 0.1, 0.1), "float32", 0.10000000149011612),
]


@pytest.mark.parametrize(("distribution", "dtype", "value"), CONSTANTS, ids=str)
def test_a_point_is_rounded_once_in_floats_and_exact_elsewhere(distribution, dtype: str, value) -> None:
    assert prepare(distribution, DTYPES[dtype]) == Constant(value)


REFUSED = [
    (Fill(0.5), "int32", Code.DTYPE_VALUE, "int32 cannot hold 0.5"),
    (Fill(128), "int8", Code.DTYPE_VALUE, "int8 cannot hold 128"),
    (Fill(-1), "uint8", Code.DTYPE_VALUE, "uint8 cannot hold -1"),
    (Fill(2), "bool", Code.DTYPE_VALUE, "bool cannot hold 2"),
    (Fill(2**53 + 0.0), "int32", Code.DTYPE_VALUE, "int32 cannot hold"),
    (Fill(1e39), "float32", Code.DTYPE_VALUE, "beyond float32"),
    (Fill(65520.0), "float16", Code.DTYPE_VALUE, "beyond float16"),
    (Fill(465), "float8_e4m3fn", Code.DTYPE_VALUE, "beyond float8_e4m3fn"),
    (Fill(10**400), "float64", Code.DTYPE_VALUE, "beyond float64"),
    (Normal(0, 100.0), "float8_e4m3fn", Code.DTYPE_VALUE, "beyond float8_e4m3fn"),
    (Normal(0, 1e38), "float32", Code.DTYPE_VALUE, "beyond float32"),
    (Normal(1e308, 1e308), "float64", Code.DTYPE_VALUE, "beyond float64"),
    (Uniform(0, 7e4), "float16", Code.DTYPE_VALUE, "beyond float16"),
    (TruncatedNormal(0, 1e5, 0, 1e6), "float16", Code.DTYPE_VALUE, "beyond float16"),
    (truncated(0.001, std=1e40), "float32", Code.DTYPE_VALUE, "beyond float32"),
    (Normal(0, 1), "int32", Code.DISTRIBUTION, "random values cannot be drawn in int32"),
    (Uniform(0, 1), "bool", Code.DISTRIBUTION, "random values cannot be drawn in bool"),
    (Normal(0, 1e-31), "float32", Code.DISTRIBUTION, "std is 1e-31, too small"),
    (Normal(0, 5e-324), "float64", Code.DISTRIBUTION, "too small"),
    (Uniform(0, 1e-30), "float32", Code.DISTRIBUTION, "half the width of the interval is 5e-31"),
    (truncated(2.0, std=1e-31), "float32", Code.DISTRIBUTION, "too small"),
    (Uniform(1.0, 1.0 + 2**-24), "float32", Code.DISTRIBUTION, "no number of float32"),
    (Uniform(1.0, 1.0 + 2**-7), "bfloat16", Code.DISTRIBUTION, "no number of bfloat16"),
    (TruncatedNormal(0, 1, 0.1, 0.1001), "float8_e5m2", Code.DISTRIBUTION, "no number of float8_e5m2"),
    (TruncatedNormal(0, 1, 38, 39), "float32", Code.DISTRIBUTION, "is left between its bounds"),
    (TruncatedNormal(0, 1, -1e300, -1e200), "float64", Code.DISTRIBUTION, "is left between its bounds"),
]


@pytest.mark.parametrize(("distribution", "dtype", "code", "words"), REFUSED, ids=str)
def test_what_cannot_be_drawn_is_refused_with_a_way_out(distribution, dtype: str, code, words: str) -> None:
    with pytest.raises(InitializerError, match=re.escape(words)) as caught:
        prepare(distribution, DTYPES[dtype])
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.code is code
    assert diagnostic.hint


@pytest.mark.parametrize(
    ("distribution", "dtype"),
    [
        (Normal(0, 60.0), "float8_e4m3fn"),
        (Normal(0, 3000.0), "float16"),
        (TruncatedNormal(0, 30.0, 0, 1e30), "float8_e4m3fn"),
        (TruncatedNormal(0, 1e-3, -1e300, 1e300), "float8_e4m3fn"),
        (Uniform(-65504.0, 65504.0), "float16"),
        (Uniform(0, 4e-30), "float32"),
        (Uniform(1.0, 1.0 + 2**-22), "float32"),
        (Normal(1e30, 1e-30), "float64"),
    ],
    ids=str,
)
def test_what_fits_is_not_refused(distribution, dtype: str) -> None:
    assert isinstance(prepare(distribution, DTYPES[dtype]), Draw)


def test_numbers_are_rounded_once_to_the_type_of_the_arithmetic() -> None:
    recipe = prepare(Normal(0.1, 0.02), DTYPES["float16"])
    assert isinstance(recipe, Draw)
    assert (recipe.location, recipe.scale) == (0.10000000149011612, 0.019999999552965164)


def test_a_uniforms_clamp_is_strictly_inside_and_a_truncations_inside() -> None:
    uniform = prepare(Uniform(0.0, 1.0), DTYPES["bfloat16"])
    within = prepare(truncated(2.0, std=1.0), DTYPES["bfloat16"])
    assert isinstance(uniform, Draw)
    assert isinstance(within, Draw)
    assert uniform.clamp == (2.0**-133, 1 - 2.0**-8)
    assert within.clamp == (-2.0, 2.0)
