"""A set has the same bytes whoever writes which shard when, and none goes where it was not sent."""

from __future__ import annotations

import os
import random
import shutil
import stat
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file

import initcfg
from initcfg.errors import OutputError
from initcfg.formats.index import CLAIM_NAME, INDEX_NAME

if TYPE_CHECKING:
    from collections.abc import Iterator

FEW = settings().max_examples // 4
MANY = settings(max_examples=FEW, suppress_health_check=[HealthCheck.function_scoped_fixture])
SIZE = 20_000


def spec(seed: int = 1) -> dict[str, object]:
    """Parameters of several kinds and sizes, one tied, one alone over the size of a shard."""
    normal = {"random_normal": {"stddev": 0.02}}
    params = {
        "wte": {"shape": [300, 64], "initializer": normal},
        "head": {"shape": [300, 64], "tied_to": "wte"},
        "empty": {"shape": [0, 3], "initializer": "zeros"},
        "scale": {"shape": [], "initializer": "ones"},
        "half": {"shape": [33, 7], "dtype": "bfloat16", "initializer": {"truncated_normal": {"stddev": 1.0}}},
    }
    layer = {
        "repeat": {"i": 6},
        "params": {
            "w": {"shape": [64, 64], "initializer": "glorot_uniform"},
            "b": {"shape": [64], "initializer": "zeros"},
        },
    }
    layout = {"initcfg": 1, "seed": seed, "layout": "in_out"}
    return {**layout, "params": params, "layers": {"h.{i}": layer}}


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def plan() -> initcfg.Plan:
    return initcfg.make_plan(spec())


