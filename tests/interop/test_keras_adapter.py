"""The real Keras 3.15: specs read out of models, models set from plans, saved models that hold ours."""

from __future__ import annotations

import doctest
import functools
import importlib
import inspect
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

os.environ.setdefault("KERAS_BACKEND", "jax")

import keras
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from keras import layers
from scipy import stats

import initcfg
from initcfg import initializers
from initcfg.adapters.keras import capture, initialize, manifest
from initcfg.errors import Code, InitializerError, SpecError
from initcfg.initializers import BUILTINS
from initcfg.initializers.arguments import arguments_of
from initcfg.spec import dump_yaml, loads

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]
# Keras itself calls numpy's __array__ in an old way.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def laws(test: Callable[..., None]) -> Callable[..., None] | None:
    """A test for the torch backend only: Keras on JAX compiles the kernels of each shape, for minutes."""
    return None if keras.backend.backend() == "jax" else test


@pytest.mark.parametrize("read", [capture, manifest])
def test_what_is_no_model_is_refused(read: Callable[..., Any]) -> None:
    with pytest.raises(TypeError, match=r"takes a keras\.Model, not function"):
        read(nested)


@pytest.mark.parametrize("name", ["lsuv", "probing", "schemes", "weights"])
def test_examples_give_what_they_say(name: str) -> None:
    results = doctest.testmod(importlib.import_module(f"initcfg.adapters.keras.{name}"))
    assert results.attempted > 0
    assert results.failed == 0


def model_of(
    layer: keras.Layer, *shapes: tuple[int, ...], dtype: str | None = None, **named: str
) -> keras.Model:
    inputs = [keras.Input(shape, dtype=dtype) for shape in shapes]
    return keras.Model(inputs, layer(*inputs) if len(inputs) != 1 else layer(inputs[0]), **named)


def in_a_list(layer: keras.Layer, *shapes: tuple[int, ...]) -> keras.Model:
    inputs = [keras.Input(shape) for shape in shapes]
    return keras.Model(inputs, layer(inputs))


def integers(layer: keras.Layer) -> keras.Model:
    return model_of(layer, (7,), dtype="int32")


def nested() -> keras.Model:
    backbone = keras.Sequential([layers.Dense(4, name="d")], name="backbone")
    return keras.Sequential([keras.Input((4,)), backbone, layers.Dense(2, name="out")])


def mixed() -> keras.Model:
    """A weight of its own, a layer built in it, one of its name built before, a scope that is no layer's."""

    @keras.saving.register_keras_serializable("tests")
    class Mixed(keras.Model):
        def __init__(self) -> None:
            super().__init__(name="mixed")
            inputs = keras.Input((4,))
            self.before = keras.Model(inputs, layers.Dense(4, name="mixed")(inputs), name="before")
            self.inside = layers.Dense(4, name="inside")
            self.scoped = layers.Dense(4, name="scoped")

        def build(self, shape: Any) -> None:
            self.scale = self.add_weight(name="scale", shape=(4,))
            self.inside.build(shape)
            with keras.name_scope("part"):
                self.scoped.build(shape)

        def call(self, inputs: Any) -> Any:
            return self.scoped(self.inside(self.before(inputs))) * self.scale

    model = Mixed()
    model(np.ones((2, 4), "float32"))
    return model


def held_twice(name: str) -> keras.Model:
    """A layer that the model holds, and so does a model of any name in it, in which it was built."""
    inner = keras.Sequential([layers.Dense(4, name="d")], name=name)
    x = keras.Input((4,))
    return keras.Model(x, inner.layers[0](inner(x)), name="m")


# One row a way of a model to come by its weights: the model, and the names of those.
NAMED: dict[str, tuple[Callable[[], keras.Model], list[str]]] = {
    "a model of models": (
        nested,
        ["backbone.d.kernel", "backbone.d.bias", "out.kernel", "out.bias"],
    ),
    "a model in a model": (lambda: nested().layers[0], ["d.kernel", "d.bias"]),
    "a model in one of its own name": (
        lambda: keras.Sequential(
            [keras.Input((4,)), keras.Sequential([layers.Dense(4, name="d")], name="m")], name="m"
        ).layers[0],
        ["d.kernel", "d.bias"],
    ),
    "a layer of a functional model with the model's name": (
        lambda: model_of(layers.Dense(4, name="m"), (4,), name="m"),
        ["m.kernel", "m.bias"],
    ),
    "a layer of a sequential model with the model's name": (
        lambda: keras.Sequential([keras.Input((4,)), layers.Dense(4, name="m")], name="m"),
        ["m.kernel", "m.bias"],
    ),
    "a layer in a wrapper with the model's name": (
        lambda: model_of(layers.TimeDistributed(layers.Dense(4, name="m"), name="m"), (5, 4), name="m"),
        ["m.m.kernel", "m.m.bias"],
    ),
    "a model in another than it was built in": (
        lambda: model_of(nested().layers[0], (4,)),
        ["backbone.d.kernel", "backbone.d.bias"],
    ),
    "weights made in the model and elsewhere": (
        mixed,
        [
            "scale",
            "mixed.kernel",
            "mixed.bias",
            "inside.kernel",
            "inside.bias",
            "part.scoped.kernel",
            "part.scoped.bias",
        ],
    ),
    "a layer held twice": (lambda: held_twice("inner"), ["inner.d.kernel", "inner.d.bias"]),
}


