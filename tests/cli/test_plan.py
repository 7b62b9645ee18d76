"""``initcfg plan``."""

from __future__ import annotations

import csv
import functools
import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest
from click.testing import Result

import initcfg
from initcfg.distributions import Distribution, Fill, Normal, TruncatedNormal, Uniform
from initcfg.plan.listing import COLUMNS, describe, listed, table_of
from initcfg.tables import SEGMENTS, Table

ROOT = Path(__file__).parents[2]
Run = Callable[..., Result]

# glorot_uniform on (8, 16): limit sqrt(6 / 24) = 0.5.
FULL = """\
name              shape    dtype    initializer     distribution        fan_in, fan_out       size
embedding         (32, 8)  float32  random_normal   normal(0, 0.02)     32, 8              1.0 KiB
head = embedding  (32, 8)  float32  tied                                32, 8                    -
h.0.kernel        (8, 16)  float32  glorot_uniform  uniform(-0.5, 0.5)  8, 16            512 bytes
h.0.bias          (16,)    float32  zeros           fill(0)             16, 16            64 bytes
h.1.kernel        (8, 16)  float32  glorot_uniform  uniform(-0.5, 0.5)  8, 16            512 bytes
h.1.bias          (16,)    float32  zeros           fill(0)             16, 16            64 bytes

6 parameters, 544 elements, 2.1 KiB, seed 7
  random    3 parameters  512 elements    2.0 KiB  94.1%
  constant  2 parameters   32 elements  128 bytes   5.9%
  tied       1 parameter             -          -      -
"""
FOLDED = """\
name                  shape    dtype    initializer     distribution        fan_in, fan_out       size
embedding             (32, 8)  float32  random_normal   normal(0, 0.02)     32, 8              1.0 KiB
head = embedding      (32, 8)  float32  tied                                32, 8                    -
h.{0..1}.kernel   x2  (8, 16)  float32  glorot_uniform  uniform(-0.5, 0.5)  8, 16              1.0 KiB
h.{0..1}.bias     x2  (16,)    float32  zeros           fill(0)             16, 16           128 bytes

6 parameters, 544 elements, 2.1 KiB, seed 7
  random    3 parameters  512 elements    2.0 KiB  94.1%
  constant  2 parameters   32 elements  128 bytes   5.9%
  tied       1 parameter             -          -      -
"""


@pytest.mark.parametrize(("options", "table"), [((), FOLDED), (("--full",), FULL)])
def test_the_table_shows_resolved_numbers_and_copies_in_one_line(
    options: tuple[str, ...], table: str, run: Run, folder: Path
) -> None:
    result = run("plan", "good.yaml", *options, env={"COLUMNS": "120"})
    assert (result.exit_code, result.stdout, result.stderr) == (0, table, "")


def test_copies_that_begin_differently_keep_lines_of_their_own(run: Run, folder: Path) -> None:
    text = """\
initcfg: 1
layers:
  h.{i}:
    repeat: {i: 4}
    params:
      same: {shape: [2], initializer: ones}
      scaled: {shape: [2], initializer: {random_normal: {stddev: 1 + 1e-12 * i}}}
      shaped: {shape: [2 if i < 3 else 5], initializer: ones}
      tied: {shape: [2], tied_to: "h.{i}.same"}
"""
    (folder / "unlike.yaml").write_text(text, encoding="utf-8")
    table = run("plan", "unlike.yaml").stdout.partition("\n\n")[0]
    names = [line.split("  ")[0] for line in table.splitlines()[1:]]
    assert names == [
        "h.{0..3}.same",
        *(f"h.{i}.scaled" for i in (0,)),
        "h.{0..2}.shaped",
        "h.{0..3}.tied = h.{0..3}.same",
        *(f"h.{i}.scaled" for i in (1, 2, 3)),
        "h.3.shaped",
    ]


def test_the_parameters_shown_can_be_selected(run: Run, folder: Path) -> None:
    result = run("plan", "good.yaml", "--select", "**.bias")
    heading, bias, _, told, *_ = result.stdout.splitlines()
    assert heading.startswith("name")
    assert bias.startswith("h.{0..1}.bias  x2")
    assert told == "2 parameters shown of the plan's 6:"
    assert (
        "--select: '**.bais' matches no parameter" in run("plan", "good.yaml", "--select", "**.bais").stderr
    )
    for option in (("-o", "plan.json"), ("--format", "json")):
        refused = run("plan", "good.yaml", "--select", "**.bias", *option)
        assert refused.exit_code == 2
        assert "--select is of the table" in refused.stderr


