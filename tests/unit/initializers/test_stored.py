"""Values copied from a weights file: the same, slice by slice, and nothing that a document may not read."""

from __future__ import annotations

import pickle
from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING

import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy

import initcfg
from initcfg.errors import Code, InitializerError, SpecError
from initcfg.initializers import Pretrained, deserialize, serialize

if TYPE_CHECKING:
    from pathlib import Path

NUMBERS = np.random.default_rng(1).normal(size=(7, 5)).astype(np.float32)
SPEC = """
initcfg: 1
layers:
  h.{i}: {repeat: {i: 3}, params: {w: {shape: [7, 5]}}}
params:
  old: {shape: [7, 5], initializer: {pretrained: {file: base.safetensors, name: h.1.w}}}
  both: {shape: [8, 5], initializer: {concatenate: {axis: 0, sizes: [1, 7], initializers: [zeros, old]}}}
initializers: {old: {pretrained: {file: base.safetensors, name: h.2.w}}}
rules: [{match: "**", initializer: {pretrained: {file: base.safetensors}}}]
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with weights and a spec over them."""
    monkeypatch.chdir(tmp_path)
    safetensors.numpy.save_file({f"h.{i}.w": NUMBERS + i for i in range(3)}, "base.safetensors")
    (tmp_path / "s.yaml").write_text(SPEC)
    return tmp_path


def problems(document: object, **options: object) -> list[tuple[Code, str]]:
    with pytest.raises(SpecError) as caught:
        initcfg.make_plan(document, **options)  # type: ignore[arg-type]
    return [(each.code, each.message) for each in caught.value.diagnostics]


def one(**config: object) -> dict[str, object]:
    """A spec of one parameter, which is (7, 5)."""
    return {"initcfg": 1, "params": {"w": {"shape": [7, 5], "initializer": {"pretrained": config}}}}


def test_the_tensor_is_named_or_has_the_name_of_the_parameter(folder):
    weights = initcfg.materialize("s.yaml")
    for i in range(3):
        np.testing.assert_array_equal(weights[f"h.{i}.w"], NUMBERS + i)
    np.testing.assert_array_equal(weights["old"], NUMBERS + 1)
    np.testing.assert_array_equal(weights["both"], np.vstack([np.zeros((1, 5)), NUMBERS + 2]))


def test_a_slice_is_read_without_the_rest(folder, monkeypatch):
    plan = initcfg.make_plan("s.yaml")
    read = []
    from initcfg.formats.reading import WeightsFile

    whole = WeightsFile.read
    monkeypatch.setattr(
        WeightsFile, "read", lambda self, *what: read.append(what[2] - what[1]) or whole(self, *what)
    )
    np.testing.assert_array_equal(initcfg.materialize(plan["h.1.w"][2:4, ::2]), (NUMBERS + 1)[2:4, ::2])
    np.testing.assert_array_equal(initcfg.materialize(plan["both"][1:3]), (NUMBERS + 2)[:2])
    assert sum(read) <= 20


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64", "float8_e4m3fn"])
def test_floats_are_rounded_once(folder, dtype):
    made = Pretrained("base.safetensors", "h.0.w")((7, 5), dtype)
    np.testing.assert_array_equal(made, NUMBERS.astype(getattr(ml_dtypes, dtype, None) or dtype))


def test_doubles_are_not_rounded_on_their_way(folder):
    between = np.array([1 + 2.0**-8 + 2.0**-30])  # through float32 it would become a tie, and 1
    safetensors.numpy.save_file({"w": between}, "wide.safetensors")
    assert Pretrained("wide.safetensors", "w")((1,), "bfloat16") == 1 + 2.0**-7


def test_values_that_are_not_finite_stay(folder):
    special = np.array([np.inf, -np.inf, np.nan, -0.0], np.float32)
    safetensors.numpy.save_file({"w": special}, "special.safetensors")
    made = Pretrained("special.safetensors", "w")((4,), "bfloat16").astype(np.float32)
    np.testing.assert_array_equal(made, special)
    assert np.signbit(made[3])


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        (np.array([1, 1e30], "float32"), "float16"),
        (np.array([1, 2**40]), "int32"),
        (np.array([1, -1]), "uint64"),
    ],
)
def test_what_a_dtype_cannot_hold_is_an_error(folder, values, dtype):
    safetensors.numpy.save_file({"w": values}, "large.safetensors")
    with pytest.raises(
        InitializerError, match=rf"tensor 'w' of 'large.safetensors': the value .* in {dtype}"
    ) as caught:
        Pretrained("large.safetensors", "w")((2,), dtype)
    assert caught.value.diagnostics[0].code is Code.DTYPE_VALUE


