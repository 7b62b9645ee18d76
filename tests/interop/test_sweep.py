"""A sweep over widths tells standard parametrization from muP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import pytest
import torch
from torch import nn

import initcfg
from initcfg.adapters.torch import manifest, sweep_widths
from initcfg.probe import Moved, Sweep

if TYPE_CHECKING:
    from initcfg.plan import Plan

torch.set_num_threads(1)
WIDTHS = [32, 64, 128, 256, 512]


def build(width: int) -> nn.Module:
    with torch.device("meta"):
        hidden = [nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU()]
        return nn.Sequential(nn.Linear(16, width), nn.ReLU(), *hidden, nn.Linear(width, 10))


def plan_of(last: str, module: nn.Module, width: int) -> Plan:
    spec = {
        "initcfg": 1,
        "layout": "out_in",
        "vars": {"width": 1},
        "rules": [
            {"match": "6.weight", "initializer": {"random_normal": {"stddev": last}}},
            {"match": "**.bias", "initializer": "zeros"},
            {"match": "**", "initializer": "he_normal"},
        ],
    }
    return initcfg.make_plan(spec, manifest=manifest(module), settings={"vars.width": width})


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_standard_parametrization_breaks_and_mup_passes(optimizer: Literal["sgd", "adam"]) -> None:
    def sweep(last: str, rates: Literal["mup", "equal"]) -> Sweep:
        def planned(module: nn.Module, width: int) -> Plan:
            return plan_of(last, module, width)

        return sweep_widths(build, planned, widths=WIDTHS, seeds=(0,), optimizer=optimizer, rates=rates)

    standard, good = sweep("1 / sqrt(width)", "equal"), sweep("8 / width", "mup")
    assert "6.weight" in standard.breaking
    assert "these grow with the width, and so break muP: " in str(standard)
    assert good.breaking == ()
    assert [layer.name for layer in good.layers] == ["0", "2", "4", "6"]
    assert Sweep.model_validate(good.to_dict()) == good


def test_powers_are_those_of_the_numbers() -> None:
    layer = Moved(
        name="fc",
        parameters=("fc.weight",),
        sizes=tuple((3.0, 3.0) for _ in WIDTHS),
        moves=(tuple((width**0.5, width**0.5) for width in WIDTHS), tuple((0.0, 0.0) for _ in WIDTHS)),
    )
    about: dict[str, Any] = {"version": "1", "optimizer": "sgd", "rate": 0.1, "rates": "equal"}
    found = Sweep(**about, widths=tuple(WIDTHS), seeds=(0, 1), layers=(layer,))
    assert [round(each.power, 6) for each in found.slopes(layer)] == [0, 0.5, 0]
    assert found.breaking == ("fc.weight",)
    overflown = layer.model_copy(update={"sizes": (*layer.sizes[1:], (None, 3.0)), "moves": ()})
    assert found.model_copy(update={"layers": (overflown,)}).breaking == ("fc.weight",)


@pytest.mark.parametrize(("widths", "seeds"), [([32], (0,)), ([32, 32], (0,)), (WIDTHS, ())])
def test_a_sweep_of_nothing_is_refused(widths: list[int], seeds: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="two different widths, a seed and a step"):
        sweep_widths(build, lambda module, width: plan_of("1", module, width), widths=widths, seeds=seeds)
