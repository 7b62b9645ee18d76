"""The maps of the mean field, held against closed forms, against an oracle, and against simulated nets.

Simulations have fixed seeds, so they pass or fail for ever; the bounds are of normal tests whose family-wise
rate of false alarms is 1e-3 over all depths, widths and kinds of one test.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import special, stats

from initcfg.probe.theory import ACTIVATIONS, finite_width

FAMILY = 1e-3


@pytest.mark.parametrize("q", [1e-4, 0.3, 1.0, 4.0, 50.0])
def test_the_square_of_relu_is_half_and_that_of_tanh_what_samples_say(q: float) -> None:
    assert ACTIVATIONS["relu"].squares(q) == q / 2
    z = stats.norm.ppf((np.arange(400_000) + 0.5) / 400_000)
    x = math.sqrt(q) * z
    assert ACTIVATIONS["tanh"].squares(q) == pytest.approx(np.square(np.tanh(x)).mean(), rel=1e-4)
    assert ACTIVATIONS["tanh"].slopes(q) == pytest.approx(np.square(1 - np.tanh(x) ** 2).mean(), rel=2e-3)
    gelu = x * special.ndtr(x)
    assert ACTIVATIONS["gelu"].squares(q) == pytest.approx(np.square(gelu).mean(), rel=1e-4)


@pytest.mark.parametrize("c", [-0.9, 0.0, 0.5, 1.0])
def test_the_correlation_of_relu_is_the_arc_cosine_kernel(c: float) -> None:
    # Cho and Saul (2009), the kernel of degree 1.
    angle = math.acos(c)
    kernel = (math.sin(angle) + (math.pi - angle) * c) / math.pi
    assert ACTIVATIONS["relu"].correlation(c, 1.7, 2.0) == pytest.approx(kernel, abs=2e-4)


def test_tanh_is_critical_at_1_without_biases_and_has_its_depth_scale_off_it() -> None:
    tanh = ACTIVATIONS["tanh"]
    assert tanh.critical(1e-12) == pytest.approx(1.0, abs=1e-6)
    assert tanh.fixed_point(0.5) == 0.0
    # Slopes are 1 at 0, so chi is the weight variance itself.
    assert ACTIVATIONS["linear"].depth_scale(1.0, 0.0) == math.inf
    q = tanh.fixed_point(2.5, 0.05)
    assert q == pytest.approx(2.5 * tanh.squares(q) + 0.05, rel=1e-9)
    assert tanh.depth_scale(2.5, 0.05) == pytest.approx(1 / abs(math.log(2.5 * tanh.slopes(q))))


@pytest.mark.parametrize("name", sorted(ACTIVATIONS))
def test_the_variance_that_keeps_a_square_keeps_it(name: str) -> None:
    activation = ACTIVATIONS[name]
    assert activation.keeping(1.0) * activation.squares(1.0) == pytest.approx(1.0)


@pytest.mark.parametrize("width", [1, 3, 64, 1024])
def test_the_spread_of_a_finite_width_is_that_of_chi_squared(width: int) -> None:
    found = finite_width(width, "linear")
    assert found.mean == pytest.approx(special.digamma(width / 2) + math.log(2 / width), abs=1e-9)
    assert found.variance == pytest.approx(special.polygamma(1, width / 2), rel=1e-8)


def depths(kind: str, width: int, depth: int, nets: int, seed: int) -> np.ndarray:
    """The logarithms of mean squares of one input at every depth, for some nets."""
    random = np.random.default_rng(seed)
    variance = 2.0 if kind == "relu" else 1.0
    found = np.empty((nets, depth))
    for net in range(nets):
        x = random.standard_normal(width)
        x *= math.sqrt(width / np.square(x).sum())
        gone = 0.0
        for at in range(depth):
            x = random.standard_normal((width, width)) @ x * math.sqrt(variance / width)
            x = np.maximum(x, 0) if kind == "relu" else x
            square = float(np.square(x).mean())
            gone += math.log(square)
            found[net, at] = gone
            x /= math.sqrt(square)  # it scales with its input, so that nothing leaves the floats
    return found


@pytest.mark.parametrize(
    ("kind", "width", "depth"), [("linear", 64, 100), ("relu", 64, 100), ("relu", 128, 40)]
)
def test_simulated_nets_stray_from_the_mean_field_as_far_as_is_said(
    kind: str, width: int, depth: int
) -> None:
    """20 nets a case: every depth is tested, at the rate of the family over 240 depths."""
    nets = 20
    found = depths(kind, width, depth, nets, seed=21)
    spread, at = finite_width(width, kind), np.arange(1, depth + 1)
    z = (found.mean(0) - at * spread.mean) / np.sqrt(at * spread.variance / nets)
    assert np.abs(z).max() < stats.norm.isf(FAMILY / 2 / 240)
    # The sum of the squares of all layers' gains has the variance that is said.
    gains = np.diff(found, prepend=0.0)
    share = gains.var() / spread.variance
    assert share == pytest.approx(1.0, abs=5 * math.sqrt(2.5 / gains.size))


def test_a_wrong_variance_is_found() -> None:
    found = depths("relu", 64, 100, 20, seed=21) + 0.03 * np.arange(1, 101)
    spread, at = finite_width(64, "relu"), np.arange(1, 101)
    z = (found.mean(0) - at * spread.mean) / np.sqrt(at * spread.variance / 20)
    assert np.abs(z).max() > stats.norm.isf(FAMILY / 2 / 240)


def test_an_orthogonal_layer_keeps_every_square() -> None:
    random = np.random.default_rng(3)
    x = random.standard_normal(64)
    square = float(np.square(x).mean())
    for _ in range(200):
        q, _ = np.linalg.qr(random.standard_normal((64, 64)))
        x = q @ x
    assert float(np.square(x).mean()) == pytest.approx(square, rel=1e-10)
