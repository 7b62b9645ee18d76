"""What a number comes from, by making a model again with other values of its config."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest

from initcfg.capture.numbers import Source, Study
from initcfg.capture.values import Recorded
from initcfg.expressions import Expression
from initcfg.initializers import RandomNormal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

CONFIG = {
    "hidden": 768,
    "heads": 12,
    "kv": 4,
    "d_head": 64,
    "image": 224,
    "patch": 16,
    "n_layer": 12,
    "std": 0.02,
    "dropout": 0.1,
    "eos": 50256,
}


def study(rule: Callable[[Mapping[str, float]], float], *, width: bool = False) -> Study:
    """A model of one weight, of which one number follows from the config by a rule."""

    def build(changes: Mapping[str, float]) -> list[Recorded]:
        number = rule({**CONFIG, **changes})
        shape = (3,) if width else (int(number),)
        law = RandomNormal(0.0, number if width else 1.0)
        return [Recorded("w", shape, "float32", law, "Linear")]

    return Study(build({}), Source(CONFIG, build))


def size(found: Study) -> str | None:
    explained = found.explain(lambda build: build.tensors["w"].shape[0])
    return explained.text if explained else None


def width(found: Study) -> str | None:
    explained = found.explain(lambda build: build.tensors["w"].law.stddev)
    return explained.text if explained else None


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        (lambda c: c["hidden"], "hidden"),
        (lambda c: 4 * c["hidden"], "4 * hidden"),
        (lambda c: c["hidden"] // 2, "hidden // 2"),
        (lambda c: c["hidden"] + 2, "hidden + 2"),
        (lambda c: 2 * c["hidden"] - 1, "2 * hidden - 1"),
        (lambda c: math.ceil(c["hidden"] / 16), "hidden // 16"),
        (lambda c: c["kv"] * c["d_head"], "kv * d_head"),
        (lambda c: c["d_head"] * (c["heads"] + 2 * c["kv"]), "d_head * (heads + 2 * kv)"),
        (lambda c: c["kv"] * (c["hidden"] // c["heads"]), "kv * (hidden // heads)"),
        (lambda c: (c["image"] // c["patch"]) ** 2 + 1, "(image // patch)**2 + 1"),
        (lambda c: c["heads"] + 2 * c["kv"], "heads + 2 * kv"),
    ],
)
def test_an_axis_has_its_expression(rule: Callable[[Mapping[str, float]], float], text: str) -> None:
    assert size(study(rule)) == text
    assert Expression.parse(text).evaluate(CONFIG) == rule(CONFIG)


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        (lambda c: c["std"], "std"),
        (lambda c: c["std"] / math.sqrt(2 * c["n_layer"]), "std / sqrt(2 * n_layer)"),
        (lambda c: 0.02 / math.sqrt(2 * c["n_layer"]), "0.02 / sqrt(2 * n_layer)"),
        (lambda c: 1 / math.sqrt(c["hidden"]), "1 / sqrt(hidden)"),
        (lambda c: c["std"] * 0.5, "std / 2"),
        (lambda c: 2 / c["n_layer"] / math.sqrt(c["hidden"]), "2 / (n_layer * sqrt(hidden))"),
        (lambda c: math.sqrt(2 / (5 * c["hidden"])), "sqrt(2 / (5 * hidden))"),
    ],
)
def test_a_law_has_its_expression(rule: Callable[[Mapping[str, float]], float], text: str) -> None:
    assert width(study(rule, width=True)) == text


def test_equal_numbers_say_nothing() -> None:
    assert size(study(lambda c: 768)) is None  # noqa: ARG005
    assert size(study(lambda c: 3 * 256 if c["eos"] else 0)) is None


def test_what_no_expression_gives_stays_a_number() -> None:
    assert width(study(lambda c: math.sin(c["hidden"]) ** 2 + 0.1, width=True)) is None


def test_a_value_that_the_code_refuses_is_left_alone() -> None:
    def rule(config: Mapping[str, float]) -> float:
        if config["hidden"] % config["heads"] or config["eos"] != CONFIG["eos"]:
            raise ValueError("the hidden size is no multiple of the heads")
        return config["hidden"]

    assert size(study(rule)) == "hidden"


def test_idle_values_are_changed_together() -> None:
    made = []

    def build(changes: Mapping[str, float]) -> list[Recorded]:
        made.append(changes)
        config = {**CONFIG, **changes}
        return [Recorded("w", (int(config["hidden"]),), "float32", RandomNormal(0.0, 1.0), "Linear")]

    config = CONFIG | {f"idle_{at}": at for at in range(64)}
    assert size(Study(build({}), Source(config, build))) == "hidden"
    assert len(made) < 12


def test_what_seems_idle_is_tried_together_and_nothing_twice() -> None:
    made: list[frozenset[tuple[str, float]]] = []

    def build(changes: Mapping[str, float]) -> list[Recorded]:
        made.append(frozenset(changes.items()))
        config = {**CONFIG, **changes}
        shape = (int(config["hidden"]), int(config["image"]))
        return [Recorded("w", shape, "float32", RandomNormal(0.0, 1.0), "Linear")]

    config = CONFIG | {f"other_{at}": 1000 + at for at in range(64)}
    study = Study(build({}), Source(config, build))
    made.clear()
    assert size(study) == "hidden"
    explained = study.explain(lambda build: build.tensors["w"].shape[1])
    assert explained is not None
    assert explained.text == "image"
    assert len(made) == len(set(made)) < 30
