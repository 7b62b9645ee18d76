"""What `adapters.jax.probe` measures is what PyTorch's measures of the same net, and Flax stays as it was."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from flax import linen, nnx

import initcfg
from initcfg.adapters import torch as torch_adapter
from initcfg.adapters.jax import manifest, probe
from initcfg.cli import main
from initcfg.errors import SpecError

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result

    from initcfg.manifest import Manifest

WIDTH, CLASSES, BATCH = 16, 5, 12
X = np.random.default_rng(0).normal(size=(BATCH, WIDTH)).astype(np.float32)
LABELS = np.arange(BATCH) % CLASSES
SPEC: dict[str, Any] = {
    "initcfg": 1,
    "layout": "in_out",
    "rules": [{"match": "**.bias", "initializer": "zeros"}, {"match": "**", "initializer": "he_normal"}],
}


class TorchBlock(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.up = torch.nn.Linear(WIDTH, 2 * WIDTH)
        self.down = torch.nn.Linear(2 * WIDTH, WIDTH)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.down(torch.relu(self.up(x)))


class TorchNet(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.blocks = torch.nn.ModuleList(TorchBlock() for _ in range(3))
        self.head = torch.nn.Linear(WIDTH, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for block in self.blocks:
            x = block(x)
        return self.head(x)


class Block(nnx.Module):
    def __init__(self, rngs: nnx.Rngs) -> None:
        self.up = nnx.Linear(WIDTH, 2 * WIDTH, rngs=rngs)
        self.down = nnx.Linear(2 * WIDTH, WIDTH, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        return x + self.down(jax.nn.relu(self.up(x)))


class Net(nnx.Module):
    def __init__(self, rngs: nnx.Rngs) -> None:
        self.blocks = nnx.List([Block(rngs) for _ in range(3)])
        self.head = nnx.Linear(WIDTH, CLASSES, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        for block in self.blocks:
            x = block(x)
        return self.head(x)


class LinenBlock(linen.Module):
    @linen.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        x = x + linen.Dense(WIDTH)(jax.nn.relu(linen.Dense(2 * WIDTH)(x)))
        return linen.Dropout(0.5, deterministic=False)(x)


class LinenNet(linen.Module):
    block: Any = LinenBlock

    @linen.compact
    def __call__(self, x: jax.Array, train: bool = True) -> jax.Array:
        for _ in range(3):
            x = self.block()(x)
        x = linen.BatchNorm(use_running_average=not train, use_bias=False, use_scale=False)(x)
        return linen.Dense(CLASSES, name="head")(x)


def net_of(module: TorchNet) -> Net:
    """The same net in Flax, with the same weights."""
    net = Net(nnx.Rngs(0))
    pairs = [(net.head, module.head)]
    for ours, theirs in zip(net.blocks, module.blocks, strict=True):
        pairs += [(ours.up, theirs.up), (ours.down, theirs.down)]
    for ours, theirs in pairs:
        ours.kernel.set_value(jnp.asarray(theirs.weight.detach().numpy().T))
        ours.bias.set_value(jnp.asarray(theirs.bias.detach().numpy()))
    return net


def plan_manifest(net: linen.Module) -> Manifest:
    shapes = jax.eval_shape(lambda key: net.init({"params": key, "dropout": key}, X), jax.random.key(0))
    return manifest(shapes["params"])


def plan_of_linen(net: linen.Module) -> initcfg.Plan:
    return initcfg.make_plan(SPEC, manifest=plan_manifest(net))


def test_every_number_is_that_of_the_same_net_in_torch() -> None:
    torch.manual_seed(0)
    module = TorchNet()
    theirs = torch_adapter.probe(module, (torch.from_numpy(X), torch.from_numpy(LABELS))).runs[0]
    ours = probe(net_of(module), (X, LABELS)).runs[0]
    assert ours.loss == pytest.approx(theirs.loss, rel=1e-5)
    assert [each.name for each in ours.blocks] == [each.name for each in theirs.blocks]
    assert [each.name for each in ours.leaves] == [each.name for each in theirs.leaves]
    for kind in ("blocks", "leaves"):
        for one, other in zip(getattr(ours, kind), getattr(theirs, kind), strict=True):
            for mine, its in ((one.forward, other.forward), (one.backward, other.backward)):
                if (
                    one.name != "before blocks.0" or mine is one.forward
                ):  # torch takes no gradient of its input
                    assert mine.square == pytest.approx(its.square, rel=1e-4)
                    assert mine.mean == pytest.approx(its.mean, rel=1e-3, abs=1e-6)
    for block, its in zip(ours.blocks, theirs.blocks, strict=True):
        assert block.rows == its.rows
        assert block.rank == pytest.approx(its.rank, rel=1e-4)
    for call, its in zip(ours.nonlinearities, theirs.nonlinearities, strict=True):
        assert (call.name, call.function, call.dead) == (its.name, its.function, its.dead)
        assert call.saturated == pytest.approx(its.saturated)
    steps = {each.name.replace("weight", "kernel"): each for each in theirs.weights}
    for weight in ours.weights:
        its = steps[weight.name]
        assert weight.shape == its.shape[::-1]
        assert weight.square == pytest.approx(its.square, rel=1e-4)
        assert weight.gradient == pytest.approx(its.gradient, rel=1e-4)
        assert weight.sgd == pytest.approx(its.sgd, rel=1e-4)
        assert weight.adam == pytest.approx(its.adam, rel=1e-3)


def test_the_gradient_before_the_first_block_is_that_of_the_input() -> None:
    net = Net(nnx.Rngs(0))
    (run,) = probe(net, (X, LABELS)).runs

    def loss(x: jax.Array) -> jax.Array:
        return -jax.nn.log_softmax(net(x))[jnp.arange(BATCH), LABELS].mean()

    (square,) = run.blocks[0].backward.square
    assert square == pytest.approx(float(jnp.square(jax.grad(loss)(jnp.asarray(X))).mean()), rel=1e-5)


def test_a_linen_module_is_measured_with_each_plan_and_seed() -> None:
    net = LinenNet()
    found = probe(net, X, plans={"he": plan_of_linen(net)}, seeds=[0, 1])
    (run,) = found.runs
    assert [each.name for each in run.blocks] == [
        "before LinenBlock_0", "LinenBlock_0", "LinenBlock_1", "LinenBlock_2",
    ]  # fmt: skip
    assert run.seeds == (0, 1)
    assert len(set(run.blocks[-1].forward.square)) == 2
    assert found.loss == "cross entropy over 5 classes, random labels"
    assert run == probe(net, X, plans={"he": plan_of_linen(net)}, seeds=[0, 1]).runs[0].model_copy(
        update={"seconds": run.seconds}
    )


def test_keywords_reach_the_module_as_they_are() -> None:
    net = LinenNet()
    plans = {"he": plan_of_linen(net)}
    trained, still = (probe(net, {"x": X, "train": train}, plans=plans).runs[0] for train in (True, False))
    assert trained.leaves[-2].kind == "BatchNorm"
    assert trained.leaves[-2].forward.square == pytest.approx((1.0,), rel=0.01)
    assert still.leaves[-2].forward.square[0] > 1.1  # the statistics that it began with


def test_a_loss_that_is_given_is_taken() -> None:
    found = probe(Net(nnx.Rngs(0)), (X, LABELS), loss=lambda output, target: output.sum() * 0 + target[1])
    assert (found.loss, found.runs[0].loss) == ("as given", (1.0,))
    assert found.runs[0].weights[0].gradient == (0.0,)


@pytest.mark.parametrize("wrong", [-1, CLASSES])
def test_a_target_that_is_no_class_is_refused(wrong: int) -> None:
    with pytest.raises(SpecError, match="not all among the 5 classes, 0 to 4"):
        probe(Net(nnx.Rngs(0)), (X, np.where(LABELS == 2, wrong, LABELS)))


def test_what_is_missed_of_targets_is_a_mean_square() -> None:
    targets = np.ones((BATCH, CLASSES), np.float32)
    found = probe(Net(nnx.Rngs(0)), (X, targets))
    assert (found.loss, found.chance) == ("mean square of what is missed", 0.0)


def test_an_nnx_module_is_afterwards_as_it_was() -> None:
    net = Net(nnx.Rngs(0))
    before = jax.tree.map(np.asarray, nnx.state(net))
    plan = initcfg.make_plan(SPEC, manifest=manifest(nnx.state(net, nnx.Param)))
    own = Block.__call__, nnx.Linear.__call__
    probe(net, X, plans={"he": plan})
    with pytest.raises(SpecError, match="fails on the batch"):
        probe(net, X.astype(str))
    assert (Block.__call__, nnx.Linear.__call__) == own
    same = jax.tree.map(np.array_equal, before, nnx.state(net))
    assert all(jax.tree.leaves(same))


class Scanned(linen.Module):
    @linen.compact
    def __call__(self, x: jax.Array, _: Any) -> tuple[jax.Array, None]:
        return LinenBlock()(x), None


class ScannedNet(linen.Module):
    @linen.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        lifted = linen.scan(
            Scanned, variable_axes={"params": 0}, split_rngs={"params": True, "dropout": True}, length=3
        )
        return linen.Dense(CLASSES, name="head")(lifted(name="layers")(x, None)[0])


@pytest.mark.parametrize("net", [LinenNet(linen.remat(LinenBlock)), ScannedNet()], ids=["remat", "scan"])
def test_modules_that_jax_traces_by_itself_are_refused(net: linen.Module) -> None:
    with pytest.raises(SpecError, match=r"inside a function that JAX traces by itself.*\n.*build it without"):
        probe(net, X, plans={"he": plan_of_linen(net)})


def test_what_cannot_be_probed_is_refused_with_the_way_out() -> None:
    net = Net(nnx.Rngs(0))
    with pytest.raises(TypeError, match=r"flax\.linen or flax\.nnx, not function"):
        probe(lambda x: x, X)
    with pytest.raises(SpecError, match=r"no weights of its own.*\n.*give a plan"):
        probe(LinenNet(), X)
    with pytest.raises(ValueError, match="seeds are of plans"):
        probe(net, X, seeds=[0])
    with pytest.raises(TypeError, match="make_plan"):
        probe(net, X, plans={"he": "he.yaml"})  # type: ignore[dict-item]
    with pytest.raises(TypeError, match=r'as in plans={"he": plan}; this is a list'):
        probe(net, X, plans=["he.yaml"])  # type: ignore[arg-type]
    with pytest.raises(
        TypeError, match="loss is a function of what the model gives and the target, not 'mse'"
    ):
        probe(net, X, loss="mse")  # type: ignore[arg-type]
    for loss in (lambda *_: jnp.ones(3), lambda *_: 1.0):
        with pytest.raises(ValueError, match="loss must give one number, such as a mean, not"):
            probe(net, X, loss=loss)
    with pytest.raises(SpecError, match="the target is a dict, and no loss is known that takes one"):
        probe(net, (X, {"a": 1}))
    with pytest.raises(SpecError, match="Net gives no numbers on the batch given"):
        probe(net, X[:0])
    rules = [{"match": "head.**", "skip": True}, *SPEC["rules"]]
    linen_net = LinenNet()
    skipping = initcfg.make_plan({**SPEC, "rules": rules}, manifest=plan_manifest(linen_net))
    with (
        pytest.warns(RuntimeWarning, match="the plan 'he' skips 'head.bias', 'head.kernel'"),
        pytest.raises(SpecError, match=r"'head.kernel', and the module has no values of its own there"),
    ):
        probe(linen_net, X, plans={"he": skipping})
    other = initcfg.make_plan({"initcfg": 1, "params": {"w": {"shape": [2], "initializer": "zeros"}}})
    with pytest.raises(SpecError, match="blocks"):
        probe(net, X, plans={"other": other})


def test_an_nnx_module_that_keeps_statistics_and_draws_is_measured_as_it_trains() -> None:
    rngs = nnx.Rngs(0)
    layers = [nnx.Linear(WIDTH, 8, rngs=rngs), nnx.BatchNorm(8, rngs=rngs), nnx.Dropout(0.5, rngs=rngs)]
    net = nnx.Sequential(*layers, nnx.Linear(8, CLASSES, rngs=rngs))
    (run,) = probe(net, (X, LABELS)).runs
    assert run.leaves[1].forward.square == pytest.approx((1.0,), rel=0.01)
    assert np.array_equal(net.layers[1].mean.get_value(), np.zeros(8))


@pytest.mark.parametrize("batch", [5, "tokens", None, np.zeros((2, WIDTH + 1), np.float32)])
def test_a_batch_that_a_module_does_not_take_is_told(batch: Any) -> None:
    with pytest.raises(SpecError, match=r"Net fails on the batch given: \w+: .+") as caught:
        probe(Net(nnx.Rngs(0)), batch)
    assert "give what the module is called with" in str(caught.value.diagnostics[0].hint)


def test_a_batch_that_a_module_of_linen_does_not_take_is_told() -> None:
    params = jax.eval_shape(LinenBlock().init, jax.random.key(0), X)["params"]
    plans = {"he": initcfg.make_plan(SPEC, manifest=manifest(params))}
    with pytest.raises(SpecError, match="LinenBlock fails on the batch given"):
        probe(LinenBlock(), 5, plans=plans)


def test_complex_numbers_are_refused() -> None:
    class Turned(nnx.Module):
        def __init__(self, rngs: nnx.Rngs) -> None:
            kinds = {"dtype": jnp.complex64, "param_dtype": jnp.complex64}
            self.turn = nnx.Linear(4, 3, **kinds, rngs=rngs)

        def __call__(self, x: Any) -> Any:
            return jnp.abs(self.turn(x.astype(jnp.complex64)))

    with pytest.raises(SpecError, match="a probe measures real numbers"):
        probe(Turned(nnx.Rngs(0)), np.ones((2, 4), np.float32))


MODELS = """\
import numpy as np
from flax import linen, nnx

