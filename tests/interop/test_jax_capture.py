"""What is read of init functions of JAX, held against weights that they make."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from click.testing import CliRunner
from flax import nnx

import initcfg
from initcfg.adapters.jax import capture, manifest
from initcfg.cli import main
from initcfg.distributions import Normal
from initcfg.errors import SpecError
from initcfg.initializers import (
    Concatenate,
    Formula,
    GlorotUniform,
    HeNormal,
    Ones,
    Parameter,
    RandomNormal,
    RepeatOf,
    TruncatedNormal,
    TruncNormal,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

RANDOM = jax.random
IMAGE, TOKENS = jnp.ones((1, 16, 16, 3)), jnp.ones((1, 6), int)


class Block(nn.Module):
    """One of a transformer's, with its norms before."""

    @nn.compact
    def __call__(self, x: Any) -> Any:
        y = nn.LayerNorm()(x)
        x = x + nn.MultiHeadDotProductAttention(2, kernel_init=nn.initializers.xavier_uniform())(y, y)
        y = nn.Dense(64, kernel_init=nn.initializers.he_normal())(nn.LayerNorm()(x))
        return x + nn.Dense(32, kernel_init=nn.initializers.normal(0.02 / 6**0.5))(nn.gelu(y))


class Bert(nn.Module):
    @nn.compact
    def __call__(self, tokens: Any) -> Any:
        words = nn.Embed(100, 32, embedding_init=nn.initializers.truncated_normal(0.02), name="words")
        x = words(tokens) + self.param("positions", nn.initializers.normal(0.02), (6, 32))
        for at in range(3):
            x = Block(name=f"layer_{at}")(x)
        return words.attend(nn.LayerNorm(name="norm")(x))


class ViT(nn.Module):
    @nn.compact
    def __call__(self, image: Any) -> Any:
        x = nn.Conv(32, (4, 4), (4, 4), name="patches")(image).reshape(1, 16, 32)
        x = x + self.param("positions", nn.initializers.normal(0.02), (1, 16, 32))
        for at in range(2):
            x = Block(name=f"encoder_{at}")(x)
        return nn.Dense(10, kernel_init=nn.initializers.zeros, bias_init=lambda *_: jnp.full(10, -2.3))(x)


class Step(Block):
    """A block as a scan takes it."""

    @nn.compact
    def __call__(self, x: Any, _: Any) -> Any:
        return super().__call__(x), None


class Scanned(nn.Module):
    """A transformer whose layers are one, of stacked parameters, as MaxText's are."""

    axis: int = 0
    split: bool = True

    @nn.compact
    def __call__(self, tokens: Any) -> Any:
        split = {"params": self.split}
        step = nn.scan(nn.remat(Step), variable_axes={"params": self.axis}, split_rngs=split, length=5)
        x, _ = step(name="layers")(nn.Embed(100, 32)(tokens), None)
        experts = nn.vmap(nn.Dense, {"params": 0}, {"params": self.split}, in_axes=None, axis_size=4)
        return experts(16)(nn.LayerNorm()(x))


class ResNet(nn.Module):
    @nn.compact
    def __call__(self, x: Any) -> Any:
        he = nn.initializers.variance_scaling(2.0, "fan_out", "normal")
        x = nn.Conv(16, (3, 3), kernel_init=he)(x)
        for _ in range(2):
            y = nn.relu(nn.BatchNorm(use_running_average=False)(nn.Conv(16, (3, 3), kernel_init=he)(x)))
            x = x + nn.BatchNorm(use_running_average=False, scale_init=nn.initializers.zeros)(y)
        return nn.Dense(10)(x.mean((1, 2)))


class Mixer(nn.Module):
    @nn.compact
    def __call__(self, image: Any) -> Any:
        x = nn.Conv(32, (4, 4), (4, 4))(image).reshape(1, 16, 32)
        for _ in range(2):
            y = nn.LayerNorm()(x).swapaxes(1, 2)
            x = x + nn.Dense(16)(nn.gelu(nn.Dense(8)(y))).swapaxes(1, 2)
        return nn.Dense(10, kernel_init=nn.initializers.orthogonal(2.0))(x)