def test_the_columns_of_the_piped_table_line_up(run: Run, folder: Path) -> None:
    table = run("plan", "good.yaml", env={"COLUMNS": "120"}).stdout.partition("\n\n")[0].splitlines()
    for heading in ("shape", "dtype", "initializer", "distribution", "fan_in"):
        column = table[0].index(heading)
        assert {line[column - 2 : column] for line in table if len(line) > column} == {"  "}
    assert {len(line) for line in table} == {len(table[0])}  # sizes end together


def test_the_rule_that_won_has_a_column_where_there_is_one(run: Run, folder: Path) -> None:
    text = """\
initcfg: 1
rules: [{match: "**.b", initializer: zeros}]
params: {a: {shape: [2], initializer: ones}, c.b: {shape: [2]}}
"""
    (folder / "ruled.yaml").write_text(text, encoding="utf-8")
    heading, own, ruled, *_ = run("plan", "ruled.yaml").stdout.splitlines()
    at = heading.index("rule")
    assert (own[at], ruled[at : at + 4]) == (" ", "**.b")
    assert " rule " not in run("plan", "good.yaml").stdout


def test_json_is_the_plan_document_and_fits_its_schema(run: Run, folder: Path) -> None:
    result = run("plan", "good.yaml", "--format", "json")
    assert (result.exit_code, result.stderr) == (0, "")
    document = json.loads(result.stdout)
    jsonschema.validate(document, json.loads(run("schema", "plan").stdout))
    assert [parameter["name"] for parameter in document["parameters"]][:2] == ["embedding", "head"]


def test_a_plan_file_is_the_same_document(run: Run, folder: Path) -> None:
    result = run("plan", "good.yaml", "-o", "plan.json")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "plan.json: 6 parameters, 544 elements, 2.1 KiB" in result.stderr
    assert (folder / "plan.json").read_text(encoding="utf-8") == run(
        "plan", "good.yaml", "--format", "json"
    ).stdout


def test_a_plan_is_replaced_and_any_other_file_only_by_force(run: Run, folder: Path) -> None:
    assert [run("plan", "good.yaml", "-o", "plan.json").exit_code for _ in range(2)] == [0, 0]
    before = (folder / "good.yaml").read_text(encoding="utf-8")
    result = run("plan", "good.yaml", "-o", "good.yaml")
    assert result.exit_code == 2
    assert "error[output]: 'good.yaml' exists, and does not say that initcfg wrote it" in result.stderr
    assert (folder / "good.yaml").read_text(encoding="utf-8") == before
    (folder / "other.json").write_text("{}", encoding="utf-8")
    assert run("plan", "good.yaml", "-o", "other.json", "--force").exit_code == 0


@pytest.mark.skipif(os.name != "posix", reason="named pipes")
def test_what_is_no_regular_file_is_never_replaced(run: Run, folder: Path) -> None:
    os.mkfifo(folder / "pipe.npz")
    for args in (("plan",), ("materialize",), ("plan", "--force"), ("materialize", "--force")):
        result = run(*args, "good.yaml", "-o", "pipe.npz")
        assert result.exit_code == 2
        assert "error[output]: 'pipe.npz' is not a regular file" in result.stderr
    assert (folder / "pipe.npz").is_fifo()


def test_a_plan_file_that_cannot_be_written_is_exit_2(run: Run, folder: Path) -> None:
    result = run("plan", "good.yaml", "-o", "nowhere/plan.json")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "error[output]" in result.stderr


@pytest.mark.parametrize("command", [("plan",), ("materialize", "-o", "out.npz")])
def test_problems_go_to_stderr_and_nothing_is_made(command: tuple[str, ...], run: Run, folder: Path) -> None:
    result = run(*command, "bad.yaml")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "bad.yaml:4:22: error[unknown-key]" in result.stderr
    assert not (folder / "out.npz").exists()


def test_problems_are_json_on_stdout_where_that_was_asked_for(run: Run, folder: Path) -> None:
    result = run("plan", "bad.yaml", "--format", "json")
    assert (result.exit_code, result.stderr) == (1, "")
    assert json.loads(result.stdout)["valid"] is False


@pytest.mark.parametrize(
    ("distribution", "text"),
    [
        (Fill(0), "fill(0)"),
        (Fill(True), "fill(True)"),
        (Fill(1.0), "fill(1)"),
        (Uniform(-0.036084391824351615, 0.036084391824351615), "uniform(-0.03608, 0.03608)"),
        (Normal(0.0, 0.0011785113019775793), "normal(0, 0.001179)"),
        (Normal(1e-30, 12345.678), "normal(1e-30, 1.235e+04)"),
        (TruncatedNormal(0.0, 0.05, -0.1, 0.1), "truncated_normal(0, 0.05) in [-0.1, 0.1]"),
        (None, "structured"),
    ],
)
def test_a_distribution_is_described_by_its_numbers(distribution: Distribution | None, text: str) -> None:
    assert describe(distribution) == text