@pytest.mark.parametrize("case", NAMED)
def test_a_weight_is_named_by_the_layers_down_to_it_and_by_no_model_around_them(case: str) -> None:
    make, names = NAMED[case]
    assert list(manifest(make()).entries) == names


def test_a_weight_with_two_names_is_refused() -> None:
    with pytest.raises(SpecError) as raised:
        manifest(held_twice("m"))
    assert [each.code for each in raised.value.diagnostics] == [Code.DUPLICATE_PARAMETER] * 2
    assert "may be 'm.d.kernel' or 'd.kernel'" in raised.value.diagnostics[0].message
    assert raised.value.diagnostics[0].hint == "give the model a name that no layer in it has"


NORMAL = "random_normal"
# One row a layer and a way to make its weights.
LAYERS: dict[str, Callable[[], keras.Model]] = {
    "Dense": lambda: model_of(layers.Dense(300), (128,)),
    "Dense with others": lambda: model_of(
        layers.Dense(300, kernel_initializer="he_normal", bias_initializer=keras.initializers.Constant(0.3)),
        (128,),
    ),
    "Dense with Identity": lambda: model_of(
        layers.Dense(8, kernel_initializer=keras.initializers.Identity(3.0)), (8,)
    ),
    "Conv1D": lambda: model_of(layers.Conv1D(64, 5, bias_initializer="ones"), (10, 24)),
    "Conv2D": lambda: model_of(layers.Conv2D(64, 3), (10, 10, 24)),
    "Conv2D in groups": lambda: model_of(layers.Conv2D(64, 3, groups=4), (10, 10, 24)),
    "Conv3D": lambda: model_of(layers.Conv3D(32, 3), (5, 5, 5, 8)),
    "Conv1DTranspose": lambda: model_of(layers.Conv1DTranspose(64, 5), (10, 24)),
    "Conv2DTranspose": lambda: model_of(layers.Conv2DTranspose(64, 3), (10, 10, 24)),
    "Conv3DTranspose": lambda: model_of(layers.Conv3DTranspose(32, 3), (5, 5, 5, 8)),
    "DepthwiseConv1D": lambda: model_of(layers.DepthwiseConv1D(7, depth_multiplier=8), (20, 128)),
    "DepthwiseConv2D": lambda: model_of(
        layers.DepthwiseConv2D(5, depth_multiplier=4, depthwise_initializer="he_uniform"), (20, 20, 64)
    ),
    "SeparableConv1D": lambda: model_of(layers.SeparableConv1D(64, 7, depth_multiplier=8), (20, 128)),
    "SeparableConv2D": lambda: model_of(
        layers.SeparableConv2D(64, 5, depth_multiplier=4, pointwise_initializer=NORMAL), (20, 20, 64)
    ),
    "Embedding": lambda: integers(layers.Embedding(500, 32)),
    "ReversibleEmbedding": lambda: integers(layers.ReversibleEmbedding(500, 32, tie_weights=False)),
    "EinsumDense": lambda: model_of(
        layers.EinsumDense("abc,cde->abde", (None, 8, 32), bias_axes="de"), (7, 64)
    ),
    "EinsumDense of two axes": lambda: model_of(
        layers.EinsumDense("abde,dec->abc", (None, 64), kernel_initializer="he_normal"), (7, 8, 32)
    ),
    "EinsumDense with dots": lambda: model_of(
        layers.EinsumDense("...x,xy->...y", 128, kernel_initializer="lecun_uniform"), (7, 64)
    ),
    "EinsumDense of ours": lambda: model_of(
        layers.EinsumDense("abc,cde->abde", (None, 8, 32), kernel_initializer=initializers.HeNormal()),
        (7, 64),
    ),
    "EinsumDense, untouched": lambda: model_of(
        layers.EinsumDense("abc,cde->abde", (None, 8, 32), kernel_initializer="random_uniform"), (7, 64)
    ),
    "MultiHeadAttention": lambda: model_of(layers.MultiHeadAttention(8, 16), (5, 64), (5, 64)),
    "GroupQueryAttention": lambda: model_of(layers.GroupQueryAttention(16, 8, 4), (5, 64), (5, 64)),
    "Attention": lambda: in_a_list(layers.Attention(use_scale=True, score_mode="concat"), (5, 4), (5, 4)),
    "AdditiveAttention": lambda: in_a_list(layers.AdditiveAttention(), (5, 4000), (5, 4000)),
    "BatchNormalization": lambda: model_of(layers.BatchNormalization(), (64,)),
    "BatchNormalization, renorm": lambda: model_of(layers.BatchNormalization(renorm=True), (64,)),
    "LayerNormalization": lambda: model_of(layers.LayerNormalization(gamma_initializer=NORMAL), (4000,)),
    "GroupNormalization": lambda: model_of(layers.GroupNormalization(8), (4, 64)),
    "RMSNormalization": lambda: model_of(layers.RMSNormalization(), (64,)),
    "SpectralNormalization": lambda: model_of(layers.SpectralNormalization(layers.Dense(4000)), (24,)),
    "Normalization": lambda: model_of(layers.Normalization(), (8,)),
    "PReLU": lambda: model_of(layers.PReLU(alpha_initializer=NORMAL), (4000,)),
    "LSTM": lambda: model_of(layers.LSTM(64), (5, 48)),
    "LSTM, random bias": lambda: model_of(layers.LSTM(300, bias_initializer=NORMAL), (5, 4)),
    "LSTM, no forget bias": lambda: model_of(
        layers.LSTM(300, bias_initializer=NORMAL, unit_forget_bias=False), (5, 4)
    ),
    "LSTMCell": lambda: model_of(layers.RNN([layers.LSTMCell(64), layers.LSTMCell(64)]), (5, 48)),
    "GRUCell": lambda: model_of(layers.RNN(layers.GRUCell(64)), (5, 48)),
    "GRU": lambda: model_of(layers.GRU(200, bias_initializer=NORMAL), (5, 4)),
    "GRU, reset before": lambda: model_of(layers.GRU(64, reset_after=False), (5, 48)),
    "SimpleRNN": lambda: model_of(layers.SimpleRNN(64), (5, 48)),
    "SimpleRNNCell": lambda: model_of(layers.RNN(layers.SimpleRNNCell(64)), (5, 48)),
    "Bidirectional": lambda: model_of(layers.Bidirectional(layers.LSTM(64)), (5, 48)),
    "ConvLSTM1D": lambda: model_of(layers.ConvLSTM1D(16, 5), (5, 12, 12)),
    "ConvLSTM2D": lambda: model_of(layers.ConvLSTM2D(16, 3), (5, 12, 12, 6)),
    "ConvLSTM3D": lambda: model_of(layers.ConvLSTM3D(8, 3), (3, 4, 4, 4, 6)),
    "TimeDistributed": lambda: model_of(layers.TimeDistributed(layers.Dense(64)), (5, 64)),
}


