"""A sweep over widths tells standard parametrization from muP.

CI holds one seed; ``python tests/interop/test_sweep.py`` counts the right verdicts of 50.
"""

from __future__ import annotations

import functools
import json
import sys
from typing import TYPE_CHECKING, Any, Literal

import jsonschema
import pytest
import torch
import yaml
from click.testing import CliRunner
from torch import nn

import initcfg
from initcfg.adapters.torch import manifest, sweep_widths
from initcfg.cli import main
from initcfg.errors import SpecError
from initcfg.probe import Moved, Sweep
from initcfg.probe.widths import json_schema

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from initcfg.plan import Plan

torch.set_num_threads(1)
WIDTHS = [32, 64, 128, 256, 512]


def build(width: int) -> nn.Module:
    with torch.device("meta"):
        hidden = [nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU()]
        return nn.Sequential(nn.Linear(16, width), nn.ReLU(), *hidden, nn.Linear(width, 10))


def plan_of(last: str, module: nn.Module, width: int) -> Plan:
    spec = {
        "initcfg": 1,
        "layout": "out_in",
        "vars": {"width": 1},
        "rules": [
            {"match": "6.weight", "initializer": {"random_normal": {"stddev": last}}},
            {"match": "**.bias", "initializer": "zeros"},
            {"match": "**", "initializer": "he_normal"},
        ],
    }
    return initcfg.make_plan(spec, manifest=manifest(module), settings={"vars.width": width})


def swept_mlps(optimizer: Literal["sgd", "adam"], seed: int) -> tuple[Sweep, Sweep]:
    def sweep(last: str, rates: Literal["mup", "equal"]) -> Sweep:
        def planned(module: nn.Module, width: int) -> Plan:
            return plan_of(last, module, width)

        return sweep_widths(build, planned, widths=WIDTHS, seeds=(seed,), optimizer=optimizer, rates=rates)

    return sweep("1 / sqrt(width)", "equal"), sweep("8 / width", "mup")


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_standard_parametrization_breaks_and_mup_passes(optimizer: Literal["sgd", "adam"]) -> None:
    standard, good = swept_mlps(optimizer, 0)
    assert "6.weight" in standard.breaking
    assert "these grow with the width, and so break muP: " in str(standard)
    assert good.breaking == ()
    assert [layer.name for layer in good.layers] == ["0", "2", "4", "6"]
    assert Sweep.model_validate(good.to_dict()) == good


def test_powers_are_those_of_the_numbers() -> None:
    layer = Moved(
        name="fc",
        parameters=("fc.weight",),
        sizes=tuple((3.0, 3.0) for _ in WIDTHS),
        moves=(tuple((width**0.5, width**0.5) for width in WIDTHS), tuple((0.0, 0.0) for _ in WIDTHS)),
    )
    about: dict[str, Any] = {"version": "1", "optimizer": "sgd", "rate": 0.1, "rates": "equal"}
    found = Sweep(**about, widths=tuple(WIDTHS), seeds=(0, 1), layers=(layer,))
    assert [round(each.power, 6) for each in found.slopes(layer)] == [0, 0.5, 0]
    assert found.breaking == ("fc.weight",)
    noisy = layer.model_copy(update={"moves": (tuple((3.0**each, 0.3) for each in range(5)),)})
    unsure = found.model_copy(update={"layers": (noisy,)})
    assert (unsure.breaking, unsure.unclear) == ((), ("fc.weight",))
    assert "these may grow with the width, which more seeds tell: fc.weight" in str(unsure)
    assert "nothing grows" not in str(unsure)
    two = layer.model_copy(update={"sizes": ((1.0,), (9.0,)), "moves": ()})  # which any line goes through
    least = Sweep(**about, widths=(32, 64), seeds=(0,), layers=(two,))
    assert (least.breaking, least.unclear) == ((), ("fc.weight",))
    overflown = layer.model_copy(update={"sizes": (*layer.sizes[1:], (None, 3.0)), "moves": ()})
    assert found.model_copy(update={"layers": (overflown,)}).breaking == ("fc.weight",)