@pytest.fixture(scope="module")
def whole(plan: initcfg.Plan, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What one process with one thread writes."""
    folder = tmp_path_factory.mktemp("whole")
    initcfg.save_sharded(plan, folder, shard_size=SIZE, threads=1, engine="numpy")
    assert len(contents(folder)) == 8
    return contents(folder)


def test_a_set_holds_what_the_plan_makes(plan, whole, tmp_path) -> None:
    initcfg.save_sharded(plan, tmp_path, shard_size=SIZE)
    assert initcfg.verify(tmp_path, spec()).is_equal
    assert not initcfg.verify(tmp_path, spec(2)).is_equal
    made = initcfg.materialize(plan)
    read = {}
    for name in whole.keys() - {INDEX_NAME}:
        read |= load_file(tmp_path / name)
    assert read.keys() == made.keys() - {"head"}
    assert all(read[name].tobytes() == made[name].tobytes() for name in read)


@pytest.mark.parametrize("ranks", [1, 3, 8])
@pytest.mark.parametrize(
    "how", [{"threads": 1}, {"threads": 2, "engine": "numpy"}, {"threads": 2, "engine": "native"}], ids=str
)
def test_any_number_of_ranks_in_any_order_makes_the_same_bytes(ranks, how, plan, whole, tmp_path) -> None:
    order = random.Random(ranks).sample(range(ranks), ranks)
    for rank in order:
        initcfg.save_sharded(plan, tmp_path, shard_size=SIZE, rank=rank, world_size=ranks, **how)
    initcfg.finalize(tmp_path)
    assert contents(tmp_path) == whole


@MANY
@given(lost=st.sets(st.integers(0, 7)), ranks=st.sampled_from([1, 2, 3]))
def test_whatever_was_deleted_is_made_again(lost, ranks, plan, whole, tmp_path_factory) -> None:
    folder = tmp_path_factory.mktemp("lost")
    for at, (name, content) in enumerate(sorted(whole.items())):
        if at not in lost:
            (folder / name).write_bytes(content)
    for rank in range(ranks):
        initcfg.save_sharded(plan, folder, shard_size=SIZE, rank=rank, world_size=ranks, threads=1)
    if ranks > 1 and INDEX_NAME not in contents(folder):
        initcfg.finalize(folder)
    assert contents(folder) == whole
    shutil.rmtree(folder)


@MANY
@given(some=st.sets(st.integers(0, 2)))
def test_a_job_that_is_started_again_with_other_ranks_goes_on(some, plan, whole, tmp_path_factory) -> None:
    folder = tmp_path_factory.mktemp("mixed")
    for ranks, chosen in ((3, some), (2, (1, 0))):
        for rank in chosen:
            initcfg.save_sharded(plan, folder, shard_size=SIZE, rank=rank, world_size=ranks, threads=1)
    initcfg.finalize(folder)
    assert contents(folder) == whole
    shutil.rmtree(folder)


def test_the_folder_may_be_a_link_and_its_parents_are_made(plan, whole, tmp_path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    initcfg.save_sharded(plan, tmp_path / "link" / "a" / "b", shard_size=SIZE)
    assert contents(tmp_path / "real" / "a" / "b") == whole


def test_a_link_in_the_place_of_a_shard_is_replaced_and_not_followed(plan, whole, tmp_path) -> None:
    folder, victim = tmp_path / "out", tmp_path / "victim"
    victim.write_text("mine")
    folder.mkdir()
    name = min(whole)
    (folder / name).symlink_to(victim)
    with pytest.raises(OutputError, match="another set"):
        initcfg.save_sharded(plan, folder, shard_size=SIZE)
    assert (folder / name).is_symlink()
    initcfg.save_sharded(plan, folder, shard_size=SIZE, force=True)
    assert contents(folder) == whole
    assert not (folder / name).is_symlink()
    assert victim.read_text() == "mine"


def test_a_link_that_appears_under_a_run_is_replaced_and_not_followed(plan, whole, tmp_path) -> None:
    """Between the look at the folder and the rename somebody may put anything there."""
    folder, victim = tmp_path / "out", tmp_path / "victim"
    victim.write_text("mine")

    def plant(done: int, total: int) -> None:
        last = folder / sorted(whole)[-2]
        if not os.path.lexists(last) and done < total:
            last.symlink_to(victim)

    initcfg.save_sharded(plan, folder, shard_size=SIZE, threads=1, progress=plant)
    assert contents(folder) == whole
    assert victim.read_text() == "mine"


def test_a_link_in_the_place_of_the_claim_is_refused(plan, tmp_path) -> None:
    folder, victim = tmp_path / "out", tmp_path / "victim"
    victim.write_text("mine\n")
    folder.mkdir()
    (folder / CLAIM_NAME).symlink_to(victim)
    for attempt in (lambda: initcfg.save_sharded(plan, folder, force=True), lambda: initcfg.finalize(folder)):
        with pytest.raises(OutputError, match="no regular file"):
            attempt()
    assert victim.read_text() == "mine\n"
    assert [path.name for path in folder.iterdir()] == [CLAIM_NAME]


@pytest.fixture
def closed() -> Iterator[Path]:
    """A folder that this process may not write to; root, who may, is somebody else meanwhile."""
    # Not in tmp_path: only root may pass through the folder that pytest makes for root.
    folder = Path(tempfile.mkdtemp())
    user = os.geteuid()
    folder.chmod(stat.S_IRUSR | stat.S_IXUSR)
    if user == 0:
        os.chown(folder, NOBODY, NOBODY)
        os.seteuid(NOBODY)
    try:
        yield folder
    finally:
        os.seteuid(user)
        folder.chmod(stat.S_IRWXU)
        shutil.rmtree(folder)


NOBODY = 65534


@pytest.mark.skipif(not hasattr(os, "seteuid"), reason="this system has other permissions")
def test_a_closed_folder_is_one_error(plan, whole, closed) -> None:
    assert whole  # all modules are loaded, which somebody else might not be able to read
    assert not os.access(closed, os.W_OK, effective_ids=True)
    with pytest.raises(OutputError, match="permission denied"):
        initcfg.save_sharded(plan, closed)
    assert not list(closed.iterdir())
