"""Weights as a source: elements by place, in safetensors, npz and sharded sets."""

from __future__ import annotations

import io
import json
import os
import random
import resource
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

import initcfg
from initcfg.errors import FormatError
from initcfg.formats.base import FilePool
from initcfg.formats.index import INDEX_NAME, Index, index_text
from initcfg.formats.npz import read_header as read_npz_header
from initcfg.formats.reading import open_weights

ARRAYS: dict[str, Any] = {
    "a.w": np.arange(12, dtype="float32").reshape(3, 4),
    "b": np.array(7, "int64"),
    "empty": np.zeros((0, 3), "float16"),
    "flag": np.array([True, False]),
}


def write(path: Path, arrays: dict[str, Any] = ARRAYS) -> Path:
    save_file(arrays, path) if path.suffix == ".safetensors" else np.savez(path, **arrays)
    return path


def open_descriptors() -> list[int]:
    return [int(entry.name) for entry in Path("/dev/fd").iterdir()]


def write_set(folder: Path, arrays: dict[str, Any] = ARRAYS) -> Path:
    """A shard for each array, and the index."""
    shards = {name: f"model-{at:05}-of-{len(arrays):05}.safetensors" for at, name in enumerate(arrays, 1)}
    for name, shard in shards.items():
        save_file({name: arrays[name]}, folder / shard)
    (folder / INDEX_NAME).write_text(index_text(Index(shards)))
    return folder / INDEX_NAME


@pytest.fixture(params=["w.safetensors", "w.npz", INDEX_NAME])
def weights(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return write_set(tmp_path) if request.param == INDEX_NAME else write(tmp_path / request.param)


@pytest.fixture(params=["w.safetensors", "w.npz"])
def single(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return write(tmp_path / request.param)


def test_any_stretch_of_elements_is_what_was_saved(weights: Path) -> None:
    with open_weights(weights) as file:
        assert file.header.tensors.keys() == ARRAYS.keys()
        for name, tensor in file.header.tensors.items():
            whole = ARRAYS[name].ravel()
            assert tensor.shape == ARRAYS[name].shape
            for start in range(whole.size + 1):
                for stop in range(start, whole.size + 1):
                    np.testing.assert_array_equal(file.read(tensor, start, stop), whole[start:stop])


def test_threads_read_side_by_side(weights: Path) -> None:
    with open_weights(weights) as file, ThreadPoolExecutor(4) as pool:
        tensor = file.header.tensors["a.w"]
        read = list(pool.map(lambda at: float(file.read(tensor, at, at + 1)[0]), list(range(12)) * 20))
    assert read == list(range(12)) * 20


def test_of_many_shards_few_are_open_at_a_time(tmp_path: Path) -> None:
    arrays = {f"w{at}": np.full(3, at, "int32") for at in range(60)}
    write_set(tmp_path, arrays)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(open_descriptors())
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 20, limits[1]))
    try:
        with open_weights(tmp_path) as file, ThreadPoolExecutor(4) as pool:
            tensors = list(file.header.tensors.values()) * 5
            read = pool.map(lambda tensor: file.read(tensor, 1, 3).tolist(), tensors)
            assert [int(tensor.name[1:]) for tensor in tensors] == [first for first, _ in read]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_a_shard_that_was_replaced_meanwhile_is_refused(tmp_path: Path) -> None:
    arrays = {f"w{at}": np.full(3, at, "int32") for at in range(20)}
    with open_weights(write_set(tmp_path, arrays)) as file:
        (tmp_path / "other").mkdir()
        write_set(tmp_path / "other", {name: array + 1 for name, array in arrays.items()})
        for shard in file.header.shards:
            (tmp_path / "other" / shard).replace(tmp_path / shard)
        with pytest.raises(FormatError, match="changed or replaced while it was read"):
            file.read(file.header.tensors["w0"], 0, 3)


def test_weights_that_are_refused_leave_nothing_open(tmp_path: Path) -> None:
    write_set(tmp_path)
    next(tmp_path.glob("*-00002-*")).write_bytes(b"torn")
    before = len(open_descriptors())
    with pytest.raises(FormatError):
        open_weights(tmp_path)
    assert len(open_descriptors()) == before


def test_our_own_files_tell_their_metadata(tmp_path: Path) -> None:
    spec = {"initcfg": 1, "params": {"w": {"shape": [2], "initializer": "ones"}}}
    for suffix in (".safetensors", ".npz"):
        written = initcfg.save(spec, tmp_path / f"w{suffix}", metadata={"note": "é"})
        with open_weights(written.path) as weights:
            header = weights.header
        assert header.metadata["initcfg.plan"] == written.fingerprint
        assert header.metadata["note"] == "é"


