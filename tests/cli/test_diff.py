"""``initcfg diff``."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import Result

from initcfg.cli.diff import as_text
from initcfg.diff import diff_plans

if TYPE_CHECKING:
    from pathlib import Path

Run = Callable[..., Result]


@pytest.fixture
def changed(folder: Path) -> Path:
    text = (folder / "good.yaml").read_text(encoding="utf-8")
    text = text.replace("{i: 2}", "{i: 3}").replace("glorot_uniform", "he_normal")
    text = text.replace("  head:", "  tail:")
    text = text.replace("embedding: {shape: [32, d]", "embedding: {shape: [32, d], dtype: bfloat16")
    text = text.replace("tied_to: embedding", "tied_to: embedding, dtype: bfloat16")
    path = folder / "changed.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_equal_plans_are_exit_0_and_their_parameters_are_counted(run: Run, folder: Path) -> None:
    result = run("diff", "good.yaml", "good.yaml")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "6 unchanged\n", "")


def test_each_change_has_a_line_and_layers_that_change_alike_share_one(run: Run, changed: Path) -> None:
    result = run("diff", "good.yaml", "changed.yaml")
    assert (result.exit_code, result.stderr) == (1, "")
    assert [line.split() for line in result.stdout.splitlines()] == [
        line.split()
        for line in """\
~ embedding  dtype float32 -> bfloat16
+ tail  (32, 8) bfloat16; = embedding
~ h.{0..1}.kernel  uniform(-0.5, 0.5) -> truncated_normal(0, 0.5684) in [-1.137, 1.137]
+ h.2.kernel  (8, 16) float32; truncated_normal(0, 0.5684) in [-1.137, 1.137]
+ h.2.bias  (16,) float32; fill(0)
- head  (32, 8) float32; = embedding

