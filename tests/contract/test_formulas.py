"""The published tables and laws that are one formula, against numpy, at shapes and places drawn at random."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

import initcfg
from initcfg import engines
from initcfg.dtypes import as_dtype
from initcfg.initializers import Constant, Formula, Request, draw, make
from initcfg.layout import IN_OUT
from initcfg.stream import Stream

if TYPE_CHECKING:
    from collections.abc import Callable

    Array = np.ndarray[Any, Any]

PAGE = Path(__file__).parents[2] / "docs/howto/formulas.md"
STREAM = Stream.of_parameter(1, "w")
_BLOCK = re.search(r"```yaml\n(.*?)^```", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)
assert _BLOCK is not None
SPEC: dict[str, Any] = yaml.safe_load(_BLOCK[1])


def interleaved(t: Array, k: Array, d: int) -> Array:
    angle = t / 10000 ** (2 * (k // 2) / d)
    return np.where(k % 2 == 0, np.sin(angle), np.cos(angle))


def in_halves(t: Array, k: Array, d: int) -> Array:
    half = d // 2
    angle = t * np.exp(-np.log(10000) / (half - 1) * np.where(k < half, k, k - half))
    return np.where(k < half, np.sin(angle), np.cos(angle))


def in_two_dimensions(t: Array, k: Array, d: int) -> Array:
    side, quarter = SPEC["vars"]["side"], d // 4
    angle = np.where(k < d // 2, t % side, t // side) / 10000 ** (k % quarter / quarter)
    return np.where(k // quarter % 2 == 0, np.sin(angle), np.cos(angle))


def legs(n: Array, k: Array, _: int) -> Array:
    below = -np.sqrt((2 * n + 1) * (2 * k + 1))
    return np.where(n > k, below, np.where(n == k, -(n + 1.0), 0.0))


def window(n: Array, k: Array, _: int) -> Array:
    m = SPEC["vars"]["window"]
    return (n // m - k // m + m - 1) * (2 * m - 1) + n % m - k % m + m - 1


def softplus_inverse(x: Array) -> Array:
    dt = np.maximum(np.exp(x), 1e-4)
    return dt + np.log(-np.expm1(-dt))


# Each initializer of the page in numpy: of x; or of the places along both axes, and the length of the last.
LAWS: dict[str, Callable[..., Array]] = {
    "log_1_to_n": lambda _, k, __: np.log(k + 1),
    "inverse_softplus": softplus_inverse,
    "mamba2_a_log": np.log,
    "hippo_a": legs,
    "hippo_b": lambda _, k, __: np.sqrt(2 * k + 1),
    "s4d_lin": lambda _, k, __: math.pi * k,
    "s4d_inv": lambda _, k, d: d / math.pi * (d / (2 * k + 1) - 1),
    "s4d_real": lambda _, k, __: -(k + 1.0),
    "ring_nu_log": lambda x: np.log(-0.5 * np.log(x * (0.999**2 - 0.9**2) + 0.9**2)),
    "ring_theta_log": lambda x: np.log(6.28 * x),
    "rg_lru": lambda x: np.log(np.expm1(-0.5 * np.log(x))),
    "chrono_forget": np.log,
    "linspace_3_to_6": lambda _, k, d: 3 + 3 * k / (d - 1),
    "rwkv_decay": lambda _, k, d: -5 + 8 * (k / (d - 1)) ** (0.7 + 1.3 * 3 / 11),
    "sinusoids": interleaved,
    "sinusoids_in_halves": in_halves,
    "sinusoids_2d": in_two_dimensions,
    "place_2d": lambda t, k, d: np.where(k < d // 2, t % 5, t // 5),
    "alibi": lambda _, k, d: 2 ** (-8 * (k + 1) / d),
    "relative_positions": window,
    "arange": lambda _, k, __: k,
    "causal_mask": lambda t, k, _: t >= k,
}


def test_every_initializer_of_the_page_is_looked_at() -> None:
    assert LAWS.keys() == SPEC["initializers"].keys()


def formula_of(name: str, shape: tuple[int, ...]) -> Formula:
    """As the page's spec plans it for a shape."""
    spec = {**SPEC, "params": {"w": {"shape": list(shape), "initializer": name}}}
    found = initcfg.make_plan(spec)["w"].initializer
    assert isinstance(found, Formula)
    return found


_DRAWS = {"inverse_softplus", "mamba2_a_log", "ring_nu_log", "ring_theta_log", "rg_lru", "chrono_forget"}


@pytest.mark.parametrize("name", LAWS)
@given(rows=st.integers(2, 60), columns=st.integers(1, 15).map(lambda n: 4 * n), data=st.data())
def test_a_published_law_is_that_of_numpy_at_any_shape(
    name: str, rows: int, columns: int, data: st.DataObject
) -> None:
    shape = (rows, columns)
    formula, asked = formula_of(name, shape), request(shape, "float64", "numpy")
    found = make(formula, asked)
    if name in _DRAWS:
        assert formula.of is not None
        expected = LAWS[name](make(formula.of, asked._replace(stream=STREAM.child("0"))))
    else:
        expected = LAWS[name](np.arange(rows)[:, None], np.arange(columns)[None], columns)
    np.testing.assert_allclose(found, np.broadcast_to(expected, shape), rtol=4e-14, atol=4e-14)
    start = data.draw(st.integers(0, found.size - 1))
    part = np.empty(data.draw(st.integers(1, found.size - start)))
    draw(formula, part, start, request(shape, "float64", "native"))
    assert np.array_equal(part, found.reshape(-1)[start : start + part.size])


def request(shape: tuple[int, ...], dtype: str, engine: str) -> Request:
    return Request(shape, as_dtype(dtype), IN_OUT, STREAM, engines.get_engine(engine))


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "float8_e4m3fn"])
def test_a_table_is_rounded_once_to_each_dtype(dtype: str) -> None:
    formula = formula_of("sinusoids", (30, 12))
    wide = make(formula, request((30, 12), "float64", "native"))
    assert np.array_equal(make(formula, request((30, 12), dtype, "native")), Constant(wide)((30, 12), dtype))
