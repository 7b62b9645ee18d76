"""LSUV: every layer within its tolerance, in torch, JAX and Keras alike, and the spec that has the scales."""

from __future__ import annotations

import itertools
import os
from typing import TYPE_CHECKING, Any

os.environ.setdefault("KERAS_BACKEND", "jax")

import flax.linen as fl
import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

import initcfg
from initcfg.adapters import jax as for_jax
from initcfg.adapters import keras as for_keras
from initcfg.adapters.torch import initialize_, lsuv_, manifest, probe, verify
from initcfg.errors import SpecError, UnknownParameterError
from initcfg.manifest import Manifest
from initcfg.probe.lsuv import spec_of
from initcfg.spec import dump_yaml, loads

if TYPE_CHECKING:
    from collections.abc import Callable

    from initcfg.plan import Plan
    from initcfg.probe import Lsuv

torch.set_num_threads(1)
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
WIDTHS = (16, 32, 32, 8)


def planned(shapes: Any, weight: Any = "orthogonal", layout: str = "out_in", others: Any = ()) -> Plan:
    """A plan of a module, or of shapes, whose weights begin alike."""
    if isinstance(shapes, nn.Module):
        entries = manifest(shapes).entries.items()
        shapes = {name: each.shape for name, each in entries if not each.buffer}
    params = {
        name: {
            "shape": list(shape),
            "initializer": dict(others).get(name)
            or ("zeros" if name.endswith("bias") else weight if len(shape) > 1 else "ones"),
        }
        for name, shape in shapes.items()
    }
    return initcfg.make_plan({"initcfg": 1, "layout": layout, "params": params})


def mlp() -> nn.Module:
    wide = [nn.Linear(64, 64) for _ in range(6)]
    return nn.Sequential(nn.Linear(16, 64), *(each for fc in wide for each in (nn.Tanh(), fc)))


def vgg() -> nn.Module:
    def stage(before: int, after: int) -> list[nn.Module]:
        convs = nn.Conv2d(before, after, 3, padding=1), nn.Conv2d(after, after, 3, padding=1)
        return [convs[0], nn.ReLU(inplace=True), convs[1], nn.ReLU(inplace=True), nn.MaxPool2d(2)]

    head = [nn.Flatten(), nn.Linear(512, 64), nn.ReLU(), nn.Dropout(), nn.Linear(64, 10)]
    return nn.Sequential(*stage(3, 8), *stage(8, 16), *stage(16, 32), *head)


class Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.conv2(torch.relu(self.conv1(torch.relu(x))))


def resnet() -> nn.Module:
    blocks = [Block(16) for _ in range(12)]
    return nn.Sequential(nn.Conv2d(3, 16, 3), *blocks, nn.Flatten(), nn.Linear(16 * 900, 10))


class Layer(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.ln1, self.ln2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.fc, self.out = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        heads = (each.unflatten(-1, (4, -1)).transpose(1, 2) for each in self.qkv(self.ln1(x)).chunk(3, -1))
        seen = functional.scaled_dot_product_attention(*heads, is_causal=True, dropout_p=0.1)
        x = x + self.proj(seen.transpose(1, 2).flatten(2))
        return x + self.out(functional.gelu(self.fc(self.ln2(x))))


class GPT(nn.Module):
    def __init__(self, *, tied: bool = True) -> None:
        super().__init__()
        self.wte, self.wpe = nn.Embedding(50, 32), nn.Embedding(16, 32)
        self.h = nn.ModuleList(Layer(32) for _ in range(4))
        self.head = nn.Linear(32, 50, bias=False)
        if tied:
            self.head.weight = self.wte.weight

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.wte(tokens) + self.wpe.weight[: tokens.shape[1]]
        for layer in self.h:
            x = layer(x)
        out: torch.Tensor = self.head(x)
        return out


MODELS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "mlp": (mlp, (64, 16)),
    "vgg": (vgg, (8, 3, 32, 32)),
    "resnet": (resnet, (4, 3, 32, 32)),
    "gpt": (GPT, (4, 16)),
}
LAWS = ("orthogonal", {"random_normal": {"stddev": 0.02}}, {"random_uniform": {"minval": -1, "maxval": 1}})


