"""The page that maps other libraries' names: every row is planned, and has the law that it says.

A comment above a table gives the shape and the layout of its rows. The law is a call of U, N or T, or a
number; what `s` is in it stands after ``s =``. A row without one is made.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import yaml

import initcfg
from initcfg.distributions import Fill, Normal, TruncatedNormal, Uniform
from initcfg.layout import Layout

PAGE = Path(__file__).parents[2] / "docs" / "howto" / "from-other-libraries.md"
TABLE = re.compile(r"<!-- table: shape ([\d ]+), layout (\w+) -->\n\|.*\n\|[-|]+\n((?:\|.*\n)+)")
LAWS = {"U": Uniform, "N": Normal, "T": TruncatedNormal}
CUT = 0.87962566103423978


class Row(NamedTuple):
    there: str
    initializer: Any
    law: list[str]
    shape: tuple[int, ...]
    layout: str


def rows() -> list[Row]:
    found = []
    for shape, layout, lines in TABLE.findall(PAGE.read_text(encoding="utf-8")):
        for line in lines.splitlines():
            there, written, law = (cell.strip() for cell in line.strip("|").split(" | "))
            [text] = re.findall(r"`([^`]+)`", written)
            sizes = tuple(map(int, shape.split()))
            found.append(Row(there, yaml.safe_load(text), re.findall(r"`([^`]+)`", law), sizes, layout))
    return found


def planned(row: Row) -> initcfg.Plan:
    document = {
        "initcfg": 1,
        "layout": row.layout,
        "params": {"w": {"shape": list(row.shape), "initializer": row.initializer}},
    }
    return initcfg.make_plan(document)


def law_of(row: Row) -> Any:
    fans = Layout(row.layout).fans(row.shape)
    names = {"fan_in": fans.fan_in, "fan_out": fans.fan_out, "sqrt": math.sqrt, "log": math.log, "cut": CUT}
    for text in reversed(row.law):
        found = eval(text, {**LAWS, **names})
        names["s"] = found
    return found if isinstance(found, Uniform | Normal | TruncatedNormal) else Fill(found)


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.there)
def test_a_row_has_the_law_that_it_says(row: Row) -> None:
    plan = planned(row)
    found = plan["w"].distribution
    if not row.law:
        assert found is None
        assert np.isfinite(initcfg.materialize(plan)["w"]).all()
        return
    expected = law_of(row)
    assert type(found) is type(expected)
    for name in expected.__dataclass_fields__:
        assert getattr(found, name) == pytest.approx(getattr(expected, name), rel=1e-14)


def test_the_page_has_its_tables() -> None:
    assert len(rows()) > 50
    assert {row.layout for row in rows()} == {"in_out", "out_in"}


def test_bilinear_kernels_interpolate() -> None:
    """MXNet's loop, for a kernel of 4."""
    [row] = [row for row in rows() if "Bilinear" in row.there]
    weights = [0.25, 0.75, 0.75, 0.25]
    expected = np.broadcast_to(np.outer(weights, weights), row.shape)
    np.testing.assert_array_equal(initcfg.materialize(planned(row))["w"], expected)
