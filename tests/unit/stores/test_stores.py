"""Which names are folders, and which store a place has."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from initcfg.errors import OutputError
from initcfg.stores import is_folder, is_remote, local_path, open_store, require_folder
from initcfg.stores.local import LocalStore

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("place", "remote", "folder"),
    [
        ("out", False, True),
        ("out/", False, True),
        ("out.v1", False, False),
        ("out.v1/", False, True),
        ("a.b/out", False, True),
        ("w.safetensors", False, False),
        ("w.SAFETENSORS", False, False),
        ("w.npz", False, False),
        ("s3://bucket/model", True, True),
        ("s3://bucket/v1.5", True, True),
        ("s3://bucket/w.safetensors", True, False),
        ("memory://model", True, True),
        ("simplecache::s3://bucket/model", True, True),
        ("file:///srv/model", False, True),
        ("file://localhost/srv/model", False, True),
        ("file:///srv/v1.5/w.npz", False, False),
        (r"C:\models", False, True),
        ("a:b", False, True),
    ],
)
def test_a_name_says_whether_it_is_a_folder_and_whether_it_is_far_away(place, remote, folder) -> None:
    assert is_remote(place) == remote
    assert is_folder(place) == folder


def test_a_folder_that_is_there_may_have_a_suffix(tmp_path: Path) -> None:
    (tmp_path / "out.v1").mkdir()
    assert is_folder(tmp_path / "out.v1")
    assert is_folder(f"file://{tmp_path}/out.v1")


def test_a_path_and_a_file_url_are_a_local_store(tmp_path: Path) -> None:
    for place in (tmp_path, str(tmp_path), f"file://{tmp_path}", f"file://localhost{tmp_path}"):
        store = open_store(place)
        assert isinstance(store, LocalStore)
        assert store.place == str(tmp_path)


def test_an_empty_name_is_not_the_current_folder() -> None:
    with pytest.raises(OutputError, match="is empty"):
        require_folder("")


def test_the_name_of_a_file_is_no_folder_unless_it_is_one(tmp_path: Path) -> None:
    for place in (tmp_path / "w.safetensors", "s3://bucket/w.npz"):
        with pytest.raises(OutputError, match="names one file"):
            require_folder(place)
    (tmp_path / "w.safetensors").mkdir()
    require_folder(tmp_path / "w.safetensors")
    require_folder(tmp_path / "w")


def test_a_file_url_is_the_path_in_it() -> None:
    assert local_path("file:///tmp/gpt2.safetensors") == "/tmp/gpt2.safetensors"
    assert local_path("gpt2.npz") == "gpt2.npz"
