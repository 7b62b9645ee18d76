"""A claim is read back; whatever else a file may hold is none."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from initcfg.errors import Code, OutputError
from initcfg.formats.index import INDEX_NAME
from initcfg.sharding import save_set
from initcfg.sharding.inventory import SetClaim, has_any, is_published, make_room, scan_folder

CLAIM = SetClaim("0" * 64, "1" * 64, 3)


def text(**changes: object) -> str:
    return json.dumps(
        {key: value for key, value in (json.loads(CLAIM.text) | changes).items() if value != "-"}
    )


def test_a_claim_is_one_line_that_is_read_back() -> None:
    assert CLAIM.text.count("\n") == 1
    assert CLAIM.text.endswith("\n")
    assert SetClaim.parse(CLAIM.text) == CLAIM


def test_a_set_and_its_claim_agree(shards) -> None:
    made = shards()
    assert SetClaim.of(made) == SetClaim(made.fingerprint, made.digest, 8, made.spec)


@pytest.mark.parametrize(
    "hostile",
    [
        "",
        "{",
        "null",
        "[]",
        "3",
        "[" * 100_000,
        '{"shards": ' + "9" * 5000 + "}",
        text(version=2),
        text(version="1"),
        text(format="initcfg.plan"),
        text(shards=True),
        text(shards=0),
        text(shards=-1),
        text(shards=10**12),
        text(shards=3.0),
        text(plan=None),
        text(set=1),
        text(set="-"),
        text(more=1),
        "\x00" * 100 + "\n",
        "\ud800",
    ],
)
def test_a_text_that_is_no_claim_is_none(hostile: str) -> None:
    assert SetClaim.parse(hostile) is None


@given(st.text())
def test_any_text_is_a_claim_or_none(hostile: str) -> None:
    assert SetClaim.parse(hostile) is None


KEPT = (
    "config.json",
    "tokenizer.json",
    "optimizer.safetensors",
    "model.bin",
    "notes.txt",
    "model-1.safetensors",
)


@pytest.fixture
def folder(store, shards) -> Path:
    """A complete set of seed 1, and files that are none of a set."""
    save_set(shards(1), store)
    for name in KEPT:
        Path(store.path(name)).write_text(name)
    return Path(store.place)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_folder_that_is_not_there_has_nothing(store, shards) -> None:
    stock = scan_folder(store, shards())
    assert (stock.finished, stock.foreign, stock.has_index) == (frozenset(), (), False)


def test_a_complete_set_is_found_by_its_own_plan_only(folder, store, shards) -> None:
    ours, others = scan_folder(store, shards(1)), scan_folder(store, shards(2))
    assert (len(ours.finished), ours.foreign, ours.has_index) == (8, (), True)
    assert (len(others.finished), len(others.foreign), others.has_index) == (0, 9, False)


@pytest.mark.parametrize("harm", ["short", "long", "other header", "link to nowhere", "folder", "fifo"])
def test_a_file_that_is_not_the_shard_is_foreign(harm, folder, store, shards) -> None:
    made = shards(1)
    name = made.shards[2].name
    path = folder / name
    content = path.read_bytes()
    path.unlink()
    match harm:
        case "short":
            path.write_bytes(content[:-1])
        case "long":
            path.write_bytes(content + b"\0")
        case "other header":
            path.write_bytes(content.replace(b"h.2.w", b"h.3.w"))
        case "link to nowhere":
            path.symlink_to("nowhere")
        case "folder":
            path.mkdir()
        case "fifo":
            os.mkfifo(path)
    stock = scan_folder(store, made)
    assert name not in stock.finished
    assert stock.foreign == (name,)


def test_an_index_that_is_a_fifo_is_not_waited_for(folder, store, shards) -> None:
    (folder / INDEX_NAME).unlink()
    os.mkfifo(folder / INDEX_NAME)
    assert scan_folder(store, shards(1)).foreign == (INDEX_NAME,)


def test_files_of_another_set_are_refused_and_named_and_left(folder, store, shards) -> None:
    before = names(folder)
    with pytest.raises(OutputError) as caught:
        make_room(store, shards(2), shards(2).shards, None, force=False)
    (problem,) = caught.value.diagnostics
    assert problem.code is Code.OTHER_PLAN
    assert "'model-00001-of-00008.safetensors', 'model-00002" in problem.message
    assert "and 6 more" in problem.message
    assert "--force" in problem.hint
    assert names(folder) == before


def test_a_whole_model_beside_the_set_is_foreign(folder, store, shards) -> None:
    """Loaders would take it and leave the set unread."""
    (folder / "model.safetensors").write_bytes(b"")
    assert scan_folder(store, shards(1)).foreign == ("model.safetensors",)


def test_force_removes_the_set_and_nothing_else(folder, store, shards) -> None:
    make_room(store, shards(2), shards(2).shards, None, force=True)
    assert names(folder) == set(KEPT)


def test_force_keeps_what_is_of_this_set(folder, store, shards) -> None:
    stranger = folder / "model-00009-of-00009.safetensors"
    stranger.write_bytes(b"")
    make_room(store, shards(1), shards(1).shards, None, force=True)
    assert names(folder) == {*KEPT, INDEX_NAME, *(shard.name for shard in shards(1).shards)}


def test_the_index_goes_before_what_it_names(folder, store, shards, monkeypatch) -> None:
    removed = []
    monkeypatch.setattr(store, "remove", removed.append)
    make_room(store, shards(2), shards(2).shards, None, force=True)
    assert removed[0] == INDEX_NAME
    assert len(removed) == 9


def test_an_index_that_names_a_shard_which_is_gone_goes_too(folder, store, shards) -> None:
    made = shards(1)
    (folder / made.shards[0].name).unlink()
    make_room(store, made, made.shards, None, force=False)
    assert INDEX_NAME not in names(folder)
    assert len(names(folder)) == 7 + len(KEPT)


def test_an_unfinished_set_without_a_file_is_another_set_too(store, shards) -> None:
    with pytest.raises(OutputError, match="was begun and not finished"):
        make_room(store, shards(), shards().shards, "another claim\n", force=False)
    make_room(store, shards(), shards().shards, "another claim\n", force=True)


def test_what_is_not_whole_is_rewritten_where_the_folder_is_claimed_for_the_set(
    folder, store, shards
) -> None:
    """A run of the same set may be writing it in place, where the file system does not hide that."""
    made = shards(1)
    begun = folder / made.shards[3].name
    begun.write_bytes(b"begun")
    with pytest.raises(OutputError, match="not whole"):
        make_room(store, made, made.shards, None, force=False)
    make_room(store, made, made.shards, SetClaim.of(made).text, force=True)
    assert begun.read_bytes() == b"begun"


def test_force_removes_nothing_where_there_would_be_no_space(folder, store, shards, monkeypatch) -> None:
    made = shards(2)
    before, freed = (
        names(folder),
        sum(path.stat().st_size for path in folder.iterdir() if path.name not in KEPT),
    )
    monkeypatch.setattr(type(store), "free", lambda _: made.nbytes - freed - 1)
    with pytest.raises(OutputError, match="no space for 8 shards"):
        make_room(store, made, made.shards, None, force=True)
    assert names(folder) == before
    monkeypatch.setattr(type(store), "free", lambda _: made.nbytes - freed)
    make_room(store, made, made.shards, None, force=True)


def test_force_removes_nothing_where_a_folder_is_in_the_way(folder, store, shards) -> None:
    (folder / "model.safetensors").mkdir()
    before = names(folder)
    with pytest.raises(OutputError, match=r"cannot remove .*model.safetensors"):
        make_room(store, shards(2), shards(2).shards, None, force=True)
    assert names(folder) == before


def test_a_set_is_published_when_its_own_index_is_there(folder, store, shards) -> None:
    assert is_published(store, shards(1))
    assert not is_published(store, shards(2))
    (folder / INDEX_NAME).unlink()
    assert not is_published(store, shards(1))


def test_a_folder_has_some_of_a_set_by_name(folder, store, shards) -> None:
    assert has_any(store, shards(2))
    assert not has_any(store, shards(1, a_shard=2))