3 added, 1 removed, 3 changed, 2 unchanged
""".splitlines()
    ]


def test_names_that_look_alike_are_told_apart_by_code_points(run: Run, folder: Path) -> None:
    for file, name in (("a.json", "caf\u00e9"), ("b.json", "cafe\u0301")):
        layer = {"repeat": {"i": 2}, "params": {name: {"shape": [3], "initializer": "ones"}}}
        (folder / file).write_text(json.dumps({"initcfg": 1, "layers": {"h.{i}": layer}}), encoding="utf-8")
    assert run("diff", "a.json", "b.json").stdout.splitlines()[:2] == [
        "+ h.{0..1}.cafe\u0301  (3,) float32; fill(1); "
        "looks like the removed one (U+00E9, not U+0065 U+0301)",
        "- h.{0..1}.caf\u00e9  (3,) float32; fill(1); looks like the added one (U+0065 U+0301, not U+00E9)",
    ]
    first = json.loads(run("diff", "a.json", "b.json", "--format", "json").stdout)["changes"][0]
    assert (first["name"], first["looks_like"]) == ("h.0.cafe\u0301", "h.0.caf\u00e9")


def test_a_setting_shows_what_it_would_change(run: Run, folder: Path) -> None:
    result = run("diff", "good.yaml", "good.yaml", "--set", "seed=8")
    assert result.exit_code == 1
    assert "~ h.{0..1}.kernel  other random numbers: seed 7 -> 8" in result.stdout
    assert "bias" not in result.stdout


def test_json_has_every_parameter_by_itself(run: Run, changed: Path) -> None:
    result = run("diff", "good.yaml", "changed.yaml", "--format", "json")
    assert (result.exit_code, result.stderr) == (1, "")
    document = json.loads(result.stdout)
    assert (document["diff"], document["equal"], document["unchanged"]) == (1, False, 2)
    assert document["old"]["file"] == "good.yaml"
    told = {(change["change"], change["name"], *change["aspects"]) for change in document["changes"]}
    assert ("changed", "h.1.kernel", "law") in told
    assert ("added", "h.2.bias") in told
    kernel = next(change for change in document["changes"] if change["name"] == "h.1.kernel")
    assert kernel["old"]["distribution"]["kind"] == "uniform"
    assert kernel["new"]["distribution"]["kind"] == "truncated_normal"
    same = json.loads(run("diff", "good.yaml", "good.yaml", "--format", "json").stdout)
    assert (same["equal"], same["changes"]) == (True, [])


@pytest.mark.parametrize(
    "files", [("bad.yaml", "good.yaml"), ("good.yaml", "bad.yaml"), ("good.yaml", "nothing.yaml")]
)
def test_a_file_that_is_not_valid_is_exit_2_and_named(files: tuple[str, str], run: Run, folder: Path) -> None:
    result = run("diff", *files)
    assert (result.exit_code, result.stdout) == (2, "")
    wrong = next(file for file in files if file != "good.yaml")
    assert result.stderr.startswith(wrong)


def test_standard_input_is_one_of_the_files(run: Run, folder: Path) -> None:
    text = (folder / "good.yaml").read_text(encoding="utf-8")
    assert run("diff", "-", "good.yaml", input=text).exit_code == 0
    assert run("diff", "good.yaml", "-", input=text).exit_code == 0
    assert "one of the files only" in run("diff", "-", "-", input=text).stderr


def test_signs_are_coloured_where_that_is_wanted(run: Run, changed: Path) -> None:
    shown = run("diff", "good.yaml", "changed.yaml", "--color", "always").stdout
    assert "\x1b[32m\x1b[1m+\x1b[0m tail" in shown
    assert "\x1b[31m\x1b[1m-\x1b[0m head" in shown


def plan_of(**params: Any) -> Any:
    import initcfg

    return initcfg.make_plan({"initcfg": 1, "layout": "in_out", "params": params})


ZEROS = {"shape": [2], "initializer": "zeros"}
NORMAL = {"shape": [2], "initializer": "random_normal"}


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ({}, {f"h.{i}.e.{j}.w": ZEROS for i in range(3) for j in range(2)}, "+ h.{0..2}.e.{0..1}.w"),
        ({}, {f"h.{i}.w": ZEROS for i in (0, 1, 2, 5, 7, 8)}, "+ h.{0..2,5,7..8}.w"),
        ({}, {f"block{i}.w": ZEROS for i in (9, 10)}, "+ block{9..10}.w"),
        ({}, {f"h.0{i}.w": ZEROS for i in (1, 2)}, "+ h.01.w"),
        ({}, {"h.0.w": ZEROS, "h.1.w": NORMAL}, "+ h.0.w  (2,) float32; fill(0)"),
        (
            {f"h.{i}.w": NORMAL for i in range(4)},
            {f"blocks.{i}.w": {**NORMAL, "stream": f"h.{i}.w"} for i in range(4)},
            "> h.{0..3}.w -> blocks.{0..3}.w  keeps its values",
        ),
        (
            {f"h.{i}.w": NORMAL for i in range(4)},
            {f"h.{i}.w": {**NORMAL, "stream": f"b.{i}.w"} for i in range(4)},
            "~ h.{0..3}.w  other random numbers: stream h.{0..3}.w -> b.{0..3}.w",
        ),
        (
            {f"h.{i}.w": NORMAL for i in range(2)},
            {f"h.{i}.w": {**NORMAL, "stream": f"b.{1 - i}.w"} for i in range(2)},
            "~ h.0.w  other random numbers: stream h.0.w -> b.1.w",
        ),
        (
            {f"h.{i}.{name}": ZEROS for i in range(2) for name in "ab"},
            {f"h.{i}.{name}": ZEROS if name == "a" else {"shape": [2], "tied_to": f"h.{i}.a"}
             for i in range(2) for name in "ab"},
            "~ h.{0..1}.b  tied to nothing -> h.{0..1}.a",
        ),
        (
            {"w": {"shape": [2], "initializer": {"random_normal": {"stddev": 0.02}}}},
            {"w": {"shape": [2], "initializer": {"random_normal": {"stddev": 0.02000001}}}},
            "~ w  Normal(mean=0.0, std=0.02) -> Normal(mean=0.0, std=0.02000001)",
        ),
        (
            {"w": {"shape": [2, 2], "initializer": "orthogonal"}},
            {"w": {"shape": [2, 2], "initializer": {"orthogonal": {"gain": 2}}}},
            "~ w  Orthogonal() -> Orthogonal(gain=2.0)",
        ),
        (
            {"w": {"shape": [2, 2], "initializer": "orthogonal"}},
            {"w": {"shape": [2, 2], "layout": "out_in", "initializer": "orthogonal"}},
            "~ w  Orthogonal() with layout in_out -> Orthogonal() with layout out_in",
        ),
        (
            {"w": {**NORMAL, "initializer": {"random_normal": {"seed": 1}}}},
            {"w": {**NORMAL, "initializer": {"random_normal": {"seed": 2}}}},
            "~ w  other random numbers: the seed of the initializer itself",
        ),
    ],
)  # fmt: skip
def test_a_line_says_what_changed_and_for_which_layers(old: Any, new: Any, line: str) -> None:
    lines = as_text(diff_plans(plan_of(**old), plan_of(**new))).splitlines()
    assert line in [shown[: len(line)] for shown in map(uncoloured, lines)]


def uncoloured(text: str) -> str:
    import click

    return click.unstyle(text)


def test_three_stand_side_by_side_where_they_differ(run: Run, changed: Path, folder: Path) -> None:
    text = (folder / "good.yaml").read_text(encoding="utf-8")
    (folder / "seed.yaml").write_text(text.replace("seed: 7", "seed: 8"), encoding="utf-8")
    files = ("good.yaml", "changed.yaml", "seed.yaml")
    result = run("diff", *files, env={"COLUMNS": "120"})
    assert (result.exit_code, result.stderr) == (1, "")
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["name", *files]
    kernel = next(line for line in lines if line.startswith("h.{0..1}.kernel"))
    assert "uniform(-0.5, 0.5), seed 7" in kernel
    assert "uniform(-0.5, 0.5), seed 8" in kernel
    assert not any("h.{0..1}.bias" in line for line in lines)
    full = run("diff", *files, "--full").stdout
    assert "h.{0..1}.bias" in full
    records = list(csv.DictReader(io.StringIO(run("diff", *files, "--format", "csv").stdout)))
    assert {"name", "copies", *files} == set(records[0])
    document = json.loads(run("diff", *files, "--format", "json").stdout)
    assert [plan["seed"] for plan in document["plans"]] == [7, 7, 8]
    assert [row["name"] for row in document["rows"]] == [record["name"] for record in records]
    shown = {row["name"]: row["begins"] for row in document["rows"]}
    assert shown["h.2.bias"][0] is shown["h.2.bias"][2] is None
    assert document["alike"] == 2


@pytest.mark.parametrize("width", [50, 80, 120])
def test_columns_of_several_fit_the_terminal(width: int, run: Run, changed: Path) -> None:
    shown = run("diff", "good.yaml", "changed.yaml", "good.yaml", env={"COLUMNS": str(width)}).stdout
    assert max(map(len, shown.splitlines())) <= width
    assert "good.yaml (1)" in shown


def test_what_is_written_otherwise_and_makes_the_same_is_no_difference(run: Run, folder: Path) -> None:
    text = (folder / "good.yaml").read_text(encoding="utf-8")
    (folder / "other.yaml").write_text(
        text.replace("initializer: zeros", "initializer: {constant: {value: 0}}")
    )
    assert (folder / "other.yaml").read_text() != text
    assert run("diff", "good.yaml", "other.yaml", "good.yaml").exit_code == 0


def test_weights_that_carry_their_spec_stand_for_it(run: Run, folder: Path) -> None:
    run("materialize", "good.yaml", "-o", "w.safetensors")
    assert run("diff", "w.safetensors", "good.yaml").stdout == "6 unchanged\n"
    assert run("diff", "good.yaml", "w.safetensors", "good.yaml").exit_code == 0
    assert "--set changes specs" in run("diff", "good.yaml", "w.safetensors", "--set", "seed=1").stderr


@pytest.mark.parametrize("args", [(), ("--full", "--rename", "a=b"), ("good.yaml", "--rename", "a=b")])
def test_what_is_of_two_or_more_is_refused_of_others(args: tuple[str, ...], run: Run, folder: Path) -> None:
    files = ("good.yaml", "good.yaml") if args else ("good.yaml",)
    assert run("diff", *files, *args).exit_code == 2