@pytest.mark.parametrize("weight", LAWS, ids=str)
@pytest.mark.parametrize("name", MODELS)
def test_each_layer_comes_to_variance_1_within_ten_rounds(name: str, weight: Any) -> None:
    build, shape = MODELS[name]
    module = build()
    random = torch.Generator().manual_seed(1)
    batch = torch.randn(shape, generator=random) * 3 + 1
    batch = torch.randint(50, shape, generator=random) if name == "gpt" else batch
    plan = planned(module, weight)
    found = lsuv_(module, batch, plan)
    matrices = [each for each in plan if len(each.shape) > 1]
    left = ("wte.weight", "wpe.weight", "head.weight")  # embeddings, and what is tied to one
    assert [each.parameter for each in found.scales] == [e.name for e in matrices if e.name not in left]
    assert found.outside == ()
    assert all(abs(each.variance - 1) <= 0.01 for each in found.scales)
    assert max(each.rounds for each in found.scales) <= 10
    assert f"all {len(found.scales)} layers within 0.01 of variance 1" in str(found)
    again = initcfg.make_plan(loads(dump_yaml(found.spec)))
    assert again.fingerprint == found.plan.fingerprint
    assert verify(module, again).is_equal


def test_torch_jax_and_keras_find_the_same() -> None:
    random = np.random.default_rng(0)
    batch = random.normal(0.5, 2, (64, WIDTHS[0])).astype("float32")
    pairs = [(f"fc{at}", size) for at, size in enumerate(itertools.pairwise(WIDTHS))]
    tables = {name: random.normal(size=size).astype("float32") for name, size in pairs}

    def plan(kernel: str, *, turned: bool = False) -> Plan:
        shapes = {f"{name}.{kernel}": size[::-1] if turned else size for name, size in pairs}
        values = {
            f"{name}.{kernel}": {"constant": {"value": table.T if turned else table}}
            for name, table in tables.items()
        }
        biases = {f"{name}.bias": size[1:] for name, size in pairs}
        return planned(shapes | biases, layout="out_in" if turned else "in_out", others=values)

    def in_torch(center: bool) -> Lsuv:
        fc = [nn.Linear(*size) for _, size in pairs]
        module = nn.Sequential()
        for (name, _), layer, act in zip(pairs, fc, (nn.ReLU(), nn.Tanh(), nn.Identity()), strict=True):
            module.add_module(name, layer)
            module.add_module(f"act_{name}", act)
        return lsuv_(module, torch.tensor(batch), plan("weight", turned=True), center=center)

    def in_keras(center: bool) -> Lsuv:
        layers: list[keras.Layer] = [keras.Input((WIDTHS[0],))]
        for (name, size), act in zip(pairs, ("relu", "tanh", "linear"), strict=True):
            layers += [keras.layers.Dense(size[1], name=name), keras.layers.Activation(act)]
        model = keras.Sequential(layers)
        found = for_keras.lsuv(model, batch, plan("kernel"), center=center)
        names, made = for_keras.manifest(model).entries, initcfg.materialize(found.plan)
        values = map(keras.ops.convert_to_numpy, model.weights)
        assert all(np.array_equal(made[name], each) for name, each in zip(names, values, strict=True))
        return found

    def in_flax(center: bool) -> Lsuv:
        class Net(fl.Module):
            @fl.compact
            def __call__(self, x: Any) -> Any:
                x = fl.relu(fl.Dense(WIDTHS[1], name="fc0")(x))
                x = jnp.tanh(fl.Dense(WIDTHS[2], name="fc1")(x))
                return fl.Dense(WIDTHS[3], name="fc2")(x)

        def outputs(params: Any) -> Any:
            return Net().apply({"params": params}, batch, capture_intermediates=True)[1]["intermediates"]

        shapes = jax.eval_shape(Net().init, jax.random.key(0), batch)["params"]
        tree, found = for_jax.lsuv(outputs, shapes, plan("kernel"), center=center)
        made = initcfg.materialize(found.plan)
        assert np.array_equal(made["fc1.kernel"], tree["fc1"]["kernel"])
        return found

    for center in (False, True):
        first, *others = (make(center) for make in (in_torch, in_keras, in_flax))
        assert first.outside == ()
        assert all((each.bias is not None) == center for each in first.scales)
        for other in others:
            for one, two in zip(first.scales, other.scales, strict=True):
                assert one.layer == two.layer
                assert one.factor == pytest.approx(two.factor, rel=2e-5)
                assert one.rounds == two.rounds
                assert (one.bias or 0) == pytest.approx(two.bias or 0, abs=2e-5)


