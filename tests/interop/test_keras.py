"""The real Keras 3.15 on JAX: configs go both ways, its layers take our initializers, the laws agree."""

from __future__ import annotations

import json
import os
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "jax")

import jax
import keras
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from jax._src.nn.initializers import _compute_fans as jax_fans
from keras.src.initializers.random_initializers import compute_fans as keras_fans
from scipy import stats

from initcfg import initializers
from initcfg.distributions import Normal, TruncatedNormal, Uniform
from initcfg.initializers import BUILTINS, BuiltIn, resolve
from initcfg.initializers.fourier import _WINDOWS
from initcfg.layout import IN_OUT, Fans, Layout, fans_of_axes

# One row a config that Keras writes: the class and its arguments.
CONFIGS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("Zeros", {}),
    ("Ones", {}),
    ("Constant", {}),
    ("Constant", {"value": 3.0}),
    ("Constant", {"value": 3}),
    ("Constant", {"value": True}),
    ("Constant", {"value": [[1.0, 2.0], [3.0, 4.0]]}),
    ("Constant", {"value": np.array([[1.5, -2.0], [0.1, 4.0]], "float32")}),
    ("Constant", {"value": jax.numpy.ones((2, 2), "bfloat16")}),
    ("RandomNormal", {}),
    ("RandomNormal", {"mean": 1, "stddev": 0.02, "seed": 7}),
    ("RandomUniform", {}),
    ("RandomUniform", {"minval": 0, "maxval": 1.5, "seed": 0}),
    ("TruncatedNormal", {}),
    ("TruncatedNormal", {"mean": -1.0, "stddev": 3.0, "seed": 2**31 - 1}),
    ("VarianceScaling", {}),
    *(
        ("VarianceScaling", {"scale": 0.1, "mode": mode, "distribution": law, "seed": 3})
        for mode in ("fan_in", "fan_out", "fan_avg")
        for law in ("truncated_normal", "untruncated_normal", "uniform")
    ),
    ("VarianceScaling", {"input_axes": [0, 1], "output_axes": [-1]}),
    *(
        (name, arguments)
        for name in ("GlorotNormal", "GlorotUniform", "HeNormal", "HeUniform", "LecunNormal", "LecunUniform")
        for arguments in ({}, {"seed": 5}, {"seed": 5, "input_axes": [0], "output_axes": [1]})
    ),
    ("STFT", {}),
    ("STFT", {"side": "imag", "window": "blackman", "scaling": "spectrum", "periodic": True}),
    ("STFT", {"window": None, "scaling": None}),
    ("STFT", {"window": [0.5, 1.0, 2.0]}),
    ("Identity", {}),
    ("Orthogonal", {}),
    ("Orthogonal", {"gain": 2.0, "seed": 9}),
)
with_every_config = pytest.mark.parametrize(("name", "arguments"), CONFIGS)
IN_KERAS = [cls for cls in BUILTINS if cls.MODULE == "keras.initializers"]
OF_MATRICES = [cls for cls in IN_KERAS if cls is not initializers.STFT]


def of_keras(name: str, arguments: dict[str, Any]) -> keras.initializers.Initializer:
    initializer: keras.initializers.Initializer = getattr(keras.initializers, name)(**arguments)
    return initializer


def test_the_version_is_the_one_that_the_configs_are_promised_for() -> None:
    assert keras.__version__.startswith("3.15.")
    assert keras.backend.backend() == "jax"


def test_every_built_in_stands_in_the_table() -> None:
    assert {name for name, _ in CONFIGS} == {cls.__name__ for cls in IN_KERAS}


@with_every_config
def test_a_config_of_keras_comes_back_equal(name: str, arguments: dict[str, Any]) -> None:
    config = of_keras(name, arguments).get_config()
    ours = getattr(initializers, name).from_config(json.loads(json.dumps(config)))
    back = getattr(keras.initializers, name).from_config(ours.get_config())
    lost_by_keras = {"gain"} if name == "Identity" else set()
    assert {key: value for key, value in ours.get_config().items() if key not in lost_by_keras} == config
    assert back.get_config() == config


@with_every_config
def test_what_keras_serializes_is_read_and_written_the_same(name: str, arguments: dict[str, Any]) -> None:
    theirs = of_keras(name, arguments)
    written = keras.initializers.serialize(theirs)
    ours = initializers.deserialize(json.loads(json.dumps(written)))
    assert type(ours).__name__ == name
    if name == "Identity":  # its config lacks the gain, which ours has
        assert initializers.get(theirs).get_config()["gain"] == theirs.gain
    else:
        assert initializers.serialize(ours) == written
        assert initializers.get(theirs) == ours
    again = keras.initializers.deserialize(initializers.serialize(ours))
    assert keras.initializers.serialize(again) == written