def test_what_is_taken_from_elsewhere_says_from_where(run: Run, folder: Path) -> None:
    params = {
        "base": {"shape": [2, 3], "initializer": "ones"},
        "copy": {"shape": [2, 3], "initializer": {"parameter": "base"}},
        "norm": {"shape": [2, 1], "initializer": {"norm_of": {"parameter": "base", "axes": [-1]}}},
    }
    (folder / "base.json").write_text(json.dumps({"initcfg": 1, "params": params}), "utf-8")
    assert run("materialize", "base.json", "-o", "base.npz").exit_code == 0
    stored = {"pretrained": {"file": "base.npz", "name": "base", "rows": [0, 1]}}
    params["stored"] = {"shape": [1, 3], "initializer": stored}
    (folder / "taken.json").write_text(json.dumps({"initcfg": 1, "params": params}), "utf-8")
    told = run("plan", "taken.json", env={"COLUMNS": "200"}).stdout
    for words in ("values of base", "norm of base over axes -1", "rows 0:1 of base of base.npz"):
        assert words in told


def test_what_a_rule_leaves_out_is_said(run: Run, folder: Path) -> None:
    names = [f"w{number}" for number in range(7)]
    params = "".join(f"  {name}: {{shape: [2]}}\n" for name in names)
    rules = "rules: [{match: w0, initializer: zeros}, {match: '*', skip: true}]\n"
    (folder / "skips.yaml").write_text(f"initcfg: 1\nparams:\n{params}{rules}", "utf-8")
    lines = run("plan", "skips.yaml").stdout.splitlines()
    assert "w1 is skipped by the rule '*'" in lines
    assert lines[-1] == "and so are 1 more"


BIAS = "initcfg: 1\nvars: {n: 8}\nparams: {fc.bias: {shape: [n], initializer: random_normal}}\n"


@pytest.mark.parametrize("command", [["plan"], ["materialize", "-o", "x.npz"]])
def test_warnings_are_counted_with_the_way_to_see_them(run: Run, folder: Path, command: list[str]) -> None:
    (folder / "bias.yaml").write_text(BIAS)
    result = run(command[0], "bias.yaml", "--set", "vars.n=9", *command[1:])
    assert result.exit_code == 0
    first = result.stderr.splitlines()[0]
    assert first == "1 warning; to see it: initcfg validate bias.yaml --set vars.n=9"
    assert "warning[random-bias]" in run(*first.partition("initcfg ")[2].split()).stdout


@pytest.mark.parametrize(
    "command",
    [
        ["plan", "good.yaml"],
        ["materialize", "good.yaml"],
        ["new"],
        ["manifest", "good.yaml"],
        ["validate", "good.yaml", "--format", "json"],
    ],
    ids=lambda command: command[0],
)
def test_a_dash_is_no_name_to_write_to(run: Run, folder: Path, command: list[str]) -> None:
    result = run(*command, "-o", "-")
    assert result.exit_code == 2
    assert "-o does not write to standard output" in result.stderr
    assert not (folder / "-").exists()


CONFIGS = sorted(path.name for path in (ROOT / "configs").glob("*.yaml"))


@functools.cache
def table(config: str) -> Table:
    plan = initcfg.make_plan(ROOT / "configs" / config)
    return table_of(plan, listed(plan.parameters), brief=True)


def shown(config: str, width: int | None = None) -> str:
    return table(config).text(width)


@pytest.mark.parametrize("config", CONFIGS)
def test_a_table_breaks_no_word_and_tells_what_it_leaves_out(config: str) -> None:
    whole, _, notes = shown(config).partition("\n\n")
    known = {piece for word in whole.split() for piece in re.findall(SEGMENTS, word)}
    names = re.findall(r"^(\S+(?: = \S+)?) .*?(\([0-9, ]+\)|\(\))", whole, re.MULTILINE)
    assert len(names) == len(whole.splitlines()) - 1
    for width in (80, 120, 200):
        table, _, rest = shown(config, width).partition("\n\n")
        assert max(map(len, table.splitlines())) <= width
        pieces = {piece for word in table.split() for piece in re.findall(SEGMENTS, word)}
        assert {piece.rstrip(".") for piece in pieces} <= {piece.rstrip(".") for piece in known}
        for name, shape in names:
            assert set(re.findall(SEGMENTS, name.replace(" = ", "."))) - {"."} <= pieces | {
                f"{piece}." for piece in pieces
            }
            assert set(shape.split()) <= set(table.split())
        left_out = [
            column.heading for column in COLUMNS if column.heading in whole and column.heading not in table
        ]
        assert (f"not shown at {width} columns: {'; '.join(left_out)}" in rest) == bool(left_out)
        assert rest.startswith(notes)