def spec(model: keras.Model, *rules: initcfg.Rule) -> initcfg.Spec:
    """What is captured of a model, with some rules before its own and in the place of those that skip."""
    found = capture(model).spec
    return found.model_copy(update={"rules": (*rules, *(each for each in found.rules if not each.skip))})


def rule(match: str, initializer: Any) -> initcfg.Rule:
    return initcfg.Rule(match=match, initializer=initializer)


def require_the_laws_of(model: keras.Model, least: float = 1e-3) -> None:
    """Fails where a plan of the model's spec has other laws than the values that Keras has just made."""
    found = spec(model)
    assert loads(dump_yaml(found)) == found
    plan = initcfg.make_plan(found, manifest=manifest(model))
    assert {parameter.name for parameter in plan} == manifest(model).entries.keys()
    for name, weight in zip(manifest(model).entries, model.weights, strict=True):
        parameter = plan[name]
        theirs = keras.ops.convert_to_numpy(weight)
        ours = initcfg.materialize(parameter)
        assert (ours.shape, ours.dtype) == (theirs.shape, theirs.dtype)
        if len(np.unique(theirs)) <= 2:
            np.testing.assert_array_equal(ours, theirs, err_msg=parameter.name)
            continue
        assert stats.ks_2samp(ours.ravel(), theirs.ravel()).pvalue > least, parameter.name
        assert abs(ours.std() / theirs.std() - 1) < 0.05, parameter.name


@laws
@pytest.mark.parametrize("name", LAYERS)
def test_a_spec_of_a_layer_has_the_laws_of_what_keras_makes(name: str) -> None:
    keras.utils.set_random_seed(11)
    require_the_laws_of(LAYERS[name]())


# A class with its arguments: Keras's initializers draw a seed where they are made.
INITIALIZERS = st.one_of(
    st.sampled_from(["Zeros", "Ones", "GlorotNormal", "HeUniform", "LecunNormal", "Orthogonal"]).map(
        lambda name: (getattr(keras.initializers, name), {})
    ),
    st.tuples(st.just(keras.initializers.Constant), st.fixed_dictionaries({"value": st.floats(-2, 2)})),
    st.tuples(
        st.sampled_from([keras.initializers.RandomNormal, keras.initializers.TruncatedNormal]),
        st.fixed_dictionaries({"mean": st.floats(-1, 1), "stddev": st.floats(0.1, 2)}),
    ),
    st.tuples(
        st.just(keras.initializers.RandomUniform),
        st.fixed_dictionaries(
            {"minval": st.floats(-2, -1), "maxval": st.floats(1, 2), "seed": st.integers(0, 9)}
        ),
    ),
    st.tuples(
        st.just(keras.initializers.VarianceScaling),
        st.fixed_dictionaries(
            {
                "scale": st.floats(0.1, 3),
                "mode": st.sampled_from(["fan_in", "fan_out", "fan_avg"]),
                "distribution": st.sampled_from(["uniform", "truncated_normal", "untruncated_normal"]),
            }
        ),
    ),
    st.just((initializers.TruncatedNormal, {"stddev": 0.1, "low": -1.0, "high": 3.0})),
)
WITH_KERNELS: tuple[Callable[[Any], keras.Model], ...] = (
    lambda kernel: model_of(layers.Dense(80, kernel_initializer=kernel), (60,)),
    lambda kernel: model_of(layers.Conv2D(24, 3, kernel_initializer=kernel), (8, 8, 24)),
    lambda kernel: model_of(
        layers.DepthwiseConv2D(5, depth_multiplier=4, depthwise_initializer=kernel), (9, 9, 48)
    ),
    lambda kernel: model_of(
        layers.EinsumDense("abc,cde->abde", (None, 8, 16), kernel_initializer=kernel), (7, 40)
    ),
    lambda kernel: model_of(layers.MultiHeadAttention(4, 16, kernel_initializer=kernel), (5, 72), (5, 72)),
    lambda kernel: model_of(layers.GRU(40, recurrent_initializer=kernel), (5, 40)),
    lambda kernel: integers(layers.Embedding(100, 48, embeddings_initializer=kernel)),
)