def test_each_call_of_a_layer_is_followed_on_its_own() -> None:
    class Twice(nn.Module):
        def __init__(self, width: int) -> None:
            super().__init__()
            self.stem, self.fc, self.head = nn.Linear(4, width), nn.Linear(width, width), nn.Linear(width, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.fc(0.5 * torch.relu(self.fc(self.stem(x)))))

    def planned(module: nn.Module, _: int) -> Plan:
        rules = [{"match": "**", "initializer": {"random_normal": {"stddev": "1 / sqrt(numel)"}}}]
        return initcfg.make_plan({"initcfg": 1, "rules": rules}, manifest=manifest(module))

    found = sweep_widths(Twice, planned, widths=[8, 16], seeds=(0,), steps=2)
    assert [each.name for each in found.layers] == ["stem", "fc", "fc (2)", "head"]
    assert found.layers[1].parameters == found.layers[2].parameters == ("fc.weight", "fc.bias")
    assert found.layers[1].sizes != found.layers[2].sizes
    assert all(len(each.moves) == 2 for each in found.layers)


def test_what_a_plan_skips_in_a_sweep_is_told() -> None:
    def planned(module: nn.Module, _: int) -> Plan:
        rules = [{"match": "**.bias", "skip": True}, {"match": "**", "initializer": "he_normal"}]
        return initcfg.make_plan(
            {"initcfg": 1, "layout": "out_in", "rules": rules}, manifest=manifest(module)
        )

    def made(width: int) -> nn.Module:
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(4, width), nn.Linear(width, 2))

    with pytest.warns(RuntimeWarning, match=r"the plan skips '0.bias', '1.bias': measured as the model has"):
        sweep_widths(made, planned, widths=[8, 16], seeds=(0,), steps=1)


@pytest.mark.parametrize(("widths", "seeds"), [([32], (0,)), ([32, 32], (0,)), (WIDTHS, ())])
def test_a_sweep_of_nothing_is_refused(widths: list[int], seeds: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="two different widths, a seed and a step"):
        sweep_widths(build, lambda module, width: plan_of("1", module, width), widths=widths, seeds=seeds)


SMALL_GPT = """\
import torch
from torch import nn
from torch.nn import functional


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.ln1, self.ln2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x):
        rows, length, width = x.shape
        q, k, v = self.qkv(self.ln1(x)).view(rows, length, 3, 4, width // 4).permute(2, 0, 3, 1, 4)
        # muP: dot products grow with the width once q and k have learned, not with its root.
        seen = functional.scaled_dot_product_attention(q, k, v, is_causal=True, scale=4 / width)
        x = x + self.out(seen.transpose(1, 2).reshape(rows, length, width))
        return x + self.down(functional.gelu(self.up(self.ln2(x))))


class GPT(nn.Module):
    def __init__(self, width, vocabulary=64, length=16, depth=2):
        super().__init__()
        self.wte, self.wpe = nn.Embedding(vocabulary, width), nn.Embedding(length, width)
        self.h = nn.ModuleList(Block(width) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, vocabulary, bias=False)

    def forward(self, tokens):
        x = self.wte(tokens) + self.wpe.weight[: tokens.shape[1]]
        for block in self.h:
            x = block(x)
        return self.head(self.norm(x))


def batch():
    tokens = torch.randint(64, (8, 16), generator=torch.Generator().manual_seed(0))
    return tokens, tokens.roll(-1, 1)


def narrow():
    return GPT(32)


def number(width):
    return width
"""
STANDARD_GPT = """\
initcfg: 1
layout: out_in
rules:
  - {match: "{wte,wpe}.weight", initializer: {random_normal: {stddev: 1}}}
  - {match: "**.{ln1,ln2}.weight", initializer: ones}
  - {match: norm.weight, initializer: ones}
  - {match: "**.bias", initializer: zeros}
  - {match: "**", initializer: {random_normal: {stddev: 1 / sqrt(fan_in)}}}
"""
MUP_GPT = STANDARD_GPT.replace(
    "rules:\n",
    "vars: {width: 32}\n"
    "rules:\n  - {match: head.weight, initializer: {random_normal: {stddev: sqrt(32) / width}}}\n",
)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "swept_models.py").write_text(SMALL_GPT)
    (tmp_path / "standard.yaml").write_text(STANDARD_GPT)
    (tmp_path / "mup.yaml").write_text(MUP_GPT)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "swept_models", raising=False)
    return lambda *arguments: CliRunner().invoke(main, ["probe", *arguments], env={"COLUMNS": "80"})


GPT = ("swept_models:GPT", "--batch", "swept_models:batch", "--widths", "32,64,128,256,512")


