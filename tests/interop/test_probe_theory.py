"""What theory expects of deep nets, held against 20 drawn nets at every depth.

CI holds a sample; more, to width 1024 and depth 200, by ``python tests/interop/test_probe_theory.py``.

Deep nets of a width near their depth have mean squares so far spread that the mean of 20 says nothing: the
errors of its errors are as large. So what is tested are the steps: the mean square of a layer over that of
the one before, over the factor that theory expects. Of linear layers, ReLU and residual sums the mean of such
a quotient is 1 at any width, whatever came before, so that sums of them over the depth have the mean 0 and
light tails. The sum to each depth is held against its standard error over the seeds. Gradients begin in a
random direction: one that depends on the output, as that of a loss does, adds what falls with the width.

Of tanh theory is exact in infinite width only. At a finite one its step is exact too, where it begins from
the mean square that the layer before has in this draw: that is tested at every depth and width. The
expectation of the whole chain is then tested with its first correction in 1 / width.
"""

from __future__ import annotations

import math
import sys
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn
from transformers import GPT2Config, GPT2LMHeadModel

import initcfg
from initcfg.adapters.torch import manifest, probe
from initcfg.probe.theory import ACTIVATIONS
from initcfg.probe.values import Run  # noqa: TC001

torch.set_num_threads(1)
SEEDS = 20
CONFIGS = Path(__file__).parents[2] / "configs"
FAMILY_WISE = 1e-3
# Of a step in float32, beside which an orthogonal net has no other error.
ROUNDING = 1e-4