class Net(nnx.Module):
    """A convolutional net of nnx, with a dropout that has a key of its own."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.conv = nnx.Conv(3, 16, (3, 3), rngs=rngs)
        self.norm = nnx.BatchNorm(16, rngs=rngs)
        self.drop = nnx.Dropout(0.1, rngs=rngs)
        self.layers = nnx.List([nnx.Linear(16, 16, rngs=rngs) for _ in range(3)])
        self.attention = nnx.MultiHeadAttention(2, 16, rngs=rngs, decode=False)
        self.lora = nnx.LoRA(16, 4, 16, rngs=rngs)


class Stack(nnx.Module):
    """Layers of nnx that are one, of stacked parameters."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        make = nnx.vmap(lambda key: nnx.Linear(16, 32, rngs=nnx.Rngs(key)), in_axes=0, out_axes=0)
        self.layers = make(RANDOM.split(rngs.params(), 5))


def scanned(key: Any) -> Any:
    """Stacks of plain JAX: of a scan whose keys follow from each other, a map, and lists of layers."""
    apart = RANDOM.split(key, 4)

    def step(carry: Any, at: Any) -> Any:
        now, after = RANDOM.split(carry)
        return after, (nn.initializers.orthogonal()(now, (16, 8)), jnp.full(8, 0.5))

    _, (matrices, halves) = jax.lax.scan(step, apart[0], jnp.arange(3))

    def deeper(depth: Any, key: Any) -> Any:
        return depth + 1.0, RANDOM.normal(key, (64, 64)) * 0.02 / jnp.sqrt(2 * depth)

    _, deep = jax.lax.scan(deeper, 1.0, RANDOM.split(apart[1], 3), reverse=True)
    mapped = jax.lax.map(
        lambda key: nn.initializers.he_normal()(key, (3, 3, 8, 16)), RANDOM.split(apart[2], 3)
    )
    stacked = jnp.stack([nn.initializers.lecun_uniform()(k, (16, 8)) for k in RANDOM.split(apart[3], 3)], 1)
    return {"matrices": matrices, "halves": halves, "deep": deep, "mapped": mapped, "stacked": stacked}


def complex_(key: Any) -> Any:
    """Complex numbers by each scheme of JAX that draws them."""
    schemes = {
        **{name: getattr(nn.initializers, name)() for name in ("he_uniform", "he_normal", "glorot_uniform")},
        "lecun": nn.initializers.lecun_normal(),
        "scaled": nn.initializers.variance_scaling(0.5, "fan_avg", "uniform"),
        "normal": nn.initializers.normal(0.3),
        "untruncated": nn.initializers.variance_scaling(1.0, "fan_out", "normal"),
        "ones": nn.initializers.ones,
    }
    last, *keys = RANDOM.split(key, len(schemes) + 1)
    made = {
        name: scheme(each, (40, 60), jnp.complex64)
        for each, (name, scheme) in zip(keys, schemes.items(), strict=True)
    }
    stacked = jax.vmap(lambda each: nn.initializers.he_normal()(each, (40, 60), jnp.complex64))
    return {**made, "stacked": stacked(RANDOM.split(last, 3))}


def linen(model: nn.Module, *inputs: Any) -> Callable[[Any], Any]:
    return lambda key: model.init(key, *inputs)


MODELS: dict[str, Callable[[Any], Any]] = {
    "bert": linen(Bert(), TOKENS),
    "vit": linen(ViT(), IMAGE),
    "resnet": linen(ResNet(), IMAGE),
    "mixer": linen(Mixer(), IMAGE),
    "lstm": linen(nn.RNN(nn.OptimizedLSTMCell(16)), jnp.ones((1, 3, 8))),
    "gru": linen(nn.RNN(nn.GRUCell(16)), jnp.ones((1, 3, 8))),
    "norms": linen(nn.Sequential([nn.GroupNorm(2), nn.RMSNorm(), nn.DenseGeneral((4, 8))]), jnp.ones((1, 8))),
    "convs": linen(nn.Sequential([nn.ConvTranspose(8, (3,)), nn.ConvLocal(8, (3,))]), jnp.ones((1, 8, 4))),
    "scanned": linen(Scanned(), TOKENS),
    "scanned along 1": linen(Scanned(axis=1), TOKENS),
    "equal layers": linen(Scanned(split=False), TOKENS),
    "stack": lambda key: nnx.state(Stack(nnx.Rngs(key)), nnx.Param),
    "scans": scanned,
    "complex": complex_,
    "net": lambda key: nnx.state(Net(nnx.Rngs(key)), nnx.Param),
    "cell": lambda key: nnx.state(nnx.LSTMCell(8, 16, rngs=nnx.Rngs(key)), nnx.Param),
    "plain": lambda key: {
        f"layers.{at}": RANDOM.normal(each, (32, 32)) / 32**0.5
        for at, each in enumerate(RANDOM.split(key, 3))
    },
}


