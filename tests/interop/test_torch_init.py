"""The real ``torch.nn.init``: each of its functions against the initializer that has its name here.

Random laws are compared by two-sample Kolmogorov-Smirnov tests of 300,000 draws at fixed seeds, and fail at a
p-value below 1e-3: all rows together would raise a false alarm at one in fifty choices of seeds. The numbers
that PyTorch hands to its random functions are compared to the last bit, at random shapes:
`INITCFG_EXAMPLES=500` tries five hundred.
"""

from __future__ import annotations

import inspect
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

import initcfg
from initcfg import engines, initializers
from initcfg.adapters import torch as adapter
from initcfg.distributions import Normal, TruncatedNormal, Uniform
from initcfg.dtypes import as_dtype
from initcfg.errors import Code
from initcfg.expressions import GAINS, Expression
from initcfg.initializers import Initializer, Request, make, resolve
from initcfg.layout import Layout
from initcfg.stream import Stream

if TYPE_CHECKING:
    from collections.abc import Callable

OUT_IN = Layout("out_in")
SHAPE = (300, 40, 5, 5)
INIT = torch.nn.init

LAWS: tuple[tuple[str, dict[str, Any], Initializer], ...] = (
    ("uniform_", {}, initializers.RandomUniform(0, 1)),
    ("normal_", {"mean": 1.0, "std": 0.02}, initializers.RandomNormal(1.0, 0.02)),
    ("trunc_normal_", {}, initializers.TruncNormal()),
    ("trunc_normal_", {"std": 0.02}, initializers.TruncNormal(std=0.02)),
    ("trunc_normal_", {"mean": 0.5, "a": 1.0, "b": 3.0}, initializers.TruncNormal(0.5, a=1.0, b=3.0)),
    *(
        (f"{name}_", arguments, getattr(initializers, cls)(**arguments))
        for name, cls in (("xavier_uniform", "XavierUniform"), ("xavier_normal", "XavierNormal"))
        for arguments in ({}, {"gain": 2**0.5})
    ),
    *(
        (f"{name}_", arguments, getattr(initializers, cls)(**arguments))
        for name, cls in (("kaiming_uniform", "KaimingUniform"), ("kaiming_normal", "KaimingNormal"))
        for arguments in ({}, {"a": 5**0.5}, {"mode": "fan_out", "nonlinearity": "relu"})
    ),
)
FIXED: tuple[tuple[str, dict[str, Any], Initializer, tuple[int, ...]], ...] = (
    ("zeros_", {}, initializers.Zeros(), (3, 4)),
    ("ones_", {}, initializers.Ones(), (3, 4)),
    ("constant_", {"val": 0.3}, initializers.Constant(0.3), (3, 4)),
    *(("eye_", {}, initializers.Identity(), shape) for shape in ((4, 4), (3, 5), (5, 3))),
    *(
        ("dirac_", {"groups": groups}, initializers.Dirac(groups), shape)
        for shape in ((6, 2, 3), (6, 4, 3, 4), (6, 9, 1, 2, 5))
        for groups in (1, 2, 3)
    ),
)


def theirs(name: str, shape: tuple[int, ...], arguments: dict[str, Any]) -> np.ndarray:
    torch.manual_seed(20)
    return getattr(INIT, name)(torch.empty(shape), **arguments).numpy()


def ours(initializer: Initializer, shape: tuple[int, ...], seed: int = 20) -> np.ndarray:
    stream = Stream.of_parameter(seed, "w")
    return make(initializer, Request(shape, as_dtype("float32"), OUT_IN, stream, engines.get_engine()))


@pytest.mark.parametrize(("name", "arguments", "initializer"), LAWS)
def test_draws_come_from_one_law(name: str, arguments: dict[str, Any], initializer: Initializer) -> None:
    one, other = theirs(name, SHAPE, arguments).ravel(), ours(initializer, SHAPE).ravel()
    assert stats.ks_2samp(one, other).pvalue > 1e-3
    assert abs(one.std() / other.std() - 1) < 0.01


def test_a_law_two_percent_wider_would_be_noticed() -> None:
    other = ours(initializers.XavierNormal(1.02), SHAPE).ravel()
    assert stats.ks_2samp(theirs("xavier_normal_", SHAPE, {}).ravel(), other).pvalue < 1e-3


