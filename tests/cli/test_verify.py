"""``initcfg verify``."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pytest
from click.testing import Result
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

import initcfg
from initcfg.formats.index import INDEX_NAME, Index, index_text
from initcfg.formats.manifests import read_manifest

if TYPE_CHECKING:
    from pathlib import Path

Run = Callable[..., Result]


@pytest.fixture(params=["weights.safetensors", "weights.npz"])
def weights(request: pytest.FixtureRequest, run: Run, folder: Path) -> str:
    assert run("materialize", "good.yaml", "-o", request.param).exit_code == 0
    return str(request.param)


@pytest.fixture
def edited(run: Run, folder: Path) -> str:
    run("materialize", "good.yaml", "-o", "edited.safetensors")
    arrays = load_file("edited.safetensors")
    arrays["h.1.kernel"][3, 4] = 0.25
    save_file(arrays, "edited.safetensors")
    return "edited.safetensors"


def test_weights_that_are_equal_are_exit_0(weights: str, run: Run, folder: Path) -> None:
    result = run("verify", weights, "good.yaml")
    assert (result.exit_code, result.stdout) == (0, "")
    tensors = 5 if weights.endswith(".safetensors") else 6
    assert result.stderr.startswith(f"{weights}: equal to what good.yaml makes, {tensors} parameters, ")


def test_weights_are_verified_by_a_plan_on_standard_input(weights: str, run: Run, folder: Path) -> None:
    plan = run("plan", "good.yaml", "--format", "json").stdout
    assert run("verify", weights, "-", input=plan).exit_code == 0


def test_the_first_element_that_differs_is_shown_and_exit_is_1(edited: str, run: Run) -> None:
    result = run("verify", edited, "good.yaml")
    assert result.exit_code == 1
    note, error, hint = result.stdout.splitlines()
    assert note.startswith("edited.safetensors: note[fingerprint]: the file carries no fingerprint")
    assert error.startswith(
        "edited.safetensors: error[values]: 'h.1.kernel'[3, 4] is 0.25 in the file, the plan "
    )
    assert error.endswith("; 1 of 128 elements differ")
    assert hint.startswith("  help: ")
    assert "edited.safetensors: 1 error" in result.stderr
    assert run("verify", edited, "good.yaml", "--select", "h.0.**").exit_code == 0


def test_another_plan_is_said_first(weights: str, run: Run, folder: Path) -> None:
    result = run("verify", weights, "good.yaml", "--set", "seed=8")
    assert result.exit_code == 1
    assert result.stdout.startswith(f"{weights}: warning[fingerprint]: the file was made from another plan")
    kernels = [line for line in result.stdout.splitlines() if "kernel" in line]
    assert len(kernels) == 1
    assert "'h.0.kernel'[0, 0] is" in kernels[0]
    assert kernels[0].endswith("128 of 128 elements differ; likewise in 'h.{0..1}.kernel' (x2)")


@pytest.mark.parametrize("style", ["json", "sarif", "junit", "github"])
def test_reports_are_those_of_every_checking_command(style: str, edited: str, run: Run) -> None:
    result = run("verify", edited, "good.yaml", "--format", style)
    assert result.exit_code == 1
    assert "h.1.kernel" in result.stdout
    if style == "json":
        document = json.loads(result.stdout)
        assert [found["code"] for found in document["diagnostics"]] == ["fingerprint", "values"]


def test_weights_alone_are_held_against_the_spec_that_they_carry(
    weights: str, run: Run, folder: Path
) -> None:
    result = run("verify", weights)
    assert result.exit_code == 0
    assert "not their origin" in result.stdout
    assert "equal to what the spec in it makes" in result.stderr


def test_without_any_spec_the_fingerprint_is_told(weights: str, run: Run, folder: Path) -> None:
    fingerprint = json.loads(run("plan", "good.yaml", "--format", "json").stdout)["fingerprint"]
    run("materialize", "good.yaml", "-o", weights, "--no-spec")
    result = run("verify", weights)
    assert result.exit_code == 2
    assert f"were made from the plan with fingerprint {fingerprint}" in result.stdout
    result = run("verify", "nothing.safetensors")
    assert result.exit_code == 2
    assert "cannot read the file" in result.stdout


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("short.safetensors", b"123"),
        ("long.safetensors", b"\xff" * 64),
        ("zip.npz", b"PK\x03\x04"),
        ("w.h5", b""),
    ],
)
def test_a_file_that_is_malformed_is_exit_2(name: str, content: bytes, run: Run, folder: Path) -> None:
    (folder / name).write_bytes(content)
    result = run("verify", name, "good.yaml")
    assert result.exit_code == 2
    assert "error[format]" in result.stdout


def test_problems_of_the_spec_are_those_of_the_spec(weights: str, run: Run, folder: Path) -> None:
    result = run("verify", weights, "bad.yaml")
    assert result.exit_code == 1
    assert "bad.yaml:4:22: error[unknown-key]" in result.stdout
    assert run("verify", weights, "nothing.yaml").exit_code == 2


@pytest.mark.parametrize("pattern", ["{", "nobody.*"])
def test_a_pattern_that_selects_nothing_is_a_wrong_command_line(pattern: str, edited: str, run: Run) -> None:
    result = run("verify", edited, "good.yaml", "--select", pattern)
    assert result.exit_code == 2
    assert "--select: " in result.stderr


@pytest.fixture
def sharded(folder: Path) -> str:
    """A folder with a set of the weights that good.yaml describes, a shard for each tensor."""
    initcfg.save("good.yaml", "whole.safetensors")
    with safe_open("whole.safetensors", "numpy") as file:
        texts = file.metadata()
    (folder / "set").mkdir()
    arrays = load_file("whole.safetensors")
    shards = {name: f"model-{at:05}-of-00005.safetensors" for at, name in enumerate(sorted(arrays), 1)}
    for name, shard in shards.items():
        save_file({name: arrays[name]}, folder / "set" / shard, texts)
    total = sum(array.nbytes for array in arrays.values())
    (folder / "set" / INDEX_NAME).write_text(index_text(Index(shards, total, metadata=texts)))
    return "set"


@pytest.mark.parametrize("name", ["set", "set/", f"set/{INDEX_NAME}"])
def test_a_set_that_is_equal_is_exit_0(name: str, sharded: str, run: Run) -> None:
    result = run("verify", name, "good.yaml")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr.startswith(f"{name}: equal to what good.yaml makes, 5 parameters, ")


def test_of_a_set_the_shard_that_differs_is_named(sharded: str, run: Run, folder: Path) -> None:
    shard = "set/model-00002-of-00005.safetensors"
    content = (folder / shard).read_bytes()
    (folder / shard).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    result = run("verify", sharded, "good.yaml")
    assert result.exit_code == 1
    assert result.stdout.startswith(f"{shard}: error[values]: 'h.0.bias'[15] is ")
    document = json.loads(run("verify", sharded, "good.yaml", "--format", "json").stdout)
    assert [found["file"] for found in document["diagnostics"]] == [shard]


def test_a_set_alone_is_held_against_the_spec_in_its_index(sharded: str, run: Run) -> None:
    result = run("verify", sharded)
    assert result.exit_code == 0
    assert "not their origin" in result.stdout


def test_a_set_without_its_index_is_exit_2(sharded: str, run: Run, folder: Path) -> None:
    (folder / sharded / INDEX_NAME).unlink()
    result = run("verify", sharded, "good.yaml")
    assert result.exit_code == 2
    assert "unfinished set" in result.stdout
    assert (
        "give the command that wrote it again, or, where ranks did, initcfg finalize 'set'" in result.stdout
    )


def test_a_set_has_the_manifest_of_the_whole(sharded: str, run: Run, folder: Path) -> None:
    assert run("manifest", sharded, "-o", "shapes.yaml").exit_code == 0
    assert read_manifest("shapes.yaml") == read_manifest("whole.safetensors")


def test_names_with_a_prefix_are_stripped_or_renamed(run: Run, folder: Path) -> None:
    run("materialize", "good.yaml", "-o", "w.safetensors")
    save_file({f"model.{name}": each for name, each in load_file("w.safetensors").items()}, "m.safetensors")
    assert run("verify", "m.safetensors", "good.yaml", "--strip-prefix", "model.").exit_code == 0
    assert run("verify", "m.safetensors", "good.yaml", "--rename", "model=").exit_code == 0
    assert "\nh.{0..1}.kernel" in run("inspect", "m.safetensors", "--strip-prefix", "model").stdout


@pytest.mark.parametrize("command", [("verify", "w.safetensors", "good.yaml"), ("inspect", "w.safetensors"),
                                     ("diff", "good.yaml", "good.yaml")])  # fmt: skip
@pytest.mark.parametrize("rename", ["h", "h.*=x"])
def test_a_rename_that_is_malformed_is_a_wrong_command_line(
    command: tuple[str, ...], rename: str, run: Run, folder: Path
) -> None:
    run("materialize", "good.yaml", "-o", "w.safetensors")
    result = run(*command, "--rename", rename)
    assert result.exit_code == 2
    assert "rename" in result.stderr


def test_swapped_arguments_are_told_with_the_right_order(run: Run, folder: Path) -> None:
    run("materialize", "good.yaml", "-o", "w.safetensors")
    result = run("verify", "good.yaml", "w.safetensors")
    assert result.exit_code == 2
    assert "initcfg verify w.safetensors good.yaml" in result.stderr


def test_a_file_of_torch_names_the_extra_where_torch_is_missing(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "step0.pt").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "torch", None)
    result = run("verify", "step0.pt", "good.yaml")
    assert result.exit_code == 2
    assert "initcfg[torch]" in result.stdout
    assert "safetensors" in run("inspect", "step0.pt").stderr


def test_what_is_said_of_copies_of_a_layer_is_one_line_of_text_and_each_by_itself_in_json(
    run: Run, folder: Path
) -> None:
    run("materialize", "good.yaml", "-o", "w.safetensors")
    arrays = load_file("w.safetensors")
    save_file({name: each for name, each in arrays.items() if not name.endswith("kernel")}, "w.safetensors")
    lines = [
        line for line in run("verify", "w.safetensors", "good.yaml").stdout.splitlines() if "kernel" in line
    ]
    assert len([line for line in lines if "error" in line]) == 1
    assert "{0..1}" in lines[0]
    assert lines[0].endswith("(x2)")
    document = json.loads(run("verify", "w.safetensors", "good.yaml", "--format", "json").stdout)
    assert len([each for each in document["diagnostics"] if each["code"] == "missing-tensor"]) == 2


def test_weights_of_other_bits_follow_the_laws(run: Run, folder: Path) -> None:
    run("materialize", "good.yaml", "-o", "w.safetensors", "--set", "seed=99")
    assert run("verify", "w.safetensors", "good.yaml").exit_code == 1
    result = run("verify", "w.safetensors", "good.yaml", "--law")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "with a probability of at most 1e-06" in result.stderr
    assert "w.safetensors: follows the laws of good.yaml" in result.stderr


def test_a_tensor_of_several_laws_is_counted_once(run: Run, folder: Path) -> None:
    parts = {"initializers": ["he_normal", "zeros"], "sizes": [32, 32], "axis": 0}
    spec = {
        "initcfg": 1,
        "layout": "in_out",
        "params": {
            "w": {"shape": [64, 64], "initializer": {"concatenate": parts}},
            "c": {"shape": [64, 64], "dtype": "complex64", "initializer": "he_normal"},
        },
    }
    (folder / "parts.json").write_text(json.dumps(spec))
    run("materialize", "parts.json", "-o", "w.safetensors")
    assert "2 of 2 tensors follow" in run("verify", "w.safetensors", "parts.json", "--law").stderr
    arrays = load_file("w.safetensors")
    save_file(arrays | {"w": 2 * arrays["w"]}, "w.safetensors")
    assert "1 of 2 tensors follow" in run("verify", "w.safetensors", "parts.json", "--law").stderr


def test_what_fails_its_law_is_shown_beside_what_is_meant(run: Run, folder: Path) -> None:
    run("materialize", "good.yaml", "-o", "w.safetensors")
    arrays = load_file("w.safetensors")
    for name in arrays:
        if name.endswith("kernel"):
            arrays[name] *= 3
    save_file(arrays, "w.safetensors")
    result = run("verify", "w.safetensors", "good.yaml", "--law", "--select", "h.*.kernel")
    assert result.exit_code == 1
    heading, row, *_ = result.stdout.splitlines()
    assert heading.split()[:1] == ["name"]
    assert row.startswith("h.{0..")
    assert "error[law]" in result.stdout
    full = run("verify", "w.safetensors", "good.yaml", "--law", "--full")
    assert full.stdout.count("\nh.") > 1
    document = json.loads(run("verify", "w.safetensors", "good.yaml", "--law", "--format", "json").stdout)
    assert {found["code"] for found in document["diagnostics"]} == {"law"}


def test_what_is_never_finite_has_no_bounds_and_no_names_in_common_no_tests(run: Run, folder: Path) -> None:
    save_file({"w": np.full(32, np.nan, "float32")}, "w.safetensors")
    for name in ("w", "other"):
        params = {name: {"shape": [32], "initializer": "zeros"}}
        (folder / f"{name}.json").write_text(json.dumps({"initcfg": 1, "params": params}))
    result = run("verify", "w.safetensors", "w.json", "--law")
    assert "w" in result.stdout.splitlines()[1]
    assert "inf" not in result.stdout.partition("error[")[0]
    assert "tensors follow" not in run("verify", "w.safetensors", "other.json", "--law").stderr


def test_options_of_laws_need_them(run: Run, folder: Path) -> None:
    for option in (["--full"], ["--false-alarms", "0.1"]):
        assert run("verify", "w.safetensors", "good.yaml", *option).exit_code == 2
