"""Layers that differ by their stage, written as one."""

from __future__ import annotations

from typing import Any

import pytest

import initcfg
from initcfg.capture.stages import staged


def stage(shape: list[Any], count: Any = None) -> dict[str, Any]:
    params = {"w": {"shape": shape}}
    return {"params": params} if count is None else {"repeat": {"i": count}, "params": params}


def test_stages_by_lists_are_one_layer() -> None:
    layers = {
        f"net.{s}.blocks.{{i}}": stage([f"sizes({s})", f"sizes({s}) // 4"], f"depths({s})") for s in range(3)
    }
    found = staged({"stem": stage([3]), **layers, "head": stage([7])})
    assert list(found) == ["stem", "net.{s}.blocks.{i}", "head"]
    assert found["net.{s}.blocks.{i}"] == {
        "repeat": {"s": 3, "i": "depths(s)"},
        "params": {"w": {"shape": ["sizes(s)", "sizes(s) // 4"]}},
    }


def test_the_first_stage_may_be_another() -> None:
    layers = {"net.0.down": stage(["sizes(0)", "stem"])}
    layers |= {f"net.{s}.down": stage([f"sizes({s})", f"sizes({s - 1})"]) for s in (1, 2, 3)}
    found = staged(layers)
    assert list(found) == ["net.0.down", "net.{s}.down"]
    assert found["net.{s}.down"]["repeat"] == {"s": {"from": 1, "to": 4}}
    assert found["net.{s}.down"]["params"]["w"]["shape"] == ["sizes(s)", "sizes(s - 1)"]


@pytest.mark.parametrize(
    ("first", "texts", "said"),
    [
        (0, ["d", "2 * d", "4 * d"], "2**s * d"),
        (0, ["2 * d", "4 * d", "8 * d"], "2**(s + 1) * d"),
        (1, ["d", "2 * d"], "2**(s - 1) * d"),
        (0, ["3 * d * r", "6 * d * r"], "3 * 2**s * d * r"),
    ],
)
def test_widths_that_double(first: int, texts: list[str], said: str) -> None:
    layers = {f"net.{at}": stage([text]) for at, text in enumerate(texts, first)}
    found = staged(layers)
    assert found["net.{s}"]["params"]["w"]["shape"] == [said]
    spec = {"initcfg": 1, "vars": {"d": 8, "r": 2}, "rules": [{"match": "**", "initializer": "zeros"}]}
    one, other = (initcfg.make_plan(spec | {"layers": each}) for each in (layers, found))
    assert {each.name: each.shape for each in one} == {each.name: each.shape for each in other}


@pytest.mark.parametrize(
    "layers",
    [
        {"net.0": stage([64]), "net.1": stage([128])},  # no names: equal by chance, perhaps
        {"net.0": stage(["d"]), "net.1": stage(["3 * d"])},
        {"net.0": stage(["d"]), "net.2": stage(["d"])},
        {"net.0": stage(["d // 2"]), "net.1": stage(["2 * d // 2"])},
        {"net.0": stage(["d"]), "net.1": stage(["d"], "n")},
    ],
)
def test_what_is_otherwise_stays_apart(layers: dict[str, Any]) -> None:
    assert staged(layers) == layers
    assert staged({"net.0": stage(["d"]), "net.1": stage(["d"])}, kept=["net.0"]).keys() == {"net.0", "net.1"}