@laws
@settings(max_examples=40, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(WITH_KERNELS), INITIALIZERS)
def test_any_initializer_in_any_layer_keeps_its_law(
    make: Callable[[Any], keras.Model], initializer: tuple[Callable[..., Any], dict[str, Any]]
) -> None:
    keras.utils.set_random_seed(11)
    made, arguments = initializer
    require_the_laws_of(make(made(**arguments)), least=1e-6)


@laws
def test_another_law_would_be_noticed() -> None:
    model = model_of(layers.LSTM(300, bias_initializer=NORMAL), (5, 4))
    model.layers[-1].cell.unit_forget_bias = False
    with pytest.raises(AssertionError, match=r"lstm_cell\.bias"):
        require_the_laws_of(model)


def test_layer_scale_of_the_convnext_models_is_read_whatever_its_weight_is_called() -> None:
    convnext = importlib.import_module("keras.src.applications.convnext")
    model = keras.Sequential(
        [keras.Input((5,)), *(convnext.LayerScale(1e-6, 5, name=name) for name in ("a", "b"))]
    )
    assert all(re.fullmatch(r"[ab]\.variable(_[0-9]+)?", name) for name in manifest(model).entries)
    require_the_laws_of(model)


# Their weights come from code of the user's, or from a transform that no initializer of ours makes.
TOLD = {"STFTSpectrogram"}


def test_every_layer_that_makes_weights_stands_in_the_table() -> None:
    def makes_weights(cls: type) -> bool:
        own = [
            vars(base)["build"] for base in cls.__mro__ if base is not keras.Layer and "build" in vars(base)
        ]
        return any("self.add_weight(" in inspect.getsource(build) for build in own)

    public = {name: cls for name, cls in vars(layers).items() if inspect.isclass(cls)}
    wanted = {cls for cls in public.values() if issubclass(cls, keras.Layer) and makes_weights(cls)}
    tested = {public[name.split(" ")[0].rstrip(",")] for name in LAYERS}
    assert {cls.__name__ for cls in wanted - tested} == TOLD


@keras.saving.register_keras_serializable("tests")
class Scaled(keras.Layer):
    """A layer of one's own, with an initializer for one of its weights."""

    def __init__(self, scale_initializer: Any = "ones", **others: Any) -> None:
        super().__init__(**others)
        self.scale_initializer = keras.initializers.get(scale_initializer)

    def build(self, shape: tuple[int, ...]) -> None:
        self.scale = self.add_weight(name="scale", shape=shape[-1:], initializer=self.scale_initializer)
        self.shift = self.add_weight(name="shift", shape=shape[-1:], initializer="random_normal")

    def call(self, inputs: Any) -> Any:
        return inputs * self.scale + self.shift


class Block(keras.Model):
    """A subclassed model: a nested model, a layer of its own, one that is held twice."""

    def __init__(self) -> None:
        super().__init__(name="block")
        self.inner = keras.Sequential(
            [layers.Dense(6, name="up"), layers.Dense(4, name="down")], name="inner"
        )
        self.scaled = Scaled(name="scaled")
        self.again = self.inner

    def call(self, inputs: Any) -> Any:
        return self.again(self.scaled(self.inner(inputs)))


def block() -> keras.Model:
    model = Block()
    model(np.ones((2, 4), "float32"))
    return model


def test_a_subclassed_model_is_read_where_all_is_known_or_said() -> None:
    assert list(capture(block()).unsaid) == ["scaled.shift"]
    found = spec(block(), rule("**.shift", {"random_normal": {"stddev": 0.1}}))
    assert {each.name: each.initializer for each in initcfg.make_plan(found)} == {
        "inner.up.kernel": initializers.GlorotUniform(),
        "inner.up.bias": initializers.Zeros(),
        "inner.down.kernel": initializers.GlorotUniform(),
        "inner.down.bias": initializers.Zeros(),
        "scaled.scale": initializers.Ones(),
        "scaled.shift": initializers.RandomNormal(stddev=0.1),
    }


def test_seeds_and_dtypes_are_kept() -> None:
    kernel = keras.initializers.HeNormal(seed=7)
    model = keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(4, kernel_initializer=kernel, name="a"),
            layers.Dense(4, name="b", dtype="bfloat16"),
            layers.Dense(4, name="c", dtype="mixed_bfloat16"),
        ]
    )
    plan = initcfg.make_plan(spec(model))
    assert plan["a.kernel"].initializer == initializers.HeNormal(seed=7)
    assert [plan[f"{name}.bias"].dtype.name for name in "abc"] == ["float32", "bfloat16", "float32"]