# How many lines a plan may take at 80 and at 120 columns, totals included.
SCREENS = {"gpt2": 25, "llama3-8b": 25, "mlp": 25, "lenet5": 25, "mamba-130m": 40, "deepseek-v3": 40}
SCREENS |= {"resnet-50": 190}  # five tensors a normalization, under names of six segments


@pytest.mark.parametrize("config", CONFIGS)
def test_a_plan_of_repeated_layers_takes_few_lines(config: str) -> None:
    most = max(len(shown(config, width).splitlines()) for width in (80, 120))
    assert most < SCREENS.get(config.removesuffix(".yaml"), 1.75 * len(shown(config).splitlines()))


def test_neighbours_of_a_layer_stand_under_its_name_where_names_are_long(run: Run, folder: Path) -> None:
    layer = "model.decoder.layers.{i}"
    text = f"""\
initcfg: 1
layers:
  {layer}:
    repeat: {{i: 12}}
    params:
      self_attention.output.weight: {{shape: [8, 8], initializer: ones}}
      self_attention.output.bias: {{shape: [8], initializer: zeros}}
params:
  out: {{shape: [8], initializer: zeros}}
"""
    (folder / "long.yaml").write_text(text, "utf-8")
    table = run("plan", "long.yaml", env={"COLUMNS": "64"}).stdout.partition("\n\n")[0]
    assert [line.split("(")[0].rstrip() for line in table.splitlines()[1:]] == [
        "out",
        "model.decoder.layers.{0..11}.",
        "  self_attention.output.weight  x12",
        "  self_attention.output.bias    x12",
    ]


def test_lines_can_be_sorted(run: Run, folder: Path) -> None:
    def names(*options: str) -> list[str]:
        table = run("plan", "good.yaml", *options).stdout.partition("\n\n")[0]
        return [line.split()[0] for line in table.splitlines()[1:]]

    assert names("--sort", "elements") == ["embedding", "h.{0..1}.kernel", "h.{0..1}.bias", "head"]
    assert names("--sort", "name") == ["embedding", "h.{0..1}.bias", "h.{0..1}.kernel", "head"]
    assert names("--sort", "std") == ["h.{0..1}.kernel", "embedding", "h.{0..1}.bias", "head"]
    refused = run("plan", "good.yaml", "--sort", "std", "--format", "json")
    assert (refused.exit_code, "--sort is of the table" in refused.stderr) == (2, True)


def test_a_table_as_csv_has_all_digits(run: Run, folder: Path) -> None:
    rows = list(csv.DictReader(run("plan", "good.yaml", "--format", "csv").stdout.splitlines()))
    kernel = next(row for row in rows if row["name"] == "h.{0..1}.kernel")
    assert (kernel["shape"], kernel["copies"], kernel["elements"]) == ("8x16", "2", "256")
    assert float(kernel["std"]) == 0.5 / 3**0.5
    assert sum(int(row["elements"]) for row in rows) == 544
    assert len(run("plan", "good.yaml", "--format", "csv", "--full").stdout.splitlines()) == 7


@pytest.mark.parametrize("style", ["csv", "markdown", "html"])
def test_a_name_forges_no_part_of_a_document(style: str, run: Run, folder: Path) -> None:
    name = "=cmd|'</th><script>alert(1)</script>"
    (folder / "hostile.json").write_text(
        json.dumps({"initcfg": 1, "params": {name: {"shape": [2], "initializer": "ones"}}}), "utf-8"
    )
    result = run("plan", "hostile.json", "--format", style)
    assert result.exit_code == 0
    if style == "csv":
        assert next(csv.DictReader(result.stdout.splitlines()))["name"] == f"'{name}"
    else:
        assert "<script>" not in result.stdout
        cells = re.split(r"(?<!\\)\|", result.stdout.splitlines()[2])
        assert style == "html" or len(cells) == 9


def test_html_is_a_page_that_loads_nothing_and_tells_every_copy(run: Run, folder: Path) -> None:
    page = run("plan", "good.yaml", "--format", "html").stdout
    assert page.startswith("<!doctype html>")
    assert "default-src &#39;none&#39;" in page or "default-src 'none'" in page
    assert not re.search(r"<script|<link|<img|https?://|url\(", page)
    assert "h.0.kernel<br>h.1.kernel<br>" in page
    assert page.count("<svg") == 4 - 1  # not of what is tied
    assert "Plan &#39;tiny&#39;" in page


def test_a_page_has_the_name_of_one(run: Run, folder: Path) -> None:
    result = run("report", "good.yaml", "-o", "page.pdf")
    assert result.exit_code == 2
    assert "ends in .html, not as 'page.pdf'" in result.stderr
    assert not (folder / "page.pdf").exists()
    assert run("report", "good.yaml", "-o", "page.html").exit_code == 0