def test_a_file_that_shrinks_while_it_is_read_is_an_error(single: Path) -> None:
    with open_weights(single) as file:
        single.write_bytes(single.read_bytes()[:20])
        with pytest.raises(FormatError, match="it ends too early"):
            file.read(file.header.tensors["a.w"], 0, 12)


def test_a_file_of_no_known_format_is_refused(tmp_path: Path) -> None:
    (tmp_path / "w.h5").write_bytes(b"")
    with pytest.raises(FormatError, match="is not a format of weights") as raised:
        open_weights(tmp_path / "w.h5")
    # What is wrong with a file to be written is another matter.
    assert "save_sharded" not in str(raised.value)
    assert "a spec or a plan holds no weights" in str(raised.value)


def member(path: Path, content: bytes, name: str = "w.npy", **settings: Any) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(name, content, **settings)
    return path


def npy(array: Any, **settings: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, **settings)
    return buffer.getvalue()


def test_an_array_in_a_later_version_of_the_format_is_read(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, ARRAYS["a.w"], version=(2, 0))
    assert read_npz_header(member(tmp_path / "w.npz", buffer.getvalue())).tensors["w"].shape == (3, 4)


@pytest.mark.parametrize("comment", [b"", b"no json", b"[]", json.dumps({"a": 1}).encode(), b"\xff"])
def test_a_comment_that_is_no_metadata_is_none(comment: bytes, tmp_path: Path) -> None:
    path = write(tmp_path / "w.npz")
    with zipfile.ZipFile(path, "a") as archive:
        archive.comment = comment
    assert read_npz_header(path).metadata == {}


@settings(max_examples=3 * settings().max_examples)
@given(st.data())
def test_damage_to_an_npz_file_is_an_error_or_leaves_places_inside_the_file(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzzed.npz"
    sound = write(path).read_bytes()
    at = data.draw(st.integers(0, len(sound)))
    path.write_bytes(
        sound[:at] + data.draw(st.binary(max_size=4)) + sound[at + data.draw(st.integers(0, 4)) :]
    )
    try:
        header = read_npz_header(path)
    except FormatError:
        return
    for tensor in header.tensors.values():
        assert 0 <= tensor.begin <= tensor.begin + tensor.nbytes <= header.nbytes


DESCRIPTORS = Path("/proc/self/fd")


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Forty files, each of its own number."""
    paths = [tmp_path / f"{at}.bin" for at in range(40)]
    for at, path in enumerate(paths):
        path.write_bytes(bytes([at]))
    return paths


def open_files(folder: Path) -> int:
    """How many files of a folder this process has open."""
    return sum(link.exists() and link.readlink().parent == folder for link in DESCRIPTORS.iterdir())


on_linux = pytest.mark.skipif(not DESCRIPTORS.is_dir(), reason="counts descriptors in /proc")


@on_linux
def test_few_files_stay_open_and_in_the_end_none(files: list[Path]) -> None:
    with FilePool(3) as handles:
        for path in files * 2:
            with handles.using(path) as file:
                assert os.pread(file.fileno(), 1, 0) == path.read_bytes()
            assert open_files(path.parent) <= 3
    assert open_files(files[0].parent) == 0


@on_linux
def test_a_file_in_use_stays_open_and_one_used_twice_is_opened_once(files: list[Path]) -> None:
    with FilePool(1) as handles:
        with handles.using(files[0]) as first, handles.using(files[1]) as second:
            with handles.using(files[0]) as again:
                assert again is first
            assert os.pread(first.fileno(), 1, 0) + os.pread(second.fileno(), 1, 0) == b"\0\1"
            assert open_files(files[0].parent) == 2
        assert open_files(files[0].parent) == 1


def test_threads_share_them(files: list[Path]) -> None:
    order = random.Random(1).choices(files, k=3000)

    def read(path: Path) -> bytes:
        with handles.using(path) as file:
            return os.pread(file.fileno(), 1, 0)

    with FilePool(2) as handles, ThreadPoolExecutor(8) as pool:
        assert list(pool.map(read, order)) == [bytes([files.index(path)]) for path in order]


def test_a_file_that_was_replaced_meanwhile_is_refused(files: list[Path]) -> None:
    with FilePool(1) as handles:
        for path in files[:2]:
            with handles.using(path):
                pass
        files[2].replace(files[0])
        with (
            pytest.raises(FormatError, match="changed or replaced while it was read"),
            handles.using(files[0]),
        ):
            pass


@on_linux
def test_a_failure_in_the_block_leaves_nothing_open(files: list[Path]) -> None:
    with pytest.raises(ZeroDivisionError), FilePool(2) as handles, handles.using(files[0]):
        raise ZeroDivisionError
    assert open_files(files[0].parent) == 0