def test_integers_of_another_width_are_exact(folder):
    safetensors.numpy.save_file({"w": np.array([-3, 2**31 - 1])}, "whole.safetensors")
    assert Pretrained("whole.safetensors", "w")((2,), "int32").tolist() == [-3, 2**31 - 1]


def test_npz_and_sharded_sets_are_read_too(folder):
    np.savez("base.npz", allow_pickle=False, **{"h.0.w": NUMBERS})
    initcfg.save_sharded("s.yaml", "set", shard_size=200)
    for file in ("base.npz", "set", "set/model.safetensors.index.json"):
        made = initcfg.materialize(initcfg.make_plan(one(file=file, name="h.0.w"), root="."))["w"]
        np.testing.assert_array_equal(made, NUMBERS)


def test_mistakes_name_the_file_and_the_way_out(folder):
    def parameter(shape: list[int], dtype: str = "float32", **changed: str) -> dict[str, object]:
        config = {"file": "base.safetensors", "name": "h.0.w"} | changed
        return {"shape": shape, "dtype": dtype, "initializer": {"pretrained": config}}

    wrong = {
        "shape": parameter([5, 7]),
        "name": parameter([7, 5], name="h.0.q"),
        "kind": parameter([7, 5], "int8"),
        "file": parameter([7, 5], file="lost.safetensors"),
        "index": parameter([7, 5], name="h.{i}.w"),
    }
    assert problems({"initcfg": 1, "params": wrong}, root=".") == [
        (Code.INITIALIZER_SHAPE, "tensor 'h.0.w' of 'base.safetensors' has shape (7, 5), not (5, 7)"),
        (Code.UNKNOWN_PARAMETER, "'base.safetensors' has no tensor 'h.0.q'"),
        (Code.DTYPE_VALUE, "tensor 'h.0.w' of 'base.safetensors' is float32, not int8"),
        (Code.INPUT, "'lost.safetensors': cannot read the file: no such file or directory"),
        (Code.UNKNOWN_NAME, "name 'i' is not defined"),
    ]


def test_outside_a_spec_a_name_is_needed(folder):
    with pytest.raises(InitializerError, match="needs the name of a tensor"):
        Pretrained("base.safetensors")((7, 5))


@pytest.mark.parametrize("way", ["path", "link", "folder of a set"])
def test_a_document_reads_nothing_outside_its_root(folder, way):
    (folder / "inner").mkdir()
    file = {"path": "../base.safetensors", "link": "link.safetensors", "folder of a set": "set"}[way]
    (folder / "inner" / "link.safetensors").symlink_to(folder / "base.safetensors")
    (folder / "inner" / "set").mkdir()
    (folder / "inner" / "set" / "model.safetensors").symlink_to(folder / "base.safetensors")
    found = problems(one(file=file, name="h.0.w"), root="inner")
    assert [code for code, _ in found] == [Code.OUTSIDE_ROOT]
    assert initcfg.make_plan(one(file=f"inner/{file}", name="h.0.w"), root=".")["w"].shape == (7, 5)


def test_a_plan_file_reads_nothing_outside_its_root(folder):
    (folder / "plan.json").write_text(initcfg.make_plan("s.yaml").to_json())
    assert initcfg.read_plan("plan.json").fingerprint == initcfg.make_plan("s.yaml").fingerprint
    (folder / "inner").mkdir()
    with pytest.raises(SpecError) as caught:
        initcfg.read_plan("plan.json", root="inner")
    assert caught.value.diagnostics[0].code is Code.OUTSIDE_ROOT


def test_what_a_plan_may_read_is_held_in_the_root_when_it_is_made(folder):
    plan = initcfg.make_plan(one(file="base.safetensors", name="h.0.w"), root=".")
    (folder / "away").mkdir()
    outside = folder.parent / "outside.safetensors"
    safetensors.numpy.save_file({"h.0.w": NUMBERS + 9}, outside)
    (folder / "base.safetensors").unlink()
    (folder / "base.safetensors").symlink_to(outside)
    with pytest.raises(InitializerError, match="leads out of the root folder"):
        initcfg.materialize(plan)


def test_a_path_is_relative_to_the_document_that_holds_it(folder):
    (folder / "low").mkdir()
    (folder / "base.safetensors").rename(folder / "low" / "base.safetensors")
    (folder / "s.yaml").rename(folder / "low" / "s.yaml")
    (folder / "up.yaml").write_text("initcfg: 1\nextends: low/s.yaml\n")
    assert initcfg.make_plan("up.yaml").fingerprint == initcfg.make_plan("low/s.yaml").fingerprint
    dumped = initcfg.load_spec("up.yaml")
    assert dumped.rules[0].initializer.config["file"] == "low/base.safetensors"


