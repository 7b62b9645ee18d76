"""Every example and every promise of Keras's page "Layer weight initializers", in this project's terms.

A layer of the page, ``Dense(3, kernel_initializer=...)``, is here a spec whose layer ``dense`` has a kernel
of the shape that Keras would give it. The page: https://keras.io/api/layers/initializers/
"""

from __future__ import annotations

import inspect
import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

from initcfg import Layer, Param, Spec, initializers, make_plan, materialize
from initcfg.errors import Code, InitializerError

INPUTS = 32


def dense(
    units: int, kernel_initializer: Any, bias_initializer: Any = "zeros", **more: Any
) -> dict[str, np.ndarray]:
    """The first weights of a dense layer that has INPUTS inputs."""
    params = {
        "kernel": Param(shape=[INPUTS, units], initializer=kernel_initializer),
        "bias": Param(shape=[units], initializer=bias_initializer),
    }
    plan = make_plan(Spec(layout="in_out", layers={"dense": Layer(params=params)}, **more))
    return {name.removeprefix("dense."): array for name, array in materialize(plan).items()}


# --- Usage of initializers ----------------------------------------------------------------------------------


def test_a_layer_takes_initializers() -> None:
    layer = dense(
        units=64,
        kernel_initializer=initializers.RandomNormal(stddev=0.01),
        bias_initializer=initializers.Zeros(),
    )
    assert abs(layer["kernel"].std() - 0.01) < 0.001
    assert not layer["bias"].any()


def test_a_layer_takes_string_identifiers() -> None:
    layer = dense(units=64, kernel_initializer="random_normal", bias_initializer="zeros")
    assert abs(layer["kernel"].std() - 0.05) < 0.005
    assert not layer["bias"].any()


# --- Available initializers ---------------------------------------------------------------------------------

# Name, the signature that the page gives, and the arguments of its examples.
PAGE: tuple[tuple[str, dict[str, Any], dict[str, Any]], ...] = (
    ("RandomNormal", {"mean": 0.0, "stddev": 0.05, "seed": None}, {"mean": 0.0, "stddev": 1.0}),
    ("RandomUniform", {"minval": -0.05, "maxval": 0.05, "seed": None}, {"minval": 0.0, "maxval": 1.0}),
    ("TruncatedNormal", {"mean": 0.0, "stddev": 0.05, "seed": None}, {"mean": 0.0, "stddev": 1.0}),
    ("Zeros", {}, {}),
    ("Ones", {}, {}),
    ("GlorotNormal", {"seed": None}, {}),
    ("GlorotUniform", {"seed": None}, {}),
    ("Identity", {"gain": 1.0}, {}),
    ("Orthogonal", {"gain": 1.0, "seed": None}, {}),
    ("Constant", {"value": 0}, {"value": 3.0}),
    (
        "VarianceScaling",
        {"scale": 1.0, "mode": "fan_in", "distribution": "truncated_normal", "seed": None},
        {"scale": 0.1, "mode": "fan_in", "distribution": "uniform"},
    ),
)
on_the_page = pytest.mark.parametrize(("name", "signature", "arguments"), PAGE, ids=[row[0] for row in PAGE])
SHORTCUTS = {
    "RandomNormal": "random_normal",
    "RandomUniform": "random_uniform",
    "TruncatedNormal": "truncated_normal",
    "Zeros": "zeros",
    "Ones": "ones",
    "GlorotNormal": "glorot_normal",
    "GlorotUniform": "glorot_uniform",
    "Identity": "identity",
    "Orthogonal": "orthogonal",
    "Constant": "constant",
    "VarianceScaling": "variance_scaling",
}


@on_the_page
def test_the_signature_begins_as_on_the_page(
    name: str, signature: dict[str, Any], arguments: dict[str, Any]
) -> None:
    parameters = inspect.signature(getattr(initializers, name)).parameters
    found = {key: parameter.default for key, parameter in list(parameters.items())[: len(signature)]}
    assert list(found.items()) == list(signature.items())


@on_the_page
def test_standalone_usage(name: str, signature: dict[str, Any], arguments: dict[str, Any]) -> None:
    initializer = getattr(initializers, name)(**arguments)
    values = initializer(shape=(2, 2))
    assert values.shape == (2, 2)
    assert values.dtype == np.float32


