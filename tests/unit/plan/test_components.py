"""The parts of a law in a plan's JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest

import initcfg
from initcfg.plan.document import PlanDocument


def components(initializer: Any, shape: list[int], **more: Any) -> list[dict[str, Any]]:
    params = {"w": {"shape": shape, "initializer": initializer, **more}}
    document = initcfg.make_plan({"initcfg": 1, "layout": "in_out", "params": params}).to_dict()
    PlanDocument.model_validate_json(json.dumps(document))
    found: list[dict[str, Any]] = document["parameters"][0].get("components", [])
    return found


def test_a_patched_part_of_a_concatenation_has_its_region_and_weight() -> None:
    patch = {"patch": {"base": "he_normal", "patches": [{"at": [0], "initializer": "zeros"}]}}
    law = {"concatenate": {"axis": 1, "sizes": [1, 3], "initializers": ["ones", patch]}}
    ones, base, row = components(law, [10, 4])
    assert [each["region"] for each in (ones, base, row)] == [
        [[0, 10], [0, 1]],
        [[0, 10], [1, 4]],
        [[0, 1], [1, 4]],
    ]
    assert [each["weight"] for each in (ones, base, row)] == pytest.approx([0.25, 0.675, 0.075])
    assert ones["law"] == {"kind": "fill", "value": 1}
    assert ones["atoms"] == [[1.0, 1.0]]
    assert base["law"]["kind"] == "truncated_normal"
    assert base["std"] == pytest.approx((2 / 10) ** 0.5)


def test_a_formula_has_moments_and_bounds() -> None:
    draw = {"random_uniform": {"minval": 1, "maxval": 3}}
    (found,) = components({"formula": {"of": draw, "value": "2 * x"}}, [5])
    assert (found["mean"], found["std"]) == pytest.approx((4, 2 / 3**0.5))
    assert found["law"] is None
    assert found["exact"]
    assert 2 <= found["low"] < 2.01
    assert 5.99 < found["high"] <= 6


@pytest.mark.parametrize(
    ("initializer", "shape", "mean", "std"),
    [
        ("identity", [4, 8], 0.125, 0.125**0.5 * 0.875**0.5),
        ({"sparse": {"sparsity": 0.75, "std": 2.0}}, [8, 4], 0.0, 1.0),
        ("dirac", [3, 2, 2], 1 / 6, (1 / 6 * 5 / 6) ** 0.5),
        ({"constant": {"value": [1, 3]}}, [2], 2.0, 1.0),
        ({"repeat_of": {"of": {"random_normal": {"stddev": 0.5}}, "axis": 0, "times": 2}}, [4, 4], 0.0, 0.5),
    ],
)
def test_structured_initializers_have_the_moments_of_their_elements(
    initializer: Any, shape: list[int], mean: float, std: float
) -> None:
    (found,) = components(initializer, shape)
    assert (found["mean"], found["std"]) == pytest.approx((mean, std))


def test_what_has_one_distribution_needs_no_components_and_a_file_reads_back() -> None:
    assert components("he_normal", [4, 4]) == []
    params = {"w": {"shape": [4], "initializer": {"formula": {"value": "index()"}}}}
    plan = initcfg.make_plan({"initcfg": 1, "params": params})
    assert '"components"' in plan.to_json()
    assert plan.fingerprint == initcfg.make_plan({"initcfg": 1, "params": params}).fingerprint
