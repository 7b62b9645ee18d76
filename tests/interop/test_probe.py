"""What `probe` measures is what plain hooks measure, and the module is afterwards as it was."""

from __future__ import annotations

import json
import math
import random
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
import yaml
from click.testing import CliRunner
from torch import nn
from torch.nn import functional
from transformers import GPT2Config, GPT2LMHeadModel

import initcfg
from initcfg.adapters.torch import initialize_, manifest, probe
from initcfg.cli import main
from initcfg.errors import SpecError
from initcfg.probe.passes import reseeded

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from initcfg.plan import Plan

torch.set_num_threads(1)


def planned(module: nn.Module, initializer: object = "he_normal", seed: int = 0) -> Plan:
    rules: list[dict[str, object]] = [
        {"match": "**.bias", "initializer": "zeros"},
        {"match": "**.ln*.weight", "initializer": "ones"},
        {"match": "**", "initializer": initializer},
    ]
    used = [each for each in rules if _wins(str(each["match"]), module)]
    return initcfg.make_plan(
        {"initcfg": 1, "seed": seed, "layout": "out_in", "rules": used}, manifest=manifest(module)
    )


def _wins(pattern: str, module: nn.Module) -> bool:
    names = [name for name, _ in module.named_parameters()]
    return pattern == "**" or any(
        name.endswith("bias") if "bias" in pattern else "ln" in name for name in names
    )


class Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.up = nn.Linear(width, 2 * width)
        self.down = nn.Linear(2 * width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.down(torch.relu(self.up(x)))


class Net(nn.Module):
    def __init__(self, width: int = 16, depth: int = 3) -> None:
        super().__init__()
        self.stem = nn.Linear(8, width)
        self.norm = nn.BatchNorm1d(width)
        self.blocks = nn.ModuleList(Residual(width) for _ in range(depth))
        self.drop = nn.Dropout(0.5)
        self.head = nn.Linear(width, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.norm(self.stem(x))
        for block in self.blocks:
            x = block(x)
        return self.head(self.drop(x))


def small_gpt2() -> GPT2LMHeadModel:
    sizes = {"n_layer": 3, "n_embd": 32, "n_head": 2, "vocab_size": 64, "n_positions": 16}
    return GPT2LMHeadModel(GPT2Config(**sizes, bos_token_id=0, eos_token_id=0))


def test_every_number_of_a_block_is_that_of_plain_hooks() -> None:
    module = Net()
    plan = planned(module)
    x, y = torch.randn(32, 8), torch.randint(5, (32,))
    (run,) = probe(module, (x, y), plans={"he": plan}).runs

    mine = Net()
    initialize_(mine, plan)
    mine.train()
    forward: dict[str, torch.Tensor] = {}
    for at, block in enumerate(mine.blocks):

        def hook(_: nn.Module, __: object, output: torch.Tensor, name: str = f"blocks.{at}") -> None:
            output.retain_grad()
            forward[name] = output

        block.register_forward_hook(hook)
    torch.manual_seed(0)
    loss = functional.cross_entropy(mine(x), y)
    loss.backward()

    assert [each.name for each in run.blocks] == ["before blocks.0", "blocks.0", "blocks.1", "blocks.2"]
    assert run.loss[0] == pytest.approx(loss.item(), rel=1e-6)
    for block in run.blocks[1:]:
        output = forward[block.name]
        gradient = output.grad
        assert gradient is not None
        assert block.forward.square[0] == pytest.approx(output.square().mean().item(), rel=1e-5)
        assert block.forward.mean[0] == pytest.approx(output.mean().item(), rel=1e-4, abs=1e-7)
        assert block.backward.square[0] == pytest.approx(gradient.square().mean().item(), rel=1e-5)
        values = torch.linalg.svdvals(output.detach().double()).square()
        assert block.rank[0] == pytest.approx((values.sum() ** 2 / values.square().sum()).item(), rel=1e-4)
    for weight in run.weights:
        parameter = mine.get_parameter(weight.name)
        assert parameter.grad is not None
        step = (parameter.grad.norm() / parameter.detach().norm()).item()
        assert weight.gradient[0] == pytest.approx(parameter.grad.square().mean().item(), rel=1e-5)
        if parameter.ndim > 1:
            assert weight.sgd[0] == pytest.approx(step, rel=1e-5)
            before = parameter.detach().clone()
            torch.optim.Adam([parameter], lr=1e-3).step()
            taken = ((parameter.detach() - before).norm() / before.norm()).item()
            assert weight.adam[0] == pytest.approx(taken / 1e-3, rel=1e-2)


def test_dead_and_saturated_shares_are_counted_however_the_function_is_called() -> None:
    class Acts(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.up = nn.Linear(4, 8, bias=False)
            self.relu = nn.ReLU(inplace=True)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.tanh(100 * functional.relu(self.relu(self.up(x))))

    module = Acts()
    with torch.no_grad():
        module.up.weight.fill_(1.0)
        module.up.weight[:2] = -1.0
    (run,) = probe(module, torch.rand(16, 4) + 0.1).runs
    found = {(each.name, each.function): each for each in run.nonlinearities}
    assert found["relu", "relu"].dead == (0.25,)
    assert found["all", "relu"].dead == (0.25,)
    assert found["all", "tanh"].saturated == (0.75,)


@pytest.mark.parametrize("kind", ["sdpa", "eager"])
def test_the_entropy_of_an_attention_that_sees_no_difference_is_that_of_a_uniform_choice(kind: str) -> None:
    module = small_gpt2()
    module.config._attn_implementation = kind
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if "c_attn.weight" in name:
                parameter.zero_()
    (run,) = probe(module).runs
    found = [
        each.entropy[0]
        for each in run.nonlinearities
        if each.function in ("softmax", "scaled_dot_product_attention")
    ]
    assert len(found) == 3
    if kind == "sdpa":
        assert found == [pytest.approx(1.0)] * 3
    else:  # a softmax over masked scores is told over all keys
        assert all(each is not None and 0 < each < 1 for each in found)


def state_of(module: nn.Module) -> dict[str, bytes]:
    return {name: each.detach().numpy().tobytes() for name, each in module.state_dict().items()}


def random_states() -> tuple[object, ...]:
    return random.getstate(), str(np.random.get_state()), torch.get_rng_state().tolist()


@pytest.mark.parametrize("fails", [False, True])
def test_the_module_and_the_random_states_are_as_they_were_also_after_an_exception(fails: bool) -> None:
    module = Net().eval()
    module.stem.train()
    module.head.weight.grad = torch.ones_like(module.head.weight)
    calls: list[int] = []
    module.register_forward_hook(lambda *_: calls.append(1))
    before, grad = state_of(module), module.head.weight.grad
    modes = [each.training for each in module.modules()]
    hooks = [(len(each._forward_hooks), len(each._forward_pre_hooks)) for each in module.modules()]
    with torch.inference_mode():
        batch = torch.randn(4, 8)
    random.seed(3)
    np.random.seed(3)
    torch.manual_seed(3)
    states = random_states()

    def loss(output: torch.Tensor, _: object) -> torch.Tensor:
        _ = random.random(), np.random.rand(), torch.rand(1)
        if fails:
            raise RuntimeError("no loss")
        return output.square().mean()

    plans = {"a": planned(module), "b": planned(module, "glorot_uniform")}
    with torch.inference_mode():
        if fails:
            with pytest.raises(RuntimeError, match="no loss"):
                probe(module, batch, plans=plans, loss=loss)
        else:
            probe(module, batch, plans=plans, seeds=(0, 1), loss=loss)

    assert state_of(module) == before
    assert module.head.weight.grad is grad
    assert bool((grad == 1).all())
    assert [each.training for each in module.modules()] == modes
    assert hooks == [(len(each._forward_hooks), len(each._forward_pre_hooks)) for each in module.modules()]
    assert random_states() == states


def test_what_a_plan_skips_is_measured_as_it_is_and_told() -> None:
    module = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    rules = [{"match": "1.**", "skip": True}, {"match": "**", "initializer": "he_normal"}]
    spec = {"initcfg": 1, "layout": "out_in", "rules": rules}
    plan = initcfg.make_plan(spec, manifest=manifest(module))
    with pytest.warns(
        RuntimeWarning, match=r"the plan 'b' skips '1.weight', '1.bias': measured as the model"
    ):
        probe(module, plans={"a": planned(module), "b": plan})


def test_a_border_padded_with_zeros_is_gone_through_position_by_position() -> None:
    layers = [nn.Conv2d(1 if at == 0 else 8, 8, 3, padding=1, bias=False) for at in range(4)]
    module = nn.Sequential(*layers)
    plan = planned(module, "lecun_normal")  # 1 / fan_in
    (run,) = probe(module, torch.ones(1, 1, 4, 4), plans={"a": plan}).runs

    squares = np.ones((4, 4))
    for block in run.blocks[1:]:
        padded = np.pad(squares, 1)
        squares = np.array(
            [[padded[row : row + 3, column : column + 3].mean() for column in range(4)] for row in range(4)]
        )
        assert block.forward.expected[0] == pytest.approx(squares.mean(), rel=1e-9)
    assert squares.mean() > 1.1 * (5 / 6) ** 8  # the share of taps that lie on the image, on average


def test_what_theory_expects_backwards_is_near_what_is_measured() -> None:
    layers = [each for _ in range(8) for each in (nn.Linear(256, 256), nn.ReLU())]
    module = nn.Sequential(*layers, nn.Linear(256, 4))
    (run,) = probe(module, torch.randn(64, 256), plans={"a": planned(module)}, seeds=range(4)).runs
    for block in run.blocks[1:-1]:
        ratios = np.array(block.backward.square, float) / np.array(block.backward.expected, float)
        assert 0.8 < ratios.mean() < 1.25


def test_theory_follows_the_residual_stream_of_gpt2_and_says_where_it_starts_again() -> None:
    found = probe(small_gpt2().eval(), seeds=None).runs[0]
    for block in found.blocks:
        expected, measured = block.forward.expected[0], block.forward.square[0]
        assert measured == pytest.approx(expected, rel=0.1)
    assert [block.starts_inside for block in found.blocks] == [False, True, True, True]
    assert found.blocks[1].adds == ("transformer.h.0.attn.c_proj.weight", "transformer.h.0.mlp.c_proj.weight")


def test_the_line_that_is_told_keeps_the_signal_of_a_residual_net() -> None:
    module = Net(width=64, depth=12)
    module.norm = nn.Identity()
    plan = planned(module)
    batch = torch.randn(32, 8)
    found = probe(module, batch, plans={"he": plan})
    lines = str(found).splitlines()
    at = next(at for at, line in enumerate(lines) if line.startswith("  - match"))
    (mended,) = yaml.safe_load("\n".join(lines[at : at + 2]))
    assert mended["match"] == "blocks.*.down.weight"
    rules = [
        mended,
        {"match": "**.bias", "initializer": "zeros"},
        {"match": "**", "initializer": "he_normal"},
    ]
    spec = {"initcfg": 1, "layout": "out_in", "rules": rules}
    calm = probe(module, batch, plans={"b": initcfg.make_plan(spec, manifest=manifest(module))}).runs[0]
    grown = [each.forward.square[0] for each in (calm.blocks[0], calm.blocks[-1])]
    assert 4 < grown[1] / grown[0] < 10  # (1 + 2 / 12) ** 12 is 6.4
    wild = [each.forward.square[0] for each in (found.runs[0].blocks[0], found.runs[0].blocks[-1])]
    assert wild[1] / wild[0] > 500


def test_where_nothing_is_known_nothing_is_expected() -> None:
    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.ModuleList(nn.Linear(8, 8) for _ in range(4))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            for layer in self.layers:
                x = torch.sin(layer(x)) @ torch.ones(8, 8)
            return x

    (run,) = probe(Odd(), torch.randn(4, 8)).runs
    assert all(block.starts_inside for block in run.blocks[2:])
    assert all(block.backward.expected == (None,) for block in run.blocks[:-1])
    assert "- match" not in str(probe(Odd(), torch.randn(4, 8)))


class Between(nn.Module):
    """A layer, something after it that is given, and another layer."""

    def __init__(self, after: Callable[[torch.Tensor, nn.Module], torch.Tensor]) -> None:
        super().__init__()
        self.first = nn.Linear(64, 64, bias=False)
        self.inner = nn.Linear(64, 64, bias=False)
        self.last = nn.Linear(64, 64, bias=False)
        self.after = after

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.after(self.first(x), self.inner))


def _zeroed(h: torch.Tensor, _: nn.Module) -> torch.Tensor:
    h[:, :40] = 0
    return h


def _changed_by_a_view(h: torch.Tensor, _: nn.Module) -> torch.Tensor:
    h.view(-1).abs_()
    return h


def _added_in_place(h: torch.Tensor, inner: nn.Module) -> torch.Tensor:
    h += inner(torch.relu(h))
    return torch.relu_(h)


@pytest.mark.parametrize(
    ("after", "is_known"),
    [
        (lambda h, inner: h + inner(torch.relu(h)), True),
        (_added_in_place, True),
        (lambda h, _: functional.relu(h, inplace=True), True),
        (lambda h, inner: torch.add(h, inner(h), alpha=0.1), False),
        (lambda h, _: h + torch.relu(h), False),
        (lambda h, _: h + 0.5 * h, False),
        (lambda h, inner: torch.relu(inner(torch.sin(h))) + h, False),
        (lambda h, _: functional.dropout(h, 1.0), False),
        (lambda h, _: torch.relu(functional.dropout(h, 0.5)), True),
        (lambda h, _: torch.tanh(functional.dropout(h, 0.5)), False),
        (_zeroed, False),
        (_changed_by_a_view, False),
    ],
)  # fmt: skip
def test_only_independent_parts_and_unchanged_tensors_are_followed(after, is_known: bool) -> None:
    module = Between(after)
    plan = planned(module)
    batch = torch.randn(512, 64)
    block = probe(module, batch, plans={"a": plan}).runs[0].blocks[-1]
    assert block.starts_inside is not is_known
    assert block.forward.square[0] == pytest.approx(block.forward.expected[0], rel=0.5)


@pytest.mark.parametrize(
    ("between", "is_told"), [(nn.Identity, True), (nn.ReLU, True), (nn.GELU, False), (nn.SiLU, False)]
)
def test_a_line_is_told_for_chains_of_linear_layers_and_of_relu_only(between, is_told: bool) -> None:
    module = nn.Sequential(*(each for _ in range(8) for each in (nn.Linear(64, 64), between())))
    found = probe(
        module, torch.randn(8, 64), plans={"a": planned(module, {"random_normal": {"stddev": 0.3}})}
    )
    assert all(block.adds == () for block in found.runs[0].blocks)
    assert ("- match" in str(found)) is is_told
    if is_told:
        gain = float(str(found).split("sqrt(")[1].split(" ")[0])
        assert gain == pytest.approx(1.0 if between is nn.Identity else 2.0, rel=0.05)


def test_seeds_that_call_other_modules_are_refused() -> None:
    class Routed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.ModuleList(nn.Linear(4, 4, bias=False) for _ in range(3))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.layers[0](x)
            return self.layers[1 if x.sum() > 0 else 2](x)

    module = Routed()
    with pytest.raises(SpecError, match="calls other modules"):
        probe(module, torch.ones(1, 4), plans={"a": planned(module)}, seeds=range(12))


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_a_random_batch_has_the_type_of_the_first_layer(dtype: torch.dtype) -> None:
    module = nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 3)).to(dtype)
    assert probe(module).runs[0].loss[0] is not None


