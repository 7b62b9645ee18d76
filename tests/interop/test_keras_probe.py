"""What `adapters.keras.probe` measures is what PyTorch's measures of the same net, and it stays as it was."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
from typing import TYPE_CHECKING, Any

os.environ.setdefault("KERAS_BACKEND", "jax")

import keras
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from keras import layers
from keras.src import backend
from keras.src.backend.common import global_state
from torch import nn
from torch.nn import functional

import initcfg
from initcfg.adapters import keras as for_keras
from initcfg.adapters import torch as for_torch
from initcfg.cli import main
from initcfg.errors import SpecError
from initcfg.probe.functions import entropy_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
WIDTH, CLASSES, BATCH, LENGTH, HEADS = 16, 5, 12, 6, 2
RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(BATCH, WIDTH)).astype(np.float32)
IMAGES = RANDOM.normal(size=(BATCH, 8, 8, 3)).astype(np.float32)
TOKENS = RANDOM.integers(20, size=(BATCH, LENGTH))
LABELS = np.arange(BATCH) % CLASSES


class TorchMlp(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.ModuleList(nn.Linear(WIDTH, WIDTH) for _ in range(4))
        self.act = nn.ModuleList([nn.ReLU(), nn.Tanh(), nn.Sigmoid(), nn.Hardtanh()])
        self.head = nn.Linear(WIDTH, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for fc, act in zip(self.fc, self.act, strict=True):
            x = act(fc(x))
        return self.head(x)


def mlp() -> keras.Model:
    made: list[keras.Layer] = [keras.Input((WIDTH,))]
    for at, name in enumerate(("relu", "tanh", "sigmoid", "hard_tanh")):
        made += [layers.Dense(WIDTH, name=f"fc_{at}"), layers.Activation(name, name=f"act_{at}")]
    return keras.Sequential([*made, layers.Dense(CLASSES, name="head")])


class TorchConvs(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        convs = [nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)]
        self.conv = nn.ModuleList(convs)
        self.norm = nn.BatchNorm2d(8, eps=1e-3)
        self.head = nn.Linear(8, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.norm(self.conv[0](x)))
        x = x + torch.relu(self.conv[1](x))
        return self.head(x.mean((2, 3)))


def convs() -> keras.Model:
    images = keras.Input((8, 8, 3))
    x = layers.Conv2D(8, 3, padding="same", name="conv_0")(images)
    x = keras.ops.relu(layers.BatchNormalization(name="norm")(x))
    x = x + keras.ops.relu(layers.Conv2D(8, 3, padding="same", name="conv_1")(x))
    return keras.Model(images, layers.Dense(CLASSES, name="head")(keras.ops.mean(x, (1, 2))))


class TorchBlock(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(WIDTH, eps=1e-3)
        self.query, self.key, self.value, self.out = (nn.Linear(WIDTH, WIDTH) for _ in range(4))
        self.up, self.down = nn.Linear(WIDTH, 2 * WIDTH), nn.Linear(2 * WIDTH, WIDTH)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.norm(x)
        q, k, v = (
            each(h).unflatten(-1, (HEADS, -1)).transpose(1, 2) for each in (self.query, self.key, self.value)
        )
        seen = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(seen.transpose(1, 2).flatten(2))
        return x + self.down(functional.gelu(self.up(x)))


class TorchTransformer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.wte = nn.Embedding(20, WIDTH)
        self.h = nn.ModuleList(TorchBlock() for _ in range(2))
        self.head = nn.Linear(WIDTH, 20)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.wte(tokens)
        for block in self.h:
            x = block(x)
        return self.head(x)


class Block(layers.Layer):
    def __init__(self, name: str) -> None:
        super().__init__(name=name)
        self.norm = layers.LayerNormalization(name="norm")
        self.query, self.key, self.value, self.out = (
            layers.Dense(WIDTH, name=each) for each in ("query", "key", "value", "out")
        )
        self.up = layers.Dense(2 * WIDTH, name="up")
        self.down = layers.Dense(WIDTH, name="down")

    def call(self, x: Any) -> Any:
        h = self.norm(x)
        split = [
            keras.ops.reshape(each(h), (-1, LENGTH, HEADS, WIDTH // HEADS))
            for each in (self.query, self.key, self.value)
        ]
        seen = keras.ops.dot_product_attention(*split, is_causal=True)
        x = x + self.out(keras.ops.reshape(seen, (-1, LENGTH, WIDTH)))
        return x + self.down(keras.activations.gelu(self.up(x)))


def transformer() -> keras.Model:
    tokens = keras.Input((LENGTH,), dtype="int32")
    x = layers.Embedding(20, WIDTH, name="wte")(tokens)
    for at in range(2):
        x = Block(f"h_{at}")(x)
    return keras.Model(tokens, layers.Dense(20, name="head")(x))


def with_weights_of(module: nn.Module, model: keras.Model) -> keras.Model:
    """The model with the weights of the module, which are the other way round."""
    tensors = dict(module.named_parameters())
    names = for_keras.manifest(model).entries
    for name, weight in zip(names, model.weights, strict=True):
        if "moving" in name:
            continue
        array = tensors.pop(in_torch(name)).detach().numpy()
        turned = {2: (1, 0), 4: (2, 3, 1, 0)} if name.endswith("kernel") else {}
        weight.assign(array.transpose(turned.get(array.ndim, range(array.ndim))))
    assert not tensors
    return model


def in_torch(name: str) -> str:
    """What torch calls a layer or a weight."""
    path = re.sub(r"_(\d)", r".\1", name)
    return re.sub(r"\.(kernel|gamma|embeddings)$", ".weight", path).replace(".beta", ".bias")


def all_close(ours: Any, theirs: Any, rel: float = 1e-4, least: float = 1e-12) -> None:
    """Numbers agree, of sums that nearly cancel as far as float32 has them; None where None is."""
    for one, other in zip(ours, theirs, strict=True):
        assert one == (None if other is None else pytest.approx(other, rel=rel, abs=least))


@pytest.mark.parametrize(
    ("module", "build", "fed", "target"),
    [
        (TorchMlp, mlp, X, LABELS),
        (TorchConvs, convs, IMAGES, LABELS),
        (TorchTransformer, transformer, TOKENS, np.roll(TOKENS, 1, 1)),
    ],
    ids=["mlp", "convs", "transformer"],
)
def test_every_number_is_that_of_the_same_net_in_torch(
    module: type[nn.Module], build: Callable[[], keras.Model], fed: Any, target: Any
) -> None:
    torch.manual_seed(0)
    net = module()
    model = with_weights_of(net, build())
    given = torch.from_numpy(fed.transpose(0, 3, 1, 2) if fed.ndim == 4 else fed)
    found = for_torch.probe(net, (given, torch.from_numpy(target)))
    probed = for_keras.probe(model, (fed, target))
    theirs, ours = found.runs[0], probed.runs[0]
    assert (probed.loss, probed.chance) == (found.loss, found.chance)
    all_close(ours.loss, theirs.loss)
    places: list[tuple[Any, Any]] = [
        *zip(ours.blocks, theirs.blocks, strict=True),
        *zip(ours.leaves, theirs.leaves, strict=True),
    ]
    for mine, its in places:
        assert in_torch(mine.name) == its.name
        ways = [(mine.forward, its.forward), (mine.backward, its.backward)]
        # Of its input torch takes no gradient.
        for one, other in ways[: 1 if its.backward.square == (None,) else 2]:
            all_close(one.square, other.square)
            all_close(one.mean, other.mean, 1e-3, 1e-6)
    for block, its in zip(ours.blocks, theirs.blocks, strict=True):
        assert block.rows == its.rows
        all_close(block.rank, its.rank)
    for call, its in zip(ours.nonlinearities, theirs.nonlinearities, strict=True):
        assert in_torch(call.name) == its.name
        assert call.function in its.function
        all_close(call.dead + call.saturated + call.entropy, its.dead + its.saturated + its.entropy)
    steps = {each.name: each for each in theirs.weights}
    for weight in ours.weights:
        step = steps.pop(in_torch(weight.name))
        assert sorted(weight.shape) == sorted(step.shape)
        all_close(weight.square, step.square)
        if np.sqrt(step.gradient[0] or 0) > 1e-6:  # others are what is left of sums that cancel
            all_close(weight.gradient, step.gradient)
            all_close(weight.sgd, step.sgd)
            all_close(weight.adam, step.adam, 1e-3)
    assert not steps


def planned(model: keras.Model, seed: int = 0) -> initcfg.Plan:
    begun = {
        "gamma": "ones",
        "moving_variance": "ones",
        "bias": "zeros",
        "beta": "zeros",
        "moving_mean": "zeros",
    }
    params = {
        name: {"shape": list(each.shape), "initializer": begun.get(name.rpartition(".")[2], "he_normal")}
        for name, each in for_keras.manifest(model).entries.items()
    }
    return initcfg.make_plan({"initcfg": 1, "seed": seed, "layout": "in_out", "params": params})


def trained() -> keras.Model:
    """A model with dropout and averages that has taken a step, so that nothing of it is as at first."""
    wide = layers.Dense(WIDTH, "relu", name="fc_0")
    norm, dropped = layers.BatchNormalization(name="norm"), layers.Dropout(0.5, seed=3)
    made = [keras.Input((WIDTH,)), wide, norm, dropped, layers.Dense(CLASSES, name="head")]
    model = keras.Sequential(made)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=["accuracy"])
    model.fit(X, LABELS, batch_size=BATCH, verbose=0)
    return model


def state_of(model: keras.Model) -> list[bytes]:
    variables = [*model.variables, *model.metrics_variables, *model.optimizer.variables]
    arrays = [keras.ops.convert_to_numpy(each.value).tobytes() for each in variables]
    return [*arrays, str(random.getstate()).encode(), str(np.random.get_state()).encode()]


def functions_of(model: keras.Model) -> list[object]:
    return [*vars(backend.nn).values(), *vars(backend.numpy).values(), *model._flatten_layers()]


class RaisedError(Exception):
    pass


@pytest.mark.parametrize("fails", [False, True])
def test_the_model_and_the_random_states_are_as_they_were_also_after_an_exception(fails: bool) -> None:
    model = trained()
    keras.utils.set_random_seed(7)
    before, functions = state_of(model), functions_of(model)

    def loss(output: Any, _: Any) -> Any:
        random.random(), np.random.rand()
        if keras.backend.backend() != "jax":  # there such numbers are refused
            keras.random.normal((2,))
        if fails:
            raise RaisedError
        return keras.ops.mean(output)

    with pytest.raises(RaisedError) if fails else contextlib.nullcontext():
        for_keras.probe(model, (X, LABELS), plans={"he": planned(model)}, seeds=[0, 1], loss=loss)
    assert state_of(model) == before
    assert functions_of(model) == functions
    assert not any("call" in vars(layer) for layer in model._flatten_layers())
    assert global_state.get_global_attribute("global_seed_generator") is None


def test_what_is_left_behind_is_seen() -> None:
    model = trained()
    before = state_of(model)
    model(X, training=True)
    assert state_of(model) != before


def test_dropout_and_averages_are_those_of_training_and_the_same_each_time() -> None:
    model = trained()
    plans = {"a": planned(model), "b": planned(model)}
    one, other = for_keras.probe(model, (X, LABELS), plans=plans).runs
    assert one == other.model_copy(update={"name": "a", "seconds": one.seconds})
    leaves = {leaf.kind: leaf.forward.square[0] for leaf in one.leaves}
    # A normalized activation; half of it dropped, and the rest doubled.
    assert leaves["BatchNormalization"] == pytest.approx(1, rel=0.2)
    assert leaves["Dropout"] == pytest.approx(2 * leaves["BatchNormalization"], rel=0.5)
    assert not any("moving" in weight.name for weight in one.weights)


def test_a_plan_gives_its_weights_for_each_seed() -> None:
    model = mlp()
    (run,) = for_keras.probe(model, X, plans={"he": planned(model)}, seeds=[0, 5]).runs
    for at, seed in enumerate(run.seeds):
        made = initcfg.materialize(planned(model, seed))
        for weight in run.weights:
            assert weight.square[at] == pytest.approx(np.square(made[weight.name], dtype=float).mean())
    for_keras.initialize(model, planned(model, 5))
    (own,) = for_keras.probe(model, X).runs
    assert own.loss[0] == pytest.approx(run.loss[1], rel=1e-6)


def test_numbers_of_a_normalization_are_those_of_the_plan() -> None:
    norm = layers.Normalization(name="norm")
    norm.adapt(5 + 3 * X)
    model = keras.Sequential([keras.Input((WIDTH,)), norm, layers.Dense(CLASSES, name="head")])
    spec = for_keras.capture(model).spec
    before = keras.ops.convert_to_numpy(model(X))  # mean 0 and variance 1
    (run,) = for_keras.probe(model, X, plans={"own": initcfg.make_plan(spec)}).runs
    assert run.leaves[0].forward.square[0] == pytest.approx(np.square(X).mean(), rel=1e-5)
    assert (keras.ops.convert_to_numpy(model(X)) == before).all()
    (run,) = for_keras.probe(model, 5 + 3 * X).runs  # as adapted, again
    assert run.leaves[0].forward.square[0] == pytest.approx(1, rel=1e-5)


def test_the_loss_after_a_softmax_is_that_of_its_logits() -> None:
    logits, shares = mlp(), mlp()
    shares.add(layers.Softmax())
    shares.set_weights(logits.get_weights())
    one, other = (for_keras.probe(each, (X, LABELS)) for each in (logits, shares))
    assert one.loss == other.loss
    all_close(one.runs[0].loss, other.runs[0].loss)
    all_close(one.runs[0].weights[-1].gradient, other.runs[0].weights[-1].gradient)


def test_losses_of_keras_and_functions_are_taken_each_in_its_order() -> None:
    model = mlp()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    given = for_keras.probe(model, (X, LABELS), loss=loss)
    assert given.loss == "as given"
    all_close(given.runs[0].loss, for_keras.probe(model, (X, LABELS)).runs[0].loss)
    own = for_keras.probe(
        model, (X, LABELS), loss=lambda output, target: keras.ops.sum(output) * 0 + target[1]
    )
    assert own.runs[0].loss == (1.0,)


def test_squares_of_what_is_missed_have_the_variance_beside_them() -> None:
    found = for_keras.probe(mlp(), (X, RANDOM.normal(size=(BATCH, CLASSES))))
    assert found.loss == "mean square of what is missed"
    assert found.chance == pytest.approx(1, rel=0.5)


def several() -> keras.Model:
    a, b = keras.Input((4,), name="a"), keras.Input((5,), dtype="int32", name="b")
    rows = [layers.Dense(6, name="fc")(a), layers.Flatten()(layers.Embedding(7, 2, name="table")(b))]
    x = layers.Concatenate()(rows)
    return keras.Model({"a": a, "b": b}, layers.Dense(3, name="head")(x))


def test_several_inputs_are_given_as_the_model_takes_them_or_made() -> None:
    model = several()
    fed = {"a": X[:, :4], "b": TOKENS[:, :5] % 7}
    assert for_keras.probe(model, (fed, LABELS % 3)).loss == "cross entropy over 3 classes, the targets given"
    found = for_keras.probe(model)
    assert found.batch == "8 random inputs of 4 and 8 rows of 5 random tokens of 7"
    listed = keras.Model(list(model.inputs), model.outputs[0])
    assert for_keras.probe(listed, list(fed.values())).runs[0].loss[0] is not None


class Attending(layers.Layer):
    def __init__(self, name: str) -> None:
        super().__init__(name=name)
        self.attend = layers.MultiHeadAttention(HEADS, 4, name="attend")
        self.supports_masking = True

    def call(self, x: Any) -> Any:
        return x + self.attend(x, x)


def test_masks_reach_the_layers_inside_of_blocks() -> None:
    tokens = keras.Input((LENGTH,), dtype="int32")
    x = layers.Embedding(20, WIDTH, "normal", mask_zero=True, name="table")(tokens)
    for at in range(2):
        x = Attending(f"b_{at}")(x)
    model = keras.Model(tokens, layers.Dense(CLASSES, name="head")(layers.GlobalAveragePooling1D()(x)))
    model.set_weights([20 * each for each in model.get_weights()])
    padded = np.where(np.arange(LENGTH) < 3, TOKENS, 0)
    (run,) = for_keras.probe(model, (padded, LABELS)).runs
    assert [each.name for each in run.blocks] == ["before b_0", "b_0", "b_1"]
    own = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    all_close(run.loss, [float(keras.ops.convert_to_numpy(own(LABELS, model(padded))))])


def test_a_recurrent_layer_is_one_leaf() -> None:
    steps = [keras.Input((LENGTH, 3)), layers.LSTM(4, return_sequences=True, name="lstm_0")]
    steps += [layers.LSTM(4, return_sequences=True, name="lstm_1")]
    steps += [layers.TimeDistributed(layers.Dense(3, activation="relu", name="fc"), name="each")]
    (run,) = for_keras.probe(keras.Sequential(steps)).runs
    assert [each.name for each in run.leaves] == ["lstm_0", "lstm_1", "each"]
    assert [each.name for each in run.blocks] == ["before lstm_0", "lstm_0", "lstm_1"]
    assert not run.nonlinearities
    assert all(weight.gradient[0] is not None for weight in run.weights)


def test_units_and_choices_are_along_their_axes() -> None:
    images = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, name="conv")(images)
    x = layers.Softmax(axis=1, name="chosen")(keras.ops.relu(x))
    model = keras.Model(images, layers.Dense(CLASSES, name="head")(layers.Flatten()(x)))
    model.get_layer("conv").bias.assign([0, -100, 0, 0])
    relu, softmax = for_keras.probe(model, IMAGES).runs[0].nonlinearities
    assert (relu.function, relu.dead) == ("relu", (0.25,))
    shares = keras.ops.convert_to_numpy(keras.Model(images, x)(IMAGES))
    all_close(softmax.entropy, (entropy_of(np.moveaxis(shares, 1, -1)),))


def test_a_gate_of_one_number_is_measured() -> None:
    class Gated(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.fc, self.gate = layers.Dense(4), self.add_weight(shape=(), initializer="zeros", name="gate")

        def call(self, x: Any, training: bool = False) -> Any:
            return self.fc(x) * keras.ops.tanh(self.gate)

    model = Gated()
    model(X)
    (found,) = for_keras.probe(model, X).runs[0].nonlinearities
    assert (found.function, found.dead, found.saturated) == ("tanh", (1.0,), (0.0,))


def test_a_call_of_ones_own_on_a_layer_is_kept() -> None:
    model = mlp()
    layer = model.get_layer("fc_1")
    own = layer.call
    vars(layer)["call"] = doubled = lambda *args, **kwargs: 2 * own(*args, **kwargs)
    (run,) = for_keras.probe(model, X).runs
    assert vars(layer)["call"] is doubled
    del vars(layer)["call"]
    (plain,) = for_keras.probe(model, X).runs
    assert run.leaves[2].forward.square[0] == pytest.approx(4 * plain.leaves[2].forward.square[0])


def test_a_frozen_layer_has_no_gradient() -> None:
    model = mlp()
    model.get_layer("fc_1").trainable = False
    (run,) = for_keras.probe(model, X).runs
    found = {weight.name: weight.gradient[0] is not None for weight in run.weights}
    assert [name for name, has in found.items() if not has] == ["fc_1.kernel", "fc_1.bias"]


def test_numbers_of_half_the_length_are_measured() -> None:
    policy = keras.mixed_precision.dtype_policy()
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        model = mlp()
    finally:
        keras.mixed_precision.set_global_policy(policy)
    assert all(each.backward.square[0] for each in for_keras.probe(model, X).runs[0].leaves)


class Own(keras.Model):
    def __init__(self) -> None:
        super().__init__(name="own")
        self.head = layers.Dense(CLASSES, name="head")

    def call(self, x: Any) -> Any:
        return self.head(x)


def built() -> keras.Model:
    model = Own()
    model(X)
    return model


def frozen() -> keras.Model:
    model = mlp()
    model.trainable = False
    return model


def computed_again() -> keras.Model:
    with keras.RematScope(mode="full"):
        return mlp()


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: for_keras.probe(lambda: 7, X), TypeError, "takes a keras.Model, not function"),
        (lambda: for_keras.probe(Own(), X), SpecError, "has no weights yet.*\n.*build it first"),
        (lambda: for_keras.probe(built()), SpecError, "no random batch.*\n.*give a batch"),
        (lambda: for_keras.probe(mlp(), X[:, :3]), SpecError, r"fails.*\n.*takes float32 \(None, 16\)"),
        (lambda: for_keras.probe(built(), X[:, :3]), SpecError, "batch given: ValueError: Input 0 "),
        (lambda: for_keras.probe(mlp(), plans={"a": planned(convs())}), SpecError, "conv_0"),
        (lambda: for_keras.probe(mlp(), plans={"a": "he.yaml"}), TypeError, "make_plan"),  # type: ignore[dict-item]
        (lambda: for_keras.probe(mlp(), seeds=[0]), ValueError, "seeds are of plans"),
        (lambda: for_keras.probe(frozen(), X), SpecError, "nothing to train"),
        (lambda: for_keras.probe(computed_again(), X), SpecError, "RematScope.*\n.*build it without"),
        (lambda: for_keras.probe(mlp(), (X, LABELS + 1)), SpecError, "not all among the 5 classes"),
        (lambda: for_keras.probe(mlp(), X, loss="mse"), TypeError, r"keras.losses.get\('mse'\)"),  # type: ignore[arg-type]
        (lambda: for_keras.probe(mlp(), X, loss=lambda out, _: out), ValueError, r"one number.*shape"),
    ],
)  # fmt: skip
def test_a_wrong_call_is_told(call: Callable[[], object], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        call()


def test_another_backend_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    model = mlp()
    monkeypatch.setattr(keras.backend, "backend", lambda: "tensorflow")
    with pytest.raises(SpecError, match=r"not on tensorflow.*\n.*set KERAS_BACKEND"):
        for_keras.probe(model, X)


MODELS = """\
import keras, numpy as np