@pytest.mark.parametrize("name", MODELS)
def test_weights_that_jax_makes_have_the_laws_that_were_read(name: str, tmp_path: Path) -> None:
    captured = capture(MODELS[name])
    assert not captured.unsaid
    captured.save(tmp_path / "model.yaml")
    plan = initcfg.make_plan(tmp_path / "model.yaml", root=tmp_path)
    assert not initcfg.find_warnings(tmp_path / "model.yaml", root=tmp_path)
    init = jax.jit(MODELS[name])
    for seed in range(3):
        made = init(jax.random.key(seed))
        values = map(np.asarray, jax.tree.leaves(made))
        np.savez(tmp_path / "w.npz", **dict(zip(manifest(made).entries, values, strict=True)))  # type: ignore[arg-type]
        found = initcfg.verify(tmp_path / "w.npz", plan, law=True)
        assert [each.message for each in found.diagnostics if each.severity == "error"] == []


def law(make: Callable[[Any], Any]) -> Any:
    (recorded,) = capture(lambda key: {"w": make(key)}).recorded
    return recorded.law


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda key: RANDOM.normal(key, (4, 4)) * 0.02, RandomNormal(0.0, 0.02)),
        (lambda key: 1 - 2 * RANDOM.normal(key, (4, 4)).T, RandomNormal(1.0, 2.0)),
        (lambda key: RANDOM.truncated_normal(key, -1, 3, (4, 4)) / 2, TruncNormal(0.0, 0.5, -0.5, 1.5)),
        (lambda key: RANDOM.truncated_normal(key, -2, 2, (4, 4)) * 0.1, TruncatedNormal(0.0, 0.1)),
        (lambda key: nn.initializers.xavier_uniform()(key, (4, 9)), GlorotUniform()),
        (
            lambda key: jnp.concatenate([RANDOM.normal(key, (2, 4)), jnp.ones((1, 4))]),
            Concatenate(0, [2, 1], [RandomNormal(0.0, 1.0), Ones()]),
        ),
    ],
)
def test_arithmetic_on_draws_is_exact(make: Callable[[Any], Any], expected: Any) -> None:
    assert law(make) == expected


@pytest.mark.parametrize("axis", [0, 1])
def test_the_law_of_stacked_layers_is_that_of_one(axis: int) -> None:
    captured = capture(linen(Scanned(axis=axis), TOKENS))
    plan = initcfg.make_plan(captured.spec)
    inner = plan["params.layers.Dense_0.kernel"]
    assert (str(inner.layout), inner.initializer) == ("IBO" if axis else "BIO", HeNormal())
    assert inner.fans == (32, 64)
    assert plan["params.layers.MultiHeadDotProductAttention_0.out.kernel"].fans == (32, 32)
    assert not captured.unsaid


def test_layers_of_one_key_are_said_to_be_equal() -> None:
    laws = {each.name: each.law for each in capture(linen(Scanned(split=False), TOKENS)).recorded}
    assert laws["params.layers.Dense_1.kernel"] == RepeatOf(RandomNormal(0.0, 0.008164966), 0, 5)
    assert isinstance(laws["params.VmapDense_0.kernel"], RepeatOf)


def test_layers_with_laws_of_their_own_are_joined() -> None:
    (deep,) = (each.law for each in capture(scanned).recorded if each.name == "deep")
    laws = [RandomNormal(0.0, 0.02 / (2 * depth) ** 0.5) for depth in (3, 2, 1)]
    assert isinstance(deep, Concatenate)
    assert deep == Concatenate(0, [1, 1, 1], laws)