def test_the_flat_share_of_hardtanh_is_told_for_its_usual_bounds_only() -> None:
    def saturated(low: float) -> float | None:
        module = nn.Sequential(nn.Linear(6, 4), nn.Hardtanh(low, 1.0), nn.Linear(4, 3))
        return probe(module).runs[0].nonlinearities[0].saturated[0]

    assert saturated(-1.0) is not None
    assert saturated(0.0) is None


def test_fan_in_is_that_of_the_plan() -> None:
    class Sideways(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.empty(32, 64))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.addmm(torch.zeros(64), x, self.weight)

    module = Sideways()
    spec = {"initcfg": 1, "layout": "in_out", "rules": [{"match": "**", "initializer": "he_normal"}]}
    plan = initcfg.make_plan(spec, manifest=manifest(module))
    (weight,) = probe(module, torch.randn(4, 32), plans={"a": plan}).runs[0].weights
    assert weight.fan_in == 32


def test_a_seed_gives_the_weights_of_the_same_spec_with_that_seed() -> None:
    module = Net()
    again, meant = reseeded(planned(module, seed=3), 5), planned(module, seed=5)
    assert again.fingerprint == meant.fingerprint
    batch = torch.randn(4, 8)
    both = probe(module, batch, plans={"a": planned(module)}, seeds=(5, 6)).runs[0]
    alone = probe(module, batch, plans={"a": meant}).runs[0]
    assert both.loss[0] == alone.loss[0]
    assert both.blocks[-1].forward.square[0] == alone.blocks[-1].forward.square[0]
    assert both.loss[0] != both.loss[1]