def build():
    hidden = [keras.layers.Dense(8, "relu", name=f"fc_{at}") for at in range(3)]
    return keras.Sequential([keras.Input((8,)), *hidden, keras.layers.Dense(2, name="head")])

def batch():
    return np.ones((4, 8)), np.zeros(4, int)
"""


def test_the_command_probes_what_makes_a_model_of_keras(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "probed_keras_models.py").write_text(MODELS)
    rules = '[{match: "**.bias", initializer: zeros}, {match: "**", initializer: he_normal}]'
    (tmp_path / "he.yaml").write_text(f"initcfg: 1\nlayout: in_out\nrules: {rules}\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    arguments = [
        "probe",
        "probed_keras_models:build",
        "--spec",
        "he.yaml",
        "--batch",
        "probed_keras_models:batch",
    ]
    result = CliRunner().invoke(main, [*arguments, "--seeds", "2", "--format", "json"])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["loss"] == "cross entropy over 2 classes, the targets given"
    assert [block["name"] for block in found["runs"][0]["blocks"]] == ["before fc_0", "fc_0", "fc_1", "fc_2"]
    assert found["runs"][0]["seeds"] == [0, 1]


def test_complex_numbers_are_refused() -> None:
    class Turned(keras.layers.Layer):
        def build(self, _: Any) -> None:
            self.turn = self.add_weight(shape=(4, 3), dtype="complex64", initializer="ones")

        def call(self, x: Any) -> Any:
            return keras.ops.abs(keras.ops.matmul(keras.ops.cast(x, "complex64"), self.turn))

    model = keras.Sequential([keras.Input((4,)), Turned()])
    with pytest.raises(SpecError, match="a probe measures real numbers"):
        for_keras.probe(model, np.ones((2, 4), np.float32))
