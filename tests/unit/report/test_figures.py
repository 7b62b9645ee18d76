"""The figures of a report: rows, gains and sums, each computed here in another way."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

import initcfg
from initcfg.plan.listing import law_moments
from initcfg.report import Source, figures_of
from initcfg.report.values import Model, json_schema
from initcfg.verification import verify

CONFIGS = Path(__file__).parents[3] / "configs"
MIXED: dict[str, Any] = {
    "initcfg": 1,
    "layout": "in_out",
    "params": {
        "parts": {
            "shape": [40, 300],
            "initializer": {
                "concatenate": {
                    "axis": 1,
                    "sizes": [100, 200],
                    "initializers": [{"random_normal": {"stddev": 0.5}}, {"constant": {"value": 2}}],
                }
            },
        },
        "padded": {
            "shape": [4, 3000],
            "initializer": {
                "patch": {
                    "base": "lecun_normal",
                    "patches": [{"at": [0], "initializer": {"constant": {"value": 1}}}],
                }
            },
        },
        "table": {"shape": [64], "initializer": {"formula": {"value": "log(index() + 1)"}}},
        "drawn": {"shape": [9000], "initializer": {"formula": {"value": "exp(x)", "of": "he_uniform"}}},
        "narrow": {"shape": [100, 90], "initializer": {"truncated_normal": {"stddev": 0.3}}},
    },
}


def model_of(source: object) -> Model:
    plan = initcfg.make_plan(source)  # type: ignore[arg-type]
    return figures_of([("s.yaml", plan, ())]).models[0]


@pytest.mark.parametrize("config", ["gpt2.yaml", "swin-tiny.yaml", "mamba-130m.yaml"])
def test_rows_stand_for_every_parameter_once(config: str) -> None:
    plan = initcfg.make_plan(CONFIGS / config)
    model = model_of(CONFIGS / config)
    assert sum(row.copies for row in model.rows) == len(plan) == model.parameters
    assert sum(row.elements for row in model.rows) == plan.numel == model.elements
    assert sum(row.nbytes for row in model.rows) == plan.nbytes == model.nbytes
    assert sum(total.elements for total in model.totals) == plan.numel
    assert sum(total.parameters for total in model.totals) == sum(each.tied_to is None for each in plan)


def test_moments_are_those_of_the_values() -> None:
    plan = initcfg.make_plan(MIXED)
    weights = initcfg.materialize(plan)
    for parameter in plan:
        law = law_moments(parameter)
        values = weights[parameter.name].astype(np.float64)
        assert law is not None
        # Four standard errors of each; a table has none, but float32's.
        error = 1e-6 if parameter.name == "table" else 4 * values.std() / math.sqrt(values.size)
        assert abs(values.mean() - law.mean) < error
        assert abs(values.std() - law.std) < 2 * error


def test_spectra_are_of_the_small_matrices_that_the_plan_makes() -> None:
    made = {"shape": [48, 16], "initializer": "he_normal"}
    params: dict[str, Any] = {
        **{f"h.{at}.w": made for at in range(3)},
        "q": {"shape": [64, 64], "initializer": {"orthogonal": {"gain": 2}}},
        "kernel": {"shape": [3, 3, 8, 24], "initializer": "glorot_uniform"},
        # None of these is a matrix whose values are drawn, small, and of eight columns or more.
        "vector": {"shape": [64], "layout": "I", "initializer": "he_normal"},
        "narrow": {"shape": [64, 7], "initializer": "he_normal"},
        "large": {"shape": [512, 513], "initializer": "he_normal"},
        "zeros": {"shape": [64, 64], "initializer": "zeros"},
        "experts": {"shape": [4, 16, 16], "layout": "BIO", "initializer": "he_normal"},
        "tied": {"shape": [64, 64], "tied_to": "q"},
        "empty": {"shape": [0, 16], "initializer": "random_normal"},
    }
    spec = {"initcfg": 1, "layout": "in_out", "params": params}
    model, values = model_of(spec), initcfg.materialize(spec)
    matrices = {"h.{0..2}.w": values["h.0.w"], "q": values["q"], "kernel": values["kernel"].reshape(72, 24)}
    assert [spectrum.name for spectrum in model.spectra] == list(matrices)
    for spectrum in model.spectra:
        matrix = matrices[spectrum.name].astype(np.float64)
        assert (spectrum.rows, spectrum.columns) == matrix.shape
        squares = np.linalg.eigvalsh(matrix.T @ matrix)[::-1]
        assert spectrum.values == pytest.approx(np.sqrt(squares), rel=1e-6)
        row = model.rows[spectrum.row or 0]
        assert (row.name, row.std) == (spectrum.name, spectrum.std)
    q = model.spectra[1]
    assert q.values == pytest.approx([q.orthogonal] * 64, rel=1e-5)
    assert q.orthogonal == pytest.approx(2)


def test_of_many_small_matrices_the_largest_have_spectra() -> None:
    params = {f"m{n}": {"shape": [8, n], "initializer": "he_normal"} for n in range(8, 30)}
    model = model_of({"initcfg": 1, "layout": "in_out", "params": params})
    assert [spectrum.columns for spectrum in model.spectra] == list(range(22, 30))


def test_gain_through_depth_is_of_each_block() -> None:
    document = {
        "initcfg": 1,
        "layout": "out_in",
        "layers": {
            "h.{i}": {
                "repeat": {"i": 5},
                "params": {
                    "w": {"shape": [16, 64], "initializer": {"random_normal": {"stddev": "1 / (i + 1)"}}},
                    "b": {"shape": [16], "initializer": "zeros"},
                },
            }
        },
    }
    (series,) = model_of(document).depth
    assert series.name == "h.{0..4}.w"
    assert [(point.block, point.gain) for point in series.points] == [(i, 8 / (i + 1)) for i in range(5)]


def test_what_is_written_fits_the_schema() -> None:
    figures = figures_of([("s.yaml", initcfg.make_plan(MIXED), initcfg.find_warnings(MIXED))], command="c")
    jsonschema.validate(json.loads(figures.model_dump_json()), json_schema())


LAYERS: dict[str, Any] = {
    "initcfg": 1,
    "layout": "out_in",
    "layers": {
        "h.{i}": {
            "repeat": {"i": 3},
            "params": {
                "w": {"shape": [60, 80], "initializer": {"random_normal": {"stddev": 0.02}}},
                "u": {"shape": [60, 80], "initializer": "he_uniform"},
                "b": {"shape": [60], "initializer": "zeros"},
            },
        }
    },
    "params": {"parts": MIXED["params"]["parts"], "o": {"shape": [50, 70], "initializer": "orthogonal"}},
}


@pytest.fixture(scope="module")
def checked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Model, dict[str, np.ndarray]]:
    """Figures of weights of which one copy has twice the spread and one a value that is not zero."""
    plan = initcfg.make_plan(LAYERS)
    weights = {name: np.array(values) for name, values in initcfg.materialize(plan).items()}
    weights["h.1.w"] *= 2
    weights["h.2.b"][7] = 3
    path = tmp_path_factory.mktemp("weights") / "w.npz"
    np.savez(path, **weights)  # type: ignore[arg-type]
    found = verify(path, plan, law=True, histograms=True)
    return figures_of([Source("s.yaml", plan, found=found)]).models[0], weights


def test_the_copies_that_differ_stand_apart_with_what_verify_says(
    checked: tuple[Model, dict[str, np.ndarray]],
) -> None:
    laws = checked[0].weights.laws
    assert sum(law.copies for law in laws) == 3 * 3 + 2 + 1
    assert {(law.name, law.copies): law.problem for law in laws if law.problem} == {
        ("h.1.w", 1): "std is 2 x the law's 0.02",
        ("h.2.b", 1): "1 element with another value",
    }
    assert ("h.{0,2}.w", 2) in {(law.name, law.copies) for law in laws}
    assert all(checked[0].rows[law.row].name.endswith(law.name[-2:]) for law in laws)


def test_counts_shares_and_errors_are_those_of_the_values(
    checked: tuple[Model, dict[str, np.ndarray]],
) -> None:
    model, weights = checked
    by_name = {(law.name, law.part): law for law in model.weights.laws}
    values = np.concatenate([weights[f"h.{i}.u"].ravel() for i in range(3)]).astype(np.float64)
    law = by_name["h.{0..2}.u", None]
    edges = law.counts.low + law.counts.width * np.arange(len(law.counts.counts) + 1)
    assert list(law.counts.counts) == np.histogram(values, edges)[0].tolist()
    assert (sum(law.counts.counts), law.counts.outside) == (values.size, 0)
    bound = math.sqrt(6 / 80)
    assert law.shares.low == pytest.approx(-bound, rel=1e-5)
    assert sum(law.shares.shares) == pytest.approx(1)
    assert max(law.shares.shares) == pytest.approx(min(law.shares.shares), rel=1e-3)
    assert law.found.mean == pytest.approx(values.mean())
    assert law.found.std == pytest.approx(values.std())
    assert law.z.mean == pytest.approx(values.mean() / (bound / math.sqrt(3 * values.size)), rel=1e-4)
    # The error of a standard deviation of uniform draws: their kurtosis is 1.8.
    error = math.sqrt(0.8 / values.size) / 2
    assert law.z.std == pytest.approx((values.std() / (bound / math.sqrt(3)) - 1) / error, rel=0.02, abs=0.02)
    assert by_name["parts", ":, 100:300"].counts is None
    assert sum(by_name["o", None].counts.counts) == 50 * 70


def test_models_beside_each_other_are_told_apart_by_what_differs() -> None:
    other = {
        **LAYERS,
        "seed": 7,
        "layers": {"h.{i}": {**LAYERS["layers"]["h.{i}"], "repeat": {"i": 2}}},
        "params": {
            "parts": {"shape": [4], "initializer": "zeros"},
            "new": {"shape": [2], "initializer": "ones"},
        },
    }
    other["layers"]["h.{i}"]["params"] = {
        **LAYERS["layers"]["h.{i}"]["params"],
        "w": {"shape": [60, 80], "initializer": "he_normal"},
        "b": {"shape": [60], "dtype": "float16", "initializer": "zeros"},
    }
    sources = [Source(f"{i}.yaml", initcfg.make_plan(source)) for i, source in enumerate((LAYERS, other))]
    comparison = figures_of(sources).comparison
    assert {each.name: each.begins for each in comparison.differences} == {
        "h.{0..1}.w": (
            "normal(0, 0.02)",
            "truncated_normal(0, 0.1798) in [-0.3595, 0.3595]",
        ),
        "h.{0..1}.b": ("fill(0), float32", "fill(0), float16"),
        "parts": ("normal(0, 0.5) | fill(2)", "fill(0)"),
    }
    assert (comparison.alike, comparison.alone) == (2, (4, 1))