@pytest.mark.parametrize("wrap", [jax.jit, lambda outputs: lambda tree: dict(jax.jit(outputs)(tree))])
def test_what_jax_compiles_is_settled_in_the_order_of_the_calls(wrap: Any) -> None:
    names = ("fc2", "fc0", "fc1")  # a compiled function gives them sorted
    batch = np.random.default_rng(0).normal(0.5, 2, (64, 16)).astype("float32")
    tree = {name: {"kernel": jax.ShapeDtypeStruct((16, 16), jnp.float32)} for name in names}
    plan = planned({f"{name}.kernel": (16, 16) for name in names}, "he_normal", "in_out")

    def outputs(tree: Any) -> Any:
        x, given = batch, {}
        for name in names:
            given[name] = jax.jit(jnp.matmul)(x, tree[name]["kernel"])
            x = jnp.tanh(given[name])
        return given

    def untraced(tree: Any) -> Any:
        assert np.isfinite(np.asarray(tree["fc0"]["kernel"])).all()
        return outputs(tree)

    found = [for_jax.lsuv(each, tree, plan)[1] for each in (outputs, wrap(outputs), untraced)]
    assert [each.layer for each in found[0].scales] == list(names)
    for other in found[1:]:
        assert other.outside == ()
        assert [each.layer for each in other.scales] == list(names)
        factors = [each.factor for each in found[0].scales]
        assert [each.factor for each in other.scales] == pytest.approx(factors, rel=2e-5)


def test_a_bias_takes_more_rounds() -> None:
    """It keeps its size while the weights change, so that no round is exact."""
    module = mlp()
    biases = {name: {"random_normal": {"stddev": 0.5}} for name in manifest(module).entries if "bias" in name}
    found = lsuv_(module, torch.randn(64, 16), planned(module, others=biases), tolerance=1e-4)
    assert found.outside == ()
    assert max(each.rounds for each in found.scales) > 2


def test_centering_brings_means_to_0() -> None:
    module = mlp()
    found = lsuv_(module, torch.rand(64, 16) * 9, planned(module), center=True, tolerance=1e-3)
    assert found.outside == ()
    assert all(abs(each.mean) <= 1e-3 for each in found.scales)
    assert found.scales[0].bias is not None
    assert (module[0].bias == np.float32(found.scales[0].bias)).all()
    plan = planned(module, others={"0.bias": {"random_normal": {}}})
    with pytest.raises(SpecError, match=r"'0.bias' has several values"):
        lsuv_(module, torch.rand(64, 16), plan, center=True)


