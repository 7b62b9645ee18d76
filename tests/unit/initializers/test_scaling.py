"""Variance scaling and its presets have the published variances, to the last bit of float64."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from initcfg.distributions import Normal, TruncatedNormal, Uniform
from initcfg.errors import Code, InitializerError
from initcfg.initializers import (
    BuiltIn,
    GlorotNormal,
    GlorotUniform,
    HeNormal,
    HeUniform,
    LecunNormal,
    LecunUniform,
    VarianceScaling,
    resolve,
)
from initcfg.layout import IN_OUT, Layout

CUT = 0.87962566103423978


@pytest.mark.parametrize(
    ("preset", "same"),
    [
        (GlorotNormal, VarianceScaling(1.0, "fan_avg", "truncated_normal")),
        (GlorotUniform, VarianceScaling(1.0, "fan_avg", "uniform")),
        (HeNormal, VarianceScaling(2.0, "fan_in", "truncated_normal")),
        (HeUniform, VarianceScaling(2.0, "fan_in", "uniform")),
        (LecunNormal, VarianceScaling(1.0, "fan_in", "truncated_normal")),
        (LecunUniform, VarianceScaling(1.0, "fan_in", "uniform")),
    ],
)
@given(shape=st.lists(st.integers(0, 50), max_size=5).map(tuple))
def test_presets_are_variance_scaling_with_fixed_arguments(
    preset: type[BuiltIn], same: VarianceScaling, shape: tuple[int, ...]
) -> None:
    assert resolve(preset(), shape, IN_OUT) == resolve(same, shape, IN_OUT)


@given(
    scale=st.floats(1e-3, 1e3),
    mode=st.sampled_from(["fan_in", "fan_out", "fan_avg"]),
    shape=st.lists(st.integers(0, 50), min_size=2, max_size=5).map(tuple),
)
def test_the_variance_is_scale_over_fan(scale: float, mode: str, shape: tuple[int, ...]) -> None:
    fan = max(1, getattr(IN_OUT.fans(shape), mode))
    variance = scale / fan
    laws = {
        "uniform": Uniform(-math.sqrt(3 * variance), math.sqrt(3 * variance)),
        "untruncated_normal": Normal(0.0, math.sqrt(variance)),
        "truncated_normal": TruncatedNormal(
            0.0, math.sqrt(variance) / CUT, -2 * math.sqrt(variance) / CUT, 2 * math.sqrt(variance) / CUT
        ),
    }
    for law, expected in laws.items():
        assert resolve(VarianceScaling(scale, mode, law), shape, IN_OUT) == expected  # type: ignore[arg-type]


def test_the_constant_is_the_standard_deviation_of_the_cut_normal() -> None:
    density = math.exp(-2) / math.sqrt(2 * math.pi)
    inside = math.erf(math.sqrt(2))
    assert math.isclose(CUT, math.sqrt(1 - 4 * density / inside), rel_tol=1e-15)


def test_normal_means_truncated_and_stays_as_written() -> None:
    initializer = VarianceScaling(distribution="normal")
    assert initializer.get_config()["distribution"] == "normal"
    assert resolve(initializer, (3, 4)) == resolve(VarianceScaling(), (3, 4))


@pytest.mark.parametrize(
    ("initializer", "layout", "shape", "variance"),
    [
        # The worked cases of GlorotUniform's, HeNormal's and LecunNormal's papers, as variances.
        (GlorotUniform(), "in_out", (300, 100), Fraction(2, 400)),
        (GlorotUniform(), "out_in", (100, 300), Fraction(2, 400)),
        (HeUniform(), "OIHW", (64, 3, 7, 7), Fraction(2, 147)),
        (LecunUniform(), "BIO", (8, 16, 32), Fraction(1, 16)),
        (VarianceScaling(1.0, "fan_out", "uniform"), "IOO", (64, 8, 16), Fraction(1, 128)),
    ],
)
def test_the_layout_chooses_the_fan(
    initializer: BuiltIn, layout: str, shape: tuple[int, ...], variance: Fraction
) -> None:
    found = resolve(initializer, shape, Layout(layout))
    assert isinstance(found, Uniform)
    assert math.isclose(found.high**2 / 3, variance, rel_tol=1e-15)


def test_axes_override_the_layout_and_have_no_receptive_field() -> None:
    axes = VarianceScaling(1.0, "fan_in", "uniform", None, [0, 1], [-1])
    expected = Uniform(-math.sqrt(3 * (1 / 12)), math.sqrt(3 * (1 / 12)))
    for layout in (None, IN_OUT, Layout("out_in"), Layout("BIOK")):
        assert resolve(axes, (3, 4, 5, 6), layout) == expected


@pytest.mark.parametrize("cls", [VarianceScaling, GlorotNormal, HeUniform])
@pytest.mark.parametrize("axes", [{"input_axes": [0]}, {"output_axes": [1]}])
def test_axes_on_one_side_only_are_refused(cls: type[BuiltIn], axes: dict[str, list[int]]) -> None:
    with pytest.raises(InitializerError) as caught:
        cls(**axes)
    assert caught.value.diagnostics[0].code == Code.INITIALIZER_CONFIG


def test_an_axis_that_is_not_there_is_refused() -> None:
    with pytest.raises(InitializerError, match=r"shape \(3, 4\) does not have"):
        resolve(HeNormal(None, (0,), (2,)), (3, 4))


def test_a_fan_of_nothing_counts_as_one() -> None:
    assert resolve(LecunUniform(), (0, 5)) == resolve(LecunUniform(), (1, 5))


@pytest.mark.parametrize("scale", [0, -1, float("inf"), float("nan"), "1", True])
def test_a_scale_that_is_no_positive_number_is_refused(scale: object) -> None:
    with pytest.raises(InitializerError):
        VarianceScaling(scale)  # type: ignore[arg-type]


def test_an_axis_that_is_named_twice_is_refused() -> None:
    for axes in ((0, 0), (0, -2)):
        with pytest.raises(InitializerError, match="twice") as caught:
            HeNormal(input_axes=axes, output_axes=(1,)).resolve((3, 4), IN_OUT)
        assert caught.value.diagnostics[0].code == Code.INITIALIZER_SHAPE


@given(shape=st.lists(st.integers(0, 50), min_size=2, max_size=5).map(tuple))
def test_the_geometric_mean_of_the_fans_is_jax_s(shape: tuple[int, ...]) -> None:
    fans = IN_OUT.fans(shape)
    found = resolve(VarianceScaling(0.5, "fan_geo_avg", "untruncated_normal"), shape, IN_OUT)
    assert found == Normal(0.0, math.sqrt(0.5 / max(1, math.sqrt(fans.fan_in * fans.fan_out))))


def test_a_mode_that_keras_has_not_is_written_as_a_class_of_this_package() -> None:
    assert VarianceScaling(mode="fan_geo_avg").module == "initcfg.initializers"
    assert VarianceScaling(mode="fan_avg").module == "keras.initializers"
