"""How a plan is cut."""

from __future__ import annotations

import dataclasses
import json
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import initcfg
from initcfg.errors import Code, FormatError, SpecError
from initcfg.initializers import FunctionInitializer
from initcfg.plan import Plan
from initcfg.sharding import shard_set
from initcfg.sharding.shards import MAX_SHARDS, shard_name


def planned(lengths: list[int]) -> initcfg.Plan:
    params = {f"p{at}": {"shape": [length], "initializer": "ones"} for at, length in enumerate(lengths)}
    return initcfg.make_plan({"initcfg": 1, "params": params})


def groups(shards) -> list[list[str]]:
    return [sorted(tensor.name for tensor in shard.layout.tensors) for shard in shards.shards]


@given(st.lists(st.integers(0, 40), max_size=25), st.integers(1, 200))
def test_each_tensor_is_in_one_shard_and_only_one_alone_is_over_the_size(
    lengths: list[int], size: int
) -> None:
    shards = shard_set(planned(lengths), size)
    held = [tensor.name for shard in shards.shards for tensor in shard.layout.tensors]
    assert sorted(held) == sorted(f"p{at}" for at in range(len(lengths)))
    for shard in shards.shards:
        tensors = shard.layout.tensors
        assert len(tensors) == 1 or sum(tensor.nbytes for tensor in tensors) <= size


def test_names_count_from_one_in_five_digits(shards) -> None:
    names = [shard.name for shard in shards().shards]
    assert names == [f"model-0000{number}-of-00008.safetensors" for number in range(1, 9)]
    assert shard_name(123, 4567) == "model-00123-of-04567.safetensors"


def test_a_tensor_that_is_too_large_stands_alone_and_its_neighbours_together() -> None:
    assert groups(shard_set(planned([1, 100, 1]), 50)) == [["p1"], ["p0", "p2"]]


def test_a_plan_without_parameters_is_one_shard_without_tensors() -> None:
    assert groups(shard_set(planned([]), 5)) == [[]]


def test_more_shards_than_have_names_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert MAX_SHARDS == 99_999
    monkeypatch.setattr("initcfg.sharding.shards.MAX_SHARDS", 2)
    assert len(shard_set(planned([1, 1]), 4).shards) == 2
    with pytest.raises(FormatError, match="3 shards are more than 2"):
        shard_set(planned([1, 1, 1]), 4)


def test_a_tied_name_is_left_out_and_listed_in_the_shard_of_its_target() -> None:
    params = {
        "a": {"shape": [4], "initializer": "ones"},
        "b": {"shape": [4], "initializer": "ones"},
        "c": {"shape": [4], "tied_to": "b"},
    }
    plan = initcfg.make_plan({"initcfg": 1, "params": params})
    shards = shard_set(plan, 16)
    assert groups(shards) == [["a"], ["b"]]
    assert shards.tied == {"c": "b"}
    told = [shard.metadata.get("initcfg.tied") for shard in shards.shards]
    assert told == [None, '{"c": "b"}']
    assert groups(shard_set(plan, 16, write_tied=True)) == [["a"], ["b"], ["c"]]
    # Alone, it has a tensor of its own.
    assert groups(shard_set(plan, 16, select="c")) == [["c"]]


def test_the_index_names_every_tensor_and_the_plan(shards) -> None:
    made = shards()
    index = json.loads(made.index)
    assert index["metadata"]["total_size"] == 8 * 16 * 16 * 4
    assert index["metadata"]["total_parameters"] == 8 * 16 * 16
    assert index["metadata"]["initcfg.plan"] == made.fingerprint
    assert index["weight_map"] == {f"h.{i}.w": shard.name for i, shard in enumerate(made.shards)}
    assert "format" not in index["metadata"]


def test_sets_with_another_seed_size_selection_or_text_have_another_digest(plan, shards) -> None:
    sets = [
        shards(1),
        shards(2),
        shards(1, a_shard=2),
        shard_set(plan(1), 1024, select="h.0.w"),
        shard_set(plan(1), 1024, metadata={"note": "x"}),
    ]
    assert len({each.digest for each in sets}) == len(sets)
    assert shards(1).digest == shards(1).digest


def test_a_shard_goes_to_another_process(shards) -> None:
    shard = shards().shards[3]
    again = pickle.loads(pickle.dumps(shard))
    assert (again.name, again.layout, list(again.sources)) == (shard.name, shard.layout, list(shard.sources))


def test_a_plan_of_code_is_refused_because_two_sets_could_not_be_told_apart() -> None:
    code = FunctionInitializer(np.ones)
    plan = Plan(None, 0, (dataclasses.replace(planned([2])["p0"], initializer=code, distribution=None),))
    with pytest.raises(SpecError) as caught:
        shard_set(plan, 100)
    assert [found.code for found in caught.value.diagnostics] == [Code.NOT_SERIALIZABLE]