@pytest.mark.parametrize(("name", "arguments", "initializer", "shape"), FIXED)
def test_values_without_randomness_are_equal(
    name: str, arguments: dict[str, Any], initializer: Initializer, shape: tuple[int, ...]
) -> None:
    np.testing.assert_array_equal(ours(initializer, shape), theirs(name, shape, arguments))


shapes = st.lists(st.integers(1, 40), min_size=2, max_size=5).map(tuple)
slopes = st.floats(-10, 10)
nonlinearities = st.sampled_from(
    ["linear", "conv1d", "conv_transpose3d", "sigmoid", "tanh", "relu", "leaky_relu", "selu"]
)


def handed_over(function: Callable[..., Any], shape: tuple[int, ...], **arguments: Any) -> tuple[Any, ...]:
    """What PyTorch hands to the function that draws."""
    seen: list[tuple[Any, ...]] = []
    with pytest.MonkeyPatch.context() as patch:
        for drawing in ("uniform_", "normal_"):
            patch.setattr(torch.Tensor, drawing, lambda _, *given, **__: seen.append(given))
        function(torch.empty(shape), **arguments)
    return tuple(map(float, seen[0]))


@given(shape=shapes, gain=st.floats(0, 10))
def test_xavier_s_numbers_are_pytorch_s(shape: tuple[int, ...], gain: float) -> None:
    law = resolve(initializers.XavierUniform(gain), shape, OUT_IN)
    assert isinstance(law, Uniform)
    assert (law.low, law.high) == handed_over(INIT.xavier_uniform_, shape, gain=gain)
    law = resolve(initializers.XavierNormal(gain), shape, OUT_IN)
    assert isinstance(law, Normal)
    assert (law.mean, law.std) == handed_over(INIT.xavier_normal_, shape, gain=gain)


@given(shape=shapes, a=slopes, mode=st.sampled_from(["fan_in", "fan_out"]), nonlinearity=nonlinearities)
def test_kaiming_s_numbers_are_pytorch_s(
    shape: tuple[int, ...], a: float, mode: Any, nonlinearity: Any
) -> None:
    arguments = {"a": a, "mode": mode, "nonlinearity": nonlinearity}
    law = resolve(initializers.KaimingUniform(**arguments), shape, OUT_IN)
    assert isinstance(law, Uniform)
    assert (law.low, law.high) == handed_over(INIT.kaiming_uniform_, shape, **arguments)
    law = resolve(initializers.KaimingNormal(**arguments), shape, OUT_IN)
    assert isinstance(law, Normal)
    assert (law.mean, law.std) == handed_over(INIT.kaiming_normal_, shape, **arguments)


@given(
    kernel=st.lists(st.integers(1, 5), min_size=1, max_size=3),
    groups=st.integers(1, 4),
    outputs=st.integers(0, 4),
    inputs=st.integers(0, 9),
)
def test_dirac_is_pytorch_s(kernel: list[int], groups: int, outputs: int, inputs: int) -> None:
    shape = (groups * outputs, inputs, *kernel)
    np.testing.assert_array_equal(
        ours(initializers.Dirac(groups), shape), theirs("dirac_", shape, {"groups": groups})
    )


@given(
    shape=st.tuples(st.integers(1, 30), st.integers(1, 30)),
    sparsity=st.floats(0, 1),
)
def test_columns_of_sparse_have_as_many_zeros_as_pytorch_s(shape: tuple[int, int], sparsity: float) -> None:
    one, other = theirs("sparse_", shape, {"sparsity": sparsity}), ours(initializers.Sparse(sparsity), shape)
    np.testing.assert_array_equal((other == 0).sum(axis=0), (one == 0).sum(axis=0))


def test_what_is_left_of_sparse_comes_from_one_law() -> None:
    """The draws, and where the zeros of a column are."""
    shape = (20, 25_000)
    one, other = (
        theirs("sparse_", shape, {"sparsity": 0.4, "std": 0.5}),
        ours(initializers.Sparse(0.4, 0.5), shape),
    )
    assert stats.ks_2samp(one[one != 0], other[other != 0]).pvalue > 1e-3
    counts = np.stack([(one == 0).sum(axis=1), (other == 0).sum(axis=1)])
    assert stats.chi2_contingency(counts).pvalue > 1e-3