def test_the_fingerprint_is_of_the_values(folder):
    before = initcfg.make_plan("s.yaml").fingerprint
    safetensors.numpy.save_file({f"other.{i}": NUMBERS + i for i in range(3)}, "moved.safetensors")
    (folder / "s.yaml").write_text(
        SPEC.replace("file: base.safetensors, name: h.", "file: moved.safetensors, name: other.").replace(
            ".w}", "}"
        )
    )
    assert initcfg.make_plan("s.yaml").fingerprint == before
    safetensors.numpy.save_file({f"h.{i}.w": NUMBERS + i + (i == 2) for i in range(3)}, "base.safetensors")
    assert initcfg.make_plan("s.yaml").fingerprint != before


def test_a_plan_whose_file_was_replaced_says_so(folder):
    (folder / "plan.json").write_text(initcfg.make_plan("s.yaml").to_json())
    safetensors.numpy.save_file({f"h.{i}.w": NUMBERS - i - 1 for i in range(3)}, "base.safetensors")
    with pytest.raises(SpecError) as caught:
        initcfg.read_plan("plan.json")
    (problem,) = caught.value.diagnostics
    assert problem.code is Code.EDITED_PLAN
    assert "the plan was edited, or 'base.safetensors' holds other values since" in problem.message
    assert problem.hint.startswith("put the old file back")


def test_planning_reads_no_values(folder, monkeypatch):
    monkeypatch.setattr("initcfg.formats.reading.WeightsFile.read", None)
    assert len(initcfg.make_plan("s.yaml")) == 5


def test_a_file_that_was_replaced_is_opened_anew(folder):
    made = Pretrained("base.safetensors", "h.0.w")
    np.testing.assert_array_equal(made((7, 5)), NUMBERS)
    safetensors.numpy.save_file({"h.0.w": NUMBERS * 2}, "base.safetensors")
    np.testing.assert_array_equal(made((7, 5)), NUMBERS * 2)


def test_what_a_fingerprint_was_told_of_is_not_made_of_other_values(folder):
    plan = initcfg.make_plan("s.yaml")
    assert plan.fingerprint
    safetensors.numpy.save_file({f"h.{i}.w": NUMBERS + i for i in range(3)}, "base.safetensors")
    assert initcfg.materialize(plan)  # another file, with the same values
    safetensors.numpy.save_file({f"h.{i}.w": NUMBERS - i for i in range(3)}, "base.safetensors")
    for again in (plan, pickle.loads(pickle.dumps(plan))):
        with pytest.raises(InitializerError, match="has other values than when its plan was made"):
            initcfg.materialize(again)
        with pytest.raises(InitializerError, match="has other values than when its plan was made"):
            initcfg.save(again, "w.safetensors")


def test_it_goes_to_other_processes_and_into_files(folder):
    plan = pickle.loads(pickle.dumps(initcfg.make_plan("s.yaml")))
    with ProcessPoolExecutor(1) as pool:
        initcfg.save_sharded(plan, "set", shard_size=300, executor=pool)
    assert initcfg.verify("set", "s.yaml")
    initcfg.save("s.yaml", "one.safetensors")
    assert initcfg.verify("one.safetensors", "s.yaml")


def test_the_config_is_that_of_the_arguments(folder):
    made = Pretrained(folder / "base.safetensors", "h.0.w")
    assert made.get_config() == {"file": str(folder / "base.safetensors"), "name": "h.0.w", "rows": None}
    assert deserialize(serialize(made)) == made


def test_rows_are_taken_alone(folder):
    made = Pretrained("base.safetensors", "h.0.w", rows=[2, 6])
    np.testing.assert_array_equal(made((4, 5)), NUMBERS[2:6])
    assert made.digest() != Pretrained("base.safetensors", "h.0.w", rows=[1, 5]).digest()
    old = {"pretrained": {"file": "base.safetensors", "name": "h.0.w", "rows": ["n - 1", "n + 2"]}}
    grown = {"patch": {"base": "zeros", "patches": [{"at": ["1:4"], "initializer": old}]}}
    document = {"initcfg": 1, "vars": {"n": 3}, "params": {"w": {"shape": [5, 5], "initializer": grown}}}
    weights = initcfg.materialize(initcfg.make_plan(document, root="."))["w"]
    np.testing.assert_array_equal(weights, np.vstack([np.zeros((1, 5)), NUMBERS[2:5], np.zeros((1, 5))]))


@pytest.mark.parametrize("rows", [[0, 8], [5, 4], [1]])
def test_rows_that_are_not_there_are_refused(folder, rows):
    with pytest.raises(InitializerError, match="rows"):
        Pretrained("base.safetensors", "h.0.w", rows=rows)((2, 5))