def net():
    layers = [nnx.Linear(4, 4, rngs=nnx.Rngs(at)) for at in range(2)]
    return nnx.Sequential(*layers, nnx.relu)

class Net(linen.Module):
    @linen.compact
    def __call__(self, x):
        return linen.Dense(3)(linen.relu(linen.Dense(4)(x)))

def batch():
    return np.ones((3, 4), np.float32), np.zeros(3, int)
"""


def test_the_command_probes_modules_of_flax_on_a_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "probed_flax_models.py").write_text(MODELS)
    (tmp_path / "he.yaml").write_text(json.dumps(SPEC))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))

    def run(name: str, *arguments: str) -> Result:
        return CliRunner().invoke(main, ["probe", f"probed_flax_models:{name}", *arguments])

    batch = ("--batch", "probed_flax_models:batch")
    for name in ("net", "Net"):
        result = run(name, *batch, "--spec", "he.yaml", "--seeds", "2", "--format", "json")
        assert result.exit_code == 0, result.output
        assert [len(each["loss"]) for each in json.loads(result.stdout)["runs"]] == [2]
    assert run("net", *batch).exit_code == 0
    for result, words in ((run("Net", *batch), "give a plan"), (run("net"), "called with by --batch")):
        assert result.exit_code == 2
        assert words in " ".join(result.output.split())


class Compiled(nnx.Module):
    def __init__(self, rngs: nnx.Rngs) -> None:
        self.first, self.last = (nnx.Linear(WIDTH, WIDTH, rngs=rngs) for _ in range(2))

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.last(nnx.jit(lambda module, x: module(x))(self.first, x))


def test_modules_of_nnx_in_compiled_functions_are_refused() -> None:
    with pytest.raises(SpecError, match="inside a function that JAX traces by itself"):
        probe(Compiled(nnx.Rngs(0)), X)


class Attending(linen.Module):
    @linen.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        x = linen.MultiHeadDotProductAttention(2)(x, mask=linen.make_causal_mask(x[..., 0]))
        x = jnp.tanh(100 * linen.gelu(x))  # in gelu there is a tanh, too
        return linen.softmax(linen.Dense(CLASSES)(linen.sigmoid(x)), axis=(1, 2))


def test_nonlinear_functions_of_jax_and_flax_are_measured_where_they_are_called() -> None:
    net, tokens = Attending(), np.random.default_rng(0).normal(size=(3, 6, WIDTH)).astype(np.float32)
    shapes = jax.eval_shape(net.init, jax.random.key(0), tokens)["params"]
    plans = {"he": initcfg.make_plan(SPEC, manifest=manifest(shapes))}
    before = {name: vars(linen)[name] for name in ("softmax", "sigmoid")} | {"tanh": jnp.tanh}
    (run,) = probe(net, tokens, plans=plans).runs
    attention = "MultiHeadDotProductAttention_0"
    found = [(each.name, each.function) for each in run.nonlinearities]
    assert found == [(attention, "softmax"), ("all", "tanh"), ("all", "sigmoid"), ("all", "softmax")]
    masked, tanh, _, both = run.nonlinearities
    assert 0.1 < masked.entropy[0] < 1
    assert tanh.saturated[0] > 0.5
    assert 0.5 < both.entropy[0] < 1  # over 30 choices; over one axis alone it would be of sums below 1
    assert before == {name: vars(linen)[name] for name in ("softmax", "sigmoid")} | {"tanh": jnp.tanh}