def test_the_defaults_are_pytorch_s() -> None:
    left_out = ("tensor", "generator")
    names = {"xavier_uniform", "xavier_normal", "kaiming_uniform", "kaiming_normal", "trunc_normal"}
    for name in (*names, "dirac"):
        parameters = inspect.signature(getattr(INIT, f"{name}_")).parameters
        expected = {key: each.default for key, each in parameters.items() if key not in left_out}
        config = initializers.get(name).get_config()
        assert {key: value for key, value in config.items() if key != "seed"} == expected


def test_the_bounds_of_trunc_normal_are_values() -> None:
    law = resolve(initializers.TruncNormal(0.1, 0.5, -0.2, 0.3), (3,))
    assert law == TruncatedNormal(0.1, 0.5, -0.2, 0.3)
    drawn = theirs("trunc_normal_", (10_000,), {"mean": 0.1, "std": 0.5, "a": -0.2, "b": 0.3})
    assert math.isclose(drawn.min(), -0.2, abs_tol=1e-3)
    assert math.isclose(drawn.max(), 0.3, abs_tol=1e-3)


@pytest.mark.parametrize("shape", [(6, 6), (8, 3), (3, 8), (6, 2, 3, 3)])
def test_orthogonal_matrices_come_from_one_law(shape: tuple[int, ...]) -> None:
    """Corners, diagonal and trace of 400 matrices of each."""
    count, matrix = 400, (shape[0], math.prod(shape[1:]))
    torch.manual_seed(20)
    one = np.stack([INIT.orthogonal_(torch.empty(shape)).numpy().reshape(matrix) for _ in range(count)])
    made = (ours(initializers.Orthogonal(), shape, seed) for seed in range(count))
    other = np.stack([array.reshape(matrix) for array in made])
    for statistic in (lambda q: q[:, 0, 0], lambda q: q[:, -1, -1], lambda q: np.trace(q, axis1=1, axis2=2)):
        assert stats.ks_2samp(statistic(one), statistic(other)).pvalue > 1e-3


def test_gains_in_expressions_are_those_of_pytorch() -> None:
    words = [*GAINS, *(f"leaky_relu, {slope!r}" for slope in (0.0, 0.2, -0.5, 5**0.5, 7))]
    for word in words:
        name, _, slope = word.partition(", ")
        theirs = INIT.calculate_gain(name, float(slope) if slope else None)
        assert Expression.parse(f"gain({word})").evaluate({}) == pytest.approx(theirs, rel=1e-15, abs=0)


class Phases(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.empty(400, 500, dtype=torch.complex64).normal_(0, 0.3))
        self.shift = torch.nn.Parameter(torch.full((3,), 1 + 2j))


def test_complex_parameters_are_written_and_held_to_their_laws() -> None:
    """The plan's weights, bit for bit, and those of torch's `normal_`, whose parts share the variance."""
    module = Phases()
    rules = [
        {"match": "weight", "initializer": {"random_normal": {"stddev": 0.3}}},
        {"match": "**", "initializer": "ones"},
    ]
    spec = {"initcfg": 1, "layout": "out_in", "rules": rules}
    plan = initcfg.make_plan(spec, manifest=adapter.manifest(module))
    torch.manual_seed(20)
    module.shift.data.fill_(1)
    assert adapter.verify(Phases(), plan, law=True).diagnostics  # its shift is 1 + 2j
    assert not adapter.verify(module, plan, law=True).diagnostics
    adapter.initialize_(module, plan)
    assert module.weight.dtype is torch.complex64
    np.testing.assert_array_equal(module.weight.detach().numpy(), initcfg.materialize(plan)["weight"])
    assert not adapter.verify(module, plan).diagnostics
    turned = torch.nn.Parameter(module.weight.detach().conj())  # a view, conjugated when it is read
    module.weight = turned
    assert [each.code for each in adapter.verify(module, plan).diagnostics] == [Code.VALUES]