class Sum(nn.Module):
    """A residual block with one hidden layer."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.up = nn.Linear(width, width, bias=False)
        self.down = nn.Linear(width, width, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.down(torch.relu(self.up(x)))


class Net(NamedTuple):
    """A kind of net: what stands between its layers (None of residual blocks), and how its weights begin."""

    between: type[nn.Module] | None
    initializer: object

    def module(self, width: int, depth: int) -> nn.Module:
        with torch.device("meta"):
            if self.between is None:
                return nn.Sequential(*(Sum(width) for _ in range(depth)))
            layers = [(nn.Linear(width, width, bias=False), self.between()) for _ in range(depth)]
            return nn.Sequential(*(each for pair in layers for each in pair))

    def run(self, width: int, depth: int) -> Run:
        module = self.module(width, depth)
        rules = [{"match": "**.down.weight", "initializer": self.initializer}] if self.between is None else []
        rest = "he_normal" if self.between is None else self.initializer
        spec = {
            "initcfg": 1,
            "layout": "out_in",
            "vars": {"depth": depth},
            "rules": [*rules, {"match": "**", "initializer": rest}],
        }
        plan = initcfg.make_plan(spec, manifest=manifest(module))
        x, direction = torch.randn(2, 1, width, generator=torch.Generator().manual_seed(7))
        (run,) = probe(
            module,
            x,
            plans={"a": plan},
            seeds=range(SEEDS),
            loss=lambda output, _: (output * direction).sum(),
        ).runs
        return run


TANH = 1.5  # the variance of its weights times fan_in: beyond the critical line, so that a signal stays
NETS = {
    "linear": Net(nn.Identity, "lecun_uniform"),
    "relu": Net(nn.ReLU, "he_normal"),
    "orthogonal": Net(nn.Identity, "orthogonal"),
    "residual": Net(None, {"random_normal": {"stddev": "sqrt(2 / (depth * fan_in))"}}),
    "tanh": Net(nn.Tanh, {"random_normal": {"stddev": f"sqrt({TANH} / fan_in)"}}),
}


def quotients(run: Run, *, backward: bool) -> np.ndarray:
    """For each step and seed, how many times what is measured changes, over how many theory expects."""
    places = [block.backward if backward else block.forward for block in run.blocks]
    places = places[:0:-1] if backward else places
    measured = np.array([each.square for each in places], float)
    expected = np.array([each.expected for each in places], float)
    return (measured[1:] / measured[:-1]) / (expected[1:] / expected[:-1])


def tanh_quotients(run: Run) -> np.ndarray:
    """For each tanh and seed, its mean square over that which theory expects from the one before it."""
    after = np.array([leaf.forward.square for leaf in run.leaves if leaf.kind == "Tanh"], float)
    squares = np.vectorize(ACTIVATIONS["tanh"].squares)
    return after[1:] / squares(TANH * after[:-1])


def errors_of_sums(steps: np.ndarray) -> np.ndarray:
    """To each depth the mean over the seeds of the sum of ``steps - 1``, in standard errors.

    What rounding alone may come to is none.
    """
    sums = np.cumsum(steps - 1, axis=0)
    allowed = ROUNDING * np.sqrt(np.arange(1, len(sums) + 1))
    off = np.maximum(np.abs(sums.mean(axis=1)) - allowed, 0)
    return off / (sums.std(axis=1, ddof=1) / math.sqrt(SEEDS) + 1e-12)


def tanh_correction(run: Run, width: int) -> np.ndarray:
    """The first term in 1 / width of how far the mean of a net is from that of a wide one, by depth.

    A layer's mean square is that of `width` independent normal values, whose variance, given the one before,
    is `TANH` times the mean square of that one's tanh.
    """
    squares = ACTIVATIONS["tanh"].squares
    z, step = np.linspace(-9, 9, 2001), 1e-2
    weights = np.exp(-np.square(z) / 2)
    weights /= weights.sum()
    variance, shift, found = 0.0, 0.0, []  # of the variance of a layer: its spread, and the shift of its mean
    q = run.blocks[1].forward.expected[0] or 0.0
    for _ in run.blocks[1:]:
        found.append(shift / q)
        low, here, high = (TANH * squares(q * (1 + sign * step)) for sign in (-1, 0, 1))
        slope, bend = (high - low) / (2 * q * step), (high - 2 * here + low) / (q * step) ** 2
        fourth = float(weights @ np.tanh(math.sqrt(q) * z) ** 4)
        shift = slope * shift + bend * variance / 2
        variance = slope**2 * variance + TANH**2 * (fourth - squares(q) ** 2) / width
        q = here
    return np.array(found)


def held(name: str, width: int, depth: int) -> list[np.ndarray]:
    """All tests of one net, in standard errors."""
    run = NETS[name].run(width, depth)
    assert not any(block.starts_inside for block in run.blocks)
    assert all(None not in block.forward.expected for block in run.blocks)
    if name == "tanh":
        measured = np.array([block.forward.square for block in run.blocks[1:]], float)
        expected = np.array([block.forward.expected for block in run.blocks[1:]], float)
        ratios = measured / expected
        off = np.abs(ratios.mean(axis=1) - 1 - tanh_correction(run, width))
        chain = off / (ratios.std(axis=1, ddof=1) / math.sqrt(SEEDS))
        return [errors_of_sums(tanh_quotients(run)), chain]
    return [errors_of_sums(quotients(run, backward=backward)) for backward in (False, True)]


def check(cases: list[tuple[str, int, int]]) -> None:
    """Fails where one of all tests is beyond its standard errors, at the family-wise rate."""
    found = {}
    for case in cases:
        started = time.perf_counter()
        found[case] = held(*case)
        worst = [round(float(each.max()), 2) for each in found[case]]
        print(*case, "largest:", worst, f"{time.perf_counter() - started:.0f} s", flush=True)
    tests = sum(each.size for both in found.values() for each in both)
    most = stats.t.isf(FAMILY_WISE / (2 * tests), SEEDS - 1)
    print(f"{tests} tests, of which each may be {most:.2f} standard errors off")
    beyond = {case: [float(each.max()) for each in both] for case, both in found.items()}
    assert not {case: off for case, off in beyond.items() if max(off) > most}


@pytest.mark.parametrize("name", list(NETS))
def test_no_depth_is_beyond_its_standard_errors(name: str) -> None:
    check([(name, 64, 8)])


def test_gpt2_without_its_residual_scale_ends_about_28_times_higher() -> None:
    """12 blocks of GPT-2's own width; each of the 24 sums has 24 times the variance."""
    sizes = {"n_layer": 12, "n_embd": 768, "n_head": 12, "vocab_size": 512, "n_positions": 16}
    module = GPT2LMHeadModel(GPT2Config(**sizes, bos_token_id=0, eos_token_id=0))
    plans = {
        name: initcfg.make_plan(
            CONFIGS / "gpt2.yaml",
            settings={"vars.vocab": 512, "vars.n_ctx": 16, **more},
        )
        for name, more in {"as written": {}, "0.02": {"initializers.residual": "base"}}.items()
    }
    scaled, plain = probe(module, plans=plans).runs
    ends = [run.blocks[-1].forward.square[0] or 0.0 for run in (scaled, plain)]
    assert 24 < ends[1] / ends[0] < 32
    assert scaled.loss[0] == pytest.approx(math.log(512), rel=0.05)


if __name__ == "__main__":
    chosen = sys.argv[1:] or list(NETS)
    check([(name, width, depth) for width, depth in ((64, 200), (256, 200), (1024, 60)) for name in chosen])