def test_a_loop_may_scale_the_draws_of_each_step() -> None:
    def init(key: Any) -> Any:
        def step(key: Any, depth: Any) -> Any:
            key, own = RANDOM.split(key)
            return key, {"up": RANDOM.normal(own, (4, 6)) * depth, "bias": jnp.full(6, depth)}

        return jax.lax.scan(step, key, jnp.asarray([0.5, 0.1]))[1]

    laws = {each.name: each.law for each in capture(init).recorded}
    assert laws["up"] == Concatenate(0, [1, 1], [RandomNormal(0.0, 0.5), RandomNormal(0.0, 0.1)])
    plan = initcfg.make_plan(capture(init).spec)
    made = initcfg.materialize(plan)["bias"]
    assert (made == jnp.asarray([0.5, 0.1])[:, None]).all()


def test_a_function_of_one_draw_is_a_formula() -> None:
    found = law(lambda key: jnp.log(RANDOM.uniform(key, (8,), minval=1, maxval=16)))
    assert isinstance(found, Formula)
    assert found.value == "log(x)"


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda key: RANDOM.gamma(key, 2.0, (4,)), "jax.random.gamma has no initializer"),
        (lambda key: jnp.linalg.qr(RANDOM.normal(key, (4, 4)))[0], "law"),
        (lambda key: jnp.tile(RANDOM.normal(key, (1, 4)), (4, 1)), "one draw is there several times"),
        (lambda key: RANDOM.normal(key, (4,)) * jnp.arange(4.0), "random values meet a table"),
        (lambda key: jnp.maximum(RANDOM.normal(key, (4,)), -jnp.inf), "made of infinities or NaN"),
        (jax.random.key_data, "computed of the key"),
        (
            lambda key: jax.lax.while_loop(lambda x: x.sum() < 1, lambda x: x + 1, RANDOM.normal(key, (4,))),
            "made in a loop without a fixed number of steps",
        ),
        (
            lambda key: jax.lax.map(RANDOM.normal, RANDOM.split(key, 5000)),
            "made in a loop of 5,000 steps; 4,096 are read at most",
        ),
        (
            lambda key: jax.lax.map(jnp.sin, RANDOM.normal(key, (4, 4))),
            "computed in a loop over random values",
        ),
        (
            lambda key: jnp.concatenate([nn.initializers.orthogonal()(k, (4, 4)) for k in RANDOM.split(key)]),
            "joined of what depends on its place",
        ),
    ],
)
def test_what_has_no_law_is_named_with_its_line(make: Callable[[Any], Any], reason: str) -> None:
    found = law(make)
    assert reason in found.reason
    assert found.site is None or found.site.file == __file__


def test_a_key_that_makes_two_leaves_is_told() -> None:
    def init(key: Any) -> Any:
        a = RANDOM.normal(key, (4, 4))
        return {"a": a, "b": RANDOM.normal(key, (4, 4)), "c": RANDOM.normal(key, (8,)), "d": a + 1}

    captured = capture(init)
    laws = {each.name: each.law for each in captured.recorded}
    assert laws["b"] == Formula("x", of=Parameter("a"))
    assert set(captured.unsaid) == {"c", "d"}
    assert "it follows from 'a', which is made with the same key" in captured.unsaid["c"].reason


def test_halves_of_one_draw_are_apart() -> None:
    def init(key: Any) -> Any:
        return dict(zip("ab", jnp.split(RANDOM.normal(key, (4, 8)), 2, axis=1), strict=True))

    assert not capture(init).unsaid


def test_a_model_of_any_size_makes_no_array() -> None:
    model = nn.Sequential([nn.Dense(65536) for _ in range(20)])
    captured = capture(lambda key: model.init(key, jnp.ones((1, 65536)))["params"])
    assert initcfg.make_plan(captured.spec).numel > 8e10