@on_the_page
def test_usage_in_a_layer(name: str, signature: dict[str, Any], arguments: dict[str, Any]) -> None:
    initializer = getattr(initializers, name)(**arguments)
    assert dense(3, kernel_initializer=initializer)["kernel"].shape == (INPUTS, 3)


@on_the_page
def test_the_shortcut_is_the_same_initializer(
    name: str, signature: dict[str, Any], arguments: dict[str, Any]
) -> None:
    by_shortcut = initializers.get({"class_name": SHORTCUTS[name], "config": arguments})
    assert by_shortcut == getattr(initializers, name)(**arguments)
    assert initializers.get(SHORTCUTS[name]) == getattr(initializers, name)()
    assert getattr(initializers, SHORTCUTS[name]) is getattr(initializers, name)


@on_the_page
def test_a_seed_always_gives_the_same_tensor_for_a_shape_and_dtype(
    name: str, signature: dict[str, Any], arguments: dict[str, Any]
) -> None:
    if "seed" not in signature:
        return
    cls = getattr(initializers, name)
    for dtype in ("float32", "float64", "bfloat16"):
        first, second = (cls(**arguments, seed=7)(shape=(4, 3), dtype=dtype) for _ in range(2))
        np.testing.assert_array_equal(first, second)
    assert not np.array_equal(cls(seed=7)((4, 3)), cls(seed=8)((4, 3)))
    # In a layer too, whatever the layer is called and whatever seed the spec has.
    one, other = (dense(3, cls(**arguments, seed=7), seed=seed)["kernel"] for seed in (0, 1))
    np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(one, cls(**arguments, seed=7)((INPUTS, 3)))


def sample(initializer: Any, shape: tuple[int, ...] = (300, 200)) -> np.ndarray:
    return np.asarray(initializer(shape, "float64")).ravel()


def test_random_normal_is_a_normal_distribution() -> None:
    assert (
        stats.kstest(sample(initializers.RandomNormal(1.0, 2.0, seed=1)), stats.norm(1, 2).cdf).pvalue > 1e-3
    )


def test_random_uniform_is_a_uniform_distribution_within_its_bounds() -> None:
    values = sample(initializers.RandomUniform(-1.0, 3.0, seed=1))
    assert stats.kstest(values, stats.uniform(-1, 4).cdf).pvalue > 1e-3
    assert (values >= -1).all()
    assert (values < 3).all()


def test_truncated_normal_redraws_beyond_two_standard_deviations() -> None:
    values = sample(initializers.TruncatedNormal(1.0, 2.0, seed=1))
    assert stats.kstest(values, stats.truncnorm(-2, 2, 1, 2).cdf).pvalue > 1e-3
    assert (abs(values - 1) <= 4).all()


def test_zeros_and_ones_are_what_they_say() -> None:
    np.testing.assert_array_equal(initializers.Zeros()((2, 2)), np.zeros((2, 2)))
    np.testing.assert_array_equal(initializers.Ones()((2, 2)), np.ones((2, 2)))


def test_glorot_normal_is_truncated_with_its_standard_deviation() -> None:
    values = sample(initializers.GlorotNormal(seed=1))
    std = math.sqrt(2 / (300 + 200))
    assert abs(values.std() / std - 1) < 0.01
    before = std / 0.87962566103423978
    assert stats.kstest(values, stats.truncnorm(-2, 2, 0, before).cdf).pvalue > 1e-3


def test_glorot_uniform_is_uniform_within_its_limit() -> None:
    limit = math.sqrt(6 / (300 + 200))
    values = sample(initializers.GlorotUniform(seed=1))
    assert stats.kstest(values, stats.uniform(-limit, 2 * limit).cdf).pvalue > 1e-3


def test_identity_is_for_2d_matrices_only_and_has_a_gain() -> None:
    np.testing.assert_array_equal(initializers.Identity(gain=2.0)((3, 3)), 2 * np.eye(3))
    for shape in ((3,), (3, 3, 3)):
        with pytest.raises(InitializerError) as caught:
            initializers.Identity()(shape)
        assert caught.value.diagnostics[0].code == Code.INITIALIZER_SHAPE