def test_the_rest_of_a_module_is_as_it_was() -> None:
    class Counting(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if self.fails:
                raise RuntimeError("not now")
            return x

        fails = False

    module = nn.Sequential(nn.Linear(16, 16), nn.BatchNorm1d(16), nn.Dropout(), nn.Linear(16, 4), Counting())
    module[1].eval()
    module[0].register_forward_hook(lambda *_: None)
    plan = planned(module)
    initialize_(module, plan)

    def state() -> Any:
        hooks = [len(each._forward_hooks) for each in module.modules()]
        modes = [each.training for each in module.modules()]
        buffers = {name: each.clone() for name, each in module.named_buffers()}
        return hooks, modes, torch.get_rng_state(), buffers, module[0].weight.grad

    def same(one: Any, two: Any) -> bool:
        equal = all(torch.equal(one[3][name], two[3][name]) for name in one[3])
        return bool(one[:2] == two[:2] and torch.equal(one[2], two[2]) and equal and two[4] is None)

    before = state()
    first, again = (lsuv_(module, torch.ones(8, 16).normal_(), plan) for _ in range(2))
    del first, again
    torch.set_rng_state(before[2])
    batch = torch.linspace(-1, 1, 128).reshape(8, 16).sin()
    first = lsuv_(module, batch, plan)
    assert same(before, state())
    assert lsuv_(module, batch, plan) == first
    module[4].fails = True
    with pytest.raises(SpecError, match="Sequential fails on the batch given: RuntimeError: not now"):
        lsuv_(module, batch, plan)
    assert same(before, state())
    assert verify(module, plan).is_equal


def test_what_cannot_be_scaled_is_named() -> None:
    module = mlp()
    batch = torch.randn(8, 16)
    plan = planned(module)
    with pytest.raises(SpecError, match=r"no signal comes out of '2': its output is 0 everywhere"):
        lsuv_(module, batch, planned(module, others={"2.weight": "zeros"}))
    with pytest.raises(SpecError, match=r"'0' has values on this batch that are not finite"):
        lsuv_(module, batch * torch.nan, plan)
    with pytest.raises(UnknownParameterError, match="matches no parameter"):
        lsuv_(module, batch, plan, select="h.**")
    chosen = lsuv_(module, batch, plan, select="{2,4}.weight")
    assert [each.layer for each in chosen.scales] == ["2", "4"]
    shared = nn.Linear(16, 16)
    twice = nn.Sequential(shared, nn.ReLU(), shared)
    with pytest.raises(SpecError, match=r"'0' is called twice"):
        lsuv_(twice, batch, planned(twice))
    unused = nn.Sequential(nn.Linear(16, 16))
    unused.extra = nn.Linear(16, 16)
    unused.forward = unused[0].forward
    with pytest.raises(SpecError, match=r"is not called on this batch"):
        lsuv_(unused, batch, planned(unused))
    with pytest.raises(SpecError, match="the model itself has 2 matrices"):
        lsuv_(nn.LSTM(16, 4), batch[None], planned(nn.LSTM(16, 4)))
    rules = [{"match": "0.weight", "skip": True}, {"match": "*.bias", "initializer": "zeros"}]
    spec = {"initcfg": 1, "layout": "out_in", "rules": [*rules, {"match": "**", "initializer": "orthogonal"}]}
    skipping = initcfg.make_plan(spec, manifest=manifest(module))
    with pytest.raises(SpecError, match=r"the plan skips '0.weight'"):
        lsuv_(module, batch, skipping)
    kept = lsuv_(module, batch, skipping, select="2.weight")
    assert initcfg.make_plan(kept.spec, manifest=manifest(module)).skipped[0].name == "0.weight"
    with pytest.raises(SpecError, match="of no layer with a matrix, but of fc9"):
        for_jax.lsuv(
            lambda _: {"fc9": jnp.ones(3)},
            {"fc": {"kernel": jnp.ones((2, 2))}},
            planned({"fc.kernel": (2, 2)}),
        )
    with pytest.raises(SpecError, match="outputs gives nothing of 'fc2', which has a matrix"):
        for_jax.lsuv(
            lambda tree: {"fc": tree["fc"]["kernel"]},
            {name: {"kernel": jnp.ones((2, 2))} for name in ("fc", "fc2")},
            planned({"fc.kernel": (2, 2), "fc2.kernel": (2, 2)}),
        )


def test_what_stays_outside_is_warned_of() -> None:
    class Bounded(nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x).clamp(-0.1, 0.1)

    module = nn.Sequential(Bounded(16, 16))
    with pytest.warns(RuntimeWarning, match=r"not within 0.01 of variance 1: 0"):
        found = lsuv_(module, torch.randn(64, 16), planned(module))
    assert found.outside == ("0",)
    assert found.scales[0].rounds == 10
    assert found.to_dict()["outside"] == ["0"]
    assert "<table" in found._repr_html_()


def test_a_plan_written_out_makes_the_same_weights() -> None:
    """Streams, own seeds, ties, copies, borrowed fans and dtypes come through a spec of single parameters."""
    params = {
        "a": {"shape": [8, 8], "initializer": "orthogonal", "stream": "other"},
        "b": {
            "shape": [8, 8],
            "initializer": {"he_normal": {"seed": 3}},
            "dtype": "bfloat16",
            "layout": "in_out",
        },
        "c": {"shape": [8, 8], "tied_to": "a"},
        "d": {"shape": [8, 8], "initializer": {"parameter": "a"}},
        "e": {"shape": [8], "initializer": "lecun_uniform", "fans_of": "b"},
        "f": {"shape": [8], "initializer": "ones", "dtype": "bfloat16"},
    }
    plan = initcfg.make_plan({"initcfg": 1, "seed": 5, "layout": "out_in", "params": params})
    assert initcfg.make_plan(spec_of(plan, Manifest({}), {})).fingerprint == plan.fingerprint


def test_an_error_inside_a_keras_model_is_the_one_that_was_raised() -> None:
    model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(8, name="fc")])
    plan = initcfg.make_plan(for_keras.capture(model).spec)
    with pytest.raises(SpecError, match="no signal comes out of 'fc'"):
        for_keras.lsuv(model, np.zeros((4, 8), np.float32), plan)


