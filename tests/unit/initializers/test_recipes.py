"""Published recipes: their numbers, and that each is the line with its formula, bit for bit."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest

import initcfg
from initcfg.distributions import Fill, Normal, TruncatedNormal, Uniform, moments
from initcfg.errors import Code, InitializerError
from initcfg.initializers import BUILTINS, BuiltIn, canonical_name, resolve
from initcfg.initializers.recipes import Recipe
from initcfg.layout import Layout

OUT_IN = Layout("out_in")
SHAPE = (40, 60)
XAVIER = math.sqrt(2 / 100)

# A recipe as a spec writes it, and its standard deviation or bound for SHAPE as (out, in), by the paper.
NUMBERS: tuple[tuple[str, dict[str, Any], float], ...] = (
    ("small_init", {"dim": 60}, math.sqrt(2 / (5 * 60))),
    ("wang_init", {"dim": 60, "layers": 4}, 2 / (4 * math.sqrt(60))),
    ("depth_scaled_normal", {"layers": 8}, 0.02 / 4),
    ("depth_scaled_normal", {"layers": 2, "stddev": 0.5}, 0.25),
    ("mitchell", {"dim": 64}, 1 / 8),
    ("mitchell", {"dim": 64, "layer": 1}, 1 / 16),
    ("mup", {"stddev": 0.02, "width_mult": 4}, 0.01),
    ("mup", {"stddev": 0.02, "width_mult": 4, "kind": "vector"}, 0.02),
    ("mup", {"stddev": 0.02, "width_mult": 4, "kind": "readout"}, 0.005),
    ("switch_normal", {}, math.sqrt(0.1 / 60)),
    ("deep_norm", {"layers": 2}, XAVIER / 2),
    ("deep_norm", {"layers": 27, "stack": "decoder"}, XAVIER / math.sqrt(18)),
    ("deep_norm", {"layers": 12, "stack": "encoder", "decoder_layers": 6}, XAVIER * 0.41791647098427115),
    ("sub_ln", {"layers": 12}, XAVIER * math.sqrt(math.log(24))),
    ("sub_ln", {"layers": 6, "stack": "decoder"}, XAVIER * math.sqrt(math.log(18))),
    (
        "sub_ln",
        {"layers": 12, "stack": "encoder", "decoder_layers": 6},
        XAVIER * math.sqrt(math.log(18) * math.log(24) / 3),
    ),
    ("t_fixup", {"layers": 16, "stack": "encoder"}, math.sqrt(3) * XAVIER * 0.67 / 2),
    ("t_fixup", {"layers": 9, "stack": "decoder"}, math.sqrt(3) * XAVIER / 3),
    ("t_fixup_embedding", {"dim": 64, "layers": 9}, 1 / 24),
    ("fixup", {"branches": 16}, math.sqrt(2 / 40) / 4),
    ("fixup", {"branches": 16, "branch_layers": 3}, math.sqrt(2 / 40) / 2),
    ("siren_first", {}, 1 / 60),
    ("siren", {}, math.sqrt(6 / 60) / 30),
    ("siren", {"omega": 10}, math.sqrt(6 / 60) / 10),
    ("lora_a", {}, 1 / math.sqrt(60)),
    ("focal_bias", {}, math.log(0.01 / 0.99)),
)
RECIPES = [cls for cls in BUILTINS if issubclass(cls, Recipe)]


def written(name: str, config: dict[str, Any]) -> Recipe:
    found = initcfg.initializers.get({"class_name": name, "config": config})
    assert isinstance(found, Recipe)
    return found


def spread(recipe: BuiltIn, shape: tuple[int, ...] = SHAPE) -> float:
    """What the formula of a law gives: a standard deviation, a bound or a value."""
    match resolve(recipe, shape, OUT_IN):
        case Normal(0.0, std) | TruncatedNormal(0.0, std):
            return std
        case Uniform(low, high):
            assert low == -high
            return high
        case Fill(value):
            return value
    raise AssertionError


def test_every_recipe_has_its_number_below() -> None:
    assert {canonical_name(cls) for cls in RECIPES} == {name for name, _, _ in NUMBERS}


@pytest.mark.parametrize(("name", "config", "number"), NUMBERS)
def test_the_number_is_the_one_of_the_paper(name: str, config: dict[str, Any], number: float) -> None:
    assert spread(written(name, config)) == pytest.approx(number, rel=1e-9)


@pytest.mark.parametrize(("name", "config", "number"), NUMBERS)
def test_a_recipe_is_the_line_with_its_formula_bit_for_bit(
    name: str, config: dict[str, Any], number: float
) -> None:
    recipe = written(name, config)
    text = recipe.formula
    lines: dict[str, dict[str, Any]] = {
        "normal": {"random_normal": {"stddev": text}},
        "uniform": {"random_uniform": {"minval": f"-({text})", "maxval": text}},
        "truncated": {"truncated_normal": {"stddev": text, "low": -recipe.CUT, "high": recipe.CUT}},
    }
    is_fill = isinstance(resolve(recipe, SHAPE, OUT_IN), Fill)
    line = {"constant": {"value": text}} if is_fill else lines[recipe.LAW]
    sizes = {key: value for key, value in vars(recipe).items() if isinstance(value, int | float)}
    spec = {
        "initcfg": 1,
        "layout": "out_in",
        "vars": sizes,
        "params": {"w": {"shape": SHAPE, "initializer": line}},
    }
    if not sizes:
        del spec["vars"]
    named = spec | {"params": {"w": {"shape": SHAPE, "initializer": {name: config}}}}
    ours, theirs = (initcfg.materialize(each)["w"] for each in (named, spec))
    assert ours.tobytes() == theirs.tobytes()


@pytest.mark.parametrize("cls", RECIPES, ids=lambda cls: cls.__name__)
def test_a_recipe_says_where_it_is_from_and_documents_each_argument(cls: type[Recipe]) -> None:
    text = cls.__doc__ or ""
    assert "https://" in text
    names = {each.name for each in dataclasses.fields(cls)}
    assert all(f"\n    {name}: " in text for name in names)
    assert text.count("seed: ") == ("seed" in names)


def test_a_cut_is_counted_in_standard_deviations() -> None:
    mitchell, switch = written("mitchell", {"dim": 64}), written("switch_normal", {})
    assert resolve(mitchell, SHAPE) == TruncatedNormal(0.0, 0.125, -0.375, 0.375)
    law = resolve(switch, (1000, 3), Layout("in_out"))
    assert law == TruncatedNormal(0.0, 0.01, -0.02, 0.02)
    assert moments(law).std < 0.009


def test_sizes_alone_need_no_layout_and_fans_need_one() -> None:
    assert spread(written("small_init", {"dim": 10})) == 0.2
    assert resolve(written("small_init", {"dim": 10}), (3, 3), None) == Normal(0.0, 0.2)
    with pytest.raises(InitializerError) as caught:
        resolve(written("lora_a", {}), (3, 3), None)
    assert caught.value.diagnostics[0].code == Code.LAYOUT_MISSING


def test_a_fan_of_0_counts_as_1() -> None:
    assert spread(written("siren_first", {}), (3, 0)) == 1


@pytest.mark.parametrize(
    ("name", "config", "code"),
    [
        ("small_init", {"dim": 0}, Code.OUT_OF_RANGE),
        ("small_init", {}, Code.MISSING_KEY),
        ("fixup", {"branches": 3, "branch_layers": 1}, Code.OUT_OF_RANGE),
        ("deep_norm", {"layers": 3, "stack": "encoder"}, Code.INITIALIZER_CONFIG),
        ("deep_norm", {"layers": 3, "decoder_layers": 3}, Code.INITIALIZER_CONFIG),
        ("sub_ln", {"layers": 3, "stack": "decoder", "decoder_layers": 3}, Code.INITIALIZER_CONFIG),
        ("t_fixup", {"layers": 3, "stack": "alone"}, Code.UNKNOWN_CHOICE),
        ("focal_bias", {"prior": 1}, Code.OUT_OF_RANGE),
        ("mup", {"stddev": 1, "width_mult": 0}, Code.OUT_OF_RANGE),
    ],
)
def test_arguments_without_a_meaning_are_refused(name: str, config: dict[str, Any], code: Code) -> None:
    with pytest.raises(InitializerError) as caught:
        written(name, config)
    assert caught.value.diagnostics[0].code == code


def test_a_formula_without_a_value_is_an_error() -> None:
    with pytest.raises(InitializerError, match="the formula of DeepNorm") as caught:
        resolve(
            written("deep_norm", {"layers": 10**80, "stack": "encoder", "decoder_layers": 1}), SHAPE, OUT_IN
        )
    assert caught.value.diagnostics[0].code == Code.EXPRESSION_VALUE


@pytest.mark.parametrize(
    ("name", "config"),
    [
        ("mamba_a_log", {}),
        ("mamba_dt_bias", {"dt_max": 0.2}),
        ("lru_nu_log", {"r_min": 0.5, "r_max": 0.9}),
        ("lru_theta_log", {}),
        ("rwkv_time_decay", {"layer": 3, "layers": 12}),
        ("rwkv_time_decay", {"layer": 0, "layers": 1}),
        ("chrono", {"max_steps": 784}),
        ("chrono", {"max_steps": 784, "gate": "input"}),
    ],
)
def test_a_recipe_of_elements_is_the_line_with_its_formula_bit_for_bit(
    name: str, config: dict[str, Any]
) -> None:
    recipe: Any = initcfg.initializers.get({"class_name": name, "config": config})
    line = {"value": recipe.value} | ({} if recipe.of is None else {"of": recipe.of})
    specs: list[dict[str, Any]] = [{name: config}, {"formula": line}]
    ours, theirs = (
        initcfg.materialize({"initcfg": 1, "params": {"w": {"shape": [30, 40], "initializer": each}}})["w"]
        for each in specs
    )
    assert ours.tobytes() == theirs.tobytes()


@pytest.mark.parametrize(
    ("name", "config", "code"),
    [
        ("mamba_dt_bias", {"dt_min": 1}, Code.INITIALIZER_CONFIG),
        ("lru_nu_log", {"r_min": 1}, Code.INITIALIZER_CONFIG),
        ("lru_nu_log", {"r_max": 2}, Code.OUT_OF_RANGE),
        ("chrono", {"max_steps": 2}, Code.OUT_OF_RANGE),
        ("rwkv_time_decay", {"layer": 1}, Code.MISSING_KEY),
    ],
)
def test_a_recipe_of_elements_refuses_what_has_no_meaning(
    name: str, config: dict[str, Any], code: Code
) -> None:
    with pytest.raises(InitializerError) as caught:
        initcfg.initializers.get({"class_name": name, "config": config})
    assert caught.value.diagnostics[0].code == code