@pytest.mark.parametrize(("shape", "orthonormal"), [((4, 9), "rows"), ((9, 4), "columns"), ((5, 5), "both")])
def test_orthogonal_has_orthogonal_rows_or_columns(shape: tuple[int, int], orthonormal: str) -> None:
    matrix = initializers.Orthogonal(gain=3.0)(shape, "float64") / 3
    if orthonormal in ("rows", "both"):
        np.testing.assert_allclose(matrix @ matrix.T, np.eye(shape[0]), atol=1e-12)
    if orthonormal in ("columns", "both"):
        np.testing.assert_allclose(matrix.T @ matrix, np.eye(shape[1]), atol=1e-12)


def test_orthogonal_flattens_all_axes_but_the_last() -> None:
    matrix = initializers.Orthogonal()((3, 3, 2, 8), "float64").reshape(18, 8)
    np.testing.assert_allclose(matrix.T @ matrix, np.eye(8), atol=1e-12)


def test_constant_is_convertible_to_the_dtype() -> None:
    np.testing.assert_array_equal(
        initializers.Constant(3.0)((2, 2), dtype="int32"), np.full((2, 2), 3, "int32")
    )
    with pytest.raises(InitializerError) as caught:
        initializers.Constant(3.5)((2, 2), dtype="int32")
    assert caught.value.diagnostics[0].code == Code.DTYPE_VALUE


@pytest.mark.parametrize("mode", ["fan_in", "fan_out", "fan_avg"])
@pytest.mark.parametrize("distribution", ["truncated_normal", "untruncated_normal", "uniform"])
def test_variance_scaling_has_its_three_modes_and_three_distributions(mode: str, distribution: str) -> None:
    n = {"fan_in": 300, "fan_out": 200, "fan_avg": 250}[mode]
    values = sample(initializers.VarianceScaling(0.1, mode, distribution, seed=1))  # type: ignore[arg-type]
    std = math.sqrt(0.1 / n)
    limit = math.sqrt(3 * 0.1 / n)
    law = {
        "truncated_normal": stats.truncnorm(-2, 2, 0, std / 0.87962566103423978),
        "untruncated_normal": stats.norm(0, std),
        "uniform": stats.uniform(-limit, 2 * limit),
    }[distribution]
    assert stats.kstest(values, law.cdf).pvalue > 1e-3
    assert abs(values.std() / std - 1) < 0.02


# --- Creating custom initializers ---------------------------------------------------------------------------


def my_init(shape: Any, dtype: Any = None) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape).astype(dtype)


def test_a_simple_callable_is_an_initializer() -> None:
    kernel = dense(64, kernel_initializer=my_init)["kernel"]
    np.testing.assert_array_equal(kernel, my_init((INPUTS, 64), "float32"))


class ExampleRandomNormal(initializers.Initializer):
    def __init__(self, mean: float, stddev: float) -> None:
        self.mean = mean
        self.stddev = stddev

    def __call__(self, shape: Any, dtype: Any = None) -> np.ndarray:
        return np.random.default_rng(0).normal(self.mean, self.stddev, shape).astype(dtype)

    def get_config(self) -> dict[str, Any]:  # To support serialization
        return {"mean": self.mean, "stddev": self.stddev}


class WithoutConfig(initializers.Initializer):
    def __call__(self, shape: Any, dtype: Any = None) -> np.ndarray:
        return np.full(shape, 0.5, dtype)


def test_a_subclass_is_an_initializer() -> None:
    example = ExampleRandomNormal(mean=1.0, stddev=0.1)
    assert abs(example((100, 100)).mean() - 1) < 0.01
    kernel = dense(64, kernel_initializer=example)["kernel"]
    np.testing.assert_array_equal(kernel, example((INPUTS, 64), "float32"))


def test_a_subclass_without_get_config_is_an_initializer() -> None:
    assert (dense(3, kernel_initializer=WithoutConfig())["kernel"] == 0.5).all()


def test_the_default_from_config_works() -> None:
    example = ExampleRandomNormal(mean=1.0, stddev=0.1)
    copy = ExampleRandomNormal.from_config(example.get_config())
    assert (copy.mean, copy.stddev) == (1.0, 0.1)
    np.testing.assert_array_equal(copy((3, 3)), example.clone()((3, 3)))
