"""The table of published schemes: every line is planned, and gives the law or the values of its formula.

`expected` in docs/schemes.toml is an expression over numpy and the names below: the formula, by other
arithmetic than that of documents.
"""

from __future__ import annotations

import importlib.util
import math
from dataclasses import astuple
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from scipy import stats

import initcfg
from initcfg.distributions import (
    ComplexNormal,
    Disk,
    Distribution,
    Fill,
    Normal,
    Square,
    TruncatedNormal,
    Uniform,
)
from initcfg.initializers import Combined, Concatenate, resolve

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from initcfg.plan import PlannedParameter

    Array = np.ndarray[Any, Any]

ROOT = Path(__file__).parents[2]
_generate = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
assert _generate
assert _generate.loader
generate = importlib.util.module_from_spec(_generate)
_generate.loader.exec_module(generate)
SCHEMES: list[dict[str, Any]] = generate.schemes()
LINES = [(scheme["name"], line) for scheme in SCHEMES for line in scheme.get("line", ())]
SIZES = {"d": 96, "N": 12, "M": 6, "i": 3}
SHAPE = (48, 96)


class Planned:
    """A line of the table as a plan, and its weights once they are asked for."""

    def __init__(self, line: Mapping[str, str]) -> None:
        self.plan = generate.planned(dict(line))

    @property
    def parameter(self) -> PlannedParameter:
        return self.plan["w"]

    def weights(self, name: str = "w") -> Array:
        return initcfg.materialize(self.plan)[name]


def has_law(law: Distribution) -> Callable[[Planned], None]:
    def check(planned: Planned) -> None:
        agree(planned.parameter.distribution, law)

    return check


def agree(found: Distribution | None, law: Distribution) -> None:
    assert type(found) is type(law)
    assert found is not None
    assert astuple(found) == pytest.approx(astuple(law), rel=1e-12, abs=1e-300)


def parts(count: int, law: Distribution) -> Callable[[Planned], None]:
    def check(planned: Planned) -> None:
        parameter = planned.parameter
        assert isinstance(parameter.initializer, Concatenate)
        made = parameter.initializer.parts(parameter.shape, parameter.layout)
        assert len(made) == count
        for part, share in made:
            agree(resolve(part, share.shape, share.layout), law)

    return check


def padded(law: Distribution) -> Callable[[Planned], None]:
    """A first row of zeros, and a law for the others."""

    def check(planned: Planned) -> None:
        patch = planned.parameter.initializer
        assert isinstance(patch, Combined)
        base, _ = patch.parts(SHAPE, planned.parameter.layout)[0]
        agree(resolve(base, SHAPE, planned.parameter.layout), law)
        weights = planned.weights()
        assert not weights[0].any()
        assert weights[1:].all()

    return check


def orthogonal(gain: float, of: Callable[[Array], list[Array]]) -> Callable[[Planned], None]:
    def check(planned: Planned) -> None:
        for block in of(planned.weights()):
            assert np.allclose(block @ block.T, gain**2 * np.eye(len(block)), atol=1e-9)

    return check


def draws(quantiles: Callable[[Array], Array]) -> Callable[[Planned], None]:
    """Values that are a function of a uniform variable, by a Kolmogorov-Smirnov test at a fixed seed."""

    def check(planned: Planned) -> None:
        expected = quantiles((np.arange(100_000) + 0.5) / 100_000)
        assert stats.ks_2samp(planned.weights().reshape(-1), expected).pvalue > 1e-3

    return check


def follows(function: Callable[[Array], Array]) -> Callable[[Planned], None]:
    def check(planned: Planned) -> None:
        assert np.allclose(planned.weights(), function(planned.weights("v")), rtol=1e-12)

    return check


def index(*shape: int) -> Array:
    return np.arange(math.prod(shape)).reshape(shape)


NAMES: dict[str, Any] = {
    **SIZES,
    "n": 96,
    "m": 48,
    "np": np,
    "k": index,
    **{name: getattr(math, name) for name in ("sqrt", "log", "exp", "pi")},
    "fill": Fill,
    "normal": lambda std: Normal(0.0, std),
    "uniform": Uniform,
    "cut": lambda std, low, high: TruncatedNormal(0.0, std, low, high),
    "disk": Disk,
    "square": Square,
    "complex_normal": ComplexNormal,
    "parts": parts,
    "padded": padded,
    "rows": lambda gain: orthogonal(gain, lambda w: [w]),
    "columns": lambda gain: orthogonal(gain, lambda w: [w.T]),
    "blocks": lambda count: orthogonal(1.0, lambda w: np.split(w, count)),
    "draws": draws,
    "follows": follows,
}


def test_every_scheme_has_lines_or_a_reason_and_none_is_there_twice() -> None:
    names = [scheme["name"] for scheme in SCHEMES]
    assert len(set(names)) == len(names) == 97
    assert [each["name"] for each in SCHEMES if ("line" in each) == ("reason" in each)] == []


@pytest.mark.parametrize(("name", "line"), LINES, ids=[name for name, _ in LINES])
def test_a_line_gives_what_its_formula_gives(name: str, line: dict[str, str]) -> None:
    planned = Planned(line)
    if "test" in line:
        assert (ROOT / line["test"]).exists()
        return
    expected = eval(line["expected"], dict(NAMES))  # the table's own text
    if isinstance(expected, Distribution):
        expected = has_law(expected)
    if callable(expected):
        expected(planned)
        return
    weights = planned.weights()
    assert weights.shape == np.shape(expected)
    assert np.allclose(weights, expected, rtol=1e-12, atol=1e-14)
