"""Normal, uniform and truncated normal resolve to just what their arguments say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from initcfg.distributions import Distribution, Fill, Normal, TruncatedNormal, Uniform
from initcfg.errors import Code, InitializerError
from initcfg.initializers import BuiltIn, RandomNormal, RandomUniform, resolve
from initcfg.initializers import TruncatedNormal as TruncatedNormalInitializer

numbers = st.floats(-1e6, 1e6)


@pytest.mark.parametrize(
    ("initializer", "distribution"),
    [
        (RandomNormal(), Normal(0.0, 0.05)),
        (RandomNormal(1, 2), Normal(1.0, 2.0)),
        (RandomNormal(1, 0), Fill(1)),
        (RandomUniform(), Uniform(-0.05, 0.05)),
        (RandomUniform(0, 1), Uniform(0.0, 1.0)),
        (RandomUniform(2.5, 2.5), Fill(2.5)),
        (TruncatedNormalInitializer(), TruncatedNormal(0.0, 0.05, -0.1, 0.1)),
        (TruncatedNormalInitializer(1, 2, low=-1, high=3), TruncatedNormal(1.0, 2.0, -1.0, 7.0)),
        (TruncatedNormalInitializer(1, 0), Fill(1)),
    ],
)
def test_the_arguments_are_the_parameters(initializer: BuiltIn, distribution: Distribution) -> None:
    for shape in ((), (3,), (4, 5), (0, 2, 3)):
        assert resolve(initializer, shape, None) == distribution


@given(numbers, st.floats(1e-6, 1e6), st.floats(-10, 10), st.floats(0.1, 10))
def test_bounds_of_the_truncated_normal_are_in_units_of_stddev(
    mean: float, stddev: float, low: float, width: float
) -> None:
    found = resolve(TruncatedNormalInitializer(mean, stddev, low=low, high=low + width), (2,), None)
    assert found == TruncatedNormal(mean, stddev, mean + low * stddev, mean + (low + width) * stddev)


def test_bounds_stand_in_the_config_only_where_they_are_not_those_of_keras() -> None:
    assert TruncatedNormalInitializer().get_config() == {"mean": 0.0, "stddev": 0.05, "seed": None}
    assert TruncatedNormalInitializer(high=3).get_config() == {
        "mean": 0.0,
        "stddev": 0.05,
        "seed": None,
        "high": 3,
    }


@pytest.mark.parametrize(
    ("cls", "config"),
    [
        (RandomUniform, {"minval": 1, "maxval": 0}),
        (TruncatedNormalInitializer, {"low": 1, "high": 0}),
        (TruncatedNormalInitializer, {"low": 1, "high": 1}),
    ],
)
def test_crossed_bounds_are_refused(cls: type[BuiltIn], config: dict[str, float]) -> None:
    with pytest.raises(InitializerError, match="must be") as caught:
        cls(**config)
    [diagnostic] = caught.value.diagnostics
    assert diagnostic.code == Code.INITIALIZER_CONFIG
    assert diagnostic.hint
