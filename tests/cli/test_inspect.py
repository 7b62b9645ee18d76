"""``initcfg inspect``."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from typing import TYPE_CHECKING

import ml_dtypes
import numpy as np
import pytest
from click.testing import Result
from safetensors.numpy import save_file

from initcfg.formats.index import INDEX_NAME, Index, index_text

if TYPE_CHECKING:
    from pathlib import Path

Run = Callable[..., Result]


@pytest.fixture
def weights(folder: Path) -> str:
    arrays = {
        "a.w": np.array([[1.0, -1.0], [0.0, np.inf]], "float32"),
        "a.empty": np.zeros((0, 3), "float16"),
        "b": np.array([3, 5], "int64"),
        "c": np.array(0.5, ml_dtypes.bfloat16),
    }
    save_file(arrays, "w.safetensors", {"note": "x\ny", "long": "z" * 999})
    return "w.safetensors"


def test_a_table_tells_what_every_tensor_comes_to(run: Run, weights: str) -> None:
    result = run("inspect", weights)
    assert (result.exit_code, result.stderr) == (0, "")
    table, _, totals = result.stdout.partition("\n\n")
    rows = {line.split()[0]: " ".join(line.split()[1:]) for line in table.splitlines()}
    assert rows == {
        "name": "shape dtype size mean std min max zeros non-finite",
        "a.w": "(2, 2) float32 16 bytes 0 0.8165 -1 1 25% 1",
        "a.empty": "(0, 3) float16 0 bytes - - - - - 0",
        "b": "(2,) int64 16 bytes 4 1 3 5 0% 0",
        "c": "() bfloat16 2 bytes 0.5 0 0.5 0.5 0% 0",
    }
    lines = totals.splitlines()
    assert lines[:2] == [
        "4 tensors, 7 elements, 34 bytes, 1 not finite",
        "fingerprint: none; another program wrote this, or the plan held code",
    ]
    assert sorted(lines[2:]) == [f"long: {'z' * 200} ... (999 characters)", r"note: x\ny"]


def test_as_json_it_has_all_digits(run: Run, weights: str) -> None:
    document = json.loads(run("inspect", weights, "--format", "json").stdout)
    assert document["metadata"]["note"] == "x\ny"
    assert document["totals"] == {"tensors": 4, "elements": 7, "bytes": 34, "non_finite": 1}
    tensors = {tensor["name"]: tensor for tensor in document["tensors"]}
    assert tensors["a.w"]["values"] == {
        "mean": 0.0,
        "std": 0.816496580927726,
        "min": -1.0,
        "max": 1.0,
        "zeros": 1,
        "non_finite": 1,
    }
    assert tensors["a.empty"]["values"]["mean"] is None
    assert (tensors["b"]["shape"], tensors["b"]["shard"]) == ([2], None)


def test_the_header_alone_reads_no_values(run: Run, weights: str) -> None:
    assert "mean" not in run("inspect", weights, "--header").stdout
    assert '"values"' not in run("inspect", weights, "--header", "--format", "json").stdout


def test_a_pattern_selects(run: Run, weights: str) -> None:
    document = json.loads(run("inspect", weights, "--select", "a.*", "--format", "json").stdout)
    assert [tensor["name"] for tensor in document["tensors"]] == ["a.empty", "a.w"]


def test_layers_come_in_the_order_of_their_numbers(run: Run, folder: Path) -> None:
    save_file({f"h.{at}.w": np.zeros(2, "float32") for at in (10, 2, 1, 0)}, "h.safetensors")
    document = json.loads(run("inspect", "h.safetensors", "--format", "json").stdout)
    assert [tensor["name"] for tensor in document["tensors"]] == ["h.0.w", "h.1.w", "h.2.w", "h.10.w"]


@pytest.mark.parametrize("pattern", ["{", "nobody.*"])
def test_a_pattern_that_selects_nothing_is_a_wrong_command_line(pattern: str, run: Run, weights: str) -> None:
    result = run("inspect", weights, "--select", pattern)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "--select: " in result.stderr


def test_of_a_set_each_tensor_has_its_shard(run: Run, folder: Path) -> None:
    (folder / "set").mkdir()
    save_file({"a": np.zeros(2)}, "set/1.safetensors", {"initcfg.plan": "p"})
    save_file({"b": np.ones(2)}, "set/2.safetensors", {"initcfg.plan": "p"})
    index = Index({"a": "1.safetensors", "b": "2.safetensors"}, 32, metadata={"initcfg.plan": "p"})
    (folder / "set" / INDEX_NAME).write_text(index_text(index))
    result = run("inspect", "set", env={"COLUMNS": "120"})
    assert [line.split()[-1] for line in result.stdout.splitlines()[:3]] == [
        "shard",
        "1.safetensors",
        "2.safetensors",
    ]
    assert result.stdout.endswith("2 tensors, 4 elements, 32 bytes, 2 shards\nfingerprint: p\n")
    document = json.loads(run("inspect", f"set/{INDEX_NAME}", "--format", "json").stdout)
    assert document["shards"] == ["1.safetensors", "2.safetensors"]


def test_our_own_weights_have_a_fingerprint(run: Run, folder: Path) -> None:
    run("materialize", "good.yaml", "-o", "w.npz")
    fingerprint = json.loads(run("plan", "good.yaml", "--format", "json").stdout)["fingerprint"]
    assert f"\nfingerprint: {fingerprint}\n" in run("inspect", "w.npz").stdout


def test_a_name_cannot_forge_a_line_or_steer_a_terminal(run: Run, folder: Path) -> None:
    save_file({"w\n\x1b[31m\u202ex": np.zeros(1)}, "w.safetensors", {"k\x07": "\x9b"})
    shown = run("inspect", "w.safetensors").stdout
    assert "w\\n\\x1b[31m\\u202ex" in shown
    assert "k\\x07: \\x9b" in shown
    assert not set("\x1b\x07\x9b\u202e") & set(shown)


def test_what_cannot_be_read_is_exit_2(run: Run, folder: Path) -> None:
    for name in ("nothing.safetensors", ".", "good.yaml"):
        result = run("inspect", name)
        assert (result.exit_code, result.stdout) == (2, "")
        assert "error[" in result.stderr


def test_a_report_names_the_file_that_is_no_weights(run: Run, folder: Path) -> None:
    assert run("inspect", "good.yaml").stderr.startswith("good.yaml: error[format]: '.yaml' is not a format")
    (report,) = json.loads(run("inspect", "good.yaml", "--format", "json").stdout)["files"]
    assert report["file"] == "good.yaml"


@pytest.fixture
def two(folder: Path) -> tuple[str, str]:
    """Weights of two widths, and one tensor that only the second file has."""
    rng = np.random.default_rng(0)
    arrays = {f"h.{at}.w": rng.normal(0, 0.02, (8, 8)).astype("float32") for at in range(3)}
    save_file(arrays, "a.safetensors")
    save_file({name: 2 * array for name, array in arrays.items()} | {"new": np.ones(3)}, "b.safetensors")
    return "a.safetensors", "b.safetensors"


def test_files_stand_beside_each_other(run: Run, two: tuple[str, str]) -> None:
    result = run("inspect", *two, env={"COLUMNS": "120"})
    assert result.exit_code == 0
    heads, copies, alone, *_ = (line.split() for line in result.stdout.splitlines())
    assert heads == ["name", "shape", "std", "1", "std", "2", "mean", "1", "mean", "2"]
    assert copies[:5] == ["h.{0..2}.w", "x3", "(8,", "8)", "float32"]
    assert alone == ["new", "(3,)", "float64", "absent", "0", "1"]
    assert "1: a.safetensors: 3 tensors" in result.stdout
    header = run("inspect", *two, "--header").stdout
    assert "std" not in header
    assert "absent" in header
    documents = json.loads(run("inspect", *two, "--format", "json").stdout)["files"]
    assert [each["totals"]["tensors"] for each in documents] == [3, 4]


def test_csv_has_a_line_for_each_file_with_all_digits(run: Run, two: tuple[str, str]) -> None:
    rows = list(csv.DictReader(io.StringIO(run("inspect", *two, "--format", "csv").stdout)))
    assert [(row["file"], row["name"], row["copies"]) for row in rows] == [
        ("a.safetensors", "h.{0..2}.w", "3"),
        ("b.safetensors", "h.{0..2}.w", "3"),
        ("b.safetensors", "new", "1"),
    ]
    assert float(rows[1]["std"]) == 2 * float(rows[0]["std"])


def test_lines_are_sorted_and_what_has_no_value_comes_last(run: Run, two: tuple[str, str]) -> None:
    def names(*args: str) -> list[str]:
        rows = csv.DictReader(io.StringIO(run("inspect", two[1], "--format", "csv", *args).stdout))
        return [row["name"] for row in rows]

    assert names("--sort", "elements") == ["h.{0..2}.w", "new"]
    assert names("--sort", "std", "--full")[-1] == "new"
    assert names("--sort", "std", "--header") == names()
    assert run("inspect", two[1], "--sort", "std", "--format", "json").exit_code == 2


@pytest.mark.parametrize("width", [50, 80, 120])
@pytest.mark.parametrize("style", [(), ("--header",)])
def test_several_files_fit_the_terminal(
    style: tuple[str, ...], width: int, run: Run, two: tuple[str, str]
) -> None:
    shown = run("inspect", *two, *two, *style, env={"COLUMNS": str(width)}).stdout
    assert max(map(len, shown.splitlines())) <= width
    assert shown.splitlines()[0].split()[0] == "name"
    assert "1" in shown.splitlines()[0]