class HeNormal(keras.initializers.Initializer):
    """Not Keras's, in spite of its name."""

    def __call__(self, shape: Any, dtype: Any = None) -> Any:
        return keras.ops.ones(shape, dtype)


class OwnCell(layers.LSTMCell):
    """A build of its own, of which nothing is known."""

    def build(self, shape: Any) -> None:
        super().build(shape)


def with_lora() -> keras.Model:
    layer = layers.Dense(8, name="fc")
    model = model_of(layer, (8,))
    layer.enable_lora(2)
    return model


def quantized() -> keras.Model:
    layer = layers.Dense(8, name="fc")
    model = model_of(layer, (8,))
    layer.quantize("int8")
    return model


def by_hand(shape: Any, dtype: Any = None) -> Any:
    return np.ones(shape, dtype)


UNKNOWN: dict[str, tuple[Callable[[], keras.Model], dict[str, str]]] = {
    "no attribute": (
        lambda: model_of(Scaled(name="a"), (4,)),
        {"a.shift": "Scaled has no shift_initializer"},
    ),
    "a function": (
        lambda: model_of(layers.Dense(4, kernel_initializer=by_hand, name="a"), (4,)),
        {"a.kernel": "the function 'by_hand' is code"},
    ),
    "a class of the same name": (
        lambda: model_of(layers.Dense(4, kernel_initializer=HeNormal(), name="a"), (4,)),
        {"a.kernel": "HeNormal is code"},
    ),
    "a generator": (
        lambda: model_of(
            layers.Dense(
                4,
                kernel_initializer=keras.initializers.HeNormal(seed=keras.random.SeedGenerator(1)),
                name="a",
            ),
            (4,),
        ),
        {"a.kernel": "seed"},
    ),
    "a build of one's own": (
        lambda: model_of(layers.RNN(OwnCell(4, name="cell"), name="a"), (5, 4)),
        dict.fromkeys(
            ["a.cell.kernel", "a.cell.recurrent_kernel", "a.cell.bias"],
            "OwnCell has a build in the place of LSTMCell's",
        ),
    ),
    "a transform": (
        lambda: model_of(
            layers.STFTSpectrogram(name="a", mode="real", frame_length=8, frame_step=4), (64, 1)
        ),
        {"a.real_kernel": "STFTSpectrogram has no real_kernel_initializer"},
    ),
    "lora": (
        with_lora,
        {
            "fc.lora_kernel_a": "Dense has no lora_kernel_a_initializer",
            "fc.lora_kernel_b": "Dense has no lora_kernel_b_initializer",
        },
    ),
    "quantized": (
        quantized,
        dict.fromkeys(["fc.kernel", "fc.bias", "fc.kernel_scale"], "the layer is quantized to int8"),
    ),
}


@pytest.mark.parametrize("case", UNKNOWN)
def test_what_is_not_known_is_told_and_not_guessed(case: str) -> None:
    make, wanted = UNKNOWN[case]
    told = capture(make()).unsaid
    assert told.keys() == wanted.keys()
    for name, reason in wanted.items():
        assert reason in told[name].reason


def test_a_name_with_braces_is_written_so_that_it_is_read_again() -> None:
    model = keras.Sequential([keras.Input((4,)), layers.Dense(4, name="a{b}")])
    found = loads(dump_yaml(spec(model)))
    assert [parameter.name for parameter in initcfg.make_plan(found)] == ["a{b}.kernel", "a{b}.bias"]


# What is initialised.


def mlp() -> keras.Model:
    stack = [
        keras.Input((8,)),
        layers.Dense(6, name="up"),
        layers.BatchNormalization(name="norm"),
        layers.Dropout(0.5),
        layers.Dense(3, name="down", dtype="bfloat16"),
    ]
    return keras.Sequential(stack, name="mlp")


def values(model: keras.Model) -> dict[str, bytes]:
    arrays = (keras.ops.convert_to_numpy(weight.value) for weight in model.weights)
    return {name: array.tobytes() for name, array in zip(manifest(model).entries, arrays, strict=True)}


def made(plan: initcfg.Plan) -> dict[str, bytes]:
    return {name: array.tobytes() for name, array in initcfg.materialize(plan).items()}