@with_every_config
def test_our_config_survives_keras(name: str, arguments: dict[str, Any]) -> None:
    ours = getattr(initializers, name)(**arguments)
    theirs = keras.initializers.deserialize(json.loads(json.dumps(initializers.serialize(ours))))
    assert initializers.deserialize(keras.initializers.serialize(theirs)) == ours


def test_the_gain_of_identity_reaches_keras_which_does_not_write_it() -> None:
    theirs = keras.initializers.deserialize(initializers.serialize(initializers.Identity(2.0)))
    assert theirs.gain == 2.0
    assert keras.initializers.serialize(theirs)["config"] == {}


def test_the_old_name_normal_reaches_keras_which_rewrites_it() -> None:
    ours = initializers.VarianceScaling(distribution="normal")
    theirs = keras.initializers.deserialize(initializers.serialize(ours))
    assert theirs.get_config()["distribution"] == "truncated_normal"


@pytest.mark.parametrize("cls", IN_KERAS, ids=lambda cls: cls.__name__)
def test_every_name_of_ours_is_one_of_keras(cls: type[BuiltIn]) -> None:
    from initcfg.initializers.registry import aliases_of, canonical_name

    config = {"value": 0.0} if cls is initializers.Constant else {}
    for name in {canonical_name(cls), *aliases_of(cls)} - {"eye"}:  # that is PyTorch's
        found = keras.initializers.get({"class_name": name, "config": config})
        assert type(found).__name__ == cls.__name__


@pytest.mark.parametrize("cls", OF_MATRICES, ids=lambda cls: cls.__name__)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_a_layer_of_keras_takes_our_initializer(cls: type[BuiltIn], dtype: str) -> None:
    arguments = {"seed": 1} if "seed" in cls().get_config() else {}
    ours = cls(**arguments)
    layer = keras.layers.Dense(8, kernel_initializer=ours, bias_initializer="zeros", dtype=dtype)
    layer.build((None, 16))
    kernel = np.asarray(layer.kernel.value)
    expected = ours((16, 8), dtype)
    assert kernel.dtype == expected.dtype
    np.testing.assert_array_equal(kernel, expected)


def test_a_convolution_and_a_recurrent_layer_take_our_initializers() -> None:
    convolution = keras.layers.Conv2D(6, 3, kernel_initializer=initializers.HeNormal(seed=1))
    convolution.build((None, 8, 8, 4))
    np.testing.assert_array_equal(
        np.asarray(convolution.kernel.value), initializers.HeNormal(seed=1)((3, 3, 4, 6))
    )
    lstm = keras.layers.LSTM(5, recurrent_initializer=initializers.Orthogonal(seed=1))
    lstm.build((None, 3, 4))
    recurrent = np.asarray(lstm.cell.recurrent_kernel.value)
    np.testing.assert_allclose(recurrent @ recurrent.T, np.eye(5), atol=1e-5)


def test_the_config_of_a_layer_that_holds_ours_is_read_on_both_sides() -> None:
    layer = keras.layers.Dense(3, kernel_initializer=initializers.HeNormal(seed=1))
    config = json.loads(json.dumps(layer.get_config()))
    again = keras.layers.Dense.from_config(config)
    # Keras's own class, or ours where the adapter has been imported.
    assert type(again.kernel_initializer).__name__ == "HeNormal"
    assert initializers.deserialize(config["kernel_initializer"]) == initializers.HeNormal(seed=1)


LAWS: tuple[tuple[str, dict[str, Any]], ...] = tuple(
    (name, {**arguments, "seed": 11})
    for name, arguments in CONFIGS
    if name not in ("Zeros", "Ones", "Constant", "Identity", "Orthogonal", "STFT")
    and arguments.get("seed") != 5
)


@pytest.mark.parametrize(("name", "arguments"), LAWS)
def test_samples_of_a_pair_come_from_one_law(name: str, arguments: dict[str, Any]) -> None:
    shape = (3, 400, 250)
    theirs = np.asarray(of_keras(name, arguments)(shape)).ravel()
    ours = getattr(initializers, name)(**arguments)(shape).ravel()
    assert stats.ks_2samp(ours, theirs).pvalue > 1e-3
    assert abs(ours.std() / theirs.std() - 1) < 0.01


def test_another_standard_deviation_would_be_noticed() -> None:
    theirs = np.asarray(keras.initializers.RandomNormal(stddev=0.05, seed=1)((3, 400, 250))).ravel()
    ours = initializers.RandomNormal(stddev=0.051, seed=1)((3, 400, 250)).ravel()
    assert stats.ks_2samp(ours, theirs).pvalue < 1e-3


