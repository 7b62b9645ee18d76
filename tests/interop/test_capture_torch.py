"""What is recorded of modules' own initialization, held against values that the library draws itself."""

from __future__ import annotations

import contextlib
import copy
import functools
import math
import os
import random
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch import nn

from initcfg import make_plan
from initcfg.adapters.torch import audit, capture, verify
from initcfg.adapters.torch.programs import law_of_tensor
from initcfg.adapters.torch.recorded import record
from initcfg.capture.values import Table, Unsaid
from initcfg.initializers import (
    Concatenate,
    Constant,
    Elementwise,
    Formula,
    NormOf,
    Ones,
    Orthogonal,
    Patch,
    RandomNormal,
    RandomUniform,
    Sparse,
    TruncNormal,
    Zeros,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from initcfg.capture.values import Law, Recorded

NORMAL = RandomNormal(0.0, 0.02)
ROW_OF_TWO = {"at": ["0:1"], "initializer": Constant(2.0)}
EVERY = "INITCFG_ALL_MODELS"


class Written(nn.Module):
    """One parameter of shape (6, 4), written by a function."""

    def __init__(self, write: Callable[[torch.Tensor], Any]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(6, 4))
        with torch.no_grad():
            made = write(self.weight)
        if isinstance(made, nn.Parameter):
            self.weight = made


def law_of(write: Callable[[torch.Tensor], Any]) -> Law:
    return record(lambda: Written(write))[0].law


def column_added(w: torch.Tensor) -> None:
    w.normal_(0, 0.02)
    w[0].fill_(1)
    w[:, 0].add_(1)


def in_parts(w: torch.Tensor) -> None:
    for part in w.chunk(3):
        part.normal_(0, 0.02)


def timm_trunc(w: torch.Tensor) -> None:
    w.uniform_(-0.9, 0.9).erfinv_().mul_(0.02 * math.sqrt(2)).clamp_(-1, 1)


def by_loop(w: torch.Tensor) -> None:
    w.copy_(torch.tensor([[float(i * 4 + j) ** 2 for j in range(4)] for i in range(6)]))


def beside(w: torch.Tensor) -> None:
    w[:2].normal_(0, 1)
    w[2:].zero_()


def in_halves(w: torch.Tensor) -> None:
    w[:, :3] = torch.arange(18.0).reshape(6, 3)
    w[:, 3:] = -torch.arange(6.0)[:, None]


def in_turns(w: torch.Tensor) -> None:
    w[:, 0::2] = torch.arange(12.0).reshape(6, 2) ** 2
    w[:, 1::2] = -torch.arange(6.0)[:, None]


def inverse_softplus(_: torch.Tensor) -> nn.Parameter:
    dt = torch.exp(torch.rand(6, 4) * 2 - 3).clamp(min=0.1)
    return nn.Parameter(dt + torch.log(-torch.expm1(-dt)))


SQUARES = np.arange(24.0).reshape(6, 4) ** 2

WAYS: dict[str, tuple[Callable[[torch.Tensor], Any], Law | str]] = {
    "normal_": (lambda w: w.normal_(0, 0.02), NORMAL),
    "randn, then a parameter": (lambda _: nn.Parameter(torch.randn(6, 4) * 0.02), NORMAL),
    "randn_like": (lambda w: w.copy_(torch.randn_like(w) * 0.02), NORMAL),
    "rand, scaled and moved": (lambda w: w.copy_(torch.rand(6, 4) * 2 - 1), RandomUniform(-1.0, 1.0)),
    "divided": (lambda w: w.normal_().div_(50), NORMAL),
    "torch.normal": (lambda w: w.copy_(torch.normal(0.0, 0.02, (6, 4))), NORMAL),
    "data": (lambda w: w.data.normal_(0, 0.02), NORMAL),
    "data put in place": (lambda w: setattr(w, "data", torch.randn(6, 4) * 0.02), NORMAL),
    "data copied": (lambda w: w.data.copy_(torch.randn(6, 4) * 0.02), NORMAL),
    "fixed data put in place": (lambda w: setattr(w, "data", torch.zeros(6, 4)), Zeros()),
    "fixed data put in place, then drawn": (
        lambda w: (setattr(w, "data", torch.zeros(6, 4)), w.normal_(0, 0.02)),
        NORMAL,
    ),
    "a vector cut into parameters": (
        lambda w: nn.utils.vector_to_parameters(torch.ones(24), [w]),
        Ones(),
    ),
    "swapped": (lambda w: torch.utils.swap_tensors(w, nn.Parameter(torch.randn(6, 4) * 0.02)), NORMAL),
    "a generator": (lambda w: w.normal_(0, 0.02, generator=torch.Generator()), NORMAL),
    "a generator of randn": (
        lambda w: w.copy_(torch.randn(6, 4, generator=torch.Generator()) * 0.02),
        NORMAL,
    ),
    "a generator of torch.nn.init": (
        lambda w: nn.init.trunc_normal_(w, std=0.02, generator=torch.Generator()),
        TruncNormal(0.0, 0.02, -2.0, 2.0),
    ),
    "a view of another shape": (lambda w: w.view(3, 8).normal_(0, 0.02), NORMAL),
    "a view in another order": (lambda w: w.t().normal_(0, 0.02), NORMAL),
    "rows of a view of another shape": (
        lambda w: (w.normal_(0, 0.02), w.view(3, 8)[1].zero_()),
        Patch(NORMAL, [{"at": ["2:4"], "initializer": "zeros"}]),
    ),
    "resized": (lambda w: w.data.resize_(6, 4).normal_(0, 0.02), NORMAL),
    "an array of numpy": (lambda w: w.detach().numpy().fill(3.0), Constant(3.0)),
    "an array of numpy, then scaled": (lambda w: (w.detach().numpy().fill(3.0), w.mul_(2)), Constant(6.0)),
    "an array of numpy that is but read": (lambda w: (w.normal_(0, 0.02), w.numpy().max()), NORMAL),
    "deepcopy": (lambda _: nn.Parameter(copy.deepcopy(torch.randn(6, 4) * 0.02)), NORMAL),
    "chunks": (in_parts, NORMAL),
    "out=": (lambda w: torch.randn(6, 4, out=w.data).mul_(0.02), NORMAL),
    "foreach": (lambda w: torch._foreach_mul_([w.normal_()], 0.02), NORMAL),
    "stack": (lambda w: w.copy_(torch.stack([torch.randn(4) for _ in range(6)])), RandomNormal(0.0, 1.0)),
    "cat": (lambda w: w.copy_(torch.cat([torch.randn(3, 4), torch.randn(3, 4)])), RandomNormal(0.0, 1.0)),
    "transposed": (lambda w: w.copy_(torch.randn(4, 6).t()), RandomNormal(0.0, 1.0)),
    "clone and detach": (lambda w: w.copy_(torch.randn(6, 4).detach().clone()), RandomNormal(0.0, 1.0)),
    "overwritten": (lambda w: w.normal_().zero_(), Zeros()),
    "fill_": (lambda w: w.fill_(1e-6), Constant(1e-6)),
    "ones_": (nn.init.ones_, Ones()),
    "trunc_normal_": (
        lambda w: nn.init.trunc_normal_(w, std=0.02),
        TruncNormal(0.0, 0.02, -2.0, 2.0),
    ),
    "orthogonal_": (lambda w: nn.init.orthogonal_(w, 0.5), Orthogonal(0.5)),
    "sparse_": (lambda w: nn.init.sparse_(w, 0.5), Sparse(0.5, 0.01)),
    "eye_": (nn.init.eye_, "table"),
    "a row": (
        lambda w: (w.normal_(0, 0.02), w[2].zero_()),
        Patch(NORMAL, [{"at": ["2:3"], "initializer": "zeros"}]),
    ),
    "two parts": (beside, Concatenate(0, [2, 4], [RandomNormal(0.0, 1.0), Zeros()])),
    "a row, then a column": (
        lambda w: (w.normal_(), w[0].fill_(1), w[:, 0].zero_()),
        Patch(
            RandomNormal(0.0, 1.0),
            [{"at": ["0:1", "1:4"], "initializer": "ones"}, {"at": [":", "0:1"], "initializer": "zeros"}],
        ),
    ),
    "a row, then a column added to": (
        column_added,
        Patch(
            NORMAL,
            [
                {"at": ["0:1", "1:4"], "initializer": "ones"},
                {"at": [":", "0:1"], "initializer": Patch(RandomNormal(1.0, 0.02), [ROW_OF_TWO])},
            ],
        ),
    ),
    "a row, then all scaled": (
        lambda w: (w.normal_(0, 0.04), w[2].fill_(2), w.mul_(0.5)),
        Patch(NORMAL, [{"at": ["2:3"], "initializer": "ones"}]),
    ),
    "padded": (
        lambda w: w.copy_(nn.functional.pad(torch.rand(6, 3), (0, 1))),
        Concatenate(1, [3, 1], [RandomUniform(0.0, 1.0), Zeros()]),
    ),
    "padded by nothing": (
        lambda w: w.copy_(nn.functional.pad(torch.rand(6, 4), (0, 0))),
        RandomUniform(0.0, 1.0),
    ),
    "erfinv": (timm_trunc, "trunc"),
    "exp": (lambda w: w.uniform_(-1, 1).exp_(), Formula("exp(x)", of=RandomUniform(-1.0, 1.0))),
    "softplus turned round": (
        inverse_softplus,
        Formula("max(exp(x), 0.1) + log(-expm1(-max(exp(x), 0.1)))", of=RandomUniform(-3.0, -1.0)),
    ),
    "a table in halves": (in_halves, "table"),
    "a table in every other column": (in_turns, "table"),
    "tensor of a list": (by_loop, "table"),
    "numpy": (lambda w: w.copy_(torch.from_numpy(SQUARES)), "table"),
    "item": (lambda w: w.fill_(torch.linspace(0, 1, 5)[2].item()), Constant(0.5)),
    "tolist": (lambda w: w.fill_(torch.ones(3).cumsum(0).tolist()[2]), Constant(3.0)),
    "numpy of a tensor": (lambda w: w.fill_(float(torch.arange(3).numpy()[2])), Constant(2.0)),
    "a branch on the device": (lambda w: w.fill_(1 if w.device == torch.device("cpu") else 2), Ones()),
    "numpy's random numbers": (lambda w: w.copy_(torch.from_numpy(np.random.randn(6, 4))), "unsaid"),
    "Python's random numbers": (lambda w: w.fill_(random.random()), "unsaid"),
    "one draw repeated": (lambda w: w.copy_(torch.randn(4).expand(6, 4)), "unsaid"),
    "triu": (lambda w: w.normal_().triu_(), "unsaid"),
    "a table by an array of numpy": (lambda w: np.copyto(np.asarray(w.detach()), SQUARES), "table"),
    "a row of a table by an array of numpy": (lambda w: (nn.init.eye_(w), w.numpy()[0].fill(2)), "table"),
    "a row of a draw by an array of numpy": (lambda w: (w.normal_(), w.numpy()[0].fill(2)), "unsaid"),
    "a row by an array of numpy": (lambda w: w.numpy()[0].fill(2), "unsaid"),
    "orthogonal in another shape": (lambda w: nn.init.orthogonal_(w.view(3, 8)), "unsaid"),
    "a mask": (lambda w: w.normal_().masked_fill_(torch.eye(6, 4) > 0, 0), "unsaid"),
    "rows by a list": (lambda w: (w.normal_(), w.__setitem__(torch.tensor([2]), 0.0)), "unsaid"),
    "qr": (lambda w: w.copy_(torch.linalg.qr(torch.randn(6, 4))[0]), "unsaid"),
    "never written": (lambda _: None, "unsaid"),
    "written in part": (lambda w: w[1].zero_(), "unsaid"),
}


@pytest.mark.parametrize("way", WAYS)
def test_ways_to_write(way: str) -> None:
    write, expected = WAYS[way]
    law = law_of(write)
    if expected == "table":
        assert isinstance(law, Table)
        real = Written(write).weight.detach().numpy()
        np.testing.assert_array_equal(law.values, real)
    elif expected == "unsaid":
        assert isinstance(law, Unsaid), law
    elif expected == "trunc":
        assert isinstance(law, TruncNormal)
        assert law.std == pytest.approx(0.02)
        assert law.b == pytest.approx(0.02 * 1.6448536)
    else:
        assert law == expected


def _written(w: torch.Tensor, *parts: torch.Tensor) -> torch.Tensor:
    for part in parts:
        part.normal_(0, 0.1)
    return w


@pytest.mark.parametrize(
    "make",
    [
        lambda: torch.randn(4).clamp(-1, math.inf),
        lambda: torch.randn(4) - math.inf,
        lambda: nn.init.trunc_normal_(torch.empty(4), b=math.inf),
    ],
)
def test_a_draw_with_an_infinite_number_is_named(make: Callable[[], torch.Tensor]) -> None:
    def build() -> nn.Module:
        module = nn.Linear(2, 2)
        module.register_parameter("own", nn.Parameter(make()))
        return module

    captured = capture(build)
    assert "made of infinities or NaN" in captured.unsaid["own"].reason
    assert "weight" in make_plan(captured.spec)


COMPLEX: dict[str, tuple[Callable[[torch.Tensor], Any], Any]] = {
    "randn": (lambda w: 0.02 * torch.randn_like(w), RandomNormal(0.0, 0.02)),
    "normal_": (lambda w: w.normal_(0, 0.3), RandomNormal(0.0, 0.3)),
    "ones": (lambda w: w.fill_(1), Ones()),
    "of a last axis": (
        lambda _: torch.view_as_complex(torch.randn(60, 40, 2) * 0.5),
        RandomNormal(0.0, 0.5 * math.sqrt(2)),
    ),
    "of two draws": (
        lambda _: torch.complex(torch.randn(60, 40), torch.randn(60, 40)),
        RandomNormal(0.0, math.sqrt(2)),
    ),
    "parts written": (lambda w: _written(w, w.real, w.imag), RandomNormal(0.0, 0.1 * math.sqrt(2))),
    "kept as real": (lambda w: torch.view_as_real(torch.randn_like(w)), RandomNormal(0.0, math.sqrt(0.5))),
    "real part": (lambda w: torch.randn_like(w).real.clone(), RandomNormal(0.0, math.sqrt(0.5))),
    "rand": (lambda w: torch.rand_like(w) / 40, RandomUniform(0.0, 1 / 40)),
    "rand of a last axis": (
        lambda _: torch.view_as_complex(torch.rand(60, 40, 2) - 0.5),
        RandomUniform(-0.5, 0.5),
    ),
    "rand kept as real": (lambda w: torch.view_as_real(torch.rand_like(w)), RandomUniform(0.0, 1.0)),
    "conjugated": (lambda w: torch.randn_like(w).t().mH.clone().contiguous(), RandomNormal(0.0, 1.0)),
    "part of a conjugated": (lambda w: torch.rand_like(w).conj().imag, RandomUniform(-1.0, 0.0)),
    "rand conjugated": (lambda w: torch.rand_like(w).conj(), "conj"),
    "rand turned over": (lambda _: torch.rand(40, 60, dtype=torch.cfloat).mH.contiguous(), "conj"),
    "modulus": (lambda w: torch.randn_like(w).abs(), "some of them complex numbers"),
    "cast": (lambda w: torch.randn(60, 40).to(w.dtype), "some of them complex numbers"),
    "turned": (lambda w: 1j * torch.randn_like(w), "of random values"),
    "divided by 0": (lambda w: torch.randn_like(w) / 0, "of random values"),
    "moved": (lambda w: torch.randn_like(w) + 1, "of random values"),
    "with a row": (lambda w: _written(w.zero_(), w[1:]), "Patch makes no complex numbers"),
    "one part": (lambda w: _written(w, w.real), "never written, or in part"),
    "other parts": (
        lambda _: torch.complex(torch.randn(60, 40), torch.rand(60, 40)),
        "complex() of random values",
    ),
    "imaginary": (lambda w: w.fill_(1 + 2j), "its fixed values are complex"),
    "doubled": (lambda _: torch.randn(60, 40, dtype=torch.cdouble), "no spec holds values of complex128"),
}


class Complex(nn.Module):
    """A complex parameter that a function makes, or writes."""

    def __init__(self, write: Callable[[torch.Tensor], Any]) -> None:
        super().__init__()
        self.weight = nn.Parameter(write(torch.empty(60, 40, dtype=torch.complex64)))


@pytest.mark.parametrize("way", COMPLEX)
def test_complex_parameters_have_the_laws_that_torch_draws(way: str) -> None:
    write, expected = COMPLEX[way]
    captured = capture(lambda: Complex(write))
    plan = make_plan(captured.spec)
    assert not audit(lambda: Complex(write)).diagnostics or way == "one part"
    if isinstance(expected, str):
        assert expected in captured.unsaid["weight"].reason
        return
    (recorded,) = captured.recorded
    assert recorded.law == expected
    torch.manual_seed(20)
    assert not verify(Complex(write), plan, law=True).diagnostics


def _numpy_state() -> Any:
    state: Any = np.random.get_state()
    return state[1]


def test_torch_is_afterwards_as_it_was_also_after_an_interruption() -> None:
    def interrupted() -> nn.Module:
        torch.set_default_dtype(torch.float64)
        raise KeyboardInterrupt

    before = torch.get_rng_state(), nn.init.orthogonal_.__code__, random.getstate(), _numpy_state()
    record(lambda: nn.Linear(4, 4))
    with pytest.raises(KeyboardInterrupt):
        record(interrupted)
    assert torch.equal(before[0], torch.get_rng_state())
    assert before[1] is nn.init.orthogonal_.__code__
    assert "_initcfg_scheme" not in nn.init.__dict__
    assert before[2] == random.getstate()
    np.testing.assert_array_equal(before[3], _numpy_state())
    assert torch.get_default_dtype() == torch.float32
    assert torch.empty(2).device.type == "cpu"
    record(lambda: nn.Linear(4, 4))  # the lock is free


def _sets_everything() -> nn.Module:
    torch.set_default_device("meta")
    torch.set_default_dtype(torch.float16)
    torch.set_grad_enabled(False)
    torch.manual_seed(1)
    return nn.Linear(4, 4)


def _sets_everything_and_fails() -> nn.Module:
    _sets_everything()
    raise ZeroDivisionError


@pytest.mark.parametrize("build", [_sets_everything, _sets_everything_and_fails])
@pytest.mark.parametrize("device", [None, "meta", "cpu"])
def test_what_code_sets_for_all_of_torch_is_put_back(build: Callable[[], nn.Module], device: Any) -> None:
    def settings() -> list[Any]:
        modes = [type(mode) for mode in torch.overrides._get_current_function_mode_stack()]
        seed = torch.get_rng_state().tolist()
        return [torch.get_default_device(), torch.get_default_dtype(), torch.is_grad_enabled(), modes, seed]

    torch.set_default_device(device)
    try:
        before = settings()
        with contextlib.suppress(ZeroDivisionError):
            record(build)
        assert settings() == before
    finally:
        torch.set_default_device(None)


class Bound(nn.Module):
    """A head that is the embedding, one whose data is, and one that begins as its copy."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(8, 4)
        self.tied, self.shared, self.copied = (nn.Linear(4, 8, bias=False) for _ in range(3))
        self.tied.weight = self.embedding.weight
        self.shared.weight.data = self.embedding.weight.data
        with torch.no_grad():
            nn.init.normal_(self.tied.weight, std=0.02)
            self.copied.weight.copy_(self.embedding.weight)


def test_ties_and_copies_of_other_parameters() -> None:
    found = {each.name: each for each in record(Bound)}
    assert {name: each.tied_to for name, each in found.items() if each.tied_to} == {
        "tied.weight": "embedding.weight",
        "shared.weight": "embedding.weight",
    }
    assert found["shared.weight"].law == found["embedding.weight"].law == NORMAL
    assert found["copied.weight"].law == Formula("x", of={"parameter": "embedding.weight"})


def test_a_parametrized_weight_is_written_by_assigning_to_it() -> None:
    def build() -> nn.Module:
        layer = nn.utils.parametrizations.weight_norm(nn.Linear(4, 8, bias=False))
        layer.weight = torch.randn(8, 4) * 0.02
        return layer

    magnitude, direction = record(build)
    assert direction.law == NORMAL
    assert magnitude.law == NormOf(direction.name, [1])


def test_a_copied_layer_is_the_first_one() -> None:
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    found = {each.name: each.law for each in record(lambda: nn.TransformerEncoder(_layer(), 2))}
    assert len(found) == 2 * len(list(layer.parameters()))
    assert found["layers.1.linear1.bias"] == Formula("x", of={"parameter": "layers.0.linear1.bias"})


def _layer() -> nn.Module:
    return nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)


@pytest.mark.parametrize(
    "values",
    [
        pytest.param(lambda: torch.full((3,), -math.inf), id="one infinity"),
        pytest.param(lambda: torch.full((8, 8), -math.inf).triu(1), id="a mask"),
        pytest.param(lambda: torch.empty(2).fill_(math.nan), id="NaN"),
    ],
)
def test_values_that_are_not_finite_have_no_law_and_a_line(values: Callable[[], torch.Tensor]) -> None:
    module = nn.Linear(2, 2)
    (found,) = record(lambda: module.register_buffer("bound", values()) or module)[2:]
    assert isinstance(found.law, Unsaid)
    assert found.law.reason == "it holds infinities or NaN, which no spec does"
    assert found.law.site is not None
    assert found.law.site.file == __file__


def test_a_parameter_without_elements_has_any_law() -> None:
    captured = capture(lambda: Written(lambda _: nn.Parameter(torch.empty(1, 0, 4))))
    assert make_plan(captured.spec)["weight"].shape == (1, 0, 4)


class Two(nn.Module):
    """Two square parameters, made by a function."""

    def __init__(self, make: Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]]) -> None:
        super().__init__()
        self.a, self.b = map(nn.Parameter, make(torch.randn(4, 4)))


@pytest.mark.parametrize(
    "make",
    [
        lambda x: (x.clone(), x.t().clone()),
        lambda x: (x.t().clone(), x.clone()),
        lambda x: (x[:2].clone(), x[2:].clone()),
        lambda x: (x.clone(), x + x.t()),
        lambda x: (x.clone(), x + x.t().contiguous()),
        lambda x: (x.clone(), x * torch.cat([x[2:], x[:2]])),
    ],
)
def test_a_draw_at_other_places_is_no_copy_of_it(make: Callable[..., Any]) -> None:
    assert isinstance({each.name: each.law for each in record(lambda: Two(make))}["b"], Unsaid)


def halves(count: int, width: int, last: int) -> torch.Tensor:
    angles = torch.arange(float(count))[:, None] * 1e4 ** -(torch.arange(width // 2) / (width // 2 - last))
    return torch.cat([angles.sin(), angles.cos()], 1)


def window(side: int) -> torch.Tensor:
    places = torch.stack(torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")).flatten(1)
    down, right = places[:, :, None] - places[:, None] + side - 1
    return down * (2 * side - 1) + right


def squares(side: int, width: int) -> torch.Tensor:
    rows, columns = torch.arange(side * side) // side, torch.arange(side * side) % side
    table = halves(side, width // 2, 0)
    return torch.cat([torch.zeros(1, width), torch.cat([table[rows], table[columns]], 1)])[None]


def rays(heads: int, levels: int, points: int) -> torch.Tensor:
    angles = torch.arange(heads) * (2 * math.pi / heads)
    grid = torch.stack([angles.cos(), angles.sin()], -1)
    grid = grid / grid.abs().max(-1, keepdim=True).values
    grid = grid.view(heads, 1, 1, 2).repeat(1, levels, points, 1)
    return (grid * torch.arange(1, points + 1)[:, None]).flatten()


KNOWN = {
    "deformable attention's rays": rays(8, 3, 4),
    "sinusoids in pairs": torch.stack(halves(50, 16, 0).chunk(2, 1), 2).flatten(1),
    "sinusoids in halves": halves(50, 16, 0),
    "Whisper's": halves(1500, 16, 1),
    "of two coordinates, with a class token": squares(5, 16),
    "a causal mask": torch.ones(1, 1, 9, 9, dtype=torch.bool).tril(),
    "a causal mask of numbers": torch.ones(9, 9).tril(),
    "relative positions": window(4),
}


@pytest.mark.parametrize("name", KNOWN)
def test_tables_that_have_a_formula(name: str) -> None:
    values = KNOWN[name]
    law = law_of_tensor(values)
    assert isinstance(law, Formula)
    made = np.asarray(law(tuple(values.shape), dtype=str(values.dtype).removeprefix("torch.")))
    np.testing.assert_allclose(
        made.astype(float), values.numpy().astype(float), atol=max(28, len(values)) * 2**-22
    )


MODULES: dict[str, Callable[[], nn.Module]] = {
    "Linear": lambda: nn.Linear(40, 30),
    "Bilinear": lambda: nn.Bilinear(5, 6, 7),
    "Embedding": lambda: nn.Embedding(50, 20, padding_idx=3),
    "EmbeddingBag": lambda: nn.EmbeddingBag(50, 20),
    "Conv2d": lambda: nn.Conv2d(4, 6, 3),
    "ConvTranspose1d": lambda: nn.ConvTranspose1d(4, 6, 3),
    "LayerNorm": lambda: nn.LayerNorm(8),
    "RMSNorm": lambda: nn.RMSNorm(8),
    "GroupNorm": lambda: nn.GroupNorm(2, 8),
    "BatchNorm2d": lambda: nn.BatchNorm2d(8),
    "InstanceNorm2d": lambda: nn.InstanceNorm2d(8, affine=True, track_running_stats=True),
    "PReLU": lambda: nn.PReLU(4),
    "RNN": lambda: nn.RNN(8, 6, 2),
    "LSTM": lambda: nn.LSTM(8, 6, 2, proj_size=3),
    "GRU": lambda: nn.GRU(8, 6, bidirectional=True),
    "LSTMCell": lambda: nn.LSTMCell(8, 6),
    "MultiheadAttention": lambda: nn.MultiheadAttention(8, 2, kdim=4, vdim=6),
    "TransformerDecoderLayer": lambda: nn.TransformerDecoderLayer(8, 2, 16),
    "AdaptiveLogSoftmaxWithLoss": lambda: nn.AdaptiveLogSoftmaxWithLoss(16, 100, [10, 50]),
    "weight_norm": lambda: nn.utils.parametrizations.weight_norm(nn.Conv1d(4, 6, 3), dim=2),
}


@pytest.mark.parametrize("name", MODULES)
def test_modules_of_torch(name: str) -> None:
    assert compared(MODULES[name]) == {"exact": len(record(MODULES[name]))}


def compared(build: Callable[[], nn.Module]) -> dict[str, int]:
    """How many laws are exact, not sayable, or wrong, held against values that the library draws on CPU."""
    recorded = record(build)
    torch.manual_seed(7)
    module = build()
    tensors = dict(module.named_parameters(remove_duplicate=False))
    tensors |= dict(module.named_buffers(remove_duplicate=False))
    count: dict[str, int] = {}
    for each in recorded:
        values = {name: tensor.detach().to(torch.float64).numpy() for name, tensor in tensors.items()}
        kind = "unsaid" if isinstance(each.law, Unsaid) else _held(each, values)
        count[kind] = count.get(kind, 0) + 1
    return count


def _held(each: Recorded, values: dict[str, np.ndarray[Any, Any]]) -> str:  # noqa: PLR0911  a list of cases
    real = values[each.name]
    law = each.law
    assert not isinstance(law, Unsaid)
    if isinstance(law, Formula) and law.value == "x" and hasattr(law.of, "parameter"):
        return "exact" if np.array_equal(real, values[law.of.parameter]) else "wrong"
    if isinstance(law, NormOf):
        norm = np.sqrt((values[law.parameter] ** 2).sum(axis=law.axes, keepdims=True))
        return "exact" if np.allclose(norm, real, rtol=1e-5) else "wrong"
    if isinstance(law, Table):
        return "exact" if np.array_equal(law.values, real, equal_nan=True) else "wrong"
    if not real.size:
        return "exact"
    drawn = np.asarray(law(real.shape, dtype="float64")).reshape(real.shape)
    again = np.asarray(law(real.shape, dtype="float64"))
    if isinstance(law, Constant | Zeros | Ones) or (np.array_equal(drawn, again) and _is_fixed(law)):
        # A table may be off by float32 arithmetic's own error: a sine near 0 by that of its argument.
        rtol, atol = 3e-3 if "16" in each.dtype else 1e-5, 2e-6 * float(np.abs(real).max())
        return "exact" if np.allclose(drawn, real, rtol=rtol, atol=atol) else "wrong"
    spread = max(float(drawn.std()), 1e-30)
    off = abs(float(real.mean() - drawn.mean())) / (spread * math.sqrt(2 / real.size))
    ratio = abs(math.log(max(float(real.std()), 1e-30) / spread)) / math.sqrt(2 / real.size)
    if real.size > 8 and (off > 6 or ratio > 9):
        return "wrong"
    return "wrong" if isinstance(law, RandomUniform) and np.abs(real).max() > _bound(law) else "exact"


def _bound(law: RandomUniform) -> float:
    return 1.000001 * max(abs(float(law.minval)), abs(float(law.maxval)))


def _is_fixed(law: object) -> bool:
    return isinstance(law, Formula) and law.of is None and not isinstance(law, Elementwise)


def _models() -> list[str]:
    transformers_models = pytest.importorskip("tests.interop.transformers_models")
    names = list(transformers_models.classes())
    return names if os.environ.get(EVERY) else names[:: max(1, len(names) // 12)]


def smallest(name: str) -> dict[str, int] | None:
    """The count for the smallest config that a class bears; None where it bears none or is too large."""
    import transformers

    from tests.interop.transformers_models import classes, configs

    kind: Any = getattr(transformers, name)
    for config in configs(classes()[name]):
        build = functools.partial(_built, kind, config)
        try:
            if sum(int(np.prod(each.shape)) for each in record(build)) > 3e7:
                return None
            build()
        except Exception:
            continue
        return compared(build)
    return None


def _built(kind: Any, config: Any) -> Any:
    return kind(copy.deepcopy(config))


def test_models_of_transformers() -> None:
    total: dict[str, int] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in _models():
            for kind, count in (smallest(name) or {"not compared": 1}).items():
                total[kind] = total.get(kind, 0) + count
                if kind == "wrong":
                    pytest.fail(f"{name}: {count} laws are wrong")
    assert total["exact"] > 50 * total.get("unsaid", 0)


@pytest.mark.parametrize("read", [capture, audit])
def test_a_module_that_is_made_already_is_refused(read: Any) -> None:
    with pytest.raises(TypeError, match=r"such as lambda: Net\(\), not Linear"):
        read(torch.nn.Linear(2, 2))
