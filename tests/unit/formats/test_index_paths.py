"""What a path to weights means, above all a folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from initcfg.errors import Code, FormatError
from initcfg.formats.index import INDEX_NAME, find_weights, is_index, is_shard_name, is_torch_file
from initcfg.formats.safetensors import read_header

if TYPE_CHECKING:
    from pathlib import Path

SHARDS = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]


def fill(folder: Path, names: list[str]) -> Path:
    for name in names:
        (folder / name).write_bytes(b"")
    return folder


def refused(folder: Path) -> tuple[Code, str, str]:
    with pytest.raises(FormatError) as raised:
        find_weights(folder)
    (problem,) = raised.value.diagnostics
    assert problem.where is not None
    assert problem.where.file == str(folder)
    return problem.code, problem.message, problem.hint or ""


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["config.json", INDEX_NAME, *SHARDS], INDEX_NAME),
        ([INDEX_NAME, "other.safetensors", ".initcfg-run.json"], INDEX_NAME),
        (["config.json", "w.safetensors", "w.npz"], "w.safetensors"),
        (["W.SafeTensors"], "W.SafeTensors"),
    ],
)
def test_a_folder_stands_for_its_index_or_its_only_file(names: list[str], found: str, tmp_path: Path) -> None:
    assert find_weights(fill(tmp_path, names)) == tmp_path / found


def test_any_other_path_stands_for_itself(tmp_path: Path) -> None:
    fill(tmp_path, ["w.npz"])
    for name in ("w.npz", "nothing", "nothing.safetensors"):
        assert find_weights(tmp_path / name) == tmp_path / name


@pytest.mark.parametrize(
    "names", [SHARDS, SHARDS[:1], [".initcfg-run.json"], ["MODEL-00001-OF-00003.SAFETENSORS"]]
)
def test_a_set_without_an_index_is_unfinished(names: list[str], tmp_path: Path) -> None:
    code, message, hint = refused(fill(tmp_path, names))
    assert code is Code.FORMAT
    assert "unfinished set" in message
    assert f"initcfg finalize {str(tmp_path)!r}" in hint


def test_a_folder_with_nothing_to_read_is_refused(tmp_path: Path) -> None:
    code, message, _ = refused(fill(tmp_path, ["pytorch_model.bin", "w.npz"]))
    assert code is Code.INPUT
    assert "has no weights" in message


@pytest.mark.parametrize(
    "names", [["a.safetensors", "b.safetensors"], ["model.safetensors", INDEX_NAME, *SHARDS]]
)
def test_a_folder_with_two_things_to_read_is_refused(names: list[str], tmp_path: Path) -> None:
    code, message, hint = refused(fill(tmp_path, names))
    assert code is Code.FORMAT
    assert repr(names[0]) in message
    assert "name the one that is meant" in hint


def test_a_name_that_is_too_long_is_told(tmp_path: Path) -> None:
    path = find_weights(tmp_path / ("a" * 5000))
    with pytest.raises(FormatError, match="file name too long") as caught:
        read_header(path)
    assert caught.value.diagnostics[0].code is Code.INPUT


def test_a_url_is_told_from_a_file_that_is_missing() -> None:
    with pytest.raises(FormatError, match="read from local files") as caught:
        find_weights("s3://bucket/model")
    assert "fetch the file or the folder first" in str(caught.value)


def test_the_end_of_a_name_says_what_a_file_is() -> None:
    assert is_index("runs/model.safetensors.index.json")
    assert not is_index("model.safetensors")
    assert is_torch_file("step0.pt")
    assert is_torch_file("pytorch_model.bin.index.json")
    assert not is_torch_file("model.safetensors")


def test_a_shard_stands_beside_its_index() -> None:
    assert is_shard_name("model-00001-of-00002.safetensors")
    assert not is_shard_name("../a.safetensors")
