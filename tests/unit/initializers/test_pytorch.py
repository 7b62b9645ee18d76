"""PyTorch's own schemes: its numbers, its defaults, and fans that the layout gives."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from initcfg.distributions import Distribution, Normal, TruncatedNormal, Uniform, point
from initcfg.errors import Code, InitializerError
from initcfg.initializers import (
    BuiltIn,
    GlorotUniform,
    HeUniform,
    KaimingNormal,
    KaimingUniform,
    TruncNormal,
    XavierNormal,
    XavierUniform,
    resolve,
)
from initcfg.layout import IN_OUT, Layout

OUT_IN = Layout("out_in")


@pytest.mark.parametrize(
    ("initializer", "shape", "law"),
    [
        (XavierUniform(), (50, 100), Uniform(-0.2, 0.2)),
        (XavierNormal(0.5), (50, 150), Normal(0.0, 0.05)),
        (KaimingUniform(math.sqrt(5)), (7, 4, 5, 5), Uniform(-0.1, 0.1)),
        (KaimingNormal(), (7, 200), Normal(0.0, 0.1)),
        (KaimingNormal(mode="fan_out", nonlinearity="linear"), (4, 7, 5, 5), Normal(0.0, 0.1)),
        (KaimingNormal(3.0, nonlinearity="tanh"), (7, 100), Normal(0.0, 1 / 6)),
        (KaimingNormal(nonlinearity="selu"), (7, 100), Normal(0.0, 0.075)),
        (TruncNormal(), (3,), TruncatedNormal(0.0, 1.0, -2.0, 2.0)),
        (TruncNormal(1, 0.5, 0, 4), (3,), TruncatedNormal(1.0, 0.5, 0.0, 4.0)),
    ],
)
def test_the_numbers_are_those_of_the_formula(
    initializer: BuiltIn, shape: tuple[int, ...], law: Distribution
) -> None:
    found = resolve(initializer, shape, OUT_IN)
    assert type(found) is type(law)
    for name in law.__dataclass_fields__:
        assert getattr(found, name) == pytest.approx(getattr(law, name), rel=1e-15)


@given(shape=st.lists(st.integers(0, 50), min_size=2, max_size=5).map(tuple), layout=st.sampled_from("io"))
def test_without_arguments_the_uniform_laws_are_those_of_glorot_and_he(
    shape: tuple[int, ...], layout: str
) -> None:
    """Under any layout: it is the layout that counts, not PyTorch's order of axes."""
    for theirs, ours in ((XavierUniform(), GlorotUniform()), (KaimingUniform(), HeUniform())):
        one, other = (resolve(each, shape, IN_OUT if layout == "i" else OUT_IN) for each in (theirs, ours))
        assert isinstance(one, Uniform)
        assert isinstance(other, Uniform)
        assert one.high == pytest.approx(other.high, rel=1e-15)


@pytest.mark.parametrize("cls", [XavierUniform, XavierNormal])
def test_a_gain_of_0_gives_zeros(cls: type[XavierUniform | XavierNormal]) -> None:
    law = resolve(cls(gain=0), (3, 4), OUT_IN)
    assert law is not None
    assert point(law) == 0


def test_a_standard_deviation_of_0_gives_the_mean_or_is_refused() -> None:
    law = resolve(TruncNormal(std=0), (3,))
    assert law is not None
    assert point(law) == 0
    with pytest.raises(InitializerError, match="lies outside"):
        resolve(TruncNormal(mean=3, std=0), (3,))


@pytest.mark.parametrize(
    ("cls", "config", "code"),
    [
        (XavierUniform, {"gain": -1}, Code.OUT_OF_RANGE),
        (KaimingNormal, {"nonlinearity": "gelu"}, Code.UNKNOWN_CHOICE),
        (KaimingNormal, {"mode": "fan_avg"}, Code.UNKNOWN_CHOICE),
        (TruncNormal, {"a": 1, "b": 0}, Code.INITIALIZER_CONFIG),
        (TruncNormal, {"a": 1, "b": 1}, Code.INITIALIZER_CONFIG),
        (TruncNormal, {"std": -1}, Code.OUT_OF_RANGE),
    ],
)
def test_arguments_that_pytorch_could_not_mean_are_refused(
    cls: type[BuiltIn], config: dict[str, Any], code: Code
) -> None:
    with pytest.raises(InitializerError) as caught:
        cls(**config)
    assert caught.value.diagnostics[0].code == code
