"""From what was recorded to a spec that is complete, says the same laws, and reads well."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import initcfg
from initcfg.capture.captured import Captured
from initcfg.capture.numbers import Source
from initcfg.capture.values import Law, Recorded, Site, Table, Unsaid, Write
from initcfg.initializers import Formula, Ones, Patch, RandomNormal, RandomUniform, Zeros
from initcfg.spec import loads

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

CONFIG = {"vocab": 500, "d": 64, "n_layer": 4, "std": 0.02, "pad": 3, "dropout": 0.1}


def write(call: str, line: int, file: str = "model.py") -> tuple[Write, ...]:
    site = Site(f"/lib/{file}", line, "_init_weights")
    return (Write(call, site, site, "init"),)


def recorded(name: str, shape: tuple[int, ...], law: Law, **more: Any) -> Recorded:
    return Recorded(name, shape, more.pop("dtype", "float32"), law, more.pop("module", "Linear"), **more)


def gpt(changes: Mapping[str, float] = {}) -> list[Recorded]:
    """A small model with a scaled projection, a padding row, and a tied head."""
    config: dict[str, Any] = {**CONFIG, **changes}
    d, base = config["d"], RandomNormal(0.0, config["std"])
    scaled = RandomNormal(0.0, config["std"] / math.sqrt(2 * config["n_layer"]))
    padded = Patch(base, [{"at": [config["pad"], ":"], "initializer": "zeros"}])
    found = [recorded("wte.weight", (config["vocab"], d), padded, module="Embedding")]
    for i in range(config["n_layer"]):
        found += [
            recorded(f"h.{i}.ln.weight", (d,), Ones()),
            recorded(f"h.{i}.ln.bias", (d,), Zeros()),
            recorded(f"h.{i}.fc.weight", (4 * d, d), base),
            recorded(f"h.{i}.fc.bias", (4 * d,), Zeros()),
            recorded(f"h.{i}.proj.weight", (d, 4 * d), scaled),
        ]
    return [*found, recorded("head.weight", (config["vocab"], d), padded, tied_to="wte.weight")]


def test_a_spec_reads_as_a_person_writes_it() -> None:
    text = Captured("gpt", gpt(), Source(CONFIG, gpt)).text
    assert text.partition("vars")[2].partition("allow")[0] == (
        """\
: {vocab: 500, d: 64, n_layer: 4, std: 0.02, pad: 3}

layers:
  wte:
    params:
      weight: {shape: [vocab, d]}
  h.{i}:
    repeat: {i: n_layer}
    params:
      ln.weight: {shape: [d]}
      ln.bias: {shape: [d]}
      fc.weight: {shape: [4 * d, d]}
      fc.bias: {shape: [4 * d]}
      proj.weight: {shape: [d, 4 * d]}
  head:
    params:
      weight: {shape: [vocab, d], tied_to: wte.weight}

rules:
  - {match: "**.bias", initializer: zeros}
  - {match: wte.weight, initializer: """
        """{patch: {base: {random_normal: {stddev: std}}, patches: [{at: [pad, ":"], initializer: zeros}]}}}
  - {match: "**.ln.weight", initializer: ones}
  - {match: "**.proj.weight", initializer: {random_normal: {stddev: std / sqrt(2 * n_layer)}}}
  - {match: "**", initializer: {random_normal: {stddev: std}}}

"""
    )


def test_the_text_is_the_spec_and_both_are_strictly_fine() -> None:
    captured = Captured("gpt", gpt(), Source(CONFIG, gpt))
    assert loads(captured.text) == captured.spec
    assert initcfg.find_warnings(captured.spec) == ()
    plan = initcfg.make_plan(captured.spec)
    assert [each.name for each in plan] == [each.name for each in gpt()]
    assert plan["h.0.proj.weight"].distribution == gpt()[5].law.resolve((64, 256), None)


def test_settings_reach_what_the_config_named() -> None:
    captured = Captured("gpt", gpt(), Source(CONFIG, gpt))
    changed = {"vocab": 70, "d": 8, "n_layer": 6, "std": 0.5}
    plan = initcfg.make_plan(
        captured.spec, settings={f"vars.{name}": value for name, value in changed.items()}
    )
    assert {each.name: each.shape for each in plan} == {each.name: each.shape for each in gpt(changed)}


def hybrid(changes: Mapping[str, float] = {}) -> list[Recorded]:
    """Each fourth layer attends, and the others have a state."""
    config: Any = {"d": 64, "width": 16, "n_layer": 9, "std": 0.02} | dict(changes)
    kinds = {True: ("qkv", 3 * config["d"]), False: ("state", config["width"])}
    law = RandomNormal(0, config["std"])
    layers = ((i, *kinds[i % 4 == 3]) for i in range(config["n_layer"]))
    return [recorded(f"h.{i}.{name}.weight", (size, config["d"]), law) for i, name, size in layers]


def test_layers_of_one_kind_are_one_and_say_what_the_first_of_them_does() -> None:
    source = Source({"d": 64, "width": 16, "n_layer": 9, "std": 0.02}, hybrid)
    captured = Captured("hybrid", hybrid(), source)
    assert captured.text.partition("layers:\n")[2].partition("\nrules")[0] == (
        """\
  h.{s}:
    repeat: {s: ["0", "1", "2", "4", "5", "6", "8"]}
    params:
      state.weight: {shape: [width, d]}
  h.{t}:
    repeat: {t: ["3", "7"]}
    params:
      qkv.weight: {shape: [3 * d, d]}