@pytest.mark.parametrize(("threads", "group"), [(1, 1 << 28), (3, 1 << 28), (None, 100)])
def test_an_initialised_model_holds_the_bits_of_the_plan_and_runs(
    threads: int | None, group: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("initcfg.adapters.keras.weights._GROUP_BYTES", group)
    model = mlp()
    plan = initcfg.make_plan(spec(model), settings={"seed": 5})
    told: list[tuple[int, int]] = []
    report = initialize(model, plan, threads=threads, progress=lambda done, total: told.append((done, total)))
    assert values(model) == made(plan)
    assert report.weights == tuple(manifest(model).entries)
    assert report.non_trainable == ("norm.moving_mean", "norm.moving_variance")
    assert (report.skipped, len(report.others)) == ((), 1)
    assert told == sorted(told)
    assert told[-1] == (plan.nbytes, plan.nbytes)
    outputs = keras.ops.convert_to_numpy(model(np.ones((2, 8), "float32"))).astype("float32")
    assert np.isfinite(outputs).all()
    assert np.abs(outputs).max() > 0


@pytest.mark.parametrize("name", ["LSTM", "MultiHeadAttention", "Conv2D", "Embedding", "Normalization"])
def test_layers_of_all_kinds_are_initialised(name: str) -> None:
    model = LAYERS[name]()
    plan = initcfg.make_plan(spec(model))
    initialize(model, plan)
    elementwise = {each.name for each in plan if each.distribution is not None}
    found, wanted = values(model), made(plan)
    assert {key: found[key] for key in elementwise} == {key: wanted[key] for key in elementwise}
    if name == "LSTM":
        recurrent = keras.ops.convert_to_numpy(model.layers[-1].cell.recurrent_kernel)
        np.testing.assert_allclose(recurrent @ recurrent.T, np.eye(64), atol=1e-5)


def test_every_difference_is_told_and_nothing_is_touched() -> None:
    model = mlp()
    params = {
        "up.kernel": {"shape": [8, 7], "initializer": "zeros"},
        "up.bias": {"shape": [6], "dtype": "float16", "initializer": "zeros"},
        "up.scale": {"shape": [6], "initializer": "zeros"},
    }
    before = values(model)
    with pytest.raises(SpecError) as raised:
        initialize(model, initcfg.make_plan({"initcfg": 1, "params": params}))
    text = "\n".join(each.message for each in raised.value.diagnostics)
    for name in ("up.kernel", "up.bias", "up.scale", "norm.gamma", "down.kernel"):
        assert name in text
    assert values(model) == before


def test_custom_code_that_fails_leaves_everything_as_it_was() -> None:
    def fails(shape: Any, dtype: Any = None) -> Any:
        raise RuntimeError("no values today")

    def wrong(shape: Any, dtype: Any = None) -> Any:
        return np.zeros((1, 1), dtype)

    for code, error in ((fails, RuntimeError), (wrong, InitializerError)):
        model = mlp()
        plan = initcfg.make_plan(spec(model, rule("down.kernel", code)))
        before = values(model)
        with pytest.raises((error, InitializerError)):
            initialize(model, plan)
        assert values(model) == before


def test_what_this_package_builds_whole_is_bounded_and_custom_code_runs_before_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assigning = importlib.import_module("initcfg.adapters.keras.weights")
    fill, groups = assigning.fill_targets, []

    def watched(targets: Any, **settings: Any) -> None:
        groups.append([target.parameter.name for target in targets])
        fill(targets, **settings)

    monkeypatch.setattr(assigning, "fill_targets", watched)
    monkeypatch.setattr(assigning, "_GROUP_BYTES", 100)
    names = ("a", "b", "c", "d")
    model = keras.Sequential(
        [keras.Input((8,)), *(layers.Dense(8, name=name, use_bias=False) for name in names)]
    )
    schemes = rule("[a-c].kernel", "orthogonal"), rule("d.kernel", by_hand)
    spec = capture(model).spec.model_copy(update={"rules": schemes})
    initialize(model, initcfg.make_plan(spec))
    assert groups == [["d.kernel"], ["a.kernel"], ["b.kernel"], ["c.kernel"]]


def test_an_interrupted_call_has_set_whole_weights_and_another_call_sets_the_rest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("initcfg.adapters.keras.weights._GROUP_BYTES", 100)

    def interrupt(done: int, total: int) -> None:
        if done == total:
            raise KeyboardInterrupt

    model = mlp()
    plan = initcfg.make_plan(capture(model).spec.model_copy(update={"rules": (rule("**", "random_normal"),)}))
    before, wanted = values(model), made(plan)
    with pytest.raises(KeyboardInterrupt):
        initialize(model, plan, progress=interrupt)
    after = values(model)
    assert {name: after[name] in (before[name], wanted[name]) for name in after} == dict.fromkeys(after, True)
    assert before != after != wanted
    initialize(model, plan)
    assert values(model) == wanted


def test_what_the_plan_skips_and_what_is_no_weight_is_left_alone() -> None:
    model = mlp()
    model.compile("adam", "mse", metrics=["mae"])
    model.fit(np.ones((4, 8)), np.ones((4, 3)), verbose=0)
    plan = initcfg.make_plan(spec(model, initcfg.Rule(match="norm.moving_*", skip=True)))
    before = values(model)
    steps = int(model.optimizer.iterations)
    report = initialize(model, plan)
    skipped = ("norm.moving_mean", "norm.moving_variance")
    assert report.skipped == skipped
    assert report.weights == tuple(name for name in before if name not in skipped)
    after, wanted = values(model), made(plan)
    assert after == wanted | {name: before[name] for name in skipped}
    for part in ("seed_generator", "loss", "mean_absolute_error", "adam"):
        assert any(path.startswith(part) for path in report.others)
    assert int(model.optimizer.iterations) == steps == 1


def test_variables_that_are_tied_in_the_plan_are_refused_and_the_way_out_gives_them_one_beginning() -> None:
    model = keras.Sequential([keras.Input((4,)), layers.Dense(4, name="a"), layers.Dense(4, name="b")])
    kernel = {"shape": [4, 4], "initializer": "he_normal"}
    rest = {name: {"shape": [4], "initializer": "zeros"} for name in ("a.bias", "b.bias")}

    def plan(second: dict[str, Any]) -> initcfg.Plan:
        params = {"a.kernel": kernel, "b.kernel": second, **rest}
        return initcfg.make_plan({"initcfg": 1, "layout": "in_out", "params": params})

    before = values(model)
    with pytest.raises(SpecError, match=r"stream: a\.kernel in the place of tied_to") as raised:
        initialize(model, plan({"shape": [4, 4], "tied_to": "a.kernel"}))
    assert [each.code for each in raised.value.diagnostics] == [Code.TIED]
    assert values(model) == before
    initialize(model, plan(kernel | {"stream": "a.kernel"}))
    assert values(model)["a.kernel"] == values(model)["b.kernel"] != before["a.kernel"]


def test_a_layer_that_is_used_twice_has_one_name() -> None:
    layer, inputs = layers.Dense(4, name="a"), keras.Input((4,))
    model = keras.Model(inputs, layer(layer(inputs)))
    assert list(manifest(model).entries) == ["a.kernel", "a.bias"]


def test_what_is_no_plan_is_told_how_one_is_made() -> None:
    with pytest.raises(TypeError, match=r"initialize takes a plan, not str: .*manifest=manifest\(model\)"):
        initialize(mlp(), "x.yaml")  # type: ignore[arg-type]


def test_a_normalization_computes_with_the_weights_that_it_was_given() -> None:
    layer = layers.Normalization(name="norm")
    layer.adapt(np.array([[1.0, 10.0], [3.0, 30.0]]))
    model = keras.Sequential([keras.Input((2,)), layer])
    initialize(model, initcfg.make_plan(spec(model)))
    outputs = keras.ops.convert_to_numpy(model(np.array([[1.0, 2.0]], "float32")))
    np.testing.assert_allclose(outputs, [[1.0, 2.0]], rtol=1e-6)


@pytest.mark.filterwarnings("ignore:Explicitly requested dtype float64:UserWarning")
def test_a_dtype_that_the_backend_does_not_hold_is_not_promised() -> None:
    model = keras.Sequential([keras.Input((4,)), layers.Dense(4, name="a", dtype="float64")])
    plan = initcfg.make_plan(spec(model))
    initialize(model, plan)
    assert values(model) == made(plan)
    assert str(plan["a.kernel"].dtype) == ("float32" if keras.backend.backend() == "jax" else "float64")


# What is saved with Keras.

OURS: dict[str, Any] = {
    cls.__name__: cls(seed=3) if "seed" in inspect.signature(cls).parameters else cls()  # type: ignore[call-arg]
    for cls in BUILTINS
    if cls is not initializers.STFT and not any(each.is_required for each in arguments_of(cls).values())
} | {
    "sparse": initializers.Sparse(0.5, seed=3),
    "bounds": initializers.TruncatedNormal(stddev=0.1, low=-1, high=3, seed=2),
    "gain": initializers.Identity(gain=2.0),
    "array": initializers.Constant(np.arange(48.0).reshape(6, 8)),
    "parts": initializers.Concatenate(
        axis=-1,
        sizes=[3, 5],
        initializers=[initializers.HeNormal(seed=1), {"truncated_normal": {"seed": 2, "high": 1.0}}],
    ),
    "axes": initializers.VarianceScaling(2.0, "fan_out", "normal", 4, input_axes=[1], output_axes=[0]),
}


@pytest.mark.parametrize("name", OURS)
def test_a_saved_model_that_holds_ours_loads_again(name: str, tmp_path: Path) -> None:
    ours = OURS[name]
    model = keras.Sequential([keras.Input((6,)), layers.Dense(8, kernel_initializer=ours)])
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    held = again.layers[-1].kernel_initializer
    assert type(held) is type(ours)
    assert held == ours
    assert again.layers[-1].get_config() == model.layers[-1].get_config()
    assert values(again) == values(model)
    # From the config alone, without the file's weights.
    fresh = keras.Sequential.from_config(model.get_config())
    if name != "Orthogonal":
        assert values(fresh) == values(model)
    assert capture(again).spec == capture(model).spec


@pytest.mark.parametrize("name", OURS)
def test_what_keras_writes_of_ours_is_read_by_both(name: str) -> None:
    written = keras.initializers.serialize(OURS[name])
    assert written["registered_name"] == f"initcfg>{type(OURS[name]).__name__}"
    assert keras.initializers.deserialize(written) == OURS[name]
    assert initializers.deserialize(written) == OURS[name]
    param = {"shape": [6, 8], "initializer": written}
    plan = initcfg.make_plan({"initcfg": 1, "layout": "in_out", "params": {"w": param}})
    assert plan["w"].initializer == OURS[name]


def test_composite_layers_hand_ours_on(tmp_path: Path) -> None:
    ours = initializers.HeNormal(seed=1)
    attention = layers.MultiHeadAttention(2, 4, kernel_initializer=ours)
    model = model_of(attention, (5, 8), (5, 8))
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert again.layers[-1]._query_dense.kernel_initializer == ours
    assert values(again) == values(model)


# A fresh interpreter.


def run(code: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def test_keras_that_is_missing_is_asked_for() -> None:
    code = (
        "import sys\nsys.modules['keras'] = None\n"
        "try:\n    import initcfg.adapters.keras\nexcept ImportError as error:\n    print(error)"
    )
    assert run(code) == "initcfg.adapters.keras needs keras: pip install 'initcfg[keras]'"


def test_without_the_adapter_keras_reads_a_class_of_its_own() -> None:
    code = (
        "import keras, initcfg\n"
        "layer = keras.layers.Dense(3, kernel_initializer=initcfg.initializers.HeNormal(seed=1))\n"
        "print(type(type(layer).from_config(layer.get_config()).kernel_initializer).__module__)"
    )
    assert run(code).startswith("keras.")
    assert run(f"import initcfg.adapters.keras\n{code}") == "initcfg.initializers.scaling"


def test_an_unseeded_initializer_follows_the_global_seed_of_keras() -> None:
    def kernels(seed: int) -> list[bytes]:
        keras.utils.set_random_seed(seed)
        model = keras.Sequential([keras.Input((4,))])
        for _ in range(2):
            model.add(layers.Dense(4, kernel_initializer=initializers.HeNormal()))
        return [np.asarray(keras.ops.convert_to_numpy(layer.kernel)).tobytes() for layer in model.layers]

    assert kernels(1) == kernels(1)
    assert len({*kernels(1), *kernels(2)}) == 4


def test_an_initializer_has_the_methods_of_keras_with_their_arguments() -> None:
    own = {name for name in vars(keras.initializers.Initializer) if not name.startswith("_")}
    assert own == {"clone", "from_config", "get_config"}
    for cls in BUILTINS:
        for name in (*own, "__call__"):
            theirs = inspect.signature(getattr(keras.initializers.Initializer, name)).parameters
            ours = inspect.signature(getattr(cls, name)).parameters
            assert list(ours)[: len(theirs)] == list(theirs), (cls, name)


def test_an_initializer_has_the_arguments_of_its_namesake_in_keras() -> None:
    for cls in BUILTINS:
        theirs = getattr(keras.initializers, cls.__name__, None)
        if theirs is not None and theirs.__init__ is not object.__init__:
            assert set(inspect.signature(theirs).parameters) <= set(inspect.signature(cls).parameters), cls
    known = {cls.__name__ for cls in BUILTINS}
    public = {cls.__name__ for cls in vars(keras.initializers).values() if inspect.isclass(cls)}
    assert public - known == {"Initializer"}


def test_another_dtype_is_told_in_the_words_of_keras() -> None:
    model = keras.Sequential([keras.Input((2,)), layers.Dense(1, name="a", use_bias=False)])
    params = {"a.kernel": {"shape": [2, 1], "initializer": "zeros", "dtype": "float16"}}
    with pytest.raises(SpecError, match="build the model with dtype='float16', or drop 'dtype:'"):
        initialize(model, initcfg.make_plan({"initcfg": 1, "params": params}))


def test_numbered_layers_are_captured_as_one() -> None:
    tower = [layers.Dense(8, name=f"block{at}_dense") for at in range(5)]
    model = keras.Sequential([keras.Input((8,)), *tower], name="tower")
    found = capture(model)
    assert not found.unsaid
    assert list(found.spec.layers) == ["block{i}_dense"]
    assert {each.name for each in initcfg.make_plan(found.spec)} == manifest(model).entries.keys()
    assert 'match: "**", initializer: glorot_uniform' in found.text


def test_what_capture_cannot_read_is_named_and_skipped() -> None:
    layer = layers.Dense(4, kernel_initializer=keras.ops.ones, name="own")
    found = capture(keras.Sequential([keras.Input((8,)), layer]))
    assert "is code" in found.unsaid["own.kernel"].reason
    assert [each.name for each in initcfg.make_plan(found.spec)] == ["own.bias"]


@pytest.mark.parametrize("imports", ["import keras", "import torch, keras"])
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_the_command_captures_a_model_of_keras(tmp_path: Path, imports: str, backend: str) -> None:
    (tmp_path / "keras_models.py").write_text(
        f"{imports}\n"
        "def build():\n"
        "    return keras.Sequential([keras.Input((8,)), keras.layers.Dense(4, name='out')], name='mlp')\n"
        "def layer():\n    return keras.layers.Dense(4)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "KERAS_BACKEND": backend}
    run = functools.partial(
        subprocess.run, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    done = run([sys.executable, "-m", "initcfg", "capture", "keras_models:build"])
    assert done.returncode == 0, done.stderr
    model = keras.Sequential([keras.Input((8,)), layers.Dense(4, name="out")], name="mlp")
    assert loads(done.stdout) == capture(model).spec
    refused = run([sys.executable, "-m", "initcfg", "audit", "keras_models:build"])
    assert refused.returncode == 2
    assert "must return a torch.nn.Module; it returned keras.src.models" in refused.stdout
    if imports == "import keras" and backend == "jax":
        refused = run([sys.executable, "-m", "initcfg", "capture", "keras_models:layer"])
        assert refused.returncode == 2
        assert "must return a keras.Model; it returned keras.src.layers.core.dense.Dense" in refused.stderr