def test_a_function_that_makes_nothing_is_refused() -> None:
    with pytest.raises(SpecError, match="makes no array"):
        capture(lambda _: {})


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda _: jnp.zeros(3, jnp.complex64) + 1j, "its fixed values are complex"),
        (
            lambda key: RANDOM.normal(key, (3,), jnp.complex64) + 1,
            "add of random values, some of them complex",
        ),
        (
            lambda key: abs(RANDOM.normal(key, (3,), jnp.complex64)),
            "abs of random values, some of them complex",
        ),
        (lambda key: RANDOM.normal(key, (3,)).astype(jnp.complex64), "convert_element_type of random values"),
        (lambda key: nn.initializers.orthogonal()(key, (3, 3), jnp.complex64), "has no initializer"),
        (
            lambda key: 0.1234567 * nn.initializers.he_normal()(key, (9, 9), jnp.complex64),
            "a variance scaling of complex numbers with a scale of its own",
        ),
    ],
)
def test_complex_numbers_without_a_law_are_named(make: Callable[[Any], Any], reason: str) -> None:
    found = capture(lambda key: {"c": make(key), "w": RANDOM.normal(key, (3,))})
    assert reason in found.unsaid["c"].reason
    assert initcfg.make_plan(found.spec)["w"].distribution == Normal(0.0, 1.0)


def test_a_scheme_that_is_shifted_is_not_that_scheme() -> None:
    scheme = nn.initializers.variance_scaling(1.0, "fan_in", "normal")
    assert law(lambda key: scheme(key, (4, 4)) + 1) == RandomNormal(1.0, 0.5)


def test_what_is_no_function_is_refused() -> None:
    with pytest.raises(TypeError, match="capture takes a function of one key, not dict: lambda key: "):
        capture({"w": jnp.zeros(2)})  # type: ignore[arg-type]


def test_tables_that_have_a_formula_are_one() -> None:
    def init(_: Any) -> Any:
        angles = jnp.arange(50.0)[:, None] / 10000.0 ** (jnp.arange(8.0) / 8)
        return {
            "positions": jnp.concatenate([jnp.sin(angles), jnp.cos(angles)], axis=1),
            "line": jnp.linspace(0.0, 1.0, 33),
            "mask": jnp.tril(jnp.ones((9, 9), bool)),
        }

    captured = capture(init)
    laws = {each.name: each.law for each in captured.recorded}
    assert all(isinstance(law, Formula) for law in laws.values()), laws
    assert not captured.tables
    assert not captured.unsaid
    made = initcfg.materialize(initcfg.make_plan(captured.spec))
    for name, value in init(None).items():
        np.testing.assert_allclose(
            np.asarray(made[name], float), np.asarray(value, float), atol=50 * 2.0**-22
        )


def test_the_command_traces_what_takes_a_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "key_models.py").write_text(
        "import jax\n"
        "def init(key):\n    return {'w': jax.nn.initializers.he_normal()(key, (64, 32))}\n"
        "def broken(key):\n    return {'w': key.shape[3]}\n"
        "from flax import nnx\n"
        "class Net(nnx.Module):\n"
        "    def __init__(self, width=4, *, rngs):\n"
        "        self.head = nnx.Linear(width, 3, rngs=rngs)\n"
        "        self.norm = nnx.BatchNorm(3, rngs=rngs)\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    result = CliRunner().invoke(main, ["capture", "key_models:init", "-o", "w.yaml"])
    assert result.exit_code == 0
    assert "w.yaml: 1 tensor; initcfg plan shows them" in result.stderr
    plan = initcfg.make_plan("w.yaml")
    assert (plan.name, type(plan["w"].initializer).__name__) == ("init", "HeNormal")
    assert list(capture(Net).recorded) == list(capture(MODELS["net"]).recorded)
    assert CliRunner().invoke(main, ["capture", "key_models:Net", "-o", "net.yaml"]).exit_code == 0
    assert [each.name for each in initcfg.make_plan("net.yaml")] == [
        "head.bias",
        "head.kernel",
        "norm.bias",
        "norm.scale",
    ]
    broken = CliRunner().invoke(main, ["capture", "key_models:broken"])
    assert broken.exit_code == 2
    assert "key_models.py:5: error[input]: broken(key) raises IndexError" in " ".join(broken.output.split())