"""
    )
    plan = initcfg.make_plan(captured.spec, settings={"vars.d": 8, "vars.width": 2})
    changed = hybrid({"d": 8, "width": 2})
    assert {each.name: each.shape for each in plan} == {each.name: each.shape for each in changed}


def linear(prefix: str, shape: tuple[int, int]) -> list[Recorded]:
    """A layer as torch begins it."""
    bound = 1 / math.sqrt(shape[1])
    law = RandomUniform(-bound, bound)
    file = "torch/nn/modules/linear.py"
    return [
        recorded(f"{prefix}.weight", shape, law, writes=write("kaiming_uniform_(a=2.236)", 117, file)),
        recorded(f"{prefix}.bias", shape[:1], law, writes=write("uniform_(-0.1, 0.1)", 120, file)),
    ]


def test_a_bias_beside_a_weight_that_is_skipped_has_a_bound_of_its_own() -> None:
    weight, bias = linear("odd", (8, 16))
    tensors = [*linear("up", (64, 16)), replace(weight, law=Unsaid("of no law")), bias]
    captured = Captured("mlp", tensors)
    assert "initializer: {random_uniform: {minval: -0.25, maxval: 0.25}}}" in captured.text
    assert "match: up.bias" in captured.text
    assert captured.text.count("fans_of: weight") == 1
    assert [each.name for each in initcfg.make_plan(captured.spec)] == ["up.weight", "up.bias", "odd.bias"]


def test_layers_of_torch_go_by_their_fans() -> None:
    captured = Captured("mlp", [*linear("up", (64, 16)), *linear("down", (16, 64))])
    assert captured.text.partition("rules:\n")[2].partition("\n\n")[0].rstrip() == (
        """\
  - {match: "**.bias", initializer: """
        """{random_uniform: {minval: "-1 / sqrt(fan_in)", maxval: 1 / sqrt(fan_in)}}, fans_of: weight}
  - {match: "**", initializer: {kaiming_uniform: {a: sqrt(5)}}}"""
    )
    assert initcfg.find_warnings(captured.spec) == ()


def test_a_width_that_only_looks_like_a_fan_is_a_number_with_its_call() -> None:
    law = RandomNormal(0.0, 0.125)
    text = Captured("m", [recorded("fc.weight", (64, 64), law, writes=write("normal_(std=0.125)", 7))]).text
    assert '  # normal_(std=0.125), model.py:7\n  - {match: "**", initializer: {random_normal:' in text
    assert "fan_in" not in text


def test_what_is_unsaid_is_skipped_and_told() -> None:
    law = Unsaid("it is made by qr", Site("/lib/model.py", 12, "build"))
    captured = Captured("m", [recorded("q.weight", (8, 8), law), recorded("b.bias", (8,), Zeros())])
    assert list(captured.unsaid) == ["q.weight"]
    assert "# Left out: it is made by qr, model.py:12\n" in captured.text
    assert [each.name for each in initcfg.make_plan(captured.spec)] == ["b.bias"]


def test_tables_are_planned_at_once_and_saved_beside_the_spec(tmp_path: Path) -> None:
    table = np.sin(np.arange(96, dtype=np.float32)).reshape(12, 8)
    laws: list[Law] = [Table(table), Table(table + 1)]
    tensors = [recorded(f"h.{i}.positions", (12, 8), law) for i, law in enumerate(laws)]
    captured = Captured("m", [*tensors, recorded("h.0.few", (2,), Table(np.array([1.0, 2.0])))])
    captured.save(tmp_path / "m.yaml")
    planned = initcfg.materialize(captured.spec)
    saved = initcfg.materialize(tmp_path / "m.yaml", select="**")
    for weights in (planned, saved):
        np.testing.assert_array_equal(weights["h.0.positions"], table)
        np.testing.assert_array_equal(weights["h.1.positions"], table + 1)
        np.testing.assert_array_equal(weights["h.0.few"], [1, 2])
    assert sorted(captured.tables) == ["h.0.positions", "h.1.positions"]


def test_buffers_dtypes_ties_of_copies_and_formulas() -> None:
    tensors = []
    for i in range(4):
        tensors += [
            recorded(f"enc.{i}.w", (4, 4), RandomNormal(0.0, 0.5)),
            recorded(f"enc.{i}.a", (4,), Formula("log(index(-1) + 1)")),
            recorded(f"enc.{i}.count", (), Zeros(), dtype="int64", buffer=True),
            recorded(f"enc.{i}.cache", (4,), Zeros(), buffer=True, persistent=False),
        ]
    tensors += [
        recorded(f"dec.{i}.w", (4, 4), RandomNormal(0.0, 0.5), tied_to=f"enc.{i}.w") for i in range(4)
    ]
    captured = Captured("m", tensors)
    assert 'w: {shape: [4, 4], tied_to: "enc.{i}.w"}' in captured.text
    plan = initcfg.make_plan(captured.spec)
    assert str(plan["enc.3.count"].dtype) == "int64"
    assert plan["dec.2.w"].tied_to == "enc.2.w"
    assert "enc.0.cache" not in plan


@pytest.mark.parametrize("name", ["a.0.b", "odd"])
def test_one_parameter(name: str) -> None:
    plan = initcfg.make_plan(Captured("m", [recorded(name, (2,), Zeros())]).spec)
    assert [each.name for each in plan] == [name]


def test_characters_of_patterns_in_names_are_letters() -> None:
    names = ["x{y}", "{i}", "x*", "x", "a[b]", "ab", "q?", "q1", "a,b", "]"]
    laws = {f"d.{name}": RandomNormal(0.0, 0.5 + at) for at, name in enumerate(names)}
    captured = Captured("m", [recorded(name, (4, 4), law) for name, law in laws.items()])
    plan = initcfg.make_plan(loads(captured.text))
    assert {each.name: each.initializer for each in plan} == laws


def test_a_tie_to_a_name_with_braces_is_refused() -> None:
    tied = recorded("out", (2, 2), Zeros(), tied_to="d.x{y}")
    captured = Captured("m", [recorded("d.x{y}", (2, 2), Zeros()), tied])
    with pytest.raises(initcfg.SpecError, match=r"'out' is tied to 'd.x\{y\}', and no spec can say so"):
        _ = captured.spec


def rotary(changes: Mapping[str, float] = {}) -> list[Recorded]:
    """Frequencies, and a draw that is computed with."""
    config: dict[str, Any] = {"d": 64, "theta": 10000.0, "n": 30, **changes}
    law = Formula(f"sqrt(x) / {config['n']}", of=RandomUniform(0.0, 1.0))
    return [
        recorded(
            "freq", (config["d"] // 2,), Formula(f"{config['theta']!r} ** (-index(0) / {config['d'] // 2})")
        ),
        recorded("w", (config["d"], 7), law),
    ]


def test_numbers_in_formulas_say_what_they_come_from() -> None:
    text = Captured("rotary", rotary(), Source({"d": 64, "theta": 10000.0, "n": 30}, rotary)).text
    assert "{formula: {value: theta ** (-index(0) / (d // 2))}}" in text
    assert "{formula: {value: sqrt(x) / n, of: {random_uniform: {minval: 0.0, maxval: 1.0}}}}" in text


def test_what_is_tied_to_a_skipped_parameter_is_skipped() -> None:
    tensors = [
        recorded("w", (4, 4), RandomNormal(0.0, 0.02)),
        recorded("a.bias", (4,), Unsaid("random")),
        recorded("b.bias", (4,), Unsaid("random"), tied_to="a.bias"),
    ]
    captured = Captured("tied", tensors)
    assert list(captured.unsaid) == ["a.bias", "b.bias"]
    assert [each.name for each in initcfg.make_plan(captured.spec)] == ["w"]


def test_what_nothing_audits_says_so() -> None:
    with pytest.raises(TypeError, match="mlp is of a framework whose models are not audited"):
        _ = Captured("mlp", linear("up", (8, 4))).audit
