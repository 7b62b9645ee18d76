"""A local folder as a store."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from initcfg.errors import OutputError
from initcfg.stores.local import LocalStore


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "a" / "b")


def test_files_are_listed_with_their_sizes_and_what_is_no_file_with_none(store: LocalStore, tmp_path) -> None:
    assert store.sizes() == {}
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)
    (folder / "file").write_bytes(b"123")
    (folder / "link").symlink_to("file")
    (folder / "dangling").symlink_to("nowhere")
    (folder / "folder").mkdir()
    os.mkfifo(folder / "fifo")
    assert store.sizes() == {"file": 3, "link": 3, "dangling": -1, "folder": -1, "fifo": -1}


def test_a_part_of_a_file_is_read(store: LocalStore, tmp_path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    store.write_text("t", "0123456789")
    assert store.read("t", 2, 5) == b"234"
    assert store.read("t", 8, 50) == b"89"
    assert store.read("t", 80, 90) == b""


@pytest.mark.parametrize("what", ["nothing", "folder", "fifo"])
def test_what_cannot_be_read_is_refused_and_not_waited_for(what, store: LocalStore, tmp_path) -> None:
    path = tmp_path / "a" / "b" / "x"
    path.parent.mkdir(parents=True)
    if what == "folder":
        path.mkdir()
    elif what == "fifo":
        os.mkfifo(path)
    with pytest.raises(OutputError, match="cannot read"):
        store.read("x", 0, 8)


def test_a_text_replaces_and_a_missing_file_is_removed_already(store: LocalStore, tmp_path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    for text in ("one", "two"):
        store.write_text("t", text)
    assert (tmp_path / "a" / "b" / "t").read_text() == "two"
    store.remove("t")
    store.remove("t")
    assert store.sizes() == {}


def test_a_link_is_removed_and_not_what_it_names(store: LocalStore, tmp_path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "victim").write_text("mine")
    (tmp_path / "a" / "b" / "x").symlink_to(tmp_path / "victim")
    store.remove("x")
    assert store.sizes() == {}
    assert (tmp_path / "victim").read_text() == "mine"


def test_free_space_is_known_before_the_folder_is_made(store: LocalStore, tmp_path) -> None:
    free = store.free()
    assert free is not None
    assert free > 0
    assert not (tmp_path / "a").exists()


def test_a_relative_folder_has_free_space_too(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert LocalStore(Path("x/y")).free()


def test_a_claim_makes_the_folders(store: LocalStore, tmp_path) -> None:
    with store.claiming("one\n", lambda _: None):
        assert store.claimed() == "one\n"
    assert (tmp_path / "a" / "b").is_dir()


@pytest.mark.parametrize(
    "attempt",
    [
        LocalStore.sizes,
        LocalStore.claimed,
        lambda store: store.claiming("one\n", lambda _: None).__enter__(),
    ],
    ids=["sizes", "claimed", "claiming"],
)
def test_a_file_in_the_place_of_the_folder_is_refused(attempt, tmp_path) -> None:
    (tmp_path / "f").write_text("mine")
    store = LocalStore(tmp_path / "f")
    with pytest.raises(OutputError) as caught:
        attempt(store)
    assert str(tmp_path / "f") in caught.value.diagnostics[0].message
    assert (tmp_path / "f").read_text() == "mine"