def test_a_model_without_a_layer_to_scale_is_refused() -> None:
    module = nn.Sequential(nn.LayerNorm(8))
    plan = initcfg.make_plan(
        {"initcfg": 1, "rules": [{"match": "**", "initializer": "ones"}]}, manifest=manifest(module)
    )
    with pytest.raises(SpecError, match="no layer multiplies by a matrix"):
        lsuv_(module, torch.zeros(4, 8), plan)


@pytest.mark.parametrize("limits", [{"tolerance": float("nan")}, {"max_rounds": 2.5}], ids=str)
def test_limits_are_checked_before_anything_is_changed(limits: Any) -> None:
    module = nn.Sequential(nn.Linear(8, 8, bias=False))
    before = module[0].weight.detach().clone()
    model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(8, name="fc")])
    with pytest.raises(ValueError, match=f"{next(iter(limits))} must be"):
        lsuv_(module, torch.ones(4, 8), planned(module), **limits)
    assert torch.equal(module[0].weight, before)
    with pytest.raises(ValueError, match=f"{next(iter(limits))} must be"):
        for_keras.lsuv(model, np.ones((4, 8)), initcfg.make_plan(for_keras.capture(model).spec), **limits)
    with pytest.raises(ValueError, match=f"{next(iter(limits))} must be"):
        for_jax.lsuv(dict, {"w": jnp.ones((2, 2))}, planned({"w": (2, 2)}), **limits)


def test_hooks_of_the_user_are_called_with_each_measurement() -> None:
    """One changes the output and one the input: neither is applied twice or left out."""
    module = nn.Sequential(nn.Linear(16, 16), nn.Linear(16, 4))
    module[0].register_forward_hook(lambda _, __, output: output * 5 + 1)
    module[1].register_forward_pre_hook(lambda _, args: (args[0] * 3,))
    batch = torch.randn(64, 16)
    found = lsuv_(module, batch, planned(module))
    assert found.outside == ()
    outputs = []
    for inner in module:
        inner.register_forward_hook(lambda _, __, output: outputs.append(float(output.var(correction=0))))
    module(batch)
    assert outputs == pytest.approx([each.variance for each in found.scales], rel=1e-5)


def test_a_weight_that_a_hook_computes_is_measured_as_computed() -> None:
    with pytest.warns(FutureWarning, match="weight_norm"):
        normed = nn.utils.weight_norm(nn.Linear(16, 16, bias=False))
    module = nn.Sequential(normed)
    rules = [
        {"match": "0.weight_g", "initializer": {"norm_of": {"parameter": "weight_v", "axes": [1]}}},
        {"match": "**", "initializer": "random_normal"},
    ]
    plan = initcfg.make_plan({"initcfg": 1, "layout": "out_in", "rules": rules}, manifest=manifest(module))
    batch = torch.randn(64, 16)
    found = lsuv_(module, batch, plan, select="0.weight_g")
    assert found.scales[0].rounds == 1
    assert float(module(batch).var(correction=0)) == pytest.approx(1, abs=0.01)
    assert verify(module, found.plan).is_equal