def test_orthogonal_matrices_of_a_pair_come_from_one_law() -> None:
    count, n = 400, 6
    theirs, ours = (
        np.stack([np.asarray(module.Orthogonal(seed=seed)((n, n))) for seed in range(count)])
        for module in (keras.initializers, initializers)
    )
    for statistic in (lambda q: q[:, 0, 0], lambda q: q[:, -1, -1], lambda q: np.trace(q, axis1=1, axis2=2)):
        assert stats.ks_2samp(statistic(ours), statistic(theirs)).pvalue > 1e-3


@pytest.mark.parametrize("window", [*_WINDOWS, None])
@pytest.mark.parametrize("periodic", [False, True])
@pytest.mark.parametrize("scaling", ["density", "spectrum", None])
def test_the_kernels_of_a_pair_are_equal_but_for_keras_s_digits(
    window: str | None, periodic: bool, scaling: str | None
) -> None:
    """Keras multiplies angles in float32: they are off by 2**-24 of themselves, here up to 200."""
    arguments = {"window": window, "scaling": scaling, "periodic": periodic}
    for shape in ((64, 1, 33), (33, 1, 17), (7, 1, 2), (1, 1, 5)):
        largest = 0.0
        for side in ("real", "imag"):
            theirs = np.asarray(of_keras("STFT", {**arguments, "side": side})(shape))
            ours = initializers.STFT.from_config({**arguments, "side": side})(shape)
            largest = max(largest, float(abs(ours).max()))
            np.testing.assert_allclose(ours, theirs, rtol=0, atol=2e-5 * largest)


def test_a_layer_of_keras_takes_our_kernels_of_a_transform() -> None:
    layer = keras.layers.Conv1D(9, 16, kernel_initializer=initializers.STFT("imag"), use_bias=False)
    layer.build((None, 40, 1))
    np.testing.assert_array_equal(np.asarray(layer.kernel.value), initializers.STFT("imag")((16, 1, 9)))


@given(st.lists(st.integers(0, 40), max_size=6).map(tuple))
def test_fans_are_those_of_keras(shape: tuple[int, ...]) -> None:
    assert IN_OUT.fans(shape) == Fans(*keras_fans(shape))


@given(st.lists(st.integers(0, 40), min_size=1, max_size=5).map(tuple), st.data())
def test_fans_of_axes_are_those_of_keras(shape: tuple[int, ...], data: st.DataObject) -> None:
    axis = st.integers(-len(shape), len(shape) - 1)
    # An axis that is named twice is refused here; Keras squares its size.
    axes = st.lists(axis, max_size=3, unique_by=lambda axis: axis % len(shape))
    inputs, outputs = data.draw(axes), data.draw(axes)
    assert fans_of_axes(shape, inputs, outputs) == Fans(*keras_fans(shape, inputs, outputs))


@given(st.lists(st.integers(1, 40), min_size=2, max_size=6).map(tuple), st.data())
def test_fans_of_letters_are_those_of_jax(shape: tuple[int, ...], data: st.DataObject) -> None:
    letters = data.draw(st.text("IOBK", min_size=len(shape), max_size=len(shape)))
    assume("I" in letters and "O" in letters)
    roles = {letter: [axis for axis, each in enumerate(letters) if each == letter] for letter in "IOB"}
    fan_in, fan_out = jax_fans(shape, roles["I"], roles["O"], roles["B"])
    assert Layout(letters).fans(shape) == Fans(int(fan_in), int(fan_out))


@given(
    shape=st.lists(st.integers(1, 40), min_size=2, max_size=5).map(tuple),
    mode=st.sampled_from(["fan_in", "fan_out", "fan_avg"]),
)
def test_the_resolved_numbers_are_those_that_keras_computes(shape: tuple[int, ...], mode: str) -> None:
    """Keras's arithmetic, read from the arguments that it hands to its random functions."""
    seen: dict[str, Any] = {}

    def record(kind: str) -> Any:
        return lambda _shape, **given: seen.update(kind=kind, **given)

    module = keras.src.initializers.random_initializers.random
    with pytest.MonkeyPatch.context() as patch:
        for kind in ("normal", "truncated_normal", "uniform"):
            patch.setattr(module, kind, record(kind))
        for law in ("untruncated_normal", "truncated_normal", "uniform"):
            keras.initializers.VarianceScaling(0.7, mode, law, seed=1)(shape)
            found = resolve(initializers.VarianceScaling(0.7, mode, law), shape, IN_OUT)  # type: ignore[arg-type]
            if isinstance(found, Uniform):
                assert (found.low, found.high) == (seen["minval"], seen["maxval"])
            else:
                assert isinstance(found, Normal | TruncatedNormal)
                assert (found.mean, found.std) == (seen["mean"], seen["stddev"])
