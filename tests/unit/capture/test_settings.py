"""Which numbers of a config the init code of some objects names, and where."""

from __future__ import annotations

import inspect
from types import SimpleNamespace

import pytest

from initcfg.capture.settings import named_settings, other_values


class Absent: ...


class Block:
    pass


class Model:
    def __init__(self, config: SimpleNamespace) -> None:
        self.config = config

    def _init_weights(self, module: object) -> None:
        std = self.config.std
        if isinstance(module, Absent):
            std *= self.config.only_for_absent
        elif isinstance(module, Block) and self.config.is_scaled:
            std /= self.config.layers
        print(std, self.config.name, self.config.missing)

        if self.config.switch > 0 and module is self:
            print(self.config.layers)

    def forward(self) -> None:
        print(self.config.heads)


class Sub(Model):
    def _init_weights(self, module: object) -> None:
        super()._init_weights(module)
        print(self.config.more)


CONFIG = SimpleNamespace(
    std=0.02, only_for_absent=1, is_scaled=True, layers=2, name="x", heads=4, more=3, switch=1
)


def test_numbers_that_live_init_code_names_are_found_at_their_lines() -> None:
    found = dict(named_settings([Sub(CONFIG), Block()], CONFIG))
    assert set(found) == {"std", "layers", "more"}
    lines, first = inspect.getsourcelines(Model)
    at = next(first + row for row, text in enumerate(lines) if "self.config.layers" in text)
    assert (found["layers"].line, found["layers"].file) == (at, __file__)


def test_code_below_a_class_that_no_module_is_is_not_looked_at() -> None:
    assert "only_for_absent" in dict(named_settings([Model(CONFIG), Absent()], CONFIG))
    assert set(dict(named_settings([Model(CONFIG)], CONFIG))) == {"std", "layers"}


class Switched:
    layer_weights = 1

    def __init__(self, config: SimpleNamespace) -> None:
        self.config = config

    def _init_weights(self, module: object) -> None:
        if self.config.is_off:
            print(self.config.layers)
        if self.config.kind == "zeros":
            print(self.config.first)
        elif self.config.kind in {"normal", "gaussian"}:
            print(self.config.second)
        elif self.config.kind != "gaussian":
            print(self.config.third)
        if hasattr(module, "table"):
            print(self.config.of_table)
        if hasattr(module, "layer_weights") and self.config.switch > 0:
            print(self.config.of_layers)


def test_code_below_a_switch_that_is_off_is_not_looked_at() -> None:
    numbers = dict.fromkeys(("layers", "first", "second", "third", "of_table", "of_layers", "switch"), 1)
    config = SimpleNamespace(**numbers, is_off=False, kind="gaussian")
    found = dict(named_settings([Switched(config)], config))
    assert set(found) == {"second", "of_layers"}


def test_a_part_with_a_config_of_its_own_says_nothing_of_the_whole() -> None:
    assert not dict(named_settings([Model(SimpleNamespace(std=1))], CONFIG))


@pytest.mark.parametrize("value", [1, 2, 768, 0.02, 0.0])
def test_other_values_are_others_of_the_same_kind(value: float) -> None:
    others = other_values(value)
    assert value not in others[:2]
    assert {type(each) for each in others} == {type(value)}