@pytest.mark.filterwarnings("ignore:the spectral norm of")
def test_spectral_norm_keeps_its_vectors_and_its_weight_is_refused() -> None:
    module = nn.Sequential(nn.utils.parametrizations.spectral_norm(nn.Linear(8, 8)), nn.Linear(8, 4))
    before = {name: each.clone() for name, each in module.named_buffers()}
    plan = planned(module)
    # Four times the variance wanted: of a batch of variance 1 the output may be within the tolerance at once.
    with pytest.raises(SpecError, match=r"does not change the variance of the output of '0'"):
        lsuv_(module, 2 * torch.randn(32, 8), plan)
    lsuv_(module, torch.randn(32, 8), plan, select="1.weight")
    assert [each for each in before if not torch.equal(before[each], module.get_buffer(each))] == []


def test_what_fails_in_a_later_round_is_the_model_s_fault_and_what_fails_in_lsuv_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Once(nn.Linear):
        calls = 0

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.calls += 1
            if self.calls == 2:  # when it is measured with other weights
                raise RuntimeError("once only")
            return super().forward(x)

    module, batch = nn.Sequential(Once(16, 16)), torch.linspace(-1, 1, 128).reshape(8, 16).sin()
    with pytest.raises(SpecError, match="Sequential fails on the batch given: RuntimeError: once only"):
        lsuv_(module, batch, planned(module, {"random_normal": {"stddev": 3}}))

    def broken(*_: Any) -> None:
        raise ZeroDivisionError("of LSUV")

    monkeypatch.setattr("initcfg.probe.lsuv.find_scale", broken)
    with pytest.raises(ZeroDivisionError, match="of LSUV"):
        lsuv_(module, batch, planned(module))
    model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(8, name="fc")])
    with pytest.raises(ZeroDivisionError, match="of LSUV"):
        for_keras.lsuv(model, np.ones((4, 8), np.float32), initcfg.make_plan(for_keras.capture(model).spec))


def test_the_batch_of_the_caller_is_not_written_to() -> None:
    module = nn.Sequential(nn.ReLU(inplace=True), nn.Linear(8, 8))
    batch = torch.randn(32, 8)
    before = batch.clone()
    first = lsuv_(module, batch, planned(module))
    assert torch.equal(batch, before)
    probe(module, batch, plans={"a": planned(module)})
    assert torch.equal(batch, before)
    assert lsuv_(module, batch, planned(module)) == first


def test_a_layer_of_its_own_matrix_around_others_is_measured_with_what_it_was_given() -> None:
    class Outer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner, self.weight = nn.Linear(16, 16), nn.Parameter(torch.empty(16, 16))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.inner(x.relu_()) @ self.weight

    module = nn.Sequential(nn.Linear(16, 16), Outer())
    found = lsuv_(module, torch.randn(64, 16), planned(module, {"random_normal": {"stddev": 0.1}}))
    assert [each.layer for each in found.scales] == ["0", "1.inner", "1"]
    assert found.outside == ()


def test_what_follows_a_scaled_weight_follows_its_scaled_values() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc, self.target = nn.Linear(16, 16, bias=False), nn.Linear(16, 16, bias=False)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            result: torch.Tensor = self.fc(x)
            return result

    module = Net()
    plan = planned(module, others={"target.weight": {"parameter": "fc.weight"}})
    found = lsuv_(module, torch.randn(64, 16) * 3, plan, select="fc.weight")
    assert found.scales[0].factor < 0.5
    assert torch.equal(module.fc.weight, module.target.weight)


