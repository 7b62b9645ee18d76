"""What a warning says of a narrow dtype, held against rounded values."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import initcfg
from initcfg.checks import check_plan
from initcfg.dtypes import DTYPES
from initcfg.errors import Code
from initcfg.plan import plan_of
from initcfg.spec import Param, Spec

FLOATS = [row for row in DTYPES.values() if row.format is not None]
NARROW = ["float16", "float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz"]


def planned(initializer: Any, dtype: str):
    return plan_of(Spec(params={"w": Param(shape=[40_000], dtype=dtype, initializer=initializer)}))


def messages(plan, code: Code) -> list[str]:
    return [each.message for each in check_plan(plan) if each.code == code]


def shares(message: str) -> list[float]:
    return [float(percent) / 100 for percent in re.findall(r"([0-9.e+-]+)%", message)]


@pytest.mark.parametrize("dtype", NARROW)
@pytest.mark.parametrize("factor", [0.3, 0.8, 1.2])
@pytest.mark.parametrize("name", ["random_normal", "truncated_normal"])
def test_the_shares_that_underflow_are_those_of_the_draws(dtype: str, factor: float, name: str) -> None:
    least = 2.0 ** DTYPES[dtype].format.least_exponent
    plan = planned({name: {"stddev": factor * least}}, dtype)
    drawn = np.abs(initcfg.materialize(plan)["w"].astype(np.float64))
    (message,) = messages(plan, Code.DTYPE_UNDERFLOW)
    assert shares(message) == pytest.approx([(drawn < least).mean(), (drawn == 0).mean()], abs=0.015)


@pytest.mark.parametrize("dtype", NARROW)
def test_draws_of_which_most_are_normal_numbers_have_no_warning(dtype: str) -> None:
    least = 2.0 ** DTYPES[dtype].format.least_exponent
    plan = planned({"random_normal": {"stddev": 1.6 * least}}, dtype)
    assert messages(plan, Code.DTYPE_UNDERFLOW) == []


@pytest.mark.parametrize("row", FLOATS, ids=lambda row: row.name)
def test_a_constant_underflows_below_the_smallest_normal_number(row) -> None:
    if row.name == "float64":
        return
    least, subnormal = 2.0**row.format.least_exponent, 2.0 ** (row.format.least_exponent - row.format.digits)
    for value, expected in (
        (least, 0),
        (-least, 0),
        (0.0, 0),
        (0.5 * least, 1),
        (subnormal, 1),
        (subnormal / 4, 1),
    ):
        plan = planned({"constant": {"value": value}}, row.name)
        assert len(messages(plan, Code.DTYPE_UNDERFLOW)) == expected
    held = initcfg.materialize(plan)["w"]
    assert not held.any()
    assert "becomes 0 in" in messages(plan, Code.DTYPE_UNDERFLOW)[0]


def test_one_number_of_an_array_or_a_diagonal_that_underflows_is_told() -> None:
    almost = 2.0**-14 * (1 - 2.0**-20)  # rounds to the smallest normal number
    for initializer, shape in (
        ({"constant": {"value": [1.0, almost, 1e-9]}}, [3]),
        ({"identity": {"gain": 1e-9}}, [3, 3]),
    ):
        plan = plan_of(Spec(params={"w": Param(shape=shape, dtype="float16", initializer=initializer)}))
        (message,) = messages(plan, Code.DTYPE_UNDERFLOW)
        assert "1e-09 becomes 0 in float16" in message


@pytest.mark.parametrize(
    ("initializer", "dtype"),
    [
        ({"random_normal": {"mean": 1.0, "stddev": 0.001}}, "bfloat16"),
        ({"random_normal": {"mean": 1.001, "stddev": 0.004}}, "bfloat16"),
        ({"random_normal": {"mean": -3.0, "stddev": 0.0005}}, "float16"),
        ({"random_uniform": {"minval": 1.0, "maxval": 1.01}}, "bfloat16"),
        ({"random_uniform": {"minval": 0.9, "maxval": 1.1}}, "float8_e5m2"),
        ({"truncated_normal": {"mean": 2.0, "stddev": 0.01}}, "float8_e4m3fn"),
        ({"random_normal": {"mean": 1.0, "stddev": 1e-8}}, "float32"),
    ],
)
def test_the_share_of_the_commonest_number_is_that_of_the_draws(initializer: Any, dtype: str) -> None:
    plan = planned(initializer, dtype)
    numbers, counts = np.unique(initcfg.materialize(plan)["w"].astype(np.float64), return_counts=True)
    (message,) = messages(plan, Code.DTYPE_RESOLUTION)
    assert f"are {float(numbers[counts.argmax()])!r}:" in message
    assert shares(message) == pytest.approx([counts.max() / counts.sum()], abs=0.015)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16", "float8_e4m3fn"])
@pytest.mark.parametrize("mean", [0.0, 1.0, -5.0])
def test_a_std_of_the_distance_between_numbers_or_more_has_no_warning(dtype: str, mean: float) -> None:
    gap = 2.0 ** ((2 if mean == -5.0 else 0) - DTYPES[dtype].format.digits)
    plan = planned({"random_normal": {"mean": mean, "stddev": gap}}, dtype)
    _, counts = np.unique(initcfg.materialize(plan)["w"].astype(np.float64), return_counts=True)
    assert counts.max() < 0.5 * counts.sum()
    assert messages(plan, Code.DTYPE_RESOLUTION) == []


@pytest.mark.parametrize(
    ("shape", "layout"),
    [([96, 96], "out_in"), ([40, 200], "in_out"), ([4, 64, 32], "BIO"), ([64, 8, 3], "OIK")],
)
@pytest.mark.parametrize("factor", [0.3, 0.8, 1.2])
def test_the_shares_of_an_orthogonal_matrix_are_those_of_its_elements(
    shape: list[int], layout: str, factor: float
) -> None:
    longest = {"out_in": 96, "in_out": 200, "BIO": 64, "OIK": 64}[layout]
    initializer = {"orthogonal": {"gain": factor * 2.0**-6 * longest**0.5}}
    part = {"concatenate": {"axis": 0, "sizes": [shape[0]], "initializers": [initializer]}}
    for each in (initializer, part):
        param = Param(shape=shape, layout=layout, dtype="float8_e4m3fn", initializer=each)
        plan = plan_of(Spec(params={"w": param}))
        drawn = np.abs(initcfg.materialize(plan)["w"].astype(np.float64))
        (message,) = messages(plan, Code.DTYPE_UNDERFLOW)
        assert shares(message) == pytest.approx([(drawn < 2.0**-6).mean(), (drawn == 0).mean()], abs=0.02)


@pytest.mark.parametrize(("size", "gain", "lost"), [(1, 0.02, 0), (1, 0.01, 1), (2, 0.02, 1), (3, 0.04, 0)])
def test_matrices_of_few_rows_are_judged_by_the_circle_and_the_sphere(size, gain, lost) -> None:
    initializer = {"orthogonal": {"gain": gain}}
    param = Param(shape=[size, size], layout="in_out", dtype="float8_e4m3fn", initializer=initializer)
    assert len(messages(plan_of(Spec(params={"w": param})), Code.DTYPE_UNDERFLOW)) == lost