def test_of_a_small_gpt_standard_parametrization_breaks_and_mup_passes(run) -> None:
    arguments = (*GPT, "--seeds", "1", "--format", "json")
    standard = run(*arguments, "--spec", "standard.yaml", "--rates", "equal")
    assert standard.exit_code == 1, standard.output
    assert "head.weight" in json.loads(standard.stdout)["breaking"]
    good = run(*arguments, "--spec", "mup.yaml", "--set", "vars.width={width}")
    assert good.exit_code == 0, good.output
    document = json.loads(good.stdout)
    jsonschema.Draft202012Validator(json_schema()).validate(document)
    assert (document["breaking"], document["seeds"]) == ([], [0])
    assert Sweep.model_validate(document).to_dict() == document


def test_the_command_shows_powers_by_layer_and_what_breaks(run) -> None:
    wide = ("swept_models:GPT", "--batch", "swept_models:batch", "--widths", "32,128,512", "--seeds", "2")
    result = run(*wide, "--spec", "standard.yaml", "--rates", "equal", "--optimizer", "sgd", "--rate", "0.5")
    assert result.exit_code == 1, result.output
    assert result.stdout.startswith("power of the width ")
    assert "widths 32, 128, 512, seeds 0, 1; sgd at 0.5, rates equal" in result.stdout
    assert "these grow with the width, and so break muP: " in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 80


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("swept_models:GPT", "--widths", "32,64"), "--widths needs one --spec"),
        (("swept_models:GPT", "--widths", "32,32"), "'32,32' is no list of two different widths"),
        (("swept_models:GPT", "--widths", "32;64"), "is no list of two different widths"),
        (("swept_models:GPT", "--rate", "1"), "--rate needs --widths"),
        (("--config", ".", "--widths", "32,64", "--spec", "mup.yaml"), "and not --config"),
        (("swept_models:narrow", "--widths", "32,64", "--spec", "mup.yaml"), "with one argument, the width"),
        (("swept_models:number", "--widths", "32,64", "--spec", "mup.yaml"), "it returned int"),
    ],
)  # fmt: skip
def test_a_wrong_command_line_is_told(run, arguments: tuple[str, ...], words: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert words in " ".join(result.output.split())


def test_a_model_that_does_not_follow_the_width_is_refused() -> None:
    with pytest.raises(SpecError, match="the same shapes at different widths"):
        sweep_widths(lambda _: build(32), lambda *given: plan_of("1", *given), widths=[32, 64], seeds=[0])


def test_a_model_that_has_other_layers_at_other_widths_is_refused() -> None:
    def of_width(width: int) -> nn.Module:
        return build(width).append(nn.Linear(10, 10)) if width > 32 else build(width)

    with pytest.raises(SpecError, match=r"'7\.bias' is there at some widths and not at others"):
        sweep_widths(of_width, lambda *given: plan_of("1", *given), widths=[32, 64], seeds=[0])


def swept_gpts(seed: int) -> tuple[Sweep, Sweep]:
    written: dict[str, Any] = {}
    exec(SMALL_GPT, written)

    def sweep(spec: str, rates: Literal["mup", "equal"], **settings: str) -> Sweep:
        def planned(module: nn.Module, width: int) -> Plan:
            given = {key: text.format(width=width) for key, text in settings.items()}
            return initcfg.make_plan(yaml.safe_load(spec), manifest=manifest(module), settings=given)

        return sweep_widths(
            written["GPT"], planned, widths=WIDTHS, batch=written["batch"](), seeds=(seed,), rates=rates
        )

    return sweep(STANDARD_GPT, "equal"), sweep(MUP_GPT, "mup", **{"vars.width": "{width}"})


if __name__ == "__main__":
    sweeps: dict[str, Callable[[int], tuple[Sweep, Sweep]]] = {
        "MLP, sgd": functools.partial(swept_mlps, "sgd"),
        "MLP, adam": functools.partial(swept_mlps, "adam"),
        "GPT, adam": swept_gpts,
    }
    for label, of in sweeps.items():
        pairs = [of(seed) for seed in range(50)]
        verdicts = [(bool(bad.breaking), not (good.breaking or good.unclear)) for bad, good in pairs]
        fails, passes = map(sum, zip(*verdicts, strict=True))
        print(
            f"{label}: standard fails in {fails} and muP passes in {passes} of {len(verdicts)} seeds",
            flush=True,
        )