@pytest.mark.parametrize("center", [False, True])
def test_layers_of_keras_are_measured_before_their_activation(center: bool) -> None:
    """As torch and JAX do: behind a ReLU no mean comes to 0."""
    inside: list[keras.Layer] = [keras.Input((16,))]
    apart: list[keras.Layer] = [keras.Input((16,))]
    for at in range(3):
        inside += [keras.layers.Dense(16, activation="relu", name=f"fc{at}")]
        apart += [keras.layers.Dense(16, name=f"fc{at}"), keras.layers.ReLU()]
    batch = np.random.default_rng(0).normal(1, 2, (64, 16)).astype("float32")
    found = []
    for layers in (inside, apart):
        model = keras.Sequential(layers)
        plan = initcfg.make_plan(for_keras.capture(model).spec)
        found.append(for_keras.lsuv(model, batch, plan, center=center))
    assert found[0].outside == ()
    assert found[0].scales == found[1].scales
    assert all(layer.activation is keras.activations.relu for layer in keras.Sequential(inside).layers)


def test_attention_of_keras_is_scaled_in_spite_of_its_biases_of_two_axes() -> None:
    x = keras.Input((8, 16))
    out = keras.layers.MultiHeadAttention(2, 8, name="attn")(x, x)
    model = keras.Model(x, keras.layers.Dense(4, name="fc")(out))
    plan = initcfg.make_plan(for_keras.capture(model).spec)
    batch = np.random.default_rng(0).normal(size=(8, 8, 16)).astype("float32")
    for center in (False, True):
        found = for_keras.lsuv(model, batch, plan, center=center)
        assert len(found.scales) == 5
        assert found.outside == ()


def test_outputs_that_are_no_mapping_are_refused() -> None:
    tree = {"fc": {"kernel": jnp.ones((2, 2))}}
    with pytest.raises(TypeError, match="outputs must give the outputs of layers by their names, not"):
        for_jax.lsuv(lambda tree: tree["fc"]["kernel"], tree, planned({"fc.kernel": (2, 2)}))


def test_a_compiled_module_is_measured_without_its_compiled_code() -> None:
    """That calls no hooks, where it was made before there were any."""
    module = torch.compile(nn.Sequential(nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 4)), backend="eager")
    batch = torch.randn(64, 16)
    with torch.no_grad():
        module(batch)
    found = lsuv_(module, batch, planned(module))
    assert [each.layer for each in found.scales] == ["0", "2"]
    assert found.outside == ()
    assert len(probe(module, batch, plans={"a": planned(module)}).runs[0].leaves) == 3


def test_attention_of_torch_is_scaled_by_its_last_projection_in_spite_of_dropout() -> None:
    module = nn.TransformerEncoderLayer(16, 4, 32, dropout=0.3, batch_first=True)
    plan = planned(module, others={"self_attn.in_proj_bias": "zeros"})
    found = lsuv_(module, torch.randn(4, 8, 16), plan, center=True)
    first, *others = found.scales
    assert (first.layer, first.parameter) == ("self_attn", "self_attn.out_proj.weight")
    assert first.bias is not None
    assert [each.layer for each in others] == ["linear1", "linear2"]
    assert found.outside == ()
    assert verify(module, found.plan).is_equal


def test_what_jax_gives_that_is_no_array_is_named() -> None:
    tree = {"fc": {"kernel": jnp.ones((2, 2))}}
    with pytest.raises(TypeError, match=r"outputs must give an array for 'fc', not NoneType"):
        for_jax.lsuv(lambda _: {"fc": None}, tree, planned({"fc.kernel": (2, 2)}))


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        (np.zeros((0, 8), np.float32), "'fc' gives no numbers on this batch"),
        ("rows", "the model 'net' fails on the batch given: ValueError: Only input tensors may be passed"),
    ],
)
def test_a_batch_that_a_keras_model_does_not_take_is_told(batch: Any, message: str) -> None:
    layers = [keras.Input((8,)), keras.layers.Dense(8, name="fc")]
    model = keras.Sequential(layers, name="net")
    with pytest.raises(SpecError, match=message):
        for_keras.lsuv(model, batch, initcfg.make_plan(for_keras.capture(model).spec))
