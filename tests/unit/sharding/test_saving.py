"""Runs in one process: what they write, keep, refuse and leave behind."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import initcfg
from initcfg.errors import Code, InitcfgError, OutputError
from initcfg.formats.index import CLAIM_NAME, INDEX_NAME
from initcfg.initializers import Initializer, register
from initcfg.sharding import Rank, finalize, save_set, shard_set
from initcfg.sharding.inventory import SetClaim
from initcfg.sharding.writing import write_claimed_shard

if TYPE_CHECKING:
    from initcfg.sharding import ShardSet


def test_a_run_leaves_the_shards_and_the_index_and_nothing_else(store, shards, contents) -> None:
    made = shards()
    saved = save_set(made, store, threads=1)
    assert set(contents()) == {INDEX_NAME, *(shard.name for shard in made.shards)}
    assert contents()[INDEX_NAME].decode() == made.index
    assert [receipt.name for receipt in saved.receipts] == [shard.name for shard in made.shards]
    assert [receipt.nbytes for receipt in saved.receipts] == made.sizes
    assert saved.nbytes == made.nbytes == sum(saved.loads)
    assert saved.index == store.path(INDEX_NAME)
    assert all(receipt.process is not None for receipt in saved.receipts)


def test_what_is_there_is_not_made_again(store, shards, contents) -> None:
    made = shards()
    save_set(made, store)
    whole = contents()
    Path(store.path(made.shards[5].name)).unlink()
    stamps = {path.name: path.stat().st_mtime_ns for path in Path(store.place).iterdir()}
    saved = save_set(made, store)
    assert [receipt.process is None for receipt in saved.receipts] == [True] * 5 + [False] + [True] * 2
    assert contents() == whole
    same = {
        path.name for path in Path(store.place).iterdir() if stamps.get(path.name) == path.stat().st_mtime_ns
    }
    assert same == whole.keys() - {made.shards[5].name, INDEX_NAME}


def test_a_rank_writes_its_share_and_leaves_the_index_and_the_claim(store, shards, contents) -> None:
    made = shards()
    saved = save_set(made, store, rank=Rank(1, 3))
    assert saved.index is None
    assert [receipt.name[6:11] for receipt in saved.receipts] == ["00002", "00005", "00008"]
    assert set(contents()) == {CLAIM_NAME, *(receipt.name for receipt in saved.receipts)}
    assert SetClaim.parse(contents()[CLAIM_NAME].decode()) == SetClaim.of(made)
    assert saved.loads == tuple(made.sizes[0] * count for count in (3, 3, 2))


def test_a_rank_of_other_versions_is_refused_and_may_be_forced(store, shards, contents) -> None:
    made = shards()
    other = replace(SetClaim.of(made), made_by="initcfg 9.9.9 with numpy 3.0.0")
    with store.claiming(other.text, lambda _: None):
        pass
    with pytest.raises(
        OutputError, match=r"initcfg 9.9.9 with numpy 3.0.0 has begun .* this process has initcfg"
    ):
        save_set(made, store, rank=Rank(1, 3))
    assert set(contents()) == {CLAIM_NAME}
    save_set(made, store, rank=Rank(1, 3), force=True)
    assert SetClaim.parse(contents()[CLAIM_NAME].decode()) == SetClaim.of(made)


def test_a_rank_after_the_set_was_published_leaves_no_claim(store, shards, contents) -> None:
    save_set(shards(), store)
    whole = contents()
    save_set(shards(), store, rank=Rank(1, 3))
    assert contents() == whole


def test_a_rank_without_a_share_leaves_the_claim_for_the_others(store, shards, contents) -> None:
    saved = save_set(shards(a_shard=8), store, rank=Rank(1, 2))
    assert saved.receipts == ()
    assert set(contents()) == {CLAIM_NAME}
    with pytest.raises(InitcfgError, match="1 of 1"):
        finalize(store)


def test_the_only_rank_publishes(store, shards) -> None:
    assert save_set(shards(), store, rank=Rank(0, 1)).index is not None


def test_progress_counts_what_this_run_makes(store, shards) -> None:
    made = shards()
    save_set(made, store, rank=Rank(0, 2), threads=1)
    told: list[tuple[int, int]] = []
    save_set(made, store, progress=lambda done, total: told.append((done, total)), threads=1)
    assert told[-1] == (4 * 1024, 4 * 1024)
    assert told == sorted(told)


def test_a_folder_without_the_space_is_left_as_it_was(store, shards, contents, monkeypatch) -> None:
    made = shards()
    monkeypatch.setattr(type(store), "free", lambda _: made.nbytes - 1)
    with pytest.raises(OutputError) as caught:
        save_set(made, store)
    (problem,) = caught.value.diagnostics
    assert f"8 shards in {store.place!r}" in problem.message
    assert f"they take {made.nbytes:,} bytes, {made.nbytes - 1:,} are free" in problem.message
    assert contents() == {}


def test_a_folder_that_was_made_for_a_run_which_is_refused_goes_again(store, shards, monkeypatch) -> None:
    monkeypatch.setattr(type(store), "free", lambda _: 0)
    with pytest.raises(OutputError, match="no space"):
        save_set(shards(), store)
    assert not Path(store.place).exists()


@pytest.mark.parametrize("settings", [{"engine": "nope"}, {"threads": 0}])
def test_settings_that_make_no_sense_are_refused_before_force_removes_anything(
    settings, store, shards, contents
) -> None:
    save_set(shards(1), store)
    before = contents()
    with pytest.raises((InitcfgError, ValueError)):
        save_set(shards(2), store, force=True, **settings)
    with ThreadPoolExecutor(1) as executor, pytest.raises((InitcfgError, ValueError)):
        save_set(shards(2), store, force=True, executor=executor, **settings)
    assert contents() == before


def test_an_executor_that_does_nothing_is_refused_before_force_removes_anything(
    store, shards, contents
) -> None:
    save_set(shards(1), store)
    before = contents()
    ended = ThreadPoolExecutor(1)
    ended.shutdown()
    with pytest.raises(InitcfgError, match="has been ended"):
        save_set(shards(2), store, force=True, executor=ended)
    with pytest.raises(TypeError, match="has a method submit"):
        save_set(shards(2), store, force=True, executor="ray")  # type: ignore[arg-type]
    assert contents() == before


def test_a_set_without_tensors_is_finalized_again(store) -> None:
    made = shard_set(initcfg.make_plan({"initcfg": 1, "params": {}}), 1000)
    saved = save_set(made, store)
    assert finalize(store).path == saved.index


def test_space_is_asked_for_what_is_missing_only(store, shards, monkeypatch) -> None:
    made = shards()
    save_set(made, store)
    Path(store.path(made.shards[0].name)).unlink()
    monkeypatch.setattr(type(store), "free", lambda _: made.sizes[0])
    assert save_set(made, store).index is not None


def test_a_failure_in_the_middle_keeps_what_is_finished(store, shards, contents, monkeypatch) -> None:
    made = shards()
    real = type(store).write

    def failing(self, name, *rest):
        if name == made.shards[3].name:
            raise OutputError(*_problem().diagnostics)
        real(self, name, *rest)

    monkeypatch.setattr(type(store), "write", failing)
    with pytest.raises(OutputError, match="planted"):
        save_set(made, store)
    assert set(contents()) == {CLAIM_NAME, *(shard.name for shard in made.shards[:3])}
    monkeypatch.undo()
    saved = save_set(made, store)
    assert [receipt.process is None for receipt in saved.receipts] == [True] * 3 + [False] * 5
    assert CLAIM_NAME not in contents()


def test_a_failure_before_the_first_shard_leaves_no_claim(store, shards, contents, monkeypatch) -> None:
    def failing(*_):
        raise _problem()

    monkeypatch.setattr(type(store), "write", failing)
    with pytest.raises(OutputError, match="planted"):
        save_set(shards(), store)
    assert contents() == {}


def _problem() -> OutputError:
    from initcfg.errors import Diagnostic

    return OutputError(Diagnostic(Code.OUTPUT, "planted"))


def test_another_set_is_refused_while_one_is_begun_and_replaces_it_by_force(store, shards, contents) -> None:
    save_set(shards(1), store, rank=Rank(0, 2))
    before = contents()
    with pytest.raises(OutputError, match="holds files that are of another set"):
        save_set(shards(2), store)
    assert contents() == before
    saved = save_set(shards(2, a_shard=4), store, force=True)
    assert set(contents()) == {INDEX_NAME, *(receipt.name for receipt in saved.receipts)}


def test_an_executor_gives_the_same_files(store, shards, contents, tmp_path) -> None:
    made = shards()
    save_set(made, store)
    whole = contents()
    for path in Path(store.place).iterdir():
        path.unlink()
    with ThreadPoolExecutor(3) as executor:
        saved = save_set(made, store, executor=executor)
    assert contents() == whole
    assert [receipt.name for receipt in saved.receipts] == [shard.name for shard in made.shards]


def test_a_task_without_its_claim_writes_nothing(store, shards, contents) -> None:
    made = shards()
    Path(store.place).mkdir()
    with pytest.raises(OutputError):
        write_claimed_shard(store.place, SetClaim.of(made).text, made.shards[0])
    assert contents() == {}


def test_a_task_that_is_run_twice_keeps_the_shard(store, shards) -> None:
    made = shards()
    with store.claiming(SetClaim.of(made).text, lambda _: None):
        first, second = (
            write_claimed_shard(store.place, SetClaim.of(made).text, made.shards[0]) for _ in range(2)
        )
    assert first.process is not None
    assert second.process is None


def test_finalize_publishes_what_ranks_have_written(store, shards, contents) -> None:
    made = shards()
    for number in (2, 0, 1):
        save_set(made, store, rank=Rank(number, 3))
    published = finalize(store)
    assert (published.path, published.shards, published.nbytes) == (store.path(INDEX_NAME), 8, made.nbytes)
    assert published.fingerprint == made.fingerprint
    assert contents()[INDEX_NAME].decode() == made.index
    assert CLAIM_NAME not in contents()
    assert finalize(store) == published


def test_a_finalize_that_another_overtakes_finds_its_set(store, shards, contents, monkeypatch) -> None:
    save_set(shards(), store, rank=Rank(0, 1))
    seen, published = store.claimed(), finalize(store)
    whole = contents()
    # What this one has read before the other ended, and what it reads after.
    claims = iter([seen, None])
    monkeypatch.setattr(type(store), "claimed", lambda _: next(claims))
    assert finalize(store) == published
    assert contents() == whole


def test_a_finalize_whose_folder_another_plan_has_taken_is_refused(store, shards, monkeypatch) -> None:
    save_set(shards(), store, rank=Rank(0, 2))
    monkeypatch.setattr(type(store), "claimed", lambda _: SetClaim.of(shards(2)).text)
    with pytest.raises(OutputError, match="taken over by a run of another set"):
        finalize(store)


def test_finalize_names_what_is_missing(store, shards, contents) -> None:
    save_set(shards(), store, rank=Rank(0, 4))
    before = contents()
    with pytest.raises(InitcfgError) as caught:
        finalize(store)
    (problem,) = caught.value.diagnostics
    assert problem.code is Code.UNFINISHED
    assert "6 of 8: model-00002-of-00008.safetensors" in problem.message
    assert problem.message.endswith("and 1 more")
    assert contents() == before


def test_finalize_of_a_folder_where_nobody_has_begun(store) -> None:
    with pytest.raises(InitcfgError, match="no rank has begun"):
        finalize(store)
    Path(store.place).mkdir()
    with pytest.raises(InitcfgError, match="no rank has begun"):
        finalize(store)


def test_finalize_refuses_a_shard_of_another_plan(store, shards, contents) -> None:
    """The planted fault: somebody has copied a file."""
    for number in range(2):
        save_set(shards(), store, rank=Rank(number, 2))
    shard = shards(2).shards[3]
    other = type(store)(Path(store.place).with_name("other"))
    save_set(shards(2), other)
    Path(other.path(shard.name)).replace(store.path(shard.name))
    with pytest.raises(InitcfgError, match="not all of the set") as caught:
        finalize(store)
    assert caught.value.diagnostics[0].code is Code.OTHER_PLAN
    assert INDEX_NAME not in contents()


@pytest.mark.parametrize("harm", ["cut", "junk", "fifo", "longer"])
def test_finalize_refuses_a_shard_that_is_not_whole(harm, store, shards, contents) -> None:
    for number in range(2):
        save_set(shards(), store, rank=Rank(number, 2))
    path = Path(store.path(shards().shards[3].name))
    content = path.read_bytes()
    path.unlink()
    match harm:
        case "cut":
            path.write_bytes(content[:-4])
        case "junk":
            path.write_bytes(b"\xff" * 100)
        case "fifo":
            __import__("os").mkfifo(path)
        case "longer":
            path.write_bytes(content + b"\0")
    with pytest.raises(InitcfgError) as caught:
        finalize(store)
    assert path.name in str(caught.value)
    assert INDEX_NAME not in contents()


def test_finalize_refuses_an_index_that_its_shards_do_not_agree_with(store, shards) -> None:
    save_set(shards(), store)
    index = Path(store.path(INDEX_NAME))
    index.write_text(index.read_text().replace('"total_size": 8192', '"total_size": 8191'))
    with pytest.raises(InitcfgError, match="do not agree"):
        finalize(store)


@pytest.mark.parametrize("text", ['{"format": "initcfg.run", "version": 2}\n', "what?\n"])
def test_a_claim_that_this_release_does_not_know_is_refused(text, store, shards) -> None:
    Path(store.place).mkdir()
    Path(store.path(CLAIM_NAME)).write_text(text)
    with pytest.raises(OutputError, match="another release"):
        finalize(store)
    with pytest.raises(OutputError, match="another set"):
        save_set(shards(), store)
    assert save_set(shards(), store, force=True).index


def test_a_claim_that_a_killed_run_had_not_yet_written_is_in_nobodys_way(store, shards, contents) -> None:
    Path(store.place).mkdir()
    Path(store.path(CLAIM_NAME)).write_text('{"format": "init')
    save_set(shards(), store)
    assert CLAIM_NAME not in contents()


@register(package="tests")
class Raising(Initializer):
    """Has no values to give."""

    def __call__(self, shape: Any, dtype: Any = None) -> Any:
        raise RuntimeError("planted")


def raising() -> ShardSet:
    params = {name: {"shape": [16, 16], "initializer": "raising"} for name in "ab"}
    return shard_set(initcfg.make_plan({"initcfg": 1, "params": params}), 1024)


@pytest.mark.parametrize("how", ["here", "sent", "full", "full and sent", "rank", "rank and sent"])
def test_force_keeps_the_old_set_where_an_initializer_raises(
    how, store, shards, contents, monkeypatch
) -> None:
    save_set(shards(1), store)
    before = contents()
    if "full" in how:
        monkeypatch.setattr(type(store), "free", lambda _: 1024)
    rank = Rank(0, 2) if "rank" in how else None
    with ThreadPoolExecutor(1) as pool, pytest.raises(RuntimeError, match="planted"):
        save_set(raising(), store, force=True, rank=rank, executor=pool if "sent" in how else None)
    assert contents() == before
    assert [path for path in Path(store.place).iterdir() if path.is_dir()] == []


def test_force_keeps_the_old_set_where_no_task_can_be_sent(store, shards, contents, monkeypatch) -> None:
    @register(package="tests")
    class Inner(Raising):
        pass

    save_set(shards(1), store)
    before = contents()
    plan = initcfg.make_plan({"initcfg": 1, "params": {"a": {"shape": [2], "initializer": "inner"}}})
    made = shard_set(plan, 1024)
    for rank in (None, Rank(0, 2)):
        with ProcessPoolExecutor(1) as pool, pytest.raises(InitcfgError) as caught:
            save_set(made, store, force=True, rank=rank, executor=pool)
        assert caught.value.diagnostics[0].code is Code.NOT_SERIALIZABLE
        assert contents() == before


def test_force_keeps_the_old_set_where_workers_do_not_find_the_folder(store, shards, contents) -> None:
    class Far(ThreadPoolExecutor):
        def submit(self, fn, place, *args, **kwargs):  # type: ignore[override]
            return super().submit(fn, f"{place}-elsewhere", *args, **kwargs)

    save_set(shards(1), store)
    before = contents()
    for rank in (None, Rank(0, 2)):
        with Far(1) as pool, pytest.raises(OutputError, match="must reach the same one"):
            save_set(shards(2), store, force=True, rank=rank, executor=pool)
        assert contents() == before


def test_it_is_told_when_the_old_set_went_first(store, shards, monkeypatch) -> None:
    save_set(shards(1), store)
    assert not save_set(shards(2), store, force=True).removed_first
    room = shards(1).nbytes * 3 // 2
    monkeypatch.setattr(type(store), "free", lambda store: room - sum(store.sizes().values()))
    assert save_set(shards(1), store, force=True).removed_first
    monkeypatch.undo()
    assert save_set(shards(2), store, force=True, rank=Rank(0, 2)).removed_first


def test_a_set_that_was_staged_in_part_is_finished_or_swept(store, shards, contents, monkeypatch) -> None:
    save_set(shards(1), store)
    before, made, real = contents(), shards(2), type(store).write

    def failing(self, name, *rest):
        if name == made.shards[3].name:
            raise _problem()
        real(self, name, *rest)

    def fail() -> None:
        monkeypatch.setattr(type(store), "write", failing)
        with pytest.raises(OutputError, match="planted"):
            save_set(made, store, force=True)
        monkeypatch.undo()
        assert contents() == before
        assert len(store.staged.sizes()) == 3 + 1

    fail()
    save_set(shards(1), store)
    assert not Path(store.staged.place).exists()
    assert contents() == before
    fail()
    saved = save_set(made, store, force=True)
    assert [receipt.process is None for receipt in saved.receipts] == [True] * 3 + [False] * 5
    assert set(contents()) == {INDEX_NAME, *(shard.name for shard in made.shards)}
    assert not Path(store.staged.place).exists()


def test_a_link_in_the_place_of_the_staged_folder_is_not_followed(store, shards, contents, tmp_path) -> None:
    save_set(shards(1), store)
    (tmp_path / "elsewhere").mkdir()
    Path(store.staged.place).symlink_to(tmp_path / "elsewhere")
    assert save_set(shards(2), store, force=True).removed_first
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_another_set_at_work_is_told_before_anything_is_staged(store, shards, contents) -> None:
    save_set(shards(1), store)
    before = contents()
    claim = SetClaim.of(shards(3)).text
    with store.claiming(claim, lambda _: None) as hold:
        with pytest.raises(OutputError, match="another run is writing"):
            save_set(shards(2), store, force=True)
        hold.release()
    assert contents() == before