def test_a_model_of_transformers_gets_tokens_and_a_loss_beside_chance() -> None:
    found = probe(small_gpt2)
    (run,) = found.runs
    assert found.batch == "8 rows of 16 random tokens of 64"
    assert found.chance == pytest.approx(math.log(64))
    assert run.loss[0] == pytest.approx(found.chance, rel=0.05)
    assert [each.name for each in run.blocks][1:] == [f"transformer.h.{at}" for at in range(3)]
    assert all(each.backward.square[0] for each in run.blocks)


@pytest.mark.parametrize(
    ("module", "about"),
    [
        (nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(784, 3)),
         "8 random images of 3 x 16 x 16"),
        (nn.Sequential(nn.Linear(6, 4), nn.Tanh(), nn.Linear(4, 1)), "64 random rows of 6"),
        (nn.Sequential(nn.Embedding(9, 4), nn.Linear(4, 9)), "8 rows of 64 random tokens of 9"),
    ],
)  # fmt: skip
def test_a_random_batch_is_one_that_the_first_layer_takes(module: nn.Module, about: str) -> None:
    assert probe(module).batch == about


def test_a_module_on_the_meta_device_is_probed_with_a_plan() -> None:
    with torch.device("meta"):
        module = nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 3))
    (run,) = probe(module, torch.randn(5, 6), plans={"a": planned(module)}).runs
    assert run.loss[0] is not None
    assert all(each.is_meta for each in module.parameters())


