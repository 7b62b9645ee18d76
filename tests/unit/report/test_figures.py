"""The figures of a report: rows, gains and sums, each computed here in another way."""

from __future__ import annotations

import json
import math
from pathlib import Path

import jsonschema
import numpy as np
import pytest

import initcfg
from initcfg.plan.listing import law_moments
from initcfg.report import figures_of
from initcfg.report.figures import Model, json_schema

CONFIGS = Path(__file__).parents[3] / "configs"
MIXED = {
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
