"""Sharded sets held against their plan, with the guarantees of a single file."""

from __future__ import annotations

import json
import tracemalloc
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

import initcfg
from initcfg.errors import FormatError
from initcfg.formats.index import INDEX_NAME, Index, index_text
from initcfg.generate.work import CHUNK
from initcfg.verification import verify

if TYPE_CHECKING:
    from pathlib import Path

SPEC: dict[str, Any] = {
    "initcfg": 1,
    "layout": "in_out",
    "params": {
        "big": {"shape": [3, CHUNK // 2 + 5], "initializer": {"random_normal": {"stddev": 0.02}}},
        "narrow": {"shape": [7, 3], "dtype": "bfloat16", "initializer": "glorot_uniform"},
        "bias": {"shape": [5], "initializer": "ones"},
        "frame": {"shape": [8, 4], "initializer": "orthogonal"},
        "empty": {"shape": [0, 2], "initializer": "ones"},
        "head": {"shape": [5], "tied_to": "bias"},
        "tail": {"shape": [7, 3], "dtype": "bfloat16", "tied_to": "narrow"},
    },
}
PLAN = initcfg.make_plan(SPEC)


def shard(at: int, count: int) -> str:
    return f"model-{at + 1:05}-of-{count:05}.safetensors"


def saved(folder: Path, shards: list[list[str]], spec: Any = SPEC) -> Path:
    """A set whose shards hold these names, each with the ties of its own; made out of our single file."""
    single = folder / "single.safetensors"
    initcfg.save(spec, single)
    arrays = load_file(single)
    with safe_open(single, "numpy") as file:
        texts = file.metadata()
    single.unlink()
    tied = json.loads(texts.pop("initcfg.tied", "{}"))
    for at, names in enumerate(shards):
        own = {name: target for name, target in tied.items() if target in names}
        more = {"initcfg.tied": json.dumps(own)} if own else {}
        save_file({name: arrays[name] for name in names}, folder / shard(at, len(shards)), texts | more)
    weight_map = {name: shard(at, len(shards)) for at, names in enumerate(shards) for name in names}
    total = sum(array.nbytes for array in arrays.values())
    (folder / INDEX_NAME).write_text(index_text(Index(weight_map, total, metadata=texts)))
    return folder


THREE = [["big", "bias"], ["narrow", "frame"], ["empty"]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return saved(tmp_path, THREE)


def change(path: Path, edit: Any) -> None:
    arrays = load_file(path)
    with safe_open(path, "numpy") as file:
        texts = file.metadata()
    edit(arrays)
    save_file(arrays, path, texts)


@pytest.mark.parametrize("threads", [1, 3])
def test_a_set_is_equal_by_its_folder_and_by_its_index(threads: int, folder: Path) -> None:
    by_folder = verify(folder, PLAN, threads=threads)
    assert by_folder.diagnostics == ()
    assert by_folder.fingerprint == PLAN.fingerprint
    by_index = verify(folder / INDEX_NAME, PLAN, threads=threads)
    assert (by_index.tensors, by_index.elements, by_index.nbytes) == (
        by_folder.tensors,
        by_folder.elements,
        by_folder.nbytes,
    )
    assert by_folder.tensors == 5
    assert by_folder.path == folder


def test_what_differs_is_named_with_its_shard(folder: Path) -> None:
    change(folder / shard(0, 3), lambda arrays: arrays["big"].__setitem__((2, 7), 0.5))
    (problem,) = verify(folder, PLAN).diagnostics
    assert problem.message.startswith("'big'[2, 7] is 0.5 in the file, the plan makes ")
    assert problem.where is not None
    assert problem.where.file == str(folder / shard(0, 3))


def test_what_is_there_in_another_form_is_named_with_its_shard(folder: Path) -> None:
    def edit(arrays: dict[str, Any]) -> None:
        arrays["frame"] = arrays["frame"].T.copy()

    change(folder / shard(1, 3), edit)
    (problem,) = verify(folder, PLAN).diagnostics
    assert problem.code == "tensor-form"
    assert problem.where is not None
    assert problem.where.file == str(folder / shard(1, 3))


def test_a_parameter_that_no_shard_holds_is_missing_from_the_index(folder: Path) -> None:
    more = initcfg.make_plan(
        SPEC | {"params": SPEC["params"] | {"late": {"shape": [2], "initializer": "ones"}}}
    )
    found = verify(folder, more).diagnostics
    assert [problem.code for problem in found] == ["fingerprint", "missing-tensor"]
    assert {problem.where.file for problem in found if problem.where} == {str(folder / INDEX_NAME)}


def test_a_set_of_two_plans_is_refused_before_a_value_is_read(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = saved(tmp_path / "other", THREE, SPEC | {"seed": 1})
    (other / shard(1, 3)).replace(folder / shard(1, 3))
    with pytest.raises(FormatError, match=r"the set is mixed: 'model-00002-of-00003\.safetensors'"):
        verify(folder, PLAN)


@settings(max_examples=settings().max_examples // 2)
@given(st.data())
def test_every_flipped_bit_is_found_in_any_shard(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    params = {name: SPEC["params"][name] for name in ("narrow", "bias", "empty")}
    spec = SPEC | {"params": params}
    shards = data.draw(st.sampled_from([[["narrow"], ["bias", "empty"]], [["bias", "narrow", "empty"]]]))
    folder = saved(tmp_path_factory.mktemp("flipped"), shards, spec)
    name = data.draw(st.sampled_from(["narrow", "bias"]))
    (at,) = (at for at, names in enumerate(shards) if name in names)
    path = folder / shard(at, len(shards))
    content = bytearray(path.read_bytes())
    begin = 8 + int.from_bytes(content[:8], "little")
    bit = data.draw(st.integers(0, 8 * (len(content) - begin) - 1))
    content[begin + bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)
    (problem,) = verify(folder, initcfg.make_plan(spec)).diagnostics
    assert problem.code == "values"
    assert problem.where is not None
    assert problem.where.file == str(path)


def test_memory_is_bounded_by_chunks(tmp_path: Path) -> None:
    params = {name: {"shape": [8 * CHUNK], "initializer": "ones"} for name in "abc"}
    folder = saved(tmp_path, [["a"], ["b"], ["c"]], {"initcfg": 1, "params": params})
    plan = initcfg.make_plan({"initcfg": 1, "params": params})
    tracemalloc.start()
    try:
        assert verify(folder, plan, threads=2).is_equal
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < plan.nbytes / 2


def test_a_foreign_set_is_compared_all_the_same(tmp_path: Path) -> None:
    save_file({"a": np.ones(2, "float32")}, tmp_path / shard(0, 2))
    save_file({"b": np.ones(3, "float32")}, tmp_path / shard(1, 2))
    (tmp_path / INDEX_NAME).write_text(json.dumps({"weight_map": {"a": shard(0, 2), "b": shard(1, 2)}}))
    params = {name: {"shape": [size], "initializer": "ones"} for name, size in (("a", 2), ("b", 3))}
    found = verify(tmp_path, initcfg.make_plan({"initcfg": 1, "params": params}))
    assert found.is_equal
    assert [problem.severity for problem in found.diagnostics] == ["note"]
