"""A weights file held against its plan: equal bit for bit or within a tolerance, or each difference named."""

from __future__ import annotations

import json
import re
import tracemalloc
from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

import initcfg
from initcfg.errors import Code, FormatError, InitcfgError
from initcfg.generate.work import CHUNK
from initcfg.initializers import (
    Concatenate,
    ConvolutionalOrthogonal,
    DeltaOrthogonal,
    LooksLinear,
    Orthogonal,
    Sparse,
    Zeros,
)
from initcfg.verification import Verification, verify
from initcfg.verification.checking import TOLERANCE, mismatch, tolerance_of

if TYPE_CHECKING:
    from pathlib import Path


SPEC: dict[str, Any] = {
    "initcfg": 1,
    "layout": "in_out",
    "params": {
        "big": {"shape": [3, CHUNK // 2 + 5], "initializer": {"random_normal": {"stddev": 0.02}}},
        "narrow": {"shape": [7, 3], "dtype": "bfloat16", "initializer": "glorot_uniform"},
        "bias": {"shape": [5], "initializer": "zeros"},
        "frame": {"shape": [8, 4], "initializer": "orthogonal"},
        "empty": {"shape": [0, 2], "initializer": "ones"},
        "scalar": {"shape": [], "initializer": "ones"},
        "head": {"shape": [5], "tied_to": "bias"},
    },
}
PLAN = initcfg.make_plan(SPEC)


def problems(verification: Verification) -> list[tuple[str, str]]:
    return [(found.severity, str(found.code)) for found in verification.diagnostics]


def saved(path: Path, spec: Any = SPEC, **settings: Any) -> Path:
    return initcfg.save(spec, path, **settings).path


def rewritten(path: Path, change: Any, *, metadata: bool = True) -> Path:
    """A copy of our file with other arrays, as the reference writer makes it."""
    arrays = load_file(path)
    with safe_open(path, "numpy") as file:
        texts = file.metadata() if metadata else None
    change(arrays)
    save_file(arrays, path, texts)
    return path


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("settings", [{}, {"write_tied": True}, {"select": "b*"}])
def test_what_was_saved_is_equal(threads: int, settings: dict[str, Any], tmp_path: Path) -> None:
    path = saved(tmp_path / "w.safetensors", **settings)
    found = verify(path, PLAN, threads=threads, select=settings.get("select"))
    assert found.diagnostics == ()
    assert found.is_equal
    assert found.fingerprint == PLAN.fingerprint
    with safe_open(path, "numpy") as file:
        assert found.tensors == len(file.keys())
    found.require_equal()


def test_an_npz_file_is_held_against_its_plan_too(tmp_path: Path) -> None:
    spec = {**SPEC, "params": {name: param for name, param in SPEC["params"].items() if name != "narrow"}}
    path = saved(tmp_path / "w.npz", spec)
    assert verify(path, initcfg.make_plan(spec)).diagnostics == ()
    found = verify(path, initcfg.make_plan(spec | {"seed": 1}))
    assert [found.code for found in found.diagnostics] == ["fingerprint", "values", "values"]


def test_the_first_element_that_differs_is_named_with_both_values(tmp_path: Path) -> None:
    path = saved(tmp_path / "w.safetensors")
    expected = initcfg.materialize(PLAN["big"])

    def change(arrays: dict[str, Any]) -> None:
        arrays["big"][2, 7] = 0.5
        arrays["big"][2, 1] = np.nextafter(expected[2, 1], np.float32(1))
        arrays["big"][2, -1] = 0.5

    found = verify(rewritten(path, change), PLAN)
    assert problems(found) == [("error", "values")]
    (problem,) = found.diagnostics
    wrong, right = str(np.nextafter(expected[2, 1], np.float32(1))), str(expected[2, 1])
    assert problem.message.startswith(f"'big'[2, 1] is {wrong} in the file, the plan makes {right}; 3 of ")
    assert problem.where is not None
    assert problem.where.file == str(path)
    with pytest.raises(InitcfgError, match=r"'big'\[2, 1\]"):
        found.require_equal()


@settings(max_examples=settings().max_examples // 2)
@given(st.data())
def test_every_single_flipped_bit_is_found(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    params = {name: SPEC["params"][name] for name in ("narrow", "bias", "scalar")}
    spec = {**SPEC, "params": params}
    path = saved(tmp_path_factory.getbasetemp() / "flipped.safetensors", spec)
    content = bytearray(path.read_bytes())
    begin = 8 + int.from_bytes(content[:8], "little")
    bit = data.draw(st.integers(0, 8 * (len(content) - begin) - 1))
    content[begin + bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)
    (problem,) = verify(path, initcfg.make_plan(spec)).diagnostics
    assert problem.code == "values"
    assert "1 of " in problem.message


def test_an_orthogonal_matrix_may_differ_in_its_last_bits_and_no_more(tmp_path: Path) -> None:
    path = saved(tmp_path / "w.safetensors")
    assert verify(
        rewritten(path, lambda arrays: np.add(arrays["frame"], 5e-6, arrays["frame"])), PLAN
    ).is_equal
    found = verify(rewritten(path, lambda arrays: np.add(arrays["frame"], 1e-4, arrays["frame"])), PLAN)
    assert not found  # as in "if verify(...)"
    assert "'frame'[0, 0]" in found.diagnostics[0].message


def test_missing_unexpected_and_misshapen_tensors_are_named(tmp_path: Path) -> None:
    def change(arrays: dict[str, Any]) -> None:
        del arrays["scalar"], arrays["bias"]
        arrays["frame"] = arrays["frame"].T.copy()
        arrays["narrow"] = arrays["narrow"].astype("float32")
        arrays["more"] = np.zeros(2)

    found = verify(rewritten(saved(tmp_path / "w.safetensors"), change), PLAN)
    told = sorted((str(problem.code), problem.message.split("'")[1]) for problem in found.diagnostics)
    assert told == [
        ("missing-tensor", "bias"),
        ("missing-tensor", "head"),
        ("missing-tensor", "scalar"),
        ("tensor-form", "frame"),
        ("tensor-form", "narrow"),
        ("unexpected-tensor", "more"),
    ]
    assert found.tensors == 2


def test_a_name_that_both_have_is_no_misspelling_of_another(tmp_path: Path) -> None:
    arrays = {"h.0.mlp.fc1.w": np.zeros(2, "float32"), "h.1.mlp.fc1.w": np.zeros(2, "float32")}
    params = {name: {"shape": [2], "initializer": "zeros"} for name in (*arrays, "h.0.mlp.fc2.w")}
    plan = initcfg.make_plan({"initcfg": 1, "params": params})
    save_file({**arrays, "h.0.mlp.fc3.w": np.zeros(2, "float32")}, tmp_path / "w.safetensors")
    found = verify(tmp_path / "w.safetensors", plan)
    assert [each.hint for each in found.diagnostics[1:]] == [
        "did you mean 'h.0.mlp.fc3.w'?",
        "did you mean 'h.0.mlp.fc2.w'?",
    ]
    save_file(dict(list(arrays.items())[:1]), tmp_path / "w.safetensors")
    found = verify(tmp_path / "w.safetensors", plan)
    assert not any("did you mean" in str(each.hint) for each in found.diagnostics)


def test_buffers_that_no_one_planned_are_told_once(tmp_path: Path) -> None:
    def change(arrays: dict[str, Any]) -> None:
        for at in range(3):
            arrays[f"{at}.running_var"] = np.ones(2)

    found = verify(rewritten(saved(tmp_path / "w.safetensors"), change), PLAN)
    assert problems(found) == [("note", "unexpected-tensor")]
    assert "3 buffers were not compared, such as '0.running_var'" in found.diagnostics[0].message
    assert found.is_equal


@pytest.mark.parametrize(
    ("kind", "axis"), [("{}_orig", 0), ("{}_orig", 1), ("parametrizations.{}.original", 0)]
)
@pytest.mark.parametrize("stale", [True, False])
def test_vectors_of_spectral_norm_are_warned_of_where_they_belong_to_other_weights(
    kind: str, axis: int, stale: bool, tmp_path: Path
) -> None:
    name = kind.format("w")
    spec = {"initcfg": 1, "params": {name: {"shape": [6, 4, 3], "initializer": "random_normal"}}}
    path = saved(tmp_path / "w.safetensors", spec)

    def change(arrays: dict[str, Any]) -> None:
        matrix = arrays[name] if not stale else np.random.default_rng(0).normal(size=(6, 4, 3)) * 0.05
        left, _, right = np.linalg.svd(np.moveaxis(matrix, axis, 0).reshape(matrix.shape[axis], -1))
        before = "w" if axis or "_orig" in name else "parametrizations.w.0."
        arrays[f"{before}_u"] = left[:, 0].astype("f4")
        arrays[f"{before}_v"] = right[0].astype("f4")

    found = verify(rewritten(path, change), initcfg.make_plan(spec))
    told = [each.message for each in found.diagnostics if each.severity == "warning"]
    assert [("none of the weight beside" in message) for message in told] == [True] * stale
    assert found.is_equal


def test_a_file_of_another_program_is_compared_all_the_same(tmp_path: Path) -> None:
    path = rewritten(saved(tmp_path / "w.safetensors"), lambda _: None, metadata=False)
    found = verify(path, PLAN)
    assert problems(found) == [("note", "fingerprint")]
    assert found.is_equal
    assert found.fingerprint is None
    path = rewritten(path, lambda arrays: arrays["bias"].fill(1), metadata=False)
    assert problems(verify(path, PLAN)) == [("note", "fingerprint"), ("error", "values")]


def test_another_fingerprint_is_said_first_and_is_no_difference_by_itself(tmp_path: Path) -> None:
    path = saved(tmp_path / "w.safetensors", SPEC | {"seed": 1})
    found = problems(verify(path, PLAN))
    assert found[0] == ("warning", "fingerprint")
    assert ("error", "values") in found
    found = problems(verify(path, PLAN, select="bias"))
    assert found == [("warning", "fingerprint")]


def test_of_names_that_share_an_array_one_is_enough(tmp_path: Path) -> None:
    def rename(arrays: dict[str, Any]) -> None:
        arrays["head"] = arrays.pop("bias")

    path = rewritten(saved(tmp_path / "w.safetensors"), rename, metadata=False)
    assert verify(path, PLAN).is_equal
    assert not verify(rewritten(path, lambda arrays: arrays["head"].fill(1), metadata=False), PLAN).is_equal


def test_another_tie_than_the_plan_has_is_told(tmp_path: Path) -> None:
    params = {"a": {"shape": [2], "initializer": "ones"}, "b": {"shape": [2], "initializer": "ones"}}
    tied = {**params, "c": {"shape": [2], "tied_to": "a"}}
    other = {**params, "c": {"shape": [2], "tied_to": "b"}}
    path = saved(tmp_path / "w.safetensors", {"initcfg": 1, "params": tied})
    found = verify(path, initcfg.make_plan({"initcfg": 1, "params": other}))
    assert problems(found) == [("warning", "fingerprint"), ("error", "missing-tensor")]
    assert "in the file 'c' shares the tensor of 'a', in the plan it shares that of 'b'" in str(
        found.diagnostics[1]
    )


def test_a_part_is_compared_where_only_a_part_is_asked_for(tmp_path: Path) -> None:
    path = rewritten(saved(tmp_path / "w.safetensors"), lambda arrays: arrays["big"].fill(1))
    found = verify(path, PLAN, select="{bias,scalar}")
    assert found.diagnostics == ()
    assert (found.tensors, found.elements, found.nbytes) == (2, 6, 24)
    with pytest.raises(initcfg.UnknownParameterError):
        verify(path, PLAN, select="nothing")


def test_what_a_file_says_of_itself_does_not_make_it_whole(tmp_path: Path) -> None:
    path = saved(tmp_path / "w.safetensors", select="b*")
    found = verify(path, PLAN)
    assert {str(problem.code) for problem in found.diagnostics} == {"missing-tensor"}
    assert "select that to compare it alone" in (found.diagnostics[-1].hint or "")
    # Nor does an empty tensor stand for the others.
    save_file({"empty": np.ones((0, 2), "float32")}, path, {"initcfg.select": "empty"})
    assert not verify(path, PLAN).is_equal


@pytest.mark.parametrize(
    "names",
    [
        ["0.running_var", "0.num_batches_tracked", "n_averaged"],
        ["fc.parametrizations.weight.0._u", "fc.parametrizations.weight.0._v"],
        ["fc.parametrizations.weight.0.base"],
        ["bias_u", "bias_v", "bias_mask", "bias_orig"],
    ],
)
def test_buffers_of_norms_and_parametrizations_are_told_once(names: list[str], tmp_path: Path) -> None:
    def change(arrays: dict[str, Any]) -> None:
        arrays.update({name: np.ones(2) for name in names})

    found = verify(rewritten(saved(tmp_path / "w.safetensors"), change), PLAN)
    told = [each.message for each in found.diagnostics if "not compared" in each.message]
    unknown = {name for name in names if name.endswith("_orig")}
    assert len(told) == 1
    assert f"{len(names) - len(unknown)} buffer" in told[0]
    assert {each.message.split("'")[1] for each in found.diagnostics if each.severity == "error"} == unknown


def test_names_that_all_differ_alike_are_one_problem(tmp_path: Path) -> None:
    arrays = initcfg.materialize(PLAN)
    for change, told in (
        (lambda name: f"model.{name}", "begin with 'model.'"),
        (lambda name: f"{name}.value", "end with '.value'"),
    ):
        save_file({change(name): array for name, array in arrays.items()}, tmp_path / "w.safetensors")
        found = verify(tmp_path / "w.safetensors", PLAN)
        (problem,) = [each for each in found.diagnostics if each.severity == "error"]
        assert told in problem.message


def test_a_common_prefix_is_one_problem_beside_buffers_that_no_one_planned(tmp_path: Path) -> None:
    arrays = initcfg.materialize(PLAN) | {"bn.running_mean": np.zeros(3, "float32")}
    save_file({f"model.{name}": array for name, array in arrays.items()}, tmp_path / "w.safetensors")
    found = verify(tmp_path / "w.safetensors", PLAN)
    (problem,) = [each for each in found.diagnostics if each.severity == "error"]
    assert "begin with 'model.'" in problem.message


def test_a_common_prefix_with_an_exception_is_one_problem_with_the_way_out(tmp_path: Path) -> None:
    arrays = initcfg.materialize(PLAN)
    path = tmp_path / "w.safetensors"
    save_file({name if name == "bias" else f"model.{name}": each for name, each in arrays.items()}, path)
    (problem,) = [each for each in verify(path, PLAN).diagnostics if each.severity == "error"]
    assert problem.message == "the names in the file all begin with 'model.', but for 'bias'"
    assert "--strip-prefix model." in (problem.hint or "")
    assert verify(path, PLAN, rename={"model": ""}).is_equal


def test_a_segment_that_a_wrapper_puts_within_names_is_one_problem(tmp_path: Path) -> None:
    weight = {"shape": [2], "initializer": "ones"}
    layer = {"h.{i}": {"repeat": {"i": 2}, "params": {"w": weight, "b": weight}}}
    plan = initcfg.make_plan({"initcfg": 1, "layers": layer, "params": {"head": weight}})
    arrays = initcfg.materialize(plan)
    path = tmp_path / "w.safetensors"
    save_file({re.sub(r"^(h.\d)", r"\1._orig_mod", name): array for name, array in arrays.items()}, path)
    (problem,) = [each for each in verify(path, plan).diagnostics if each.severity == "error"]
    assert problem.message == "the names in the file are the plan's, but that some have '_orig_mod' within"
    assert "--rename 'h.{i}._orig_mod=h.{i}'" in (problem.hint or "")
    assert verify(path, plan, rename={"h.{i}._orig_mod": "h.{i}"}).is_equal
    arrays["other"] = arrays.pop("head")
    save_file({name.replace("h.", "h._orig_mod."): array for name, array in arrays.items()}, path)
    assert len([each for each in verify(path, plan).diagnostics if each.severity == "error"]) > 1


def test_very_many_names_that_differ_are_told_in_part(tmp_path: Path) -> None:
    params = {f"a{number * 7919}.w": {"shape": [1], "initializer": "ones"} for number in range(3000)}
    plan = initcfg.make_plan({"initcfg": 1, "params": params})
    save_file(
        {f"b{number * 104729}.v": np.ones(1, "float32") for number in range(3000)}, tmp_path / "w.safetensors"
    )
    found = verify(tmp_path / "w.safetensors", plan)
    assert len(found.diagnostics) < 250
    assert "2,900 more" in found.diagnostics[-1].message


def test_what_a_rule_leaves_out_is_said_and_is_no_difference(tmp_path: Path) -> None:
    plan = initcfg.make_plan(
        {
            "initcfg": 1,
            "rules": [{"match": "**.freq", "skip": True}],
            "params": {"a.w": {"shape": [2], "initializer": "ones"}, "a.freq": {"shape": [2]}},
        }
    )
    save_file({"a.w": np.ones(2, "float32"), "a.freq": np.ones(2, "float32")}, tmp_path / "w.safetensors")
    found = verify(tmp_path / "w.safetensors", plan)
    assert problems(found) == [("note", "fingerprint"), ("note", "unexpected-tensor")]
    assert "the rule '**.freq' leaves it out" in found.diagnostics[1].message


@pytest.mark.parametrize("text", ["no json", "[]", '{"a": 1}', "[" * 5000])
def test_metadata_that_is_malformed_is_an_error(text: str, tmp_path: Path) -> None:
    save_file({"bias": np.zeros(5, "float32")}, tmp_path / "w.safetensors", {"initcfg.tied": text})
    with pytest.raises(FormatError, match=r"'initcfg.tied' of the file is not a JSON object"):
        verify(tmp_path / "w.safetensors", PLAN)


def test_a_plan_that_holds_code_is_refused(tmp_path: Path) -> None:
    def ramp(shape: Any, dtype: Any = None) -> Any:
        return np.zeros(shape, dtype)

    plan = initcfg.make_plan(initcfg.Spec(params={"w": initcfg.Param(shape=[2], initializer=ramp)}))
    path = saved(tmp_path / "w.safetensors", plan)
    with pytest.raises(initcfg.SpecError, match="parameter 'w' is made by code"):
        verify(path, plan)


def test_memory_is_bounded_by_chunks(tmp_path: Path) -> None:
    spec = {"initcfg": 1, "params": {"w": {"shape": [24 * CHUNK], "initializer": "ones"}}}
    path = saved(tmp_path / "w.safetensors", spec)
    plan = initcfg.make_plan(spec)
    tracemalloc.start()
    try:
        assert verify(path, plan, threads=2).is_equal
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < plan.nbytes / 2


def test_progress_is_told_in_bytes_up_to_all_of_them(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    path = saved(tmp_path / "w.safetensors")
    verify(path, PLAN, progress=lambda done, total: told.append((done, total)))
    assert told == sorted(told)
    assert told[-1] == (PLAN.nbytes, PLAN.nbytes)


def test_the_verb_takes_what_a_plan_is_made_from(tmp_path: Path) -> None:
    path = saved(tmp_path / "w.safetensors")
    assert initcfg.verify(path, SPEC).is_equal
    (tmp_path / "plan.json").write_text(json.dumps(PLAN.to_dict()), encoding="utf-8")
    assert initcfg.verify(path, initcfg.read_plan(tmp_path / "plan.json")).is_equal


DTYPES = [
    "float32",
    "float64",
    "float16",
    ml_dtypes.bfloat16,
    ml_dtypes.float8_e4m3fn,
    "int8",
    "uint64",
    "bool",
]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_the_first_difference_and_their_number_are_found(dtype: Any) -> None:
    expected = np.zeros(7, dtype)
    found = expected.copy()
    assert mismatch(found, expected) is None
    found[[2, 5]] = 1
    difference = mismatch(found, expected)
    assert difference is not None
    assert (difference.at, difference.count) == (2, 2)
    assert float(eval(difference.found)) == 1
    assert float(eval(difference.expected)) == 0


def test_an_empty_array_is_equal_to_another() -> None:
    assert mismatch(np.zeros(0, "float32"), np.zeros(0, "float32")) is None


@pytest.mark.parametrize(
    ("found", "expected", "texts"),
    [
        (0.1, np.nextafter(np.float32(0.1), np.float32(1)), ("0.1", "0.10000001")),
        (-0.0, 0.0, ("-0.0", "0.0")),
        (np.nan, 0.0, ("nan", "0.0")),
        (np.inf, 0.0, ("inf", "0.0")),
    ],
)
def test_values_are_shown_in_full_precision(found: float, expected: float, texts: tuple[str, str]) -> None:
    difference = mismatch(np.array([found], "float32"), np.array([expected], "float32"))
    assert difference is not None
    assert (difference.found, difference.expected) == texts


def test_values_that_read_alike_are_shown_by_their_bits() -> None:
    one, two = (np.array([bits], "uint32").view("float32") for bits in (0x7FC00000, 0x7FC00001))
    difference = mismatch(one, two)
    assert difference is not None
    assert (difference.found, difference.expected) == ("nan (bits 0x7fc00000)", "nan (bits 0x7fc00001)")
    assert mismatch(one, one) is None


@pytest.mark.parametrize("dtype", DTYPES[:5], ids=str)
def test_a_tolerance_takes_neighbours_and_no_more(dtype: Any) -> None:
    expected = np.array([0.5, -0.25, 0.0], dtype)
    near = (expected.astype("float64") + 0.9 * TOLERANCE).astype(dtype)
    assert mismatch(near, expected, TOLERANCE) is None
    far = expected.copy()
    far[1] = 0.25
    difference = mismatch(far, expected, TOLERANCE)
    assert difference is not None
    assert (difference.at, difference.count) == (1, 1)
    assert mismatch(np.array([np.nan], dtype), np.array([0.0], dtype), TOLERANCE) is not None


def test_only_what_is_made_with_blas_has_a_tolerance() -> None:
    assert tolerance_of(Zeros(), (2, 2)) == 0
    for cls in (Orthogonal, LooksLinear, DeltaOrthogonal, ConvolutionalOrthogonal):
        assert tolerance_of(cls(gain=-2), (2, 2)) == 2 * TOLERANCE
    assert tolerance_of(Sparse(0.5), (2, 2)) == 0
    assert tolerance_of(Concatenate(axis=0, sizes=[1, 1], initializers=["zeros", "ones"]), (2, 2)) == 0


def test_of_a_concatenation_each_part_has_its_own() -> None:
    inner = Concatenate(axis=0, sizes=[1, 2], initializers=["zeros", Orthogonal(gain=3)])
    outer = Concatenate(axis=1, sizes=[2, 2], initializers=["ones", inner])
    expected = np.zeros((3, 4))
    expected[1:, 2:] = 3 * TOLERANCE
    np.testing.assert_array_equal(tolerance_of(outer, (3, 4)), expected)


def test_what_is_made_of_it_has_a_tolerance_too(tmp_path: Path) -> None:
    twice = {"repeat_of": {"of": "orthogonal", "axis": 0, "times": 2}}
    row = {"patch": {"base": "ones", "patches": [{"at": [0], "initializer": twice}]}}
    laws = {
        "w": ([4, 3], "orthogonal"),
        "copy": ([4, 3], {"parameter": "w"}),
        "norm": ([3], {"norm_of": {"parameter": "w", "axes": [0]}}),
        "twice": ([4, 3], twice),
        "row": ([2, 4, 3], row),
    }
    params = {name: {"shape": shape, "initializer": law} for name, (shape, law) in laws.items()}
    plan = initcfg.make_plan({"initcfg": 1, "layout": "out_in", "params": params})
    weights = initcfg.materialize(plan)
    for name, array in weights.items():  # as another machine's BLAS might have made them
        array[: 1 if name == "row" else None] += TOLERANCE / 2
    save_file(weights, tmp_path / "w.safetensors")
    assert verify(tmp_path / "w.safetensors", plan).is_equal
    weights["row"][1] += TOLERANCE / 2  # which are ones
    save_file(weights, tmp_path / "w.safetensors")
    assert verify(tmp_path / "w.safetensors", plan).diagnostics[-1].code is Code.VALUES


def test_a_part_that_is_exact_is_compared_by_its_bits_beside_one_that_is_not() -> None:
    tolerance = np.array([0.0, TOLERANCE])
    expected = np.zeros(2)
    assert mismatch(np.array([0.0, 1e-6]), expected, tolerance) is None
    difference = mismatch(np.array([-0.0, 1e-6]), expected, tolerance)
    assert difference is not None
    assert (difference.at, difference.count) == (0, 1)
