"""Scaled initializers: the same draws at another scale, and laws that know of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import initcfg
from initcfg.distributions import Fill, Normal, TruncatedNormal, Uniform
from initcfg.dtypes import as_dtype
from initcfg.engines import get_engine
from initcfg.errors import InitializerError, SpecError
from initcfg.initializers import (
    Concatenate,
    Constant,
    Formula,
    Identity,
    Initializer,
    Mimetic,
    Orthogonal,
    Patch,
    RandomNormal,
    RandomUniform,
    RepeatOf,
    Request,
    Scaled,
    Sparse,
    check,
    draw,
    get,
    is_cut,
    make,
    resolve,
    stream_of,
)
from initcfg.initializers import (
    TruncatedNormal as Truncated,
)
from initcfg.initializers.components import components_of
from initcfg.layout import IN_OUT
from initcfg.stream import Stream

SHAPE = (12, 8)
FACTOR = 1.31
FUSED = Concatenate(-1, [3, 5], [RandomNormal(0, 0.5), Orthogonal(seed=3)])
PATCHED = Patch("he_normal", [{"at": [0], "initializer": "ones"}])
STRUCTURED: tuple[Initializer, ...] = (
    Orthogonal(),
    Orthogonal(2, seed=3),
    Sparse(0.5),
    Identity(0.3),
    Constant([[0.1] * 8] * 12),
    Formula("1 / (index(0) + 3)"),
    Formula("x ** 2 + 1", RandomNormal(0, 0.5)),
    FUSED,
    PATCHED,
    RepeatOf("he_normal", 0, 3),
    Mimetic("query", 2),
    Scaled(Sparse(0.5), 2),
)


def made(initializer: Initializer, dtype: str = "float32", shape: tuple[int, ...] = SHAPE) -> Any:
    stream = stream_of(initializer, shape, Stream.of_parameter(7, "w"))
    return make(initializer, Request(shape, as_dtype(dtype), IN_OUT, stream, get_engine()))


@pytest.mark.parametrize("of", STRUCTURED, ids=repr)
@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
def test_values_are_those_of_the_other_times_the_factor_rounded_once(of: Initializer, dtype: str) -> None:
    wide = made(of, "float64" if dtype == "float64" else "float32").astype(np.float64) * FACTOR
    assert np.array_equal(made(Scaled(of, FACTOR), dtype), wide.astype(as_dtype(dtype).numpy))


@pytest.mark.parametrize(
    "of", [RandomNormal(0.1, 0.5), RandomUniform(-1, 2), Truncated(0, 0.1, seed=4)], ids=repr
)
def test_a_law_is_scaled_and_drawn_from_the_same_numbers(of: Initializer) -> None:
    scaled = Scaled(of, FACTOR)
    assert resolve(scaled, SHAPE) is not None
    np.testing.assert_allclose(made(scaled), made(of) * FACTOR, rtol=2e-6, atol=1e-7)
    assert np.array_equal(made(Scaled(of, 1)), made(of))


def test_laws_are_those_of_the_scaled_values() -> None:
    assert resolve(Scaled("zeros", 3), SHAPE) == Fill(0.0)
    assert resolve(Scaled(RandomUniform(-1, 2), 2), SHAPE) == Uniform(-2.0, 4.0)
    assert resolve(Scaled(Truncated(0, 0.5), 2), SHAPE) == TruncatedNormal(0.0, 1.0, -2.0, 2.0)
    first, second = components_of(Scaled(FUSED, 2), SHAPE, IN_OUT)
    assert first.distribution == Normal(0.0, 1.0)
    assert second.initializer == Scaled(Orthogonal(seed=3), 2)
    summary = second.summary()
    assert summary is not None
    assert summary.std == pytest.approx(2 / 12**0.5)


@pytest.mark.parametrize("of", STRUCTURED, ids=repr)
def test_any_stretch_is_the_same_as_in_the_whole(of: Initializer) -> None:
    scaled = Scaled(of, FACTOR)
    assert is_cut(scaled) == is_cut(of)
    whole, stream = made(scaled).reshape(-1), stream_of(scaled, SHAPE, Stream.of_parameter(7, "w"))
    request = Request(SHAPE, as_dtype("float32"), IN_OUT, stream, get_engine())
    for start, stop in ((0, 1), (5, 29), (90, 96)):
        out = np.empty(stop - start, np.float32)
        draw(scaled, out, start, request)
        assert np.array_equal(out, whole[start:stop])


@pytest.mark.parametrize("of", STRUCTURED, ids=repr)
def test_weights_are_held_against_the_scaled_law(of: Initializer, tmp_path: Any) -> None:
    def plan(factor: float) -> initcfg.Plan:
        w = {"shape": [96, 8], "initializer": Scaled(wide, factor)}
        return initcfg.make_plan({"initcfg": 1, "layout": "in_out", "params": {"w": w}})

    wide = Constant([[0.1] * 8] * 96) if isinstance(of, Constant) else of
    initcfg.save(plan(FACTOR), tmp_path / "w.safetensors")
    assert initcfg.verify(tmp_path / "w.safetensors", plan(FACTOR), law=True).is_equal
    assert initcfg.verify(tmp_path / "w.safetensors", plan(FACTOR)).is_equal
    wrong = initcfg.verify(tmp_path / "w.safetensors", plan(4 * FACTOR), law=True)
    if not isinstance(of, Mimetic):  # whose law says nothing of a scale
        assert not wrong.is_equal


def test_a_plan_says_the_law_and_reads_its_file_back(tmp_path: Any) -> None:
    params = {
        name: {"shape": [16, 8], "initializer": {"scaled": {"of": of, "factor": "sqrt(2) * k"}}}
        for name, of in (
            ("a", "lecun_uniform"),
            ("b", "orthogonal"),
            ("c", {"patch": {"base": "orthogonal", "patches": [{"at": [0], "initializer": "zeros"}]}}),
            ("d", {"formula": {"value": "k * index(0)"}}),
            ("e", {"parameter": "b"}),
        )
    }
    plan = initcfg.make_plan({"initcfg": 1, "layout": "in_out", "vars": {"k": 2}, "params": params})
    laws = [row["law"] for row in plan.records()]
    assert laws[0] == "uniform(-1.225, 1.225)"
    assert laws[1] == "2.828 * orthogonal"
    assert laws[2] == "2.828 * (structured | fill(0) at 0)"
    assert "mean 42.43" in laws[3]
    assert laws[4] == "2.828 * (values of b)"
    assert plan.records()[1]["std"] == pytest.approx(8**0.5 / 4)
    (tmp_path / "plan.json").write_text(plan.to_json())
    assert initcfg.read_plan(tmp_path / "plan.json").fingerprint == plan.fingerprint
    values = initcfg.materialize(plan)
    np.testing.assert_allclose(values["e"], values["b"] * 8**0.5, rtol=1e-6)
    for name, value in values.items():
        part = initcfg.materialize(plan[name][3:9, 1::2])
        assert np.array_equal(part, value[3:9, 1::2])


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(InitializerError, match="> 0"):
        Scaled("ones", 0)
    with pytest.raises(InitializerError, match="cannot be held in int32"):
        check(Scaled(Orthogonal(), 2), SHAPE, as_dtype("int32"), IN_OUT)
    for of in (Identity(), PATCHED):
        with pytest.raises(InitializerError, match="float16"):
            check(Scaled(of, 1e6), SHAPE, as_dtype("float16"), IN_OUT)
    w = {"shape": [3], "initializer": {"scaled": {"of": "orthogonal", "factor": 2}}}
    with pytest.raises(SpecError, match="axes"):
        initcfg.make_plan({"initcfg": 1, "layout": "in_out", "params": {"w": w}})


def test_a_config_means_the_same() -> None:
    scaled = Scaled(Orthogonal(seed=3), 1.31)
    assert get({"class_name": "Scaled", "config": scaled.get_config()}) == scaled
    assert scaled.unscaled == Scaled(scaled, 2).unscaled == Orthogonal(seed=3)
