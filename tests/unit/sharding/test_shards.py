"""How a plan is cut."""

from __future__ import annotations

import dataclasses
import json
import math
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import initcfg
from initcfg.errors import Code, FormatError, SpecError
from initcfg.initializers import FunctionInitializer
from initcfg.plan import Plan
from initcfg.sharding import (
    DEFAULT_SHARD_SIZE,
    Rank,
    assigned,
    even_shard_size,
    imbalance,
    loads,
    shard_bytes,
    shard_set,
    size_text,
)
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


@pytest.mark.parametrize(
    ("text", "nbytes"),
    [
        (DEFAULT_SHARD_SIZE, 5 * 10**9),
        ("5gb", 5 * 10**9),
        ("500MB", 5 * 10**8),
        ("500M", 5 * 10**8),
        ("2GiB", 2**31),
        ("1.5 GiB", 3 * 2**29),
        ("0.1kB", 100),
        ("1TiB", 2**40),
        ("12B", 12),
        ("12", 12),
        (" 7 MB ", 7 * 10**6),
        (12, 12),
    ],
)
def test_a_size_is_read_as_people_write_it(text: int | str, nbytes: int) -> None:
    assert shard_bytes(text) == nbytes


@pytest.mark.parametrize(
    "size",
    ["", "GB", "-1", "5 XB", "1e9", "5,5GB", "5GBit", "0", "0.1B", "\u0665GB", 0, -1, True, 5.0, None, "nan"],
)
def test_what_is_no_size_is_refused_with_an_example(size: object) -> None:
    with pytest.raises(ValueError, match=r'such as "5GB"'):
        shard_bytes(size)  # type: ignore[arg-type]


@given(st.integers(min_value=1, max_value=10**15))
def test_the_text_of_a_size_is_read_back(nbytes: int) -> None:
    assert shard_bytes(size_text(nbytes)) == nbytes


SIZES = st.lists(st.integers(min_value=0, max_value=10**12), max_size=60)
RANKS = st.integers(min_value=1, max_value=70)


@given(SIZES, RANKS)
def test_every_shard_has_one_rank(sizes: list[int], ranks: int) -> None:
    shares = assigned(sizes, ranks)
    assert len(shares) == ranks
    assert sorted(position for share in shares for position in share) == list(range(len(sizes)))
    assert all(share == sorted(share) for share in shares)


@given(SIZES, RANKS)
def test_every_process_works_out_the_same(sizes: list[int], ranks: int) -> None:
    assert assigned(sizes, ranks) == assigned(tuple(sizes), ranks)


@given(SIZES, RANKS)
def test_no_rank_has_more_than_the_average_and_one_shard(sizes: list[int], ranks: int) -> None:
    fullest = max(loads(sizes, ranks))
    # What Graham's bound of a list schedule says, in integers.
    assert fullest * ranks <= sum(sizes) + max(sizes, default=0) * (ranks - 1)


@given(SIZES.filter(lambda sizes: len(sizes) > 1))
def test_two_ranks_are_within_a_sixth_of_the_best_division(sizes: list[int]) -> None:
    """Graham: 4/3 - 1/(3m) for the largest first; the best of two is found by trying all sums."""
    sums = {0}
    for size in sizes[:14]:
        sums |= {each + size for each in sums}
    total = sum(sizes[:14])
    best = min(max(each, total - each) for each in sums)
    assert 6 * max(loads(sizes[:14], 2)) <= 7 * best


def test_ranks_beyond_the_number_of_shards_have_none() -> None:
    assert assigned([3, 3], 4) == [[0], [1], [], []]


def test_imbalance_is_what_the_fullest_has_over_the_average() -> None:
    assert imbalance([2, 1, 1]) == 0.5
    assert imbalance([0, 0]) == 0.0


@given(st.integers(min_value=0, max_value=10**13), st.integers(min_value=1, max_value=300), st.randoms())
def test_the_size_that_is_told_evens_the_ranks(total: int, ranks: int, chance) -> None:
    """Whatever tensors there are, as long as none is larger: shards are filled to anything above nothing."""
    size = even_shard_size(total, ranks)
    assert size >= 1
    if total < 100 * ranks:
        return
    filled = []
    while sum(filled) < total and len(filled) < 40 * ranks:
        filled.append(min(chance.randint(size // 3 + 1, size), total - sum(filled)))
    if sum(filled) == total:
        assert imbalance(loads(filled, ranks)) <= 0.1 + 1e-9


def test_the_size_that_is_told_has_two_digits() -> None:
    size = even_shard_size(123_456_789_012, 7)
    assert size == 1_700_000_000
    assert math.log10(size) % 1 > 0


def test_a_rank_counts_from_zero() -> None:
    assert Rank.of(0, 1) == Rank(0, 1)
    assert str(Rank(2, 3)) == "rank 2 of 3"


@pytest.mark.parametrize(("number", "world_size"), [(3, 3), (-1, 3), (0, 0), (0, -1)])
def test_a_rank_that_is_not_there_is_refused(number: int, world_size: int) -> None:
    with pytest.raises(ValueError, match=f"there is no rank {number}"):
        Rank(number, world_size)


@pytest.mark.parametrize(("number", "world_size"), [(0, None), (None, 2)])
def test_half_a_rank_is_refused(number: int | None, world_size: int | None) -> None:
    with pytest.raises(ValueError, match="go together"):
        Rank.of(number, world_size)