def test_what_overflows_is_none_and_not_a_wrong_number() -> None:
    module = nn.Sequential(*(nn.Linear(8, 8, bias=False) for _ in range(6)))
    plan = planned(module, {"random_normal": {"stddev": 1e10}})
    found = probe(module, torch.randn(4, 8), plans={"a": plan})
    assert found.runs[0].blocks[-1].forward.square == (None,)
    json.dumps(found.to_dict(), allow_nan=False)


def test_an_expected_gradient_that_overflows_is_none() -> None:
    module = nn.Sequential(*(nn.Linear(8, 8, bias=False) for _ in range(8))).double()
    plan = planned(module, {"random_normal": {"stddev": 1e30}})
    batch = torch.full((4, 8), 1e-120, dtype=torch.float64)
    found = probe(module, batch, plans={"a": plan}, loss=lambda output, _: output.sum())
    assert found.runs[0].blocks[-1].backward.expected[0] is not None
    assert found.runs[0].blocks[1].backward.expected == (None,)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: probe(lambda: 7), TypeError, "not int"),
        (lambda: probe(Net(), seeds=(0,)), ValueError, "seeds are of plans"),
        (lambda: probe(Net(), plans={"a": 7}), TypeError, "probe takes"),  # type: ignore[dict-item]
        (lambda: probe(nn.Bilinear(3, 4, 5)), SpecError, "no random batch"),
        (lambda: probe(nn.ReLU(), torch.randn(3, 4)), SpecError, "no parameter has a part"),
        (lambda: probe(nn.Linear(4, 3), torch.ones(0, 4)), SpecError, "Linear gives no numbers on the batch"),
        (lambda: probe(nn.Linear(4, 3), (torch.ones(2, 4), torch.tensor([0, 3]))), SpecError, "3 classes"),
        (lambda: probe(nn.Linear(4, 3), (torch.ones(2, 4), {"a": 1})), SpecError, "the target is a dict"),
        (lambda: probe(Net(), torch.ones(2, 8), loss=lambda out, _: out), ValueError, "must give one number"),
    ],
)  # fmt: skip
def test_a_wrong_call_is_told(call, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        call()


MODELS = """\
import torch
from torch import nn

def build():
    return nn.Sequential(*(nn.Linear(8, 8) for _ in range(3)), nn.Linear(8, 2))

def batch():
    return torch.ones(4, 8), torch.zeros(4, dtype=torch.long)

def narrow():
    return torch.ones(4, 7)

class Broken(nn.Sequential):
    def forward(self, x):
        return super().forward(x) + missing

def broken():
    return Broken(nn.Linear(8, 8))

made = build()
"""
SPEC = """\
initcfg: 1
layout: out_in
rules:
  - {match: "**.bias", initializer: zeros}
  - {match: "**", initializer: lecun_normal}
"""


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "probed_models.py").write_text(MODELS)
    (tmp_path / "a.yaml").write_text(SPEC)
    (tmp_path / "b.yaml").write_text(SPEC.replace("lecun", "he"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "probed_models", raising=False)
    return lambda *arguments: CliRunner().invoke(main, ["probe", *arguments])


def test_the_command_shows_a_column_a_spec(run) -> None:
    result = run(
        "probed_models:build", "--spec", "a.yaml", "--spec", "b.yaml", "--batch", "probed_models:batch"
    )
    assert result.exit_code == 0, result.output
    assert (
        "activations, mean square              a.yaml   in theory      b.yaml   in theory\n" in result.output
    )
    assert "cross entropy over 2 classes, the targets given" in result.output


def test_the_command_gives_the_value_as_json(run) -> None:
    result = run("probed_models:build", "--spec", "a.yaml", "--seeds", "2", "--format", "json")
    (found,) = json.loads(result.stdout)["runs"]
    assert found["seeds"] == [0, 1]
    assert len(found["loss"]) == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("probed_models:build", "--seeds", "2"), "--seeds needs a --spec"),
        (("probed_models:build", "--spec", "a.yaml", "--spec", "a.yaml"), "a spec is named twice"),
        (("probed_models:build", "--batch", "probed_models:batches"), "has no 'batches'"),
        (("probed_models:made",), "'probed_models:made' is a Sequential, and not a callable that makes"),
        (
            ("probed_models:build", "--batch", "probed_models:narrow"),
            "error[input]: Sequential fails on the batch given: RuntimeError: mat1 and mat2 shapes",
        ),
        (
            ("probed_models:broken", "--batch", "probed_models:batch"),
            "probed_models.py:15: error[input]: Broken fails on the batch given: NameError: name 'missing'",
        ),
    ],
)  # fmt: skip
def test_a_wrong_command_line_is_told(run, arguments: tuple[str, ...], words: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert words in result.output
    assert "internal error" not in result.output


class Gated(nn.Module):
    """A layer behind a gate of one number, and a choice that is along the first axis."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 4)
        self.gate = nn.Parameter(torch.zeros(()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        even = torch.softmax(torch.tensor([[0.0, 50.0], [0.0, 50.0]]) + 0 * self.gate, 0)
        return self.fc(x) * torch.tanh(self.gate) + functional.softmax(0 * x, dim=-1) * even.mean()


def test_a_gate_of_one_number_and_a_choice_along_another_axis_are_measured() -> None:
    (run,) = probe(Gated(), torch.randn(3, 4)).runs
    found = [(each.function, each.dead[0], each.entropy[0]) for each in run.nonlinearities]
    assert found == [("softmax", None, 1.0), ("tanh", 1.0, None), ("softmax", None, 1.0)]


def test_complex_numbers_are_refused() -> None:
    class Turned(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.turn = nn.Linear(4, 4, dtype=torch.complex64)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.turn(x.to(torch.complex64)).abs()

    with pytest.raises(SpecError, match="a probe measures real numbers"):
        probe(Turned(), torch.ones(2, 4))


def test_targets_that_are_ignored_have_no_part_in_the_loss() -> None:
    batch, targets = torch.ones(3, 4), torch.tensor([0, -100, 1])
    module = nn.Linear(4, 3)
    found = probe(module, (batch, targets)).runs[0].loss[0]
    assert found == pytest.approx(functional.cross_entropy(module(batch), targets).item())


def test_a_fault_of_the_probe_is_not_told_as_one_of_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("of the probe")

    monkeypatch.setattr("initcfg.probe.passes.moments", broken)
    with pytest.raises(ZeroDivisionError, match="of the probe"):
        probe(nn.Linear(4, 3), torch.ones(2, 4))
